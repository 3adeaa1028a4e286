//! Recordings for tests: any number of sources, with any layout of chunks.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rdl_mcap_io::{
    ChannelDef, ChannelRecord, ChunkBuilder, ChunkDescriptor, Compression, Limits, MessageView,
    OpenChunk, SchemaDef, StoredChunk,
};
use rdl_model::{ChunkRef, Nanos, TimeRange};

use crate::Query;
use crate::key::Key;

/// How many different channels the sources share among them.
pub(crate) const CHANNELS: usize = 5;
const TOPICS: [&str; CHANNELS] = ["/a", "/b", "/c", "/a", "/tf_static"];
const SCHEMAS: [Option<&str>; CHANNELS] = [Some("A"), Some("A"), Some("B"), None, Some("A")];

/// So many cases, the same ones every time.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) time: Nanos,
    /// Which of the [`CHANNELS`].
    pub(crate) channel: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// In the order in which they lie in it.
    pub(crate) messages: Vec<Message>,
    pub(crate) channel_records: BTreeSet<usize>,
    /// Which of the channels' schemas are recorded.
    pub(crate) schema_records: BTreeSet<usize>,
    pub(crate) compression: Compression,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Added to the number of a channel or schema to give its id.
    pub(crate) first_id: u16,
    pub(crate) chunks: Vec<Chunk>,
    /// Whether its chunks are claimed before they are verified, with times this much too wide.
    pub(crate) claimed: Option<u64>,
    stored: OnceCell<Vec<StoredChunk>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) sources: Vec<Source>,
    pub(crate) query: Arc<Query>,
}

pub(crate) fn channel_def(channel: usize) -> Arc<ChannelDef> {
    let schema = |name: &str| SchemaDef {
        name: name.to_owned(),
        encoding: "ros2msg".to_owned(),
        data: Bytes::from_static(b"definition"),
    };
    Arc::new(ChannelDef {
        topic: TOPICS[channel].to_owned(),
        message_encoding: "cdr".to_owned(),
        schema: SCHEMAS[channel].map(|name| Arc::new(schema(name))),
        metadata: BTreeMap::new(),
    })
}

impl Message {
    pub(crate) fn new(time: u64, channel: usize) -> Message {
        Message { time: Nanos(time), channel }
    }
}

impl Chunk {
    /// A chunk of these messages and nothing else.
    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Chunk {
        Chunk {
            messages: messages.into_iter().collect(),
            channel_records: BTreeSet::new(),
            schema_records: BTreeSet::new(),
            compression: Compression::Lz4,
        }
    }
}

impl Source {
    /// A source of these chunks, nothing of it claimed.
    pub(crate) fn of(chunks: impl IntoIterator<Item = Chunk>) -> Source {
        Source::new(1, chunks.into_iter().collect(), None)
    }

    fn new(first_id: u16, chunks: Vec<Chunk>, claimed: Option<u64>) -> Source {
        Source { first_id, chunks, claimed, stored: OnceCell::new() }
    }

    pub(crate) fn channels(&self) -> BTreeMap<u16, Arc<ChannelRecord>> {
        let record = |channel: usize| {
            let id = self.first_id + u16::try_from(channel).unwrap();
            let schema_id = self.schema_id(channel);
            (id, Arc::new(ChannelRecord { id, schema_id, def: channel_def(channel) }))
        };
        (0..CHANNELS).map(record).collect()
    }

    /// Channels of one schema share its id.
    pub(crate) fn schema_id(&self, channel: usize) -> u16 {
        let first = SCHEMAS.iter().position(|schema| *schema == SCHEMAS[channel]).unwrap();
        SCHEMAS[channel].map_or(0, |_| self.first_id + u16::try_from(first).unwrap())
    }

    pub(crate) fn descriptor(&self, chunk: usize) -> ChunkDescriptor {
        self.stored()[chunk].descriptor.clone()
    }

    pub(crate) fn stored(&self) -> &[StoredChunk] {
        self.stored.get_or_init(|| self.chunks.iter().map(|chunk| self.build(chunk)).collect())
    }

    fn build(&self, chunk: &Chunk) -> StoredChunk {
        let channels = self.channels();
        let id = |channel: usize| self.first_id + u16::try_from(channel).unwrap();
        let mut builder = ChunkBuilder::new(chunk.compression);
        for channel in &chunk.schema_records {
            if let Some(schema) = &channels[&id(*channel)].def.schema {
                builder.schema(self.schema_id(*channel), schema);
            }
        }
        for channel in &chunk.channel_records {
            builder.channel(&channels[&id(*channel)]);
        }
        for (sequence, message) in (0u32..).zip(&chunk.messages) {
            let view = MessageView {
                channel: id(message.channel),
                sequence,
                log_time: message.time,
                publish_time: message.time,
                data: b"data",
            };
            builder.message(view.channel, &view);
        }
        builder.build().unwrap().unwrap()
    }

