//! What `/v1/stream` is asked, from a query string or from JSON, and the query that it comes to.

use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use rdl_engine::{Compression, ManifestParams, Query, ReplayPolicy};
use rdl_model::{ErrorKind, Nanos, TimeRange};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

use super::params::{Params, to_query};
use crate::problem::Problem;

/// The query parameters of `GET /v1/stream` besides manifest parameters.
const KNOWN: [&str; 8] = [
    "topics",
    "start",
    "end",
    "replayPolicy",
    "replayLookbackSeconds",
    "compression",
    "partial",
    "attachments",
];

/// How many seconds before the start sources may lie that are loaded only to look back, when nobody
/// says otherwise.
pub(super) const DEFAULT_LOOKBACK_SECONDS: f64 = 1800.0;

/// The body of `POST /v1/stream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StreamRequest {
    /// What the manifest endpoint gets; a value may be a list.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(value_type = std::collections::BTreeMap<String, OneOrMany>)]
    pub(crate) manifest_params: OrderedParams,
    /// The topics; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topics: Option<Vec<String>>,
    /// The first log time: RFC 3339 or whole nanoseconds. Unbounded when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub(crate) start: Option<TimeText>,
    /// The last log time, included: RFC 3339 or whole nanoseconds. Unbounded when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub(crate) end: Option<TimeText>,
    /// What is sent besides the range.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) replay_policy: ReplayPolicyName,
    /// How many seconds before `start` sources may lie that are loaded only to look back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, default = 1800)]
    pub(crate) replay_lookback_seconds: Option<f64>,
    /// What the client can read besides chunks without compression. When absent chunks pass as
    /// they are, and what is rewritten is lz4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<CompressionName>,
    /// Leave out sources that fail, and name them in the closing metadata record.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) partial: bool,
    /// Send attachments too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) attachments: bool,
}

/// The same in a query string, for the API's description.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what `StreamRequest::from_query` reads")]
pub(super) struct StreamQuery {
    /// A manifest parameter; any number of them
    #[param(rename = "ds.{name}")]
    manifest_param: Option<String>,
    /// A topic; may be repeated; all when absent
    topics: Option<Vec<String>>,
    /// The first log time: RFC 3339 or whole nanoseconds since the Unix epoch
    start: Option<Time>,
    /// The last log time, included
    end: Option<Time>,
    /// What is sent besides the range
    replay_policy: Option<ReplayPolicyName>,
    /// How far before `start` sources may lie that are loaded only to look back; 1800 when absent
    replay_lookback_seconds: Option<f64>,
    /// What the client can read besides chunks without compression; when absent chunks pass as they are, and what is rewritten is lz4
    compression: Option<CompressionName>,
    /// Leave out sources that fail, and name them in the closing metadata record
    partial: Option<bool>,
    /// Send attachments too
    attachments: Option<bool>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A value of a manifest parameter, for the schema.
#[derive(ToSchema)]
#[schema(as = ParamValue)]
#[expect(dead_code, reason = "describes what `OrderedParams` reads")]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// RFC 3339, or whole nanoseconds since the Unix epoch, for the schema.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `TimeText` reads")]
#[serde(untagged)]
pub(crate) enum Time {
    #[schema(example = "2026-01-31T09:30:00Z")]
    Text(String),
    Nanos(u64),
}

/// The replay policies by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayPolicy)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ReplayPolicyName {
    /// Nothing.
    #[default]
    None,
    /// First the newest message of each channel before the start.
    LastPerChannel,
    /// Only the newest message of each channel within the range.
    LastPerChannelInRange,
}

/// The compressions by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Compression)]
#[serde(rename_all = "camelCase")]
pub(crate) enum CompressionName {
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
    /// None at all.
    None,
}

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeText(pub(crate) Nanos);

/// Manifest parameters in their order, as a JSON object whose values may be lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OrderedParams(pub(crate) Vec<(String, String)>);

