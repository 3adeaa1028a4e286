/// @file
/// Bodies for servers that pull: cpp-httplib's content provider, without depending on it.
#ifndef REMOTE_DATA_LOADER_BACKEND_CONTENT_PROVIDER_HPP
#define REMOTE_DATA_LOADER_BACKEND_CONTENT_PROVIDER_HPP

#include <memory>

#include "body.hpp"

namespace remote_data_loader_backend {

/// What a producer says after each step.
enum class Next {
  /// There may be more: call again.
  more,
  /// Everything was written: finish the body.
  end,
};

namespace detail {

struct Ignored {
  void operator()(const char *) const noexcept {}
};

template <class Produce, class OnError>
class ContentProvider {
 public:
  ContentProvider(BodyWriter &&body, Produce &&produce, OnError &&on_error)
      : state_(std::make_shared<State>(
            State{std::move(body), std::move(produce), std::move(on_error), false})) {}

  template <class Sink>
  bool operator()(std::size_t /*offset*/, Sink &sink) const {
    State &state = *state_;
    if (state.failed) return false;
    try {
      if (step(state, sink)) return true;
      // Whoever read the body has left.
      state.failed = true;
    } catch (const std::exception &error) {
      state.failed = true;
      state.on_error(error.what());
    } catch (...) {
      state.failed = true;
      state.on_error("the producer threw something");
    }
    return false;
  }

 private:
  struct State {
    BodyWriter body;
    Produce produce;
    OnError on_error;
    bool failed;
  };

  template <class Sink>
  static bool step(State &state, Sink &sink) {
    bool end = state.produce(state.body) == Next::end;
    if (end) state.body.finish();
    if (!end && !state.body.is_ready()) return true;
    bool sent = state.body.take([&sink](Buffer &&piece) {
      return static_cast<bool>(
          sink.write(reinterpret_cast<const char *>(piece.data()), piece.size()));
    });
    if (sent && end) sink.done();
    return sent;
  }

  std::shared_ptr<State> state_;
};

}  // namespace detail

/// A body as a content provider of cpp-httplib (`set_chunked_content_provider`), or of anything
/// else that calls `bool provider(std::size_t offset, Sink &sink)` again and again, where the sink
/// has `bool write(const char *, std::size_t)` and `void done()`.
///
/// Each call makes one step: `produce(BodyWriter &)` writes some messages, a row or a few hundred,
/// and returns Next::more, or Next::end after the last one; what is ready goes to the sink, which
/// waits while the client is slow. Keep steps short: between them the server notices that the
/// client has left. Once the provider returned true after `done()`, it is not called again.
///
/// Whatever produce throws, a message that is refused, and a client that has left make the provider
/// return false: cpp-httplib closes the connection then, and the body never ends cleanly.
/// `on_error(const char *)` is told why, for your log, unless the client has left; it must not
/// throw. The provider is destroyed in each case, and with it what `produce` holds.
///
/// The provider can be copied, as std::function needs; copies share one body.
template <class Produce, class OnError = detail::Ignored>
detail::ContentProvider<std::decay_t<Produce>, std::decay_t<OnError>> content_provider(
    BodyWriter body, Produce &&produce, OnError &&on_error = {}) {
  return {std::move(body), std::decay_t<Produce>(std::forward<Produce>(produce)),
          std::decay_t<OnError>(std::forward<OnError>(on_error))};
}

}  // namespace remote_data_loader_backend

#endif