    /// What a summary says of a chunk before it is verified: every channel spans the chunk.
    pub(crate) fn claim(&self, chunk: usize) -> ChunkDescriptor {
        let mut claim = self.descriptor(chunk);
        let slack = self.claimed.unwrap_or(0);
        claim.times.start = Nanos(claim.times.start.0.saturating_sub(slack));
        claim.times.end = Nanos(claim.times.end.0.saturating_add(slack));
        for used in &mut claim.channels {
            used.times = claim.times;
        }
        claim
    }

    pub(crate) fn open(&self, chunk: usize) -> Arc<OpenChunk> {
        let bytes = &self.stored()[chunk].bytes;
        Arc::new(OpenChunk::open(bytes, &Limits::default()).unwrap())
    }
}

impl Recording {
    pub(crate) fn wants(&self, channel: usize) -> bool {
        self.query.topics.as_ref().is_none_or(|topics| topics.contains(TOPICS[channel]))
    }

    /// Each message of a chunk with its key, in stable time order.
    pub(crate) fn messages(&self, at: ChunkRef) -> Vec<(Key, usize)> {
        let chunk = &self.sources[at.source as usize].chunks[at.chunk as usize];
        let mut messages: Vec<_> = chunk.messages.iter().collect();
        messages.sort_by_key(|message| message.time);
        let keyed = messages.into_iter().enumerate();
        let key = |time, entry| Key { time, source: at.source, chunk: at.chunk, entry };
        keyed.map(|(entry, message)| (key(message.time, entry), message.channel)).collect()
    }

    pub(crate) fn chunks(&self) -> Vec<ChunkRef> {
        let sources = self.sources.iter().zip(0..);
        let of = |(source, number): (&Source, u32)| {
            (0u32..).take(source.chunks.len()).map(move |chunk| ChunkRef { source: number, chunk })
        };
        sources.flat_map(of).collect()
    }

    /// The wanted messages of a chunk that lie in `times`.
    pub(crate) fn selected(&self, at: ChunkRef, times: TimeRange) -> Vec<(Key, usize)> {
        let mut messages = self.messages(at);
        messages.retain(|(key, channel)| times.contains(key.time) && self.wants(*channel));
        messages
    }
}

/// Few enough times that most of them tie, both ends of 64 bits among them.
fn time() -> impl Strategy<Value = Nanos> {
    prop_oneof![
        10 => (0u64..12).prop_map(Nanos),
        1 => (0u64..3).prop_map(|back| Nanos(u64::MAX - back)),
    ]
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let message = (time(), 0..CHANNELS).prop_map(|(time, channel)| Message { time, channel });
    let compression =
        prop_oneof![Just(Compression::Lz4), Just(Compression::Zstd), Just(Compression::None)];
    let records = || prop_oneof![3 => Just(BTreeSet::new()), 1 => btree_set(0..CHANNELS, 0..3)];
    let fields = (vec(message, 1..7), any::<bool>(), 1..=CHANNELS, records(), records());
    (fields, compression).prop_map(
        |((mut messages, sorted, few, channels, schemas), compression)| {
            if sorted {
                messages.sort_by_key(|message| message.time);
            }
            for message in &mut messages {
                message.channel %= few;
            }
            Chunk { messages, channel_records: channels, schema_records: schemas, compression }
        },
    )
}

fn source() -> impl Strategy<Value = Source> {
    let claimed = prop_oneof![2 => Just(None), 1 => (0u64..3).prop_map(Some)];
    (1u16..4, vec(chunk(), 0..6), any::<bool>(), claimed).prop_map(
        |(first_id, mut chunks, by_time, claimed)| {
            if by_time {
                chunks.sort_by_key(|chunk| chunk.messages.iter().map(|message| message.time).min());
            }
            Source::new(first_id, chunks, claimed)
        },
    )
}

fn query() -> impl Strategy<Value = Query> {
    let topics = prop_oneof![
        Just(None),
        btree_set(prop::sample::select(&TOPICS[..]), 0..3)
            .prop_map(|topics| Some(topics.into_iter().map(str::to_owned).collect())),
    ];
    let range = (time(), time())
        .prop_map(|(one, other)| TimeRange { start: one.min(other), end: one.max(other) });
    let times = prop_oneof![Just(TimeRange::ALL), range];
    let accepts = prop_oneof![
        2 => Just(None),
        1 => Just(Some(vec![Compression::Lz4])),
        1 => Just(Some(vec![Compression::None, Compression::Zstd])),
    ];
    (topics, times, accepts).prop_map(|(topics, times, accepts)| Query {
        topics,
        times,
        has_start: true,
        accepts,
        ..Query::default()
    })
}

pub(crate) fn recording() -> impl Strategy<Value = Recording> {
    (vec(source(), 0..5), query())
        .prop_map(|(sources, query)| Recording { sources, query: Arc::new(query) })
}
