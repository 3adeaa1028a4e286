//! The channels of a source: declared once, for its manifest and for its data.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdl_mcap_io::{CanonicalIds, ChannelDef, ChannelRecord};

use crate::{MessageType, Nanos, Schema, StreamedSource, Topic};

/// A manifest of more than 16 MiB is refused, and base64 takes four bytes for three.
const MAX_SCHEMA_BYTES: usize = 12 << 20;
/// As much as any tool takes for a name.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// What the manifest declares when a time is not known: the loader takes it for "unknown".
const UNKNOWN_START: &str = "0001-01-01T00:00:00Z";
const UNKNOWN_END: &str = "9999-12-31T23:59:59Z";

/// A channel of a [`ChannelSet`], to write messages with.
///
/// Take it from the set that the body is made of: its id follows from what the channel is (topic,
/// encoding, schema, metadata), but where two of a set would have one id, the later one gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel(pub(crate) u16);

impl Channel {
    /// The channel's id in MCAP.
    pub fn id(self) -> u16 {
        self.0
    }

    /// The channel of this id; a [`BodyWriter`](crate::BodyWriter) refuses one that its set lacks.
    pub fn from_id(id: u16) -> Channel {
        Channel(id)
    }
}

/// Why a channel cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A text or a schema is longer than the loader takes.
    #[error("{what} of the topic {topic:?} is {bytes} bytes long; the limit is {limit_bytes}")]
    TooLong {
        /// Which of them.
        what: &'static str,
        /// The topic, shortened.
        topic: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// There is no id left.
    #[error("a source cannot have more than 65,535 channels or schemas; split it by topic")]
    TooMany,
}

impl ChannelError {
    /// Its name, the same in every language of the kit: `too-long` or `too-many`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::TooMany => "too-many",
        }
    }
}

/// The channels of one source. Schemas are there once, ids are the loader's canonical ones.
#[derive(Clone, Debug, Default)]
pub struct ChannelSet {
    ids: CanonicalIds,
    /// In the order of their declaration.
    channels: Vec<Arc<ChannelRecord>>,
}

impl ChannelSet {
    /// No channels.
    pub fn new() -> ChannelSet {
        ChannelSet::default()
    }

    /// Declares a topic. Declared again, the same channel is returned.
    ///
    /// # Errors
    ///
    /// If a text is longer than 64 KiB, a schema longer than 12 MiB, or no id is left.
    pub fn add(
        &mut self,
        topic: impl Into<String>,
        kind: MessageType,
    ) -> Result<Channel, ChannelError> {
        self.add_with_metadata(topic, kind, BTreeMap::new())
    }

    /// Declares a topic whose MCAP channel has metadata, such as ROS 2's `offered_qos_profiles`.
    /// The manifest does not show it.
    ///
    /// # Errors
    ///
    /// As [`ChannelSet::add`].
    pub fn add_with_metadata(
        &mut self,
        topic: impl Into<String>,
        kind: MessageType,
        metadata: BTreeMap<String, String>,
    ) -> Result<Channel, ChannelError> {
        let def = ChannelDef {
            topic: topic.into(),
            message_encoding: kind.encoding,
            schema: kind.schema.map(Arc::new),
            metadata,
        };
        check_lengths(&def)?;
        let known = self.ids.channel_count();
        let record = self.ids.channel(def).map_err(|_| ChannelError::TooMany)?;
        let channel = Channel(record.id);
        if self.ids.channel_count() > known {
            self.channels.push(record);
        }
        Ok(channel)
    }

