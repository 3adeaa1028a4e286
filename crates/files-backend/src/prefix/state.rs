//! What is known at the end of an intact beginning, for its manifest and for a scan that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{ChannelRecord, SchemaDef};
use rdl_model::TimeRange;
use sha2::Sha256;

use crate::contents::{Topic, topics_of};

/// Schemas by id.
pub(super) type Schemas = Arc<BTreeMap<u16, Arc<SchemaDef>>>;
/// Channels by id.
pub(super) type Channels = Arc<BTreeMap<u16, ChannelRecord>>;

/// What is known at the end of an intact beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(super) bytes: u64,
    /// The hash of the tail's bytes.
    pub(super) hash: Sha256,
    pub(super) tail: Tail,
    /// Magic and header; empty where they are too long to go on from.
    pub(super) head: Bytes,
    /// The last bytes of it.
    pub(super) recent: Vec<u8>,
    pub(super) schemas: Schemas,
    pub(super) channels: Channels,
    pub(super) definitions_bytes: u64,
    pub(super) messages: u64,
    pub(super) times: Option<TimeRange>,
    /// How many messages come behind a chunk with a newer one, and how late the latest of them.
    pub(super) late: u64,
    pub(super) latest_nanos: u64,
    pub(super) passed_over: u64,
    pub(super) problems: Vec<String>,
}

impl State {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the file had right before [`State::bytes`].
    pub(crate) fn recent(&self) -> &[u8] {
        &self.recent
    }

    /// Whether a scan can go on from it.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.head.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let definitions = usize::try_from(self.definitions_bytes).unwrap_or(usize::MAX);
        self.head.len() + self.recent.len() + definitions.saturating_mul(2)
    }
}

/// What comes behind the last segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) start: u64,
    /// What was defined where it starts.
    pub(super) schemas: Schemas,
    pub(super) channels: Channels,
    pub(super) messages: u64,
    pub(super) times: Option<TimeRange>,
    /// The channels of messages that it does not define before them.
    needed: BTreeSet<u16>,
    /// The channels that it defines, and the schemas of those.
    defined: BTreeSet<u16>,
    named_schemas: BTreeSet<u16>,
    /// The topics that were its own until it defined their channels anew.
    replaced: Vec<Topic>,
    /// It has a chunk that was not looked into.
    pub(super) is_opaque: bool,
    /// It has metadata or attachments.
    pub(super) has_more: bool,
}

impl Tail {
    /// Behind all that `state` is of.
    pub(super) fn after(state: &State) -> Tail {
        Tail {
            start: state.bytes,
            schemas: state.schemas.clone(),
            channels: state.channels.clone(),
            ..Tail::default()
        }
    }

    /// It has a message of this channel.
    pub(super) fn uses(&mut self, channel: u16) {
        if !self.defined.contains(&channel) {
            self.needed.insert(channel);
        }
    }

    /// It defines this channel, which was another one before, if it was `replaced`.
    pub(super) fn defines(
        &mut self,
        channel: u16,
        schema: u16,
        replaced: Option<&ChannelRecord>,
        schemas: &Schemas,
    ) {
        let is_ours = self.needed.contains(&channel) || self.defined.contains(&channel);
        self.replaced.extend(topics_of(replaced.filter(|_| is_ours), schemas));
        self.defined.insert(channel);
        self.named_schemas.insert(schema);
    }

    pub(super) fn adds(&mut self, messages: u64, times: TimeRange) {
        self.messages += messages;
        self.times = Some(self.times.map_or(times, |before| before.union(times)));
    }

    /// What has to be defined before it, so that it can be read without what comes before.
    pub(super) fn definitions(&self) -> (Vec<(u16, Arc<SchemaDef>)>, Vec<ChannelRecord>) {
        let is_needed = |id: &u16| self.is_opaque || self.needed.contains(id);
        let channels = self.channels.values().filter(|channel| is_needed(&channel.id));
        let channels: Vec<ChannelRecord> = channels.cloned().collect();
        let mut named: BTreeSet<u16> = channels.iter().map(|channel| channel.schema_id).collect();
        named.extend(&self.named_schemas);
        let schemas = self.schemas.iter().filter(|(id, _)| self.is_opaque || named.contains(id));
        (schemas.map(|(id, schema)| (*id, schema.clone())).collect(), channels)
    }

    /// The topics that it has messages of, or defines, each once. `state` is known at its end.
    pub(super) fn topics(&self, state: &State) -> Vec<Topic> {
        let is_ours =
            |id: &u16| self.is_opaque || self.needed.contains(id) || self.defined.contains(id);
        let channels = state.channels.values().filter(|channel| is_ours(&channel.id));
        let mut topics = topics_of(channels, &state.schemas);
        for topic in &self.replaced {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        topics
    }
}
