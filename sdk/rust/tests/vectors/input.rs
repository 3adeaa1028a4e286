//! `input.json`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use remote_data_loader_backend::{MessageSchema, MessageType};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    #[expect(dead_code, reason = "for who reads the vector")]
    about: String,
    pub(crate) channels: Vec<Declared>,
    pub(crate) manifest: Manifest,
    pub(crate) body: Body,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    pub(crate) topic: String,
    pub(crate) r#type: Kind,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kind {
    JsonSchema { name: String, schema: String },
    SchemalessJson,
    Protobuf { message: String, descriptors: String },
    Ros2msg { name: String, definition: String },
    Ros2idl { name: String, definition: String },
    Ros1msg { name: String, definition: String },
    Flatbuffer { name: String, schema: String },
    Raw { encoding: String, schema: Option<RawSchema> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSchema {
    name: String,
    encoding: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: Option<String>,
    pub(crate) sources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Source {
    Slices { slices: Slices, url: String, id: Option<Vec<String>> },
    Streamed { url: String, id: Option<Vec<String>>, start: Option<u64>, end: Option<u64> },
    Static { r#static: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slices {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) width_nanos: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    #[serde(default)]
    pub(crate) options: Options,
    pub(crate) steps: Vec<Step>,
    pub(crate) refused: Option<Refused>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) chunk_bytes: Option<usize>,
    pub(crate) chunk_duration_nanos: Option<u64>,
    pub(crate) profile: Option<String>,
    pub(crate) start: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) max_message_bytes: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    Message(Message),
    Flush(#[expect(dead_code, reason = "always true")] bool),
    Metadata { name: String, metadata: BTreeMap<String, String> },
    Attachment(Attachment),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    pub(crate) channel: Option<usize>,
    pub(crate) channel_id: Option<u16>,
    pub(crate) log_time: u64,
    pub(crate) publish_time: Option<u64>,
    pub(crate) sequence: Option<u32>,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) log_time: u64,
    pub(crate) create_time: u64,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) step: usize,
    pub(crate) error: String,
}

/// A message as a reader finds it: topic, log time, publish time, sequence, data.
pub(crate) type Found = (String, u64, u64, u32, Vec<u8>);

impl Input {
    /// What a reader has to find.
    pub(crate) fn messages(&self) -> Vec<Found> {
        let message = |step: &Step| match step {
            Step::Message(message) => Some((
                self.channels[message.channel?].topic.clone(),
                message.log_time,
                message.publish_time.unwrap_or(message.log_time),
                message.sequence.unwrap_or(0),
                message.data(),
            )),
            _ => None,
        };
        self.body.steps.iter().filter_map(message).collect()
    }
}

impl Message {
    pub(crate) fn data(&self) -> Vec<u8> {
        decoded(&self.data)
    }
}

impl Attachment {
    pub(crate) fn data(&self) -> Vec<u8> {
        decoded(&self.data)
    }
}

impl Kind {
    pub(crate) fn message_type(&self) -> MessageType {
        match self {
            Kind::JsonSchema { name, schema } => MessageType::json_schema(name, schema),
            Kind::SchemalessJson => MessageType::schemaless_json(),
            Kind::Protobuf { message, descriptors } => {
                MessageType::protobuf(message, &decoded(descriptors)).expect("descriptors")
            }
            Kind::Ros2msg { name, definition } => MessageType::ros2msg(name, definition.clone()),
            Kind::Ros2idl { name, definition } => MessageType::ros2idl(name, definition.clone()),
            Kind::Ros1msg { name, definition } => MessageType::ros1msg(name, definition.clone()),
            Kind::Flatbuffer { name, schema } => MessageType::flatbuffer(name, decoded(schema)),
            Kind::Raw { encoding, schema } => {
                let schema = schema.as_ref().map(|schema| MessageSchema {
                    name: schema.name.clone(),
                    encoding: schema.encoding.clone(),
                    data: decoded(&schema.data).into(),
                });
                MessageType::new(encoding, schema)
            }
        }
    }
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).expect("base64")
}
