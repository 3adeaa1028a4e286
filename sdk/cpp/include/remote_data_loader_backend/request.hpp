/// @file
/// Who asks, and what went wrong: bearer tokens and error replies.
#ifndef REMOTE_DATA_LOADER_BACKEND_REQUEST_HPP
#define REMOTE_DATA_LOADER_BACKEND_REQUEST_HPP

#include "bytes.hpp"

namespace remote_data_loader_backend {

/// The response header whose text the viewer shows to its user.
inline constexpr const char *error_message_header = "x-foxglove-error-message";

/// An error as a data backend answers it: give status, headers and body to your HTTP server.
///
/// The loader keeps 401 (the user is sent to sign in), 403 and 404 of a manifest endpoint; any
/// other is a failure of the backend. 5xx and 429 are tried again.
struct ErrorReply {
  int status = 500;
  /// Names in lower case: `content-type`, `x-foxglove-error-message`, and of a 401
  /// `www-authenticate`.
  std::vector<std::pair<std::string, std::string>> headers = {};
  /// The message: one line of at most 1 KiB.
  std::string body = {};

  ErrorReply() = default;

  /// An error with this status and this message for the user.
  ///
  /// @throws Error `invalid-argument` if there is no such status.
  ErrorReply(int code, std::string_view message) : status(code) {
    detail::Handle<rdl_reply, rdl_reply_free> made;
    if (code < 0 || code > 999) throw Error(RDL_INVALID_ARGUMENT, "that is no HTTP status");
    detail::check(
        rdl_reply_new(static_cast<std::uint16_t>(code), detail::text(message), made.out()));
    rdl_str name{}, value{};
    for (std::size_t at = 0; rdl_reply_header(made.get(), at, &name, &value); ++at)
      headers.emplace_back(detail::view(name), detail::view(value));
    detail::check(rdl_reply_body(made.get(), &value));
    body = std::string(detail::view(value));
  }

  /// 400: a parameter is missing or wrong; say which.
  static ErrorReply bad_request(std::string_view message) { return {400, message}; }
  /// 401: nobody is signed in, or the token is not valid any more.
  static ErrorReply unauthorized(std::string_view message) { return {401, message}; }
  /// 403: this user may not see that.
  static ErrorReply forbidden(std::string_view message) { return {403, message}; }
  /// 404: there is no such recording.
  static ErrorReply not_found(std::string_view message) { return {404, message}; }
};

/// The token in a request's `Authorization: Bearer …` (RFC 6750, section 2.1).
///
/// The loader sends its user's token to the manifest endpoint and to the sources. The manifest
/// endpoint is where access is decided: what it names, the loader may serve from its cache without
/// asking again.
class Bearer {
 public:
  /// The token of a request with this `Authorization` header; an empty one is none.
  ///
  /// @throws Error `no-bearer` if it has none: answer ErrorReply::unauthorized() with its what().
  static Bearer from_header(std::string_view authorization) {
    return from_headers(&authorization, authorization.empty() ? 0 : 1);
  }

  /// The token of a request with these values of `Authorization`; more than one is refused.
  ///
  /// @throws Error as above.
  static Bearer from_headers(const std::vector<std::string_view> &values) {
    return from_headers(values.data(), values.size());
  }

  /// The token itself: to look it up, or to check its signature. Valid as long as the bearer.
  std::string_view token() const {
    rdl_str token{};
    detail::check(rdl_bearer_token(handle_.get(), &token));
    return detail::view(token);
  }

  /// Whether it is this token. Takes as long whether or not, so that nobody can guess it piece by
  /// piece.
  bool is(std::string_view token) const noexcept {
    return rdl_bearer_is(handle_.get(), detail::text(token));
  }

 private:
  Bearer() noexcept = default;

  static Bearer from_headers(const std::string_view *values, std::size_t count) {
    std::vector<rdl_str> raw;
    for (std::size_t at = 0; at < count; ++at) raw.push_back(detail::text(values[at]));
    Bearer bearer;
    detail::check(rdl_bearer_new(raw.data(), raw.size(), bearer.handle_.out()));
    return bearer;
  }

  detail::Handle<rdl_bearer, rdl_bearer_free> handle_;
};

}  // namespace remote_data_loader_backend

#endif
