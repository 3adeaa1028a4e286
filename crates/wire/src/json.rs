//! The manifest as JSON, field for field. What a data backend serializes, what the parser reads
//! and what the JSON Schema is generated from.

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a manifest endpoint answers: the sources that make up one recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Manifest")]
pub struct Manifest {
    /// The title that a viewer shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The sources, in the order that decides between messages of one time.
    #[schemars(length(max = 10_000))]
    pub sources: Vec<Source>,
}

/// One source of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Source {
    /// An MCAP file that is read by ranges.
    Static(StaticSource),
    /// An MCAP stream that is read once, in order.
    Streamed(StreamedSource),
}

/// An MCAP file whose server supports range requests; everything else is read from its summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticSource {
    /// Where the file lies: absolute, or relative to the manifest endpoint.
    pub url: String,
    /// Always true: what tells a static source from a streamed one.
    #[schemars(schema_with = "always_true")]
    pub supports_range_requests: bool,
}

impl StaticSource {
    /// The file at this URL: absolute, or relative to the manifest endpoint.
    pub fn new(url: impl Into<String>) -> StaticSource {
        StaticSource { url: url.into(), supports_range_requests: true }
    }
}

impl From<StaticSource> for Source {
    fn from(source: StaticSource) -> Source {
        Source::Static(source)
    }
}

/// An MCAP stream in ascending log time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamedSource {
    /// The data endpoint: absolute, or relative to the manifest endpoint.
    pub url: String,
    /// What the data is cached under, unique across the whole backend: the same id means the same
    /// data. Without one, the URL is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The topics that the stream may have.
    pub topics: Vec<Topic>,
    /// The schemas that the topics refer to.
    pub schemas: Vec<Schema>,
    /// No message is earlier than this. RFC 3339; the least date there is stands for unknown.
    #[schemars(extend("format" = "date-time"))]
    pub start_time: String,
    /// No message is later than this. RFC 3339; the greatest date there is stands for unknown.
    #[schemars(extend("format" = "date-time"))]
    pub end_time: String,
}

impl From<StreamedSource> for Source {
    fn from(source: StreamedSource) -> Source {
        Source::Streamed(source)
    }
}

/// A topic of a streamed source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topic {
    /// The topic's name.
    pub name: String,
    /// How its messages are encoded: `protobuf`, `cdr`, `json`, …
    pub message_encoding: String,
    /// The schema of its messages, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub schema_id: Option<u16>,
}

/// A schema of a streamed source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// What topics of this source refer to; unique in the source.
    #[schemars(range(min = 1, max = 65_535))]
    pub id: u16,
    /// The schema's name: `sensor_msgs/msg/Image`, …
    pub name: String,
    /// How the schema is written: `protobuf`, `ros2msg`, `jsonschema`, …
    pub encoding: String,
    /// The schema itself, in standard base64.
    #[schemars(extend("contentEncoding" = "base64"))]
    pub data: String,
}

fn always_true(_: &mut SchemaGenerator) -> schemars::Schema {
    json_schema!({ "type": "boolean", "const": true })
}