impl StreamRequest {
    /// From a query string.
    pub(super) fn from_query(query: Option<&str>) -> Result<StreamRequest, Problem> {
        let mut params = Params::parse(query, &KNOWN)?;
        let lookback = params.take("replayLookbackSeconds")?.map(|text| {
            text.parse().map_err(|_| {
                Problem::bad_request("`replayLookbackSeconds` accepts a number of seconds")
            })
        });
        Ok(StreamRequest {
            topics: params.take_all("topics"),
            start: take_time(&mut params, "start")?,
            end: take_time(&mut params, "end")?,
            replay_policy: take_name(&mut params, "replayPolicy", parse_replay_policy)?
                .unwrap_or_default(),
            replay_lookback_seconds: lookback.transpose()?,
            compression: take_name(&mut params, "compression", parse_compression)?,
            partial: params.take_bool("partial")?,
            attachments: params.take_bool("attachments")?,
            manifest_params: OrderedParams(params.manifest.0),
        })
    }

    /// From a JSON body; a message names the place of what is wrong.
    pub(super) fn from_json(body: &[u8]) -> Result<StreamRequest, Problem> {
        // A list of values in the order of the fields would be taken for the object.
        if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Problem::bad_request("the body is wrong: it has to be a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let request = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| Problem::bad_request(format!("the body is wrong: {error}")))?;
        json.end().map_err(|error| {
            Problem::bad_request(format!("something stands after the body: {error}"))
        })?;
        Ok(request)
    }

    /// The query string of `GET /v1/stream` that asks for the same.
    pub(super) fn to_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(self.selection_query());
        if self.replay_policy != ReplayPolicyName::None {
            query.append_pair("replayPolicy", replay_policy_text(self.replay_policy));
        }
        if let Some(seconds) = self.replay_lookback_seconds {
            query.append_pair("replayLookbackSeconds", &seconds.to_string());
        }
        if let Some(compression) = self.compression {
            query.append_pair("compression", compression_text(compression));
        }
        for (name, is_set) in [("partial", self.partial), ("attachments", self.attachments)] {
            if is_set {
                query.append_pair(name, "true");
            }
        }
        query.finish()
    }

    /// The recording, and which topics and times of it.
    pub(super) fn selection_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(to_query(&self.manifest_params()));
        for topic in self.topics.iter().flatten() {
            query.append_pair("topics", topic);
        }
        let times = [("start", self.start), ("end", self.end)];
        for (name, time) in times {
            if let Some(TimeText(time)) = time {
                query.append_pair(name, &time.0.to_string());
            }
        }
        query.finish()
    }

    /// What the manifest endpoint is asked.
    pub(crate) fn manifest_params(&self) -> ManifestParams {
        ManifestParams(self.manifest_params.0.clone())
    }

    /// The query that it comes to.
    pub(crate) fn query(&self) -> Result<Query, Problem> {
        let defaults = Query::default();
        let times = TimeRange {
            start: self.start.map_or(defaults.times.start, |time| time.0),
            end: self.end.map_or(defaults.times.end, |time| time.0),
        };
        if times.start > times.end {
            return Err(Problem::bad_request(format!(
                "`start` ({}) lies after `end` ({})",
                times.start, times.end
            )));
        }
        Ok(Query {
            topics: self.topics.clone().map(|topics| topics.into_iter().collect()),
            times,
            has_start: self.start.is_some(),
            replay: match self.replay_policy {
                ReplayPolicyName::None => ReplayPolicy::None,
                ReplayPolicyName::LastPerChannel => ReplayPolicy::LastPerChannel,
                ReplayPolicyName::LastPerChannelInRange => ReplayPolicy::LastPerChannelInRange,
            },
            lookback: match self.replay_lookback_seconds {
                None => defaults.lookback,
                Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
                    Problem::bad_request(
                        "`replayLookbackSeconds` accepts a number of seconds, 0 or more",
                    )
                })?,
            },
            // Whoever reads a compression reads chunks without any, too.
            accepts: self.compression.map(|compression| match compression {
                CompressionName::Lz4 => vec![Compression::Lz4, Compression::None],
                CompressionName::Zstd => vec![Compression::Zstd, Compression::None],
                CompressionName::None => vec![Compression::None],
            }),
            partial: self.partial,
            attachments: self.attachments,
        })
    }
}

