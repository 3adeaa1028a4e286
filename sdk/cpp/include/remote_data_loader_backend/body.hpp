/// @file
/// The MCAP of a streamed source, written without I/O: messages in, pieces out.
#ifndef REMOTE_DATA_LOADER_BACKEND_BODY_HPP
#define REMOTE_DATA_LOADER_BACKEND_BODY_HPP

#include <type_traits>

#include "channels.hpp"

namespace remote_data_loader_backend {

/// How chunks are compressed. lz4 costs little; none suits data that is compressed already, such as
/// images; zstd suits thin networks.
enum class Compression : std::int32_t {
  none = RDL_COMPRESSION_NONE,
  lz4 = RDL_COMPRESSION_LZ4,
  zstd = RDL_COMPRESSION_ZSTD,
};

/// How a body is written.
struct BodyOptions {
  Compression compression = Compression::lz4;
  /// A chunk closes at this size, uncompressed, in bytes. Between 256 KiB and 8 MiB the loader
  /// keeps chunks as they come.
  std::uint64_t chunk_bytes = 1 << 20;
  /// A chunk closes before a message that is this much later, in log time, than its first one.
  std::optional<std::chrono::nanoseconds> chunk_duration = {};
  /// The times that the manifest declares; messages outside are refused.
  TimeRange times = {};
  /// Longer messages are refused; the loader takes 64 MiB unless it is told otherwise.
  std::uint64_t max_message_bytes = 64 << 20;
  /// The profile in the MCAP header: `ros2`, `ros1`, or empty.
  std::string profile = {};
};

/// A message that is to be written.
struct Message {
  /// When it was logged: what everything is ordered by.
  Nanos log_time = 0;
  /// When it was published.
  Nanos publish_time = 0;
  /// Its sequence number; 0 where there is none.
  std::uint32_t sequence = 0;
  /// Its content, in the encoding of its channel. Borrowed.
  Bytes data = {};
};

/// A file that goes with the messages.
struct Attachment {
  std::string name;
  /// Such as `image/png`.
  std::string media_type;
  Nanos log_time = 0;
  Nanos create_time = 0;
  /// Borrowed.
  Bytes data = {};
};

/// Writes the body of a streamed source.
///
/// Messages come in ascending log time; messages of one time stay in the order in which they came.
/// take() hands out what is ready, which is to be sent in order. Memory is one chunk, what was not
/// taken, and some 100 bytes for each chunk written. The same calls give the same bytes.
///
/// The loader trusts a body that ends cleanly to be complete. So a body that refused something
/// cannot be finished: the connection is to be aborted, and the loader asks again.
class BodyWriter {
 public:
  /// A body of these channels; its header can be taken.
  explicit BodyWriter(const ChannelSet &channels, const BodyOptions &options = {}) {
    rdl_body_options raw{};
    detail::check(rdl_body_options_init(&raw));
    raw.compression = static_cast<std::int32_t>(options.compression);
    raw.chunk_bytes = options.chunk_bytes;
    if (options.chunk_duration) {
      if (options.chunk_duration->count() < 0)
        throw Error(RDL_INVALID_ARGUMENT, "the chunk duration is negative");
      raw.chunk_duration_nanos = static_cast<std::uint64_t>(options.chunk_duration->count());
    }
    raw.start = options.times.start;
    raw.end = options.times.end;
    raw.max_message_bytes = options.max_message_bytes;
    raw.profile = detail::text(std::string_view(options.profile));
    detail::check(rdl_body_new(channels.raw_handle(), &raw, handle_.out()));
  }

  /// Adds a message, whose data is copied into the open chunk.
  ///
  /// @throws Error `out-of-order`, `outside-times`, `unknown-channel`, `too-large`, `compression`
  ///         or `ended`; the body has failed then.
  void write(Channel channel, const Message &message) {
    detail::check(rdl_body_write(handle_.get(), channel.id, message.log_time,
                                 message.publish_time, message.sequence, message.data.data(),
                                 message.data.size()));
  }

