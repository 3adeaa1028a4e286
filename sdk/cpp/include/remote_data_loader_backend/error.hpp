/// @file
/// What is thrown.
#ifndef REMOTE_DATA_LOADER_BACKEND_ERROR_HPP
#define REMOTE_DATA_LOADER_BACKEND_ERROR_HPP

#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#error "remote_data_loader_backend.hpp throws exceptions; without them, use remote_data_loader_backend.h"
#endif

#include <stdexcept>

#include "../remote_data_loader_backend.h"

namespace remote_data_loader_backend {

/// Why something was refused; what() says it in words.
class Error : public std::runtime_error {
 public:
  /// The failure of a function that answered `status` on this thread just now.
  explicit Error(rdl_status status) : std::runtime_error(rdl_last_error()), status_(status) {}

  /// A failure in other words.
  Error(rdl_status status, const char *what) : std::runtime_error(what), status_(status) {}

  /// Its name, the same in every language of the kit and in every version: `out-of-order`,
  /// `outside-times`, `unknown-channel`, `too-large`, `encoding`, `compression` or `ended` of a
  /// body; `too-long` or `too-many` of channels; `not-a-descriptor-set`, `no-such-message` or
  /// `missing-import` of Protobuf types; `no-bearer`; `invalid-argument`; `internal`.
  const char *name() const noexcept { return rdl_status_name(status_); }

  /// Its code in remote_data_loader_backend.h.
  rdl_status status() const noexcept { return status_; }

 private:
  rdl_status status_;
};

namespace detail {

/// Throws if something failed on this thread just now.
inline void check(rdl_status status) {
  if (status != RDL_OK) throw Error(status);
}

}  // namespace detail

}  // namespace remote_data_loader_backend

#endif
