//! The JSON of the API. Names of fields are part of it; so are those of the states and codes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdl_engine::{
    FileInfo, ManifestParams, RecordingInfo, SourceInfo, SourceKind, SourceStatus, SourcesInfo,
    TopicInfo,
};
use rdl_model::{Nanos, Problem, Severity, TimeRange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::params::to_query;

/// What is known of a recording.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recording)]
pub(super) struct RecordingAnswer {
    /// The title that the manifest gives.
    #[schema(required)]
    name: Option<String>,
    /// The first log time of any source, RFC 3339 with nanoseconds; null while it is unknown.
    #[schema(required, format = DateTime)]
    start: Option<String>,
    /// The last log time of any source, RFC 3339 with nanoseconds; null while it is unknown.
    #[schema(required, format = DateTime)]
    end: Option<String>,
    /// The topics, by name; one with several schemas stands there once for each.
    topics: Vec<TopicAnswer>,
    /// The sources, in the order of the manifest.
    sources: Vec<SourceAnswer>,
    /// What is wrong with the data.
    problems: Vec<ProblemAnswer>,
    /// How long the recording is as one file, in bytes; null until all of it is known.
    #[schema(required)]
    file_bytes: Option<u64>,
    /// Where to go from here.
    links: LinksAnswer,
}

/// A topic.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Topic)]
struct TopicAnswer {
    /// The topic.
    name: String,
    /// How its messages are written.
    message_encoding: String,
    /// The name of its schema.
    #[schema(required)]
    schema_name: Option<String>,
    /// How its schema is written.
    #[schema(required)]
    schema_encoding: Option<String>,
    /// Its schema, standard base64.
    #[schema(required, format = Byte)]
    schema_data: Option<String>,
    /// How many messages; null until every source that has the topic is known whole.
    #[schema(required)]
    message_count: Option<u64>,
    /// Where it has messages, as far as is known: disjoint, in order of time, at most 64. Gaps up
    /// to a 500th of the recording's time are not told, and none up to twice the usual time from
    /// one message to the next. What is not loaded yet counts as the manifest declares it.
    ranges: Vec<RangeAnswer>,
}

/// Times between two, both of which are in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimeRange)]
struct RangeAnswer {
    /// The first time in it.
    #[schema(format = DateTime)]
    start: String,
    /// The last time in it.
    #[schema(format = DateTime)]
    end: String,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Source)]
struct SourceAnswer {
    /// Its id, or its URL less query and credentials.
    id: String,
    /// Read once and in order, or by ranges.
    kind: KindName,
    /// Its first log time.
    #[schema(required, format = DateTime)]
    start: Option<String>,
    /// Its last log time.
    #[schema(required, format = DateTime)]
    end: Option<String>,
    /// How far it has come.
    state: StateName,
    /// While it loads: every message before this time is there.
    #[schema(required, format = DateTime)]
    loaded_until: Option<String>,
    /// Bytes kept of a streamed source, or the size of a static one.
    #[schema(required)]
    bytes: Option<u64>,
    /// How many messages, once known.
    #[schema(required)]
    message_count: Option<u64>,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
}

/// The kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SourceKind)]
pub(super) enum KindName {
    /// Read once, in order.
    Streamed,
    /// Supports range requests.
    Static,
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SourceState)]
enum StateName {
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

/// Something wrong with the data that did not stop it from being served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DataProblem)]
struct ProblemAnswer {
    /// Whether data is missing because of it.
    severity: SeverityName,
    /// What kind of problem; stable, for programs.
    #[schema(example = "damaged-chunk")]
    code: &'static str,
    /// What is wrong, where, and what to do.
    message: String,
    /// The source.
    #[schema(required)]
    source: Option<String>,
    /// The topic, where only one is concerned.
    #[schema(required)]
    topic: Option<String>,
    /// How many times it was met.
    count: u64,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Severity)]
enum SeverityName {
    /// Everything is served.
    Warning,
    /// Something could not be served.
    Error,
}

