use bytes::Bytes;
use rdl_model::{Nanos, Problem, SourceKey, SourceKeyHasher};
use url::Url;

use crate::signature;

/// A validated manifest: the sources that make up one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The title that a viewer shows.
    pub name: Option<String>,
    /// The sources in the order of the manifest, each key once.
    pub sources: Vec<Source>,
    /// What is wrong with the manifest and did not stop it from being used.
    pub problems: Vec<Problem>,
}

/// One source of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Read once, in order.
    Streamed(StreamedSource),
    /// Read by ranges.
    Static(StaticSource),
}

/// A source that is read once, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamedSource {
    /// The absolute URL of the data endpoint; it may be signed.
    pub url: Url,
    /// What the backend calls the data; never empty.
    pub id: Option<String>,
    /// The topics that it declares.
    pub topics: Vec<Topic>,
    /// The schemas that the topics refer to; their ids are unique.
    pub schemas: Vec<Schema>,
    /// The declared start; `None`: unknown.
    pub start: Option<Nanos>,
    /// The declared end, the last nanosecond of the unit it was printed in; `None`: unknown.
    pub end: Option<Nanos>,
}

/// A file whose server supports range requests.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticSource {
    /// The absolute URL of the file; it may be signed.
    pub url: Url,
}

/// A declared topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic's name.
    pub name: String,
    /// How its messages are encoded.
    pub message_encoding: String,
    /// The id of its schema, which is there.
    pub schema_id: Option<u16>,
}

/// A declared schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// What topics of the same source refer to; never 0.
    pub id: u16,
    /// The schema's name.
    pub name: String,
    /// How it is written.
    pub encoding: String,
    /// The schema itself.
    pub data: Bytes,
}

impl Source {
    /// The absolute URL; it may be signed, so it is not for logs: see [`Source::name`].
    pub fn url(&self) -> &Url {
        match self {
            Source::Streamed(source) => &source.url,
            Source::Static(source) => &source.url,
        }
    }

    /// What logs, errors and the API show: the id, or the URL less query, user info and fragment.
    pub fn name(&self) -> String {
        match self {
            Source::Streamed(StreamedSource { id: Some(id), .. }) => id.clone(),
            Source::Streamed(source) => redacted(&source.url),
            Source::Static(source) => redacted(&source.url),
        }
    }

    /// What the source is stored under: the manifest endpoint with the id, or with the URL less
    /// its signature. The key of a static source lacks the validator of its file.
    pub fn key(&self, endpoint: &Url) -> SourceKey {
        let mut endpoint = endpoint.clone();
        endpoint.set_fragment(None);
        let fields = SourceKeyHasher::new().field(endpoint.as_str());
        match self {
            Source::Streamed(StreamedSource { id: Some(id), .. }) => fields.field("id").field(id),
            Source::Streamed(source) => {
                fields.field("url").field(signature::without_signature(&source.url).as_str())
            }
            Source::Static(source) => {
                fields.field("static").field(signature::without_signature(&source.url).as_str())
            }
        }
        .finish()
    }

    /// Whether two sources declare the same, whatever their URLs.
    pub(crate) fn declares_the_same(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Streamed(a), Source::Streamed(b)) => {
                a.topics == b.topics
                    && a.schemas == b.schemas
                    && a.start == b.start
                    && a.end == b.end
            }
            (Source::Static(_), Source::Static(_)) => true,
            _ => false,
        }
    }
}

/// The URL less query, user info and fragment: what may be shown.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for URLs that cannot have user info.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// Without the URL's secrets.
impl std::fmt::Debug for StreamedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamedSource")
            .field("url", &redacted(&self.url))
            .field("id", &self.id)
            .field("topics", &self.topics)
            .field("schemas", &self.schemas)
            .field("start", &self.start)
            .field("end", &self.end)
            .finish()
    }
}

/// Without the URL's secrets.
impl std::fmt::Debug for StaticSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticSource").field("url", &redacted(&self.url)).finish()
    }
}