    /// The first channel that was declared for this topic.
    pub fn channel(&self, topic: &str) -> Option<Channel> {
        let declared = self.channels.iter().find(|channel| channel.def.topic == topic);
        declared.map(|channel| Channel(channel.id))
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// The topics as a manifest declares them, in the order of their declaration.
    pub fn topics(&self) -> Vec<Topic> {
        let topic = |channel: &Arc<ChannelRecord>| Topic {
            name: channel.def.topic.clone(),
            message_encoding: channel.def.message_encoding.clone(),
            schema_id: Some(channel.schema_id).filter(|id| *id != 0),
        };
        self.channels.iter().map(topic).collect()
    }

    /// The schemas as a manifest declares them, each once, in the order of their first use.
    pub fn schemas(&self) -> Vec<Schema> {
        let mut schemas: Vec<Schema> = Vec::new();
        for channel in &self.channels {
            let Some(def) = &channel.def.schema else { continue };
            if schemas.iter().all(|schema| schema.id != channel.schema_id) {
                schemas.push(Schema {
                    id: channel.schema_id,
                    name: def.name.clone(),
                    encoding: def.encoding.clone(),
                    data: BASE64_STANDARD.encode(&def.data),
                });
            }
        }
        schemas
    }

    /// A source with these channels, whose messages lie within `times`: a
    /// [`TimeRange`](crate::TimeRange), `start..=end`, or `..` where they are not known. It has no `id` yet: set one,
    /// unless the URL never changes.
    ///
    /// `url` is absolute, or relative to the manifest endpoint.
    pub fn source(&self, url: impl Into<String>, times: impl RangeBounds<Nanos>) -> StreamedSource {
        let start = match times.start_bound() {
            Bound::Included(start) => start.to_string(),
            Bound::Excluded(before) => Nanos(before.0.saturating_add(1)).to_string(),
            Bound::Unbounded => UNKNOWN_START.to_owned(),
        };
        let end = match times.end_bound() {
            Bound::Included(end) => end.to_string(),
            Bound::Excluded(after) => Nanos(after.0.saturating_sub(1)).to_string(),
            Bound::Unbounded => UNKNOWN_END.to_owned(),
        };
        StreamedSource {
            url: url.into(),
            id: None,
            topics: self.topics(),
            schemas: self.schemas(),
            start_time: start,
            end_time: end,
        }
    }

    /// The channels in ascending order of their ids.
    pub(crate) fn by_id(&self) -> Vec<Arc<ChannelRecord>> {
        let mut channels = self.channels.clone();
        channels.sort_unstable_by_key(|channel| channel.id);
        channels
    }
}

fn check_lengths(def: &ChannelDef) -> Result<(), ChannelError> {
    let check = |what, bytes: usize, limit_bytes| match bytes <= limit_bytes {
        true => Ok(()),
        false => {
            let topic = def.topic.chars().take(100).collect();
            Err(ChannelError::TooLong { what, topic, bytes, limit_bytes })
        }
    };
    check("the name", def.topic.len(), MAX_TEXT_BYTES)?;
    check("the message encoding", def.message_encoding.len(), MAX_TEXT_BYTES)?;
    let metadata = def.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    check("the metadata", metadata, MAX_SCHEMA_BYTES)?;
    let Some(schema) = &def.schema else { return Ok(()) };
    check("the schema's name", schema.name.len(), MAX_TEXT_BYTES)?;
    check("the schema's encoding", schema.encoding.len(), MAX_TEXT_BYTES)?;
    check("the schema", schema.data.len(), MAX_SCHEMA_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odometry() -> MessageType {
        MessageType::json_schema("Odometry", "{}")
    }

    #[test]
    fn a_schema_is_there_once() {
        let mut channels = ChannelSet::new();
        let first = channels.add("/a", odometry()).unwrap();
        let second = channels.add("/b", odometry()).unwrap();
        let third = channels.add("/c", MessageType::schemaless_json()).unwrap();
        assert_eq!(channels.add("/a", odometry()).unwrap(), first);
        assert_eq!(channels.len(), 3);
        assert!(first != second && second != third);
        let (topics, schemas) = (channels.topics(), channels.schemas());
        assert_eq!(schemas.len(), 1);
        assert_eq!(topics[0].schema_id, Some(schemas[0].id));
        assert_eq!(topics[1].schema_id, Some(schemas[0].id));
        assert_eq!(topics[2].schema_id, None);
        assert_eq!(channels.channel("/b"), Some(second));
        assert_eq!(channels.channel("/d"), None);
    }

    #[test]
    fn a_source_says_its_times_as_the_loader_reads_them() {
        let channels = ChannelSet::new();
        let source = channels.source("/data", Nanos(1)..=Nanos(2));
        assert_eq!(source.start_time, "1970-01-01T00:00:00.000000001Z");
        assert_eq!(source.end_time, "1970-01-01T00:00:00.000000002Z");
        let source = channels.source("/data", Nanos(1)..Nanos(2));
        assert_eq!(source.end_time, "1970-01-01T00:00:00.000000001Z");
        let unknown = channels.source("/data", ..);
        let manifest = crate::Manifest { name: None, sources: vec![unknown.into()] };
        let parsed = rdl_wire::parse_manifest(
            &serde_json::to_vec(&manifest).unwrap(),
            &"https://example.com/manifest".parse().unwrap(),
            &rdl_wire::ManifestLimits::default(),
            false,
        )
        .unwrap();
        let rdl_wire::Source::Streamed(source) = &parsed.sources[0] else { panic!("streamed") };
        assert_eq!((source.start, source.end), (None, None));
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    }

    #[test]
    fn what_is_too_long_is_refused_by_name() {
        let mut channels = ChannelSet::new();
        let error = channels.add("t".repeat(MAX_TEXT_BYTES + 1), odometry()).unwrap_err();
        assert!(error.to_string().contains("the name"), "{error}");
        let huge = MessageType::flatbuffer("a.B", vec![0; MAX_SCHEMA_BYTES + 1]);
        let error = channels.add("/a", huge).unwrap_err();
        assert!(error.to_string().starts_with("the schema of the topic \"/a\""), "{error}");
        assert!(channels.is_empty());
    }
}
