//! How the messages of a topic are encoded, and what describes them.

mod protobuf;

use bytes::Bytes;

use crate::MessageSchema;

/// The encoding of a topic's messages and, where they have one, their schema.
///
/// The names of encodings are those of the MCAP specification's registry of
/// [message encodings](https://mcap.dev/spec/registry#message-encodings) and
/// [schema encodings](https://mcap.dev/spec/registry#schema-encodings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// How messages are encoded: `protobuf`, `cdr`, `json`, …
    pub encoding: String,
    /// Their schema.
    pub schema: Option<MessageSchema>,
}

/// Why a descriptor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageTypeError {
    /// It is no `FileDescriptorSet`.
    #[error("the file descriptor set cannot be decoded: {0}")]
    NotADescriptorSet(String),
    /// It does not declare the message.
    #[error("no file of the descriptor set declares the message {0}")]
    NoSuchMessage(String),
    /// It lacks a file that another one imports.
    #[error(
        "the file descriptor set lacks {missing}, which {importer} imports; \
         have protoc write it with --include_imports"
    )]
    MissingImport {
        /// The file that is not there.
        missing: String,
        /// The file that imports it.
        importer: String,
    },
}

impl MessageTypeError {
    /// Its name, the same in every language of the kit: `not-a-descriptor-set`,
    /// `no-such-message` or `missing-import`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotADescriptorSet(_) => "not-a-descriptor-set",
            Self::NoSuchMessage(_) => "no-such-message",
            Self::MissingImport { .. } => "missing-import",
        }
    }
}

impl MessageType {
    /// Messages of any encoding with any schema.
    pub fn new(encoding: impl Into<String>, schema: Option<MessageSchema>) -> MessageType {
        MessageType { encoding: encoding.into(), schema }
    }

    fn with_schema(
        encoding: &str,
        name: impl Into<String>,
        schema_encoding: &str,
        data: impl Into<Bytes>,
    ) -> MessageType {
        let schema = MessageSchema {
            name: name.into(),
            encoding: schema_encoding.to_owned(),
            data: data.into(),
        };
        MessageType::new(encoding, Some(schema))
    }

    /// JSON, described by this text of a JSON Schema (`json`, `jsonschema`).
    pub fn json_schema(name: impl Into<String>, schema: impl Into<String>) -> MessageType {
        MessageType::with_schema("json", name, "jsonschema", schema.into())
    }

    /// JSON as serde writes a `T` (`json`, `jsonschema`).
    #[cfg(feature = "schemars")]
    pub fn json<T: schemars::JsonSchema>() -> MessageType {
        let schema = schemars::schema_for!(T);
        MessageType::json_schema(T::schema_name(), schema.to_value().to_string())
    }

    /// JSON without a schema (`json`).
    pub fn schemaless_json() -> MessageType {
        MessageType::new("json", None)
    }

    /// Protobuf (`protobuf`, `protobuf`). `descriptors` is a serialized `FileDescriptorSet`, as
    /// `protoc --include_imports --descriptor_set_out` and prost-build's
    /// `file_descriptor_set_path` write it; the schema has those of its files that the message
    /// needs, each behind those that it imports.
    ///
    /// # Errors
    ///
    /// [`MessageTypeError`]: if it is no descriptor set, or lacks `message` (`package.Message`) or an import.
    pub fn protobuf(message: &str, descriptors: &[u8]) -> Result<MessageType, MessageTypeError> {
        let needed = protobuf::needed_files(message, descriptors)?;
        Ok(MessageType::with_schema("protobuf", message, "protobuf", needed))
    }

    /// Protobuf as prost writes a `T` (`protobuf`, `protobuf`).
    ///
    /// # Errors
    ///
    /// [`MessageTypeError`]: if the pool of its descriptor lacks an import.
    #[cfg(feature = "prost-reflect")]
    pub fn prost<T: prost_reflect::ReflectMessage + Default>()
    -> Result<MessageType, MessageTypeError> {
        let descriptor = T::default().descriptor();
        let pool = descriptor.parent_pool().encode_to_vec();
        MessageType::protobuf(descriptor.full_name(), &pool)
    }