/// The name of a replay policy, as it is written.
fn replay_policy_text(policy: ReplayPolicyName) -> &'static str {
    match policy {
        ReplayPolicyName::None => "none",
        ReplayPolicyName::LastPerChannel => "lastPerChannel",
        ReplayPolicyName::LastPerChannelInRange => "lastPerChannelInRange",
    }
}

/// The name of a compression, as it is written.
fn compression_text(compression: CompressionName) -> &'static str {
    match compression {
        CompressionName::Lz4 => "lz4",
        CompressionName::Zstd => "zstd",
        CompressionName::None => "none",
    }
}

/// `none`, `lastPerChannel` or `lastPerChannelInRange`.
pub(crate) fn parse_replay_policy(text: &str) -> Result<ReplayPolicyName, String> {
    match text {
        "none" => Ok(ReplayPolicyName::None),
        "lastPerChannel" => Ok(ReplayPolicyName::LastPerChannel),
        "lastPerChannelInRange" => Ok(ReplayPolicyName::LastPerChannelInRange),
        _ => Err("accepts none, lastPerChannel or lastPerChannelInRange".into()),
    }
}

/// `lz4`, `zstd` or `none`.
pub(crate) fn parse_compression(text: &str) -> Result<CompressionName, String> {
    match text {
        "lz4" => Ok(CompressionName::Lz4),
        "zstd" => Ok(CompressionName::Zstd),
        "none" => Ok(CompressionName::None),
        _ => Err("accepts lz4, zstd or none".into()),
    }
}

fn take_name<T>(
    params: &mut Params,
    name: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    let value = params.take(name)?.map(|text| parse(&text));
    value.transpose().map_err(|why| Problem::bad_request(format!("`{name}` {why}")))
}

fn take_time(params: &mut Params, name: &str) -> Result<Option<TimeText>, Problem> {
    let Some(text) = params.take(name)? else { return Ok(None) };
    text.parse().map(|time| Some(TimeText(time))).map_err(|error| {
        // `+01:00` that was not escaped arrives as ` 01:00`.
        let hint = if text.contains(' ') { "; a + is written %2B in a query string" } else { "" };
        Problem::bad_request(format!("`{name}`: {error}{hint}"))
    })
}

/// The body of a POST, which is JSON and all there is to the request.
pub(super) fn json_body(
    query: Option<&str>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StreamRequest, Problem> {
    if query.is_some_and(|query| !query.is_empty()) {
        return Err(Problem::bad_request("a POST knows no query parameters; put them in the body"));
    }
    StreamRequest::from_json(&whole_body(headers, body)?)
}

/// A body that says that it is JSON.
pub(super) fn whole_body(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::bad_request("send JSON with `Content-Type: application/json`"));
    }
    body.map_err(|rejection| match rejection.status().as_u16() {
        413 => Problem::new(ErrorKind::TooLarge, "the body of the request is over 2 MB"),
        _ => Problem::bad_request("the body of the request did not arrive whole"),
    })
}

impl Serialize for TimeText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.0)
    }
}

impl<'de> Deserialize<'de> for TimeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Times;
        impl Visitor<'_> for Times {
            type Value = TimeText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or whole nanoseconds since the Unix epoch")
            }

            fn visit_u64<E: serde::de::Error>(self, nanos: u64) -> Result<TimeText, E> {
                Ok(TimeText(Nanos(nanos)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TimeText, E> {
                text.parse().map(TimeText).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Times)
    }
}

impl Serialize for OrderedParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A name that stands twice stands twice here too: our reader keeps both, in their order.
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for OrderedParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a string or a list of strings")]
        enum Value {
            One(String),
            Many(Vec<String>),
        }
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = OrderedParams;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings or lists of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<OrderedParams, M::Error> {
                let mut params = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match value {
                        Value::One(value) => params.push((name, value)),
                        Value::Many(values) => {
                            params.extend(values.into_iter().map(|value| (name.clone(), value)));
                        }
                    }
                }
                Ok(OrderedParams(params))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests;
