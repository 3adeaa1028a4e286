use bytes::Bytes;
use rdl_model::{Nanos, Problem, TimeRange};

/// What is known of a recording.
#[derive(Clone, Debug)]
pub struct RecordingInfo {
    /// The title that the manifest gives.
    pub name: Option<String>,
    /// The first time of any source; `None` while it is unknown.
    pub start: Option<Nanos>,
    /// The last time of any source; `None` while it is unknown.
    pub end: Option<Nanos>,
    /// Every topic, by name, each channel identity once.
    pub topics: Vec<TopicInfo>,
    /// Every source, in the order of the manifest.
    pub sources: Vec<SourceInfo>,
    /// Everything that is wrong with the data.
    pub problems: Vec<Problem>,
}

/// A topic of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The topic.
    pub name: String,
    /// How its messages are written.
    pub message_encoding: String,
    /// The name of its schema.
    pub schema_name: Option<String>,
    /// How its schema is written.
    pub schema_encoding: Option<String>,
    /// Its schema.
    pub schema_data: Option<Bytes>,
    /// How many messages; `None` until every source that has the topic is known whole.
    pub message_count: Option<u64>,
    /// Where it has messages, as far as is known: disjoint, ascending, at most 64. Gaps up to a
    /// 500th of the recording's time are not told, and none up to twice the usual time from one
    /// message to the next.
    pub ranges: Vec<TimeRange>,
}

/// How the sources of a recording come along.
#[derive(Clone, Debug)]
pub struct SourcesInfo {
    /// Every source, in the order of the manifest.
    pub sources: Vec<SourceInfo>,
    /// Everything that is wrong with the data.
    pub problems: Vec<Problem>,
}

/// The two kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Read once, in order.
    Streamed,
    /// Supports range requests.
    Static,
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Nothing but the manifest is known of it.
    Pending,
    /// It is being loaded.
    Loading,
    /// It is loaded whole.
    Cached,
    /// A static source whose summary is known.
    Indexed,
    /// It failed; `error` says why.
    Failed,
}

/// A source of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// Its id, or its URL less query and credentials.
    pub id: String,
    /// Streamed or static.
    pub kind: SourceKind,
    /// Its first time: the real one once known, else the declared one.
    pub start: Option<Nanos>,
    /// Its last time: the real one once known, else the declared one.
    pub end: Option<Nanos>,
    /// How far it has come.
    pub status: SourceStatus,
    /// While it loads: every message before this time is there.
    pub loaded_until: Option<Nanos>,
    /// Bytes kept of a streamed source, or the size of a static one.
    pub bytes: Option<u64>,
    /// How many messages, once known.
    pub message_count: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}