    /// What [`foxglove::Encode`] writes for a `T`: Foxglove's own messages, and those that derive it.
    #[cfg(feature = "foxglove")]
    pub fn of<T: foxglove::Encode>() -> MessageType {
        let schema = T::get_schema().map(|schema| MessageSchema {
            name: schema.name,
            encoding: schema.encoding,
            data: schema.data.into_owned().into(),
        });
        MessageType::new(T::get_message_encoding(), schema)
    }

    /// CDR as ROS 2 writes it (`cdr`, `ros2msg`). `name` is like `sensor_msgs/msg/Imu`;
    /// `definition` is the text of its `.msg` file, followed by those that it uses, each under a
    /// line of 80 `=` and one of `MSG: package/Name`.
    pub fn ros2msg(name: impl Into<String>, definition: impl Into<String>) -> MessageType {
        MessageType::with_schema("cdr", name, "ros2msg", definition.into())
    }

    /// CDR described by OMG IDL (`cdr`, `ros2idl`), one file after the other as in the MCAP
    /// specification's registry.
    pub fn ros2idl(name: impl Into<String>, definition: impl Into<String>) -> MessageType {
        MessageType::with_schema("cdr", name, "ros2idl", definition.into())
    }

    /// Messages of ROS 1 (`ros1`, `ros1msg`). `name` is like `sensor_msgs/Imu`; `definition` is
    /// what `gendeps --cat` prints.
    pub fn ros1msg(name: impl Into<String>, definition: impl Into<String>) -> MessageType {
        MessageType::with_schema("ros1", name, "ros1msg", definition.into())
    }

    /// FlatBuffers (`flatbuffer`, `flatbuffer`). `schema` is the binary schema, as
    /// `flatc --schema -b` writes it.
    pub fn flatbuffer(name: impl Into<String>, schema: impl Into<Bytes>) -> MessageType {
        MessageType::with_schema("flatbuffer", name, "flatbuffer", schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_the_registry() {
        let named = |kind: MessageType| {
            let schema = kind.schema.map(|schema| (schema.name, schema.encoding));
            (kind.encoding, schema)
        };
        let pair = |encoding: &str, name: &str, schema: &str| {
            (encoding.to_owned(), Some((name.to_owned(), schema.to_owned())))
        };
        assert_eq!(named(MessageType::json_schema("A", "{}")), pair("json", "A", "jsonschema"));
        assert_eq!(named(MessageType::ros2msg("a/msg/B", "")), pair("cdr", "a/msg/B", "ros2msg"));
        assert_eq!(named(MessageType::ros2idl("a/msg/B", "")), pair("cdr", "a/msg/B", "ros2idl"));
        assert_eq!(named(MessageType::ros1msg("a/B", "")), pair("ros1", "a/B", "ros1msg"));
        let flatbuffer = MessageType::flatbuffer("a.B", vec![1]);
        assert_eq!(named(flatbuffer), pair("flatbuffer", "a.B", "flatbuffer"));
        assert_eq!(named(MessageType::schemaless_json()), ("json".to_owned(), None));
    }

    #[cfg(feature = "schemars")]
    #[test]
    fn a_rust_type_has_its_json_schema() {
        #[derive(schemars::JsonSchema)]
        #[expect(dead_code, reason = "only described")]
        struct Odometry {
            x: f64,
        }
        let schema = MessageType::json::<Odometry>().schema.unwrap();
        assert_eq!(schema.name, "Odometry");
        let value: serde_json::Value = serde_json::from_slice(&schema.data).unwrap();
        assert_eq!(value["properties"]["x"]["type"], "number");
    }

    #[cfg(feature = "foxglove")]
    #[test]
    fn foxglove_types_have_their_schemas() {
        let kind = MessageType::of::<foxglove::messages::PoseInFrame>();
        let schema = kind.schema.unwrap();
        assert_eq!(
            (kind.encoding.as_str(), schema.name.as_str()),
            ("protobuf", "foxglove.PoseInFrame")
        );
        // The same descriptors, whoever puts them together.
        let ours = MessageType::protobuf("foxglove.PoseInFrame", &schema.data).unwrap();
        let ours = ours.schema.unwrap();
        let again = MessageType::protobuf("foxglove.PoseInFrame", &ours.data).unwrap();
        assert_eq!(again.schema, Some(ours));
    }
}
