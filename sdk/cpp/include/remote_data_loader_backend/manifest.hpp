/// @file
/// What a manifest endpoint answers. The JSON is the same, byte for byte, in every language.
#ifndef REMOTE_DATA_LOADER_BACKEND_MANIFEST_HPP
#define REMOTE_DATA_LOADER_BACKEND_MANIFEST_HPP

#include <variant>

#include "bytes.hpp"

namespace remote_data_loader_backend {

/// A topic of a streamed source.
struct Topic {
  std::string name;
  /// How its messages are encoded: `protobuf`, `cdr`, `json`, …
  std::string message_encoding;
  /// The schema of its messages, of the same source; none without a value, or where it is 0.
  std::optional<std::uint16_t> schema_id = {};

  std::string to_json() const;
};

/// A schema of a streamed source.
struct Schema {
  /// What topics of this source refer to; unique in the source, from 1.
  std::uint16_t id = 0;
  std::string name;
  std::string encoding;
  /// The schema itself, in standard base64.
  std::string data;

  std::string to_json() const;
};

/// An MCAP stream that is read once, in ascending log time. ChannelSet::source() makes one.
struct StreamedSource {
  /// The data endpoint: absolute, or relative to the manifest endpoint.
  std::string url;
  /// What the data is cached under, unique across the whole backend: the same id means the same
  /// data (see source_id()). Without one, the URL is used.
  std::optional<std::string> id = {};
  /// The topics that the stream may have.
  std::vector<Topic> topics = {};
  /// The schemas that the topics refer to.
  std::vector<Schema> schemas = {};
  /// No message is earlier than this. RFC 3339.
  std::string start_time = "0001-01-01T00:00:00Z";
  /// No message is later than this. RFC 3339.
  std::string end_time = "9999-12-31T23:59:59Z";

  std::string to_json() const;
};

/// An MCAP file whose server supports range requests.
struct StaticSource {
  /// Where the file lies: absolute, or relative to the manifest endpoint.
  std::string url;

  std::string to_json() const;
};

/// The sources that make up one recording.
struct Manifest {
  /// The title that a viewer shows.
  std::optional<std::string> name = {};
  /// The sources, in the order that decides between messages of one time. At most 10,000.
  std::vector<std::variant<StreamedSource, StaticSource>> sources = {};

  /// The manifest as compact JSON, in UTF-8: the body of the answer (`application/json`).
  ///
  /// @throws Error `invalid-argument` if a text is not UTF-8.
  std::string to_json() const;
};

namespace detail {

inline std::string taken(rdl_status status, const Buffer &json) {
  check(status);
  return std::string(json.view());
}

inline rdl_topic raw(const Topic &topic) noexcept {
  return {text(std::string_view(topic.name)), text(std::string_view(topic.message_encoding)),
          topic.schema_id.value_or(0)};
}

inline rdl_schema raw(const Schema &schema) noexcept {
  return {schema.id, text(std::string_view(schema.name)),
          text(std::string_view(schema.encoding)), text(std::string_view(schema.data))};
}

/// A streamed source, and the arrays that its view points to.
struct RawSource {
  explicit RawSource(const StreamedSource &source) {
    topics.reserve(source.topics.size());
    for (const Topic &topic : source.topics) topics.push_back(raw(topic));
    schemas.reserve(source.schemas.size());
    for (const Schema &schema : source.schemas) schemas.push_back(raw(schema));
    view.url = text(std::string_view(source.url));
    view.id = text(source.id);
    view.topics = topics.data();
    view.topic_count = topics.size();
    view.schemas = schemas.data();
    view.schema_count = schemas.size();
    view.start_time = text(std::string_view(source.start_time));
    view.end_time = text(std::string_view(source.end_time));
  }
  // The arrays of a vector stay where they are when it is moved.
  RawSource(RawSource &&) noexcept = default;

  std::vector<rdl_topic> topics;
  std::vector<rdl_schema> schemas;
  rdl_streamed_source view{};
};

}  // namespace detail

inline std::string Topic::to_json() const {
  Buffer json;
  rdl_topic topic = detail::raw(*this);
  rdl_status status = rdl_topic_json(&topic, json.out());
  return detail::taken(status, json);
}

inline std::string Schema::to_json() const {
  Buffer json;
  rdl_schema schema = detail::raw(*this);
  rdl_status status = rdl_schema_json(&schema, json.out());
  return detail::taken(status, json);
}

inline std::string StreamedSource::to_json() const {
  Buffer json;
  detail::RawSource source(*this);
  rdl_status status = rdl_streamed_source_json(&source.view, json.out());
  return detail::taken(status, json);
}

inline std::string StaticSource::to_json() const {
  Buffer json;
  rdl_status status = rdl_static_source_json(detail::text(std::string_view(url)), json.out());
  return detail::taken(status, json);
}

inline std::string Manifest::to_json() const {
  std::vector<detail::RawSource> streamed;
  streamed.reserve(sources.size());
  std::vector<rdl_manifest_source> raw;
  raw.reserve(sources.size());
  for (const auto &source : sources) {
    if (const auto *file = std::get_if<StaticSource>(&source)) {
      raw.push_back({nullptr, detail::text(std::string_view(file->url))});
    } else {
      streamed.emplace_back(std::get<StreamedSource>(source));
      raw.push_back({&streamed.back().view, {nullptr, 0}});
    }
  }
  Buffer json;
  rdl_status status = rdl_manifest_json(detail::text(name), raw.data(), raw.size(), json.out());
  return detail::taken(status, json);
}

}  // namespace remote_data_loader_backend

#endif
