/// @file
/// The channels of a source: declared once, for its manifest and for its data.
#ifndef REMOTE_DATA_LOADER_BACKEND_CHANNELS_HPP
#define REMOTE_DATA_LOADER_BACKEND_CHANNELS_HPP

#include "manifest.hpp"
#include "message_type.hpp"
#include "source.hpp"

namespace remote_data_loader_backend {

/// A channel of a ChannelSet, to write messages with. Its id follows from what the channel is
/// (topic, encoding, schema, metadata), so it means the same in every set that declares it.
struct Channel {
  /// Its id in MCAP, never 0.
  std::uint16_t id = 0;

  bool operator==(const Channel &other) const noexcept { return id == other.id; }
  bool operator!=(const Channel &other) const noexcept { return id != other.id; }
};

/// The channels of one source. Schemas are there once, ids are the loader's canonical ones.
class ChannelSet {
 public:
  /// No channels.
  ChannelSet() { detail::check(rdl_channels_new(handle_.out())); }

  /// Declares a topic. Declared again, the same channel is returned. `metadata` is that of the MCAP
  /// channel, such as ROS 2's `offered_qos_profiles`; the manifest does not show it.
  ///
  /// @throws Error `too-long` if a text is longer than 64 KiB or a schema longer than 12 MiB,
  ///         `too-many` if no id is left; the set is as it was then.
  Channel add(std::string_view topic, const MessageType &type, const TextMap &metadata = {}) {
    Channel channel;
    std::vector<rdl_pair> pairs = detail::pairs(metadata);
    detail::check(rdl_channels_add(handle_.get(), detail::text(topic), type.raw_handle(),
                                   pairs.data(), pairs.size(), &channel.id));
    return channel;
  }

  /// The first channel that was declared for this topic.
  std::optional<Channel> channel(std::string_view topic) const {
    Channel channel;
    detail::check(rdl_channels_find(handle_.get(), detail::text(topic), &channel.id));
    if (channel.id == 0) return std::nullopt;
    return channel;
  }

  /// How many channels there are.
  std::size_t size() const noexcept { return rdl_channels_count(handle_.get()); }
  /// Whether there are none.
  bool empty() const noexcept { return size() == 0; }

  /// The topics as a manifest declares them, in the order of their declaration.
  std::vector<Topic> topics() const { return source("", std::nullopt, std::nullopt).topics; }
  /// The schemas as a manifest declares them, each once, in the order of their first use.
  std::vector<Schema> schemas() const { return source("", std::nullopt, std::nullopt).schemas; }

  /// A source with these channels, whose messages lie within `start` to `end`, both inside; nothing
  /// where one is not known. `url` is absolute, or relative to the manifest endpoint. Give an `id`
  /// (source_id()), unless the URL never changes.
  StreamedSource source(std::string_view url, std::optional<Nanos> start, std::optional<Nanos> end,
                        std::optional<std::string> id = {}) const {
    detail::Handle<rdl_source, rdl_source_free> made;
    detail::check(rdl_channels_source(handle_.get(), detail::text(url), start ? &*start : nullptr,
                                      end ? &*end : nullptr, detail::text(id), made.out()));
    rdl_streamed_source view{};
    detail::check(rdl_source_view(made.get(), &view));
    return copied(view);
  }

  /// The same for a range of times.
  StreamedSource source(std::string_view url, TimeRange times,
                        std::optional<std::string> id = {}) const {
    return source(url, times.start, times.end, std::move(id));
  }

  /// The set, for remote_data_loader_backend.h; null of one that was moved from.
  const rdl_channels *raw_handle() const noexcept { return handle_.get(); }

 private:
  static StreamedSource copied(const rdl_streamed_source &view) {
    auto owned = [](rdl_str text) { return std::string(detail::view(text)); };
    StreamedSource source;
    source.url = owned(view.url);
    if (view.id.data != nullptr) source.id = owned(view.id);
    source.topics.reserve(view.topic_count);
    for (std::size_t at = 0; at < view.topic_count; ++at) {
      const rdl_topic &topic = view.topics[at];
      std::optional<std::uint16_t> schema;
      if (topic.schema_id != 0) schema = topic.schema_id;
      source.topics.push_back({owned(topic.name), owned(topic.message_encoding), schema});
    }
    source.schemas.reserve(view.schema_count);
    for (std::size_t at = 0; at < view.schema_count; ++at) {
      const rdl_schema &schema = view.schemas[at];
      source.schemas.push_back(
          {schema.id, owned(schema.name), owned(schema.encoding), owned(schema.data)});
    }
    source.start_time = owned(view.start_time);
    source.end_time = owned(view.end_time);
    return source;
  }

  detail::Handle<rdl_channels, rdl_channels_free> handle_;
};

}  // namespace remote_data_loader_backend

#endif
