use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rdl_model::{ErrorKind, Nanos, Problem, ProblemCode, SourceKey};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use crate::time::{Bound, Printed};
use crate::{Manifest, Schema, Source, StaticSource, StreamedSource, Topic, json, redacted};

/// Standard base64; the padding may be left off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a manifest may hold at most. The size of its body is bounded by whoever fetches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestLimits {
    /// How many sources.
    pub max_sources: usize,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        ManifestLimits { max_sources: 10_000 }
    }
}

/// A manifest that is not one. Shows no query, user info or fragment of a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    path: String,
    message: String,
}

/// `sources[3].topics[0].schemaId: …`; without a path where the whole is wrong.
impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl ManifestError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> ManifestError {
        ManifestError { path: path.into(), message: message.into() }
    }

    /// The JSON path of what is wrong; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Always the data backend's fault.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::BadGateway
    }
}

/// Reads and validates the body that `endpoint` answered with. Plain http sources are an error
/// unless `allow_http`. Memory is bounded by a small multiple of the body.
pub fn parse_manifest(
    body: &[u8],
    endpoint: &Url,
    limits: &ManifestLimits,
    allow_http: bool,
) -> Result<Manifest, ManifestError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| ManifestError::new("", "the body is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let outer: Outer<'_> = serde_json::from_str(text)
        .map_err(|error| ManifestError::new("", format!("not a manifest: {}", shown(&error))))?;
    let name = read::<Option<String>>(outer.name, "name")?;
    let raw_sources = raw_sources(outer.sources, limits)?;

    let mut parsed = Parsed::new(endpoint, allow_http);
    for (at, raw) in raw_sources.into_iter().enumerate() {
        let path = format!("sources[{at}]");
        let source = parsed.source(raw, &path)?;
        parsed.keep(source);
    }
    Ok(Manifest { name, sources: parsed.sources, problems: parsed.problems })
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    sources: &'a RawValue,
}

/// Which kind a source is; read before anything else so that errors speak of that kind.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "supportsRangeRequests")]
    supports_range_requests: Option<&'a RawValue>,
}

struct Parsed<'a> {
    endpoint: &'a Url,
    allow_http: bool,
    sources: Vec<Source>,
    by_key: HashMap<SourceKey, usize>,
    problems: Vec<Problem>,
}

impl<'a> Parsed<'a> {
    fn new(endpoint: &'a Url, allow_http: bool) -> Self {
        Parsed {
            endpoint,
            allow_http,
            sources: Vec::new(),
            by_key: HashMap::new(),
            problems: Vec::new(),
        }
    }

    fn source(&mut self, raw: &RawValue, path: &str) -> Result<Source, ManifestError> {
        let kind: Kind<'_> = read(Some(raw), path)?;
        let is_static = kind.supports_range_requests.is_some_and(|raw| raw.get() == "true");
        if is_static {
            let source: json::StaticSource = read(Some(raw), path)?;
            return Ok(Source::Static(StaticSource { url: self.url(&source.url, path)? }));
        }
        let source: json::StreamedSource = read(Some(raw), path).map_err(|mut error| {
            if error.message.starts_with("missing field") && error.path == path {
                error.message +=
                    " (of a streamed source; a static one has supportsRangeRequests: true)";
            }
            error
        })?;
        self.streamed(source, path)
    }

    fn streamed(
        &mut self,
        source: json::StreamedSource,
        path: &str,
    ) -> Result<Source, ManifestError> {
        let url = self.url(&source.url, path)?;
        let schemas = schemas(source.schemas, path)?;
        let topics = topics(source.topics, &schemas, path)?;
        let start = printed(&source.start_time, &format!("{path}.startTime"))?;
        let end = printed(&source.end_time, &format!("{path}.endTime"))?;
        let id = source.id.filter(|id| !id.is_empty());
        let name = id.clone().unwrap_or_else(|| redacted(&url));
        let mut bounds = (
            self.bound(start.start(), "start", &source.start_time, &name),
            self.bound(end.end(), "end", &source.end_time, &name),
        );
        if let (Some(start), Some(end)) = bounds
            && start > end
        {
            let message = format!(
                "{name} declares the start {start} after its end {end}; both count as unknown"
            );
            Problem::new(ProblemCode::StartAfterEnd, message)
                .of_source(&name)
                .add_to(&mut self.problems);
            bounds = (None, None);
        }
        let (start, end) = bounds;
        Ok(Source::Streamed(StreamedSource { url, id, topics, schemas, start, end }))
    }

    fn bound(&mut self, bound: Bound, which: &str, text: &str, name: &str) -> Option<Nanos> {
        match bound {
            Bound::Known(nanos) => Some(nanos),
            Bound::Unknown => None,
            Bound::OutOfRange => {
                let message = format!(
                    "{name} declares the {which} {text}, which lies outside of 1970 to 2554; it \
                     counts as unknown"
                );
                Problem::new(ProblemCode::TimeOutOfRange, message)
                    .of_source(name)
                    .add_to(&mut self.problems);
                None
            }
        }
    }

