//! Which topics a recording has, how much of each, and where in time.
//!
//! Of what is known of a source its chunks tell; of the rest, what the manifest declares. Whoever
//! loads it is held up no longer than it takes to copy the list of its chunks.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{ChannelDef, ChannelRecord, ChunkDescriptor};
use rdl_merge::JoinedRanges;
use rdl_model::{Nanos, TimeRange};
use rdl_wire::{Schema, Source as Declared, StreamedSource, Topic};

use super::Inner;
use crate::TopicInfo;
use crate::source::{Phase, Place, State};

/// How many ranges tell where a topic has messages, at most.
const MOST_RANGES: usize = 64;
/// Gaps up to this part of the recording's time are not told.
const GAPS: u64 = 500;
/// Nor are those up to so many times as long as it usually is from message to message: a slow topic
/// has no gap where a chunk ends.
const INTERVALS: u128 = 2;
/// Where no topic is.
const NOWHERE: usize = usize::MAX;

/// The topics, by name; each channel identity (less its metadata) once.
pub(super) fn topics(recording: &Inner, times: Option<TimeRange>) -> Vec<TopicInfo> {
    let mut topics = Topics::within(times);
    for (at, recorded) in recording.sources.iter().enumerate() {
        let known = Known::of(&recorded.source.current().state());
        topics.add(recording.declared(at), &known);
    }
    topics.list()
}

/// What is known of a source.
struct Known {
    /// By id.
    channels: Vec<(u16, Arc<ChannelRecord>)>,
    /// The chunks that have messages, and whether that is only what a summary claims.
    chunks: Vec<(Arc<ChunkDescriptor>, bool)>,
    /// From when on nothing is known; `None`: it is known whole.
    unknown_from: Option<Nanos>,
}

impl Known {
    fn of(state: &State) -> Known {
        let chunks = state.chunks.iter().filter_map(|chunk| match chunk.place {
            Place::Empty | Place::Damaged => None,
            Place::Claimed(_) => Some((chunk.descriptor.clone(), true)),
            Place::Stored(_) | Place::Fetched(_) | Place::LetGo(_) => {
                Some((chunk.descriptor.clone(), false))
            }
        });
        let channels = state.channels.iter();
        Known {
            channels: channels.map(|(id, channel)| (*id, channel.clone())).collect(),
            chunks: chunks.collect(),
            unknown_from: match state.phase {
                Phase::Complete => None,
                Phase::Loading { frontier } => Some(frontier),
                Phase::Pending | Phase::Failed { .. } | Phase::Superseded(_) => {
                    Some(state.times().map_or(Nanos::MIN, |times| times.end))
                }
            },
        }
    }
}

struct Topics {
    /// The recording's.
    times: Option<TimeRange>,
    all: Vec<Gathered>,
    /// Where those of a name are: there are several where it has several schemas.
    by_name: HashMap<String, Vec<usize>>,
    /// By the ids of the source that is being added; [`NOWHERE`] between sources.
    by_channel: Vec<usize>,
}

/// What was gathered of a topic.
struct Gathered {
    /// Without ranges.
    info: TopicInfo,
    ranges: JoinedRanges,
    /// So many intervals from message to message were seen, and so long they are together.
    intervals: u64,
    intervals_nanos: u128,
}

impl Topics {
    fn within(times: Option<TimeRange>) -> Topics {
        Topics {
            times,
            all: Vec::new(),
            by_name: HashMap::new(),
            by_channel: vec![NOWHERE; usize::from(u16::MAX) + 1],
        }
    }

    fn add(&mut self, declared: &Declared, known: &Known) {
        for (id, channel) in &known.channels {
            let at = self.find(Identity::of(&channel.def));
            self.by_channel[usize::from(*id)] = at;
            if known.unknown_from.is_some() {
                self.all[at].info.message_count = None;
            }
        }
        for (chunk, is_claim) in &known.chunks {
            for used in &chunk.channels {
                let at = self.by_channel[usize::from(used.id)];
                let Some(topic) = self.all.get_mut(at) else { continue };
                let (count, TimeRange { start, end }) = (u64::from(used.count), used.times);
                let before = topic.info.message_count.filter(|_| !is_claim);
                topic.info.message_count = before.map(|before| before + count);
                topic.ranges.add(used.times);
                topic.intervals += count.saturating_sub(1);
                topic.intervals_nanos += u128::from(end.0.saturating_sub(start.0));
            }
        }
        if let Declared::Streamed(declared) = declared
            && (known.unknown_from.is_some() || known.channels.is_empty())
        {
            self.add_declared(declared, known);
        }
        for (id, _) in &known.channels {
            self.by_channel[usize::from(*id)] = NOWHERE;
        }
    }

