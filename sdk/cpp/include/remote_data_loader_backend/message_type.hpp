/// @file
/// How the messages of a topic are encoded, and what describes them.
#ifndef REMOTE_DATA_LOADER_BACKEND_MESSAGE_TYPE_HPP
#define REMOTE_DATA_LOADER_BACKEND_MESSAGE_TYPE_HPP

#include "bytes.hpp"

// MessageType::protobuf<T>() is there where Protobuf's headers are. RDL_NO_PROTOBUF leaves it out.
#if !defined(RDL_NO_PROTOBUF) && defined(__has_include)
#if __has_include(<google/protobuf/descriptor.h>) && __has_include(<google/protobuf/descriptor.pb.h>)
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#define RDL_HAS_PROTOBUF 1
#endif
#endif

namespace remote_data_loader_backend {

/// A schema in full.
struct MessageSchema {
  /// Such as `sensor_msgs/msg/Imu`.
  std::string name;
  /// How `data` is written: `ros2msg`, `jsonschema`, `protobuf`, …
  std::string encoding;
  /// The definition itself.
  std::string data;

  bool operator==(const MessageSchema &other) const {
    return name == other.name && encoding == other.encoding && data == other.data;
  }
  bool operator!=(const MessageSchema &other) const { return !(*this == other); }
};

/// The encoding of a topic's messages and, where they have one, their schema. The names are those
/// of the MCAP specification's registry (https://mcap.dev/spec/registry). Texts are UTF-8; one
/// that is not throws `invalid-argument`.
class MessageType {
 public:
  /// Messages of any encoding, without a schema.
  static MessageType raw(std::string_view encoding) {
    MessageType type;
    detail::check(rdl_type_new(detail::text(encoding), nullptr, type.handle_.out()));
    return type;
  }

  /// Messages of any encoding with any schema.
  static MessageType raw(std::string_view encoding, const MessageSchema &schema) {
    MessageType type;
    rdl_message_schema raw = {detail::text(std::string_view(schema.name)),
                              detail::text(std::string_view(schema.encoding)),
                              detail::bytes(schema.data)};
    detail::check(rdl_type_new(detail::text(encoding), &raw, type.handle_.out()));
    return type;
  }

  /// JSON without a schema (`json`).
  static MessageType schemaless_json() {
    MessageType type;
    detail::check(rdl_type_schemaless_json(type.handle_.out()));
    return type;
  }

  /// JSON, described by this text of a JSON Schema (`json`, `jsonschema`).
  static MessageType json_schema(std::string_view name, std::string_view schema) {
    return described(rdl_type_json_schema, name, schema);
  }

  /// CDR as ROS 2 writes it (`cdr`, `ros2msg`). `name` is like `sensor_msgs/msg/Imu`; `definition`
  /// is the text of its `.msg` file, followed by those that it uses, each under a line of 80 `=`
  /// and one of `MSG: package/Name`.
  static MessageType ros2msg(std::string_view name, std::string_view definition) {
    return described(rdl_type_ros2msg, name, definition);
  }

  /// CDR described by OMG IDL (`cdr`, `ros2idl`).
  static MessageType ros2idl(std::string_view name, std::string_view definition) {
    return described(rdl_type_ros2idl, name, definition);
  }

  /// Messages of ROS 1 (`ros1`, `ros1msg`). `definition` is what `gendeps --cat` prints.
  static MessageType ros1msg(std::string_view name, std::string_view definition) {
    return described(rdl_type_ros1msg, name, definition);
  }

  /// FlatBuffers (`flatbuffer`, `flatbuffer`). `schema` is the binary schema, as
  /// `flatc --schema -b` writes it.
  static MessageType flatbuffer(std::string_view name, Bytes schema) {
    MessageType type;
    detail::check(
        rdl_type_flatbuffer(detail::text(name), detail::bytes(schema), type.handle_.out()));
    return type;
  }

  /// Protobuf (`protobuf`, `protobuf`). `descriptors` is a serialized `FileDescriptorSet`, as
  /// `protoc --include_imports --descriptor_set_out` writes it; the schema has those of its files
  /// that the message needs.
  ///
  /// @throws Error `not-a-descriptor-set`, `no-such-message` or `missing-import`.
  static MessageType protobuf(std::string_view message, Bytes descriptors) {
    MessageType type;
    detail::check(rdl_type_protobuf(detail::text(message), detail::bytes(descriptors),
                                    type.handle_.out()));
    return type;
  }

#ifdef RDL_HAS_PROTOBUF
  /// Protobuf as the generated class `Message` writes it. Needs `<google/protobuf/descriptor.h>`,
  /// and a Message that is not of the lite runtime.
  template <class Message>
  static MessageType protobuf() {
    const google::protobuf::Descriptor *descriptor = Message::descriptor();
    google::protobuf::FileDescriptorSet files;
    std::set<const google::protobuf::FileDescriptor *> added;
    add_file(descriptor->file(), files, added);
    return protobuf(descriptor->full_name(), files.SerializeAsString());
  }
#endif

  /// How messages are encoded: `protobuf`, `cdr`, `json`, … Valid as long as the type.
  std::string_view encoding() const {
    rdl_str encoding{};
    detail::check(rdl_type_encoding(handle_.get(), &encoding));
    return detail::view(encoding);
  }

  /// Their schema, in a copy.
  std::optional<MessageSchema> schema() const {
    rdl_message_schema raw{};
    detail::check(rdl_type_schema(handle_.get(), &raw));
    if (raw.name.data == nullptr) return std::nullopt;
    const char *data = reinterpret_cast<const char *>(raw.data.data);
    return MessageSchema{std::string(detail::view(raw.name)),
                         std::string(detail::view(raw.encoding)),
                         std::string(data, raw.data.len)};
  }

  /// The type, for remote_data_loader_backend.h; null of one that was moved from.
  const rdl_type *raw_handle() const noexcept { return handle_.get(); }

 private:
  MessageType() noexcept = default;

  static MessageType described(rdl_status (*make)(rdl_str, rdl_str, rdl_type **),
                               std::string_view name, std::string_view definition) {
    MessageType type;
    detail::check(make(detail::text(name), detail::text(definition), type.handle_.out()));
    return type;
  }

#ifdef RDL_HAS_PROTOBUF
  static void add_file(const google::protobuf::FileDescriptor *file,
                       google::protobuf::FileDescriptorSet &files,
                       std::set<const google::protobuf::FileDescriptor *> &added) {
    if (!added.insert(file).second) return;
    for (int at = 0; at < file->dependency_count(); ++at)
      add_file(file->dependency(at), files, added);
    file->CopyTo(files.add_file());
  }
#endif

  detail::Handle<rdl_type, rdl_type_free> handle_;
};

}  // namespace remote_data_loader_backend

#endif