  /// Adds a message that was logged and published at one time, without a sequence number.
  ///
  /// @throws Error as above.
  void write(Channel channel, Nanos log_time, Bytes data) {
    detail::check(rdl_body_write(handle_.get(), channel.id, log_time, log_time, 0, data.data(),
                                 data.size()));
  }

  /// Adds a message that `encode(std::string &)` appends to an empty buffer, which is used again
  /// and again. What it throws fails the body and goes on to the caller; so does a `bool` that
  /// is false, as an Error.
  ///
  /// @throws Error as above.
  template <class Encode>
  void write_with(Channel channel, Nanos log_time, Encode &&encode) {
    scratch_.clear();
    try {
      if constexpr (std::is_same_v<decltype(encode(scratch_)), bool>) {
        if (!encode(scratch_)) {
          std::string_view why = "its encoder returned false";
          detail::check(rdl_body_encoding_failed(handle_.get(), channel.id, detail::text(why)));
        }
      } else {
        std::forward<Encode>(encode)(scratch_);
      }
    } catch (const std::exception &error) {
      failed_to_encode(channel, error.what());
      throw;
    } catch (...) {
      failed_to_encode(channel, "it threw something");
      throw;
    }
    write(channel, log_time, std::string_view(scratch_));
  }

  /// Writes a metadata record, behind the messages so far.
  ///
  /// @throws Error as write().
  void metadata(std::string_view name, const TextMap &metadata) {
    std::vector<rdl_pair> pairs = detail::pairs(metadata);
    detail::check(
        rdl_body_metadata(handle_.get(), detail::text(name), pairs.data(), pairs.size()));
  }

  /// Writes an attachment, behind the messages so far.
  ///
  /// @throws Error as write().
  void attachment(const Attachment &attachment) {
    rdl_attachment raw = {detail::text(std::string_view(attachment.name)),
                          detail::text(std::string_view(attachment.media_type)),
                          attachment.log_time, attachment.create_time,
                          detail::bytes(attachment.data)};
    detail::check(rdl_body_attachment(handle_.get(), &raw));
  }

  /// Closes the open chunk, so that take() gives all that was written: before a query that takes
  /// long, say. Small chunks cost the loader work.
  ///
  /// @throws Error as write().
  void flush() { detail::check(rdl_body_flush(handle_.get())); }

  /// Writes the end: the body is complete once everything is taken and sent. A second call does
  /// nothing.
  ///
  /// @throws Error `ended` if something failed before: the body lacks something, and is to be
  ///         aborted.
  void finish() { detail::check(rdl_body_finish(handle_.get())); }

  /// What is ready to be sent and was not taken yet, in order. Nothing is copied.
  std::vector<Buffer> take() {
    std::vector<Buffer> pieces;
    take([&pieces](Buffer &&piece) {
      pieces.push_back(std::move(piece));
      return true;
    });
    return pieces;
  }

  /// The same into `sink(Buffer &&)`, a piece at a time, until it returns false. Returns whether it
  /// never did.
  template <class Sink>
  bool take(Sink &&sink) {
    while (true) {
      Buffer piece;
      detail::check(rdl_body_take(handle_.get(), piece.out()));
      if (piece.empty()) return true;
      if (!sink(std::move(piece))) return false;
    }
  }

  /// Whether take() has something, the header included.
  bool is_ready() const noexcept { return rdl_body_is_ready(handle_.get()); }
  /// Whether finish() has succeeded.
  bool is_finished() const noexcept { return rdl_body_is_finished(handle_.get()); }
  /// The log time of the newest message; 0 without any.
  Nanos last_time() const noexcept { return rdl_body_last_time(handle_.get()); }

 private:
  void failed_to_encode(Channel channel, std::string_view why) noexcept {
    // The status says that the body has failed, which is what is asked for.
    static_cast<void>(rdl_body_encoding_failed(handle_.get(), channel.id, detail::text(why)));
  }

  detail::Handle<rdl_body, rdl_body_free> handle_;
  /// Where write_with() has messages encoded.
  std::string scratch_;
};

}  // namespace remote_data_loader_backend

#endif