/// Paths on this loader; each holds the manifest parameters of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Links)]
pub(super) struct LinksAnswer {
    /// The recording as one file that any MCAP tool reads. It names one exact file once all sources
    /// are known, and until then whatever the recording will be.
    #[schema(example = "/v1/files/eyJwIjpbXX0/recording.mcap")]
    file: String,
    /// The recording as one MCAP stream.
    #[schema(example = "/v1/stream?ds.recording=first-recording")]
    stream: String,
    /// How its sources come along.
    #[schema(example = "/v1/events?ds.recording=first-recording")]
    events: String,
    /// The page that shows it.
    #[schema(example = "/view?ds=remote-data-loader&ds.recording=first-recording")]
    view: String,
}

/// What an event of `/v1/events` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventAnswer {
    /// The sources, in the order of the manifest.
    sources: Vec<SourceAnswer>,
    /// What is wrong with the data.
    problems: Vec<ProblemAnswer>,
}

impl RecordingAnswer {
    pub(super) fn new(
        info: RecordingInfo,
        file: Option<FileInfo>,
        params: &ManifestParams,
        file_path: String,
    ) -> RecordingAnswer {
        let links = LinksAnswer::new(params, file_path);
        RecordingAnswer {
            name: info.name,
            start: text(info.start),
            end: text(info.end),
            topics: info.topics.into_iter().map(TopicAnswer::from).collect(),
            sources: info.sources.into_iter().map(SourceAnswer::from).collect(),
            problems: info.problems.into_iter().map(ProblemAnswer::from).collect(),
            file_bytes: file.map(|file| file.bytes),
            links,
        }
    }
}

impl LinksAnswer {
    fn new(params: &ManifestParams, file: String) -> LinksAnswer {
        let query = to_query(params);
        let to = |path: &str| with_query(path, &query);
        LinksAnswer {
            file,
            stream: to("/v1/stream"),
            events: to("/v1/events"),
            view: view_path(&query),
        }
    }
}

/// The viewer's page for this query. `ds` says to viewers elsewhere, too, what kind of link it is.
pub(super) fn view_path(query: &str) -> String {
    with_query("/view?ds=remote-data-loader", query)
}

pub(super) fn with_query(path: &str, query: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path.to_owned() } else { format!("{path}{joint}{query}") }
}

impl From<SourcesInfo> for EventAnswer {
    fn from(info: SourcesInfo) -> Self {
        EventAnswer {
            sources: info.sources.into_iter().map(SourceAnswer::from).collect(),
            problems: info.problems.into_iter().map(ProblemAnswer::from).collect(),
        }
    }
}

impl From<TopicInfo> for TopicAnswer {
    fn from(topic: TopicInfo) -> Self {
        TopicAnswer {
            name: topic.name,
            message_encoding: topic.message_encoding,
            schema_name: topic.schema_name,
            schema_encoding: topic.schema_encoding,
            schema_data: topic.schema_data.map(|data| STANDARD.encode(data)),
            message_count: topic.message_count,
            ranges: topic.ranges.into_iter().map(RangeAnswer::from).collect(),
        }
    }
}

impl From<TimeRange> for RangeAnswer {
    fn from(range: TimeRange) -> Self {
        RangeAnswer { start: range.start.to_string(), end: range.end.to_string() }
    }
}

impl From<SourceKind> for KindName {
    fn from(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Streamed => KindName::Streamed,
            SourceKind::Static => KindName::Static,
        }
    }
}

impl From<SourceInfo> for SourceAnswer {
    fn from(source: SourceInfo) -> Self {
        SourceAnswer {
            id: source.id,
            kind: source.kind.into(),
            start: text(source.start),
            end: text(source.end),
            state: match source.status {
                SourceStatus::Pending => StateName::Pending,
                SourceStatus::Loading => StateName::Loading,
                SourceStatus::Cached => StateName::Cached,
                SourceStatus::Indexed => StateName::Indexed,
                SourceStatus::Failed => StateName::Failed,
            },
            loaded_until: text(source.loaded_until),
            bytes: source.bytes,
            message_count: source.message_count,
            error: source.error,
        }
    }
}

impl From<Problem> for ProblemAnswer {
    fn from(problem: Problem) -> Self {
        ProblemAnswer {
            severity: match problem.severity {
                Severity::Warning => SeverityName::Warning,
                Severity::Error => SeverityName::Error,
            },
            code: problem.code.as_str(),
            message: problem.message,
            source: problem.source,
            topic: problem.topic,
            count: problem.count,
        }
    }
}

fn text(time: Option<Nanos>) -> Option<String> {
    time.map(|time| time.to_string())
}

#[cfg(test)]
mod tests;
