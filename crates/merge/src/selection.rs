//! What of a source and of its chunks a query wants, judged by descriptors alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rdl_mcap_io::{ChannelRecord, ChunkDescriptor};
use rdl_model::{Nanos, TimeRange};

use crate::Query;

/// What of one source a query wants, by the source's own ids. Grows as its channels become known.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    channels: BTreeMap<u16, bool>,
}

/// What a query wants of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// No wanted message is earlier.
    pub(crate) start: Nanos,
    /// Why the chunk may not be sent as it is, as far as the chunk alone decides.
    pub(crate) opened: Option<WhyOpened>,
}

/// Why a chunk is taken apart rather than sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyOpened {
    /// It has channels that the query does not want.
    OtherTopics,
    /// It has messages outside the times of the query.
    OtherTimes,
    /// Its messages are not in order of time.
    OutOfOrder,
    /// The client does not read its compression.
    Compression,
    /// Messages of other chunks lie between its own.
    Overlap,
    /// Some of it came too late for this answer.
    Late,
    /// Its ids mean something else in this answer.
    Ids,
}

impl Selection {
    /// What the query wants of a chunk; `None` when that is nothing, as far as its descriptor
    /// tells. A claimed descriptor is only a claim: it may prune, but passes nothing.
    pub(crate) fn choose(
        &mut self,
        query: &Query,
        times: TimeRange,
        descriptor: &ChunkDescriptor,
        claimed: bool,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    ) -> Option<Choice> {
        if !descriptor.times.overlaps(times) {
            return None;
        }
        // A claim without channels says nothing about them.
        let mut start =
            (claimed && descriptor.channels.is_empty()).then_some(descriptor.times.start);
        let mut all_wanted = true;
        for used in &descriptor.channels {
            // A claim that names a channel which the summary lacks has to be looked at.
            let wanted = self.wants(query, channels, used.id).unwrap_or(claimed);
            all_wanted &= wanted;
            if wanted && used.times.overlaps(times) {
                start = Some(start.map_or(used.times.start, |start| start.min(used.times.start)));
            }
        }
        let start = start?.max(times.start);
        let opened = if !all_wanted || !self.wants_records(query, descriptor, channels) {
            Some(WhyOpened::OtherTopics)
        } else if !times.covers(descriptor.times) {
            Some(WhyOpened::OtherTimes)
        } else if !descriptor.in_order {
            Some(WhyOpened::OutOfOrder)
        } else if !query.accepts_compression(descriptor.compression) {
            Some(WhyOpened::Compression)
        } else {
            None
        };
        Some(Choice { start, opened })
    }

    /// Whether the messages of this channel are wanted; false while it is not known.
    pub(crate) fn is_wanted(&self, channel: u16) -> bool {
        self.channels.get(&channel).copied().unwrap_or(false)
    }

    fn wants(
        &mut self,
        query: &Query,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
        id: u16,
    ) -> Option<bool> {
        if let Some(wanted) = self.channels.get(&id) {
            return Some(*wanted);
        }
        let wanted = query.wants(&channels.get(&id)?.def);
        self.channels.insert(id, wanted);
        Some(wanted)
    }

    /// Whether every channel record in the chunk is of a wanted channel, and every schema record of
    /// one that is used or recorded in the chunk, so that its channels tell all ids that occur.
    fn wants_records(
        &mut self,
        query: &Query,
        descriptor: &ChunkDescriptor,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    ) -> bool {
        let mut recorded = descriptor.channel_records.iter();
        if !recorded.all(|id| self.wants(query, channels, *id) == Some(true)) {
            return false;
        }
        if descriptor.schema_records.is_empty() {
            return true;
        }
        let used = descriptor.channels.iter().map(|used| &used.id);
        let ids = used.chain(&descriptor.channel_records);
        let of_channels = ids.filter_map(|id| channels.get(id)).map(|channel| channel.schema_id);
        let schemas: BTreeSet<u16> = of_channels.filter(|id| *id != 0).collect();
        descriptor.schema_records.iter().all(|id| schemas.contains(id))
    }
}