    fn add_declared(&mut self, declared: &StreamedSource, known: &Known) {
        let unknown = known.unknown_from.and_then(|from| self.unknown_times(declared, from));
        // What has come of a topic tells better than the manifest what it is.
        let mut came: HashMap<&str, Vec<usize>> = HashMap::new();
        for (id, channel) in &known.channels {
            let at = self.by_channel[usize::from(*id)];
            came.entry(&channel.def.topic).or_default().push(at);
        }
        for topic in &declared.topics {
            let declared_only;
            let places = match came.get(&*topic.name) {
                Some(places) => &places[..],
                None => {
                    declared_only = [self.find(Identity::declared(topic, declared))];
                    &declared_only
                }
            };
            for at in places {
                let topic = &mut self.all[*at];
                if known.unknown_from.is_some() {
                    topic.info.message_count = None;
                }
                if let Some(unknown) = unknown {
                    topic.ranges.add(unknown);
                }
            }
        }
    }

    /// What the manifest says of the times that are not known; where it says nothing, all of the
    /// recording's count.
    fn unknown_times(&self, declared: &StreamedSource, from: Nanos) -> Option<TimeRange> {
        let start = declared.start.or(self.times.map(|times| times.start))?;
        let end = declared.end.or(self.times.map(|times| times.end))?;
        let start = start.max(from);
        (start <= end).then_some(TimeRange { start, end })
    }

    /// Where the topic is, which is put there if it is new.
    fn find(&mut self, wanted: Identity<'_>) -> usize {
        let same_name = self.by_name.get(wanted.name);
        let known = same_name.and_then(|places| {
            places.iter().find(|at| Identity::of_info(&self.all[**at].info) == wanted)
        });
        if let Some(at) = known {
            return *at;
        }
        let at = self.all.len();
        self.by_name.entry(wanted.name.to_owned()).or_default().push(at);
        let gap = self.times.map_or(0, |times| times.end.0.saturating_sub(times.start.0) / GAPS);
        self.all.push(Gathered {
            info: wanted.to_info(),
            ranges: JoinedRanges::new(gap),
            intervals: 0,
            intervals_nanos: 0,
        });
        at
    }

    fn list(self) -> Vec<TopicInfo> {
        let topics = self.all.into_iter().map(|mut topic| {
            let usual = topic.intervals_nanos / u128::from(topic.intervals.max(1));
            let gap = u64::try_from(usual.saturating_mul(INTERVALS)).unwrap_or(u64::MAX);
            topic.ranges.widen_gap(gap);
            TopicInfo { ranges: topic.ranges.list(MOST_RANGES), ..topic.info }
        });
        let mut topics: Vec<TopicInfo> = topics.collect();
        topics.sort_unstable_by(|a, b| Identity::of_info(a).cmp(&Identity::of_info(b)));
        topics
    }
}

/// What makes two topics one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'a> {
    name: &'a str,
    message_encoding: &'a str,
    /// Name, encoding and data.
    schema: Option<(&'a str, &'a str, &'a Bytes)>,
}

impl<'a> Identity<'a> {
    fn of(def: &'a ChannelDef) -> Identity<'a> {
        let schema = def.schema.as_deref();
        Identity {
            name: &def.topic,
            message_encoding: &def.message_encoding,
            schema: schema.map(|schema| (&*schema.name, &*schema.encoding, &schema.data)),
        }
    }

    fn declared(topic: &'a Topic, source: &'a StreamedSource) -> Identity<'a> {
        let schema = topic.schema_id.and_then(|id| source.schemas.iter().find(|one| one.id == id));
        let schema = schema.map(|Schema { name, encoding, data, .. }| (&**name, &**encoding, data));
        Identity { name: &topic.name, message_encoding: &topic.message_encoding, schema }
    }

    fn of_info(info: &'a TopicInfo) -> Identity<'a> {
        let (name, encoding) = (info.schema_name.as_deref(), info.schema_encoding.as_deref());
        let schema = name.zip(encoding).zip(info.schema_data.as_ref());
        Identity {
            name: &info.name,
            message_encoding: &info.message_encoding,
            schema: schema.map(|((name, encoding), data)| (name, encoding, data)),
        }
    }

    /// Without a message so far.
    fn to_info(self) -> TopicInfo {
        TopicInfo {
            name: self.name.to_owned(),
            message_encoding: self.message_encoding.to_owned(),
            schema_name: self.schema.map(|(name, _, _)| name.to_owned()),
            schema_encoding: self.schema.map(|(_, encoding, _)| encoding.to_owned()),
            schema_data: self.schema.map(|(_, _, data)| data.clone()),
            message_count: Some(0),
            ranges: Vec::new(),
        }
    }
}
