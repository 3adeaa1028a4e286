/// @file
/// Bytes that are borrowed, and bytes that are owned.
#ifndef REMOTE_DATA_LOADER_BACKEND_BYTES_HPP
#define REMOTE_DATA_LOADER_BACKEND_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "error.hpp"

namespace remote_data_loader_backend {

/// Nanoseconds since the Unix epoch.
using Nanos = std::uint64_t;

/// Bytes that somebody else owns: a string, a vector or a std::array of bytes, or a pointer and a size.
class Bytes {
 public:
  constexpr Bytes() noexcept = default;
  constexpr Bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
  /// The text, without the NUL at its end.
  constexpr Bytes(const char *text) noexcept : Bytes(std::string_view(text)) {}
  /// An array that may be written to is no text: give its address and a size.
  template <std::size_t Size>
  Bytes(char (&)[Size]) = delete;
  constexpr Bytes(std::string_view text) noexcept : Bytes(text.data(), text.size()) {}

  /// Whatever has data() and size() and consists of bytes.
  template <class Container,
            class Byte = std::remove_pointer_t<decltype(std::declval<const Container &>().data())>,
            class = decltype(std::declval<const Container &>().size()),
            class = std::enable_if_t<
                sizeof(Byte) == 1 && std::is_trivially_copyable_v<std::remove_cv_t<Byte>>>>
  constexpr Bytes(const Container &container) noexcept
      : Bytes(container.data(), container.size()) {}

  const std::uint8_t *data() const noexcept { return static_cast<const std::uint8_t *>(data_); }
  constexpr std::size_t size() const noexcept { return size_; }

 private:
  const void *data_ = nullptr;
  std::size_t size_ = 0;
};

/// A map of texts, in ascending order of its keys.
using TextMap = std::map<std::string, std::string, std::less<>>;

/// Bytes of the library, which they keep alive. Moved, never copied.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer &&other) noexcept : raw_(std::exchange(other.raw_, rdl_buffer{})) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { rdl_buffer_free(&raw_); }

  const std::uint8_t *data() const noexcept { return raw_.data; }
  std::size_t size() const noexcept { return raw_.len; }
  bool empty() const noexcept { return raw_.len == 0; }

  /// The same bytes; valid as long as the buffer.
  std::string_view view() const noexcept {
    return empty() ? std::string_view()
                   : std::string_view(reinterpret_cast<const char *>(raw_.data), raw_.len);
  }

  /// Where a function of remote_data_loader_backend.h puts its result.
  rdl_buffer *out() noexcept {
    rdl_buffer_free(&raw_);
    return &raw_;
  }

 private:
  rdl_buffer raw_{};
};

namespace detail {

/// A text that is there, though it may be empty: a view of nothing has no data.
inline rdl_str text(std::string_view text) noexcept {
  return {text.data() == nullptr ? "" : text.data(), text.size()};
}

inline rdl_str text(const std::optional<std::string> &maybe) noexcept {
  return maybe ? text(std::string_view(*maybe)) : rdl_str{nullptr, 0};
}

inline rdl_bytes bytes(Bytes bytes) noexcept { return {bytes.data(), bytes.size()}; }

inline std::string_view view(rdl_str text) noexcept {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.len);
}

inline std::vector<rdl_pair> pairs(const TextMap &map) {
  std::vector<rdl_pair> pairs;
  pairs.reserve(map.size());
  for (const auto &[key, value] : map)
    pairs.push_back({text(std::string_view(key)), text(std::string_view(value))});
  return pairs;
}

/// The owner of a handle. Moved, never copied.
template <class Raw, void (*Free)(Raw *)>
class Handle {
 public:
  Handle() noexcept = default;
  Handle(Handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle &operator=(Handle &&other) noexcept {
    if (this != &other) {
      Free(raw_);
      raw_ = std::exchange(other.raw_, nullptr);
    }
    return *this;
  }
  Handle(const Handle &) = delete;
  Handle &operator=(const Handle &) = delete;
  ~Handle() { Free(raw_); }

  Raw *get() const noexcept { return raw_; }
  /// Where a new handle is put; there is none yet.
  Raw **out() noexcept { return &raw_; }

 private:
  Raw *raw_ = nullptr;
};

}  // namespace detail

}  // namespace remote_data_loader_backend

#endif