    /// Resolves a URL against the manifest endpoint and checks its scheme.
    fn url(&self, text: &str, path: &str) -> Result<Url, ManifestError> {
        let wrong = |message: String| ManifestError::new(format!("{path}.url"), message);
        let mut url =
            self.endpoint.join(text).map_err(|error| wrong(format!("not a URL: {error}")))?;
        url.set_fragment(None);
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_http => Ok(url),
            "http" => Err(wrong(format!(
                "{} is plain http, which is refused; use https, or set ALLOW_HTTP_SOURCES=true",
                redacted(&url)
            ))),
            other => Err(wrong(format!("a {other} URL; only https (and http) sources are read"))),
        }
    }

    /// Keeps a source unless one with its key is there already.
    fn keep(&mut self, source: Source) {
        match self.by_key.entry(source.key(self.endpoint)) {
            Entry::Vacant(entry) => {
                entry.insert(self.sources.len());
                self.sources.push(source);
            }
            Entry::Occupied(entry) => {
                if self.sources[*entry.get()].declares_the_same(&source) {
                    return;
                }
                let name = source.name();
                let message = format!(
                    "two sources are {name} and declare different topics, schemas or times; only \
                     the first is used, so give different data different ids"
                );
                Problem::new(ProblemCode::DuplicateSourceId, message)
                    .of_source(&name)
                    .add_to(&mut self.problems);
            }
        }
    }
}

fn schemas(raw: Vec<json::Schema>, path: &str) -> Result<Vec<Schema>, ManifestError> {
    let mut seen = HashMap::with_capacity(raw.len());
    let mut schemas = Vec::with_capacity(raw.len());
    for (at, schema) in raw.into_iter().enumerate() {
        let path = |field: &str| format!("{path}.schemas[{at}].{field}");
        if schema.id == 0 {
            return Err(ManifestError::new(path("id"), "0 is not an id; use 1 to 65535"));
        }
        if let Some(first) = seen.insert(schema.id, at) {
            let message = format!("{} is already the id of schemas[{first}]", schema.id);
            return Err(ManifestError::new(path("id"), message));
        }
        let data = BASE64.decode(&schema.data).map_err(|error| {
            ManifestError::new(path("data"), format!("not standard base64: {error}"))
        })?;
        let json::Schema { id, name, encoding, .. } = schema;
        schemas.push(Schema { id, name, encoding, data: data.into() });
    }
    Ok(schemas)
}

fn topics(
    raw: Vec<json::Topic>,
    schemas: &[Schema],
    path: &str,
) -> Result<Vec<Topic>, ManifestError> {
    let ids: std::collections::HashSet<u16> = schemas.iter().map(|schema| schema.id).collect();
    let mut topics = Vec::with_capacity(raw.len());
    for (at, topic) in raw.into_iter().enumerate() {
        let json::Topic { name, message_encoding, schema_id } = topic;
        if let Some(id) = schema_id.filter(|id| !ids.contains(id)) {
            return Err(ManifestError::new(
                format!("{path}.topics[{at}].schemaId"),
                format!("no schema of this source has the id {id}"),
            ));
        }
        topics.push(Topic { name, message_encoding, schema_id });
    }
    Ok(topics)
}

fn printed(text: &str, path: &str) -> Result<Printed, ManifestError> {
    Printed::parse(text).ok_or_else(|| {
        ManifestError::new(path, "not an RFC 3339 time; write it like 2026-01-31T09:30:00Z")
    })
}

/// Reads a part of the body; an absent one is read like `null`.
fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, path: &str) -> Result<T, ManifestError> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.map_or("null", RawValue::get));
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.path().to_string();
        let path = match inner.as_str() {
            "." => path.to_owned(),
            inner if inner.starts_with('[') => format!("{path}{inner}"),
            inner => format!("{path}.{inner}"),
        };
        ManifestError::new(path, shown(error.inner()))
    })
}

/// What the parser says, less its position (which is relative to a part) and less any text of the
/// body, which may be a signed URL.
fn shown(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if let Some(end) = text.strip_suffix(&position).map(str::len) {
        text.truncate(end);
        if error.is_syntax() || error.is_eof() {
            text += &position;
        }
    }
    if let (Some(first), Some(last)) = (text.find('"'), text.rfind('"')) {
        let start = text[..first].trim_end().len();
        text.replace_range(start..=last, "");
    }
    text
}

fn raw_sources<'a>(
    raw: &'a RawValue,
    limits: &ManifestLimits,
) -> Result<Vec<&'a RawValue>, ManifestError> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    RawSources { max: limits.max_sources }
        .deserialize(&mut deserializer)
        .map_err(|error| ManifestError::new("sources", shown(&error)))
}

/// A list that stops at its limit instead of growing.
struct RawSources {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for RawSources {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RawSources {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut sources = Vec::new();
        while let Some(source) = seq.next_element()? {
            if sources.len() == self.max {
                let message = format!("more than {} sources; split the recording", self.max);
                return Err(A::Error::custom(message));
            }
            sources.push(source);
        }
        Ok(sources)
    }
}

#[cfg(test)]
mod tests;
