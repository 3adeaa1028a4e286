//! Recordings made up for tests: what each source holds, how it is written as MCAP, and what the
//! merge of all must be.

use std::collections::BTreeMap;
use std::io::Cursor;

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};
use proptest::prelude::*;

/// A message, with everything that must come out as it went in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) schema: Option<(String, Vec<u8>)>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) log_time: u64,
    pub(crate) publish_time: u64,
    pub(crate) sequence: u32,
    pub(crate) data: Vec<u8>,
}

/// Short: failures print hundreds of them.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let schema = self.schema.as_ref().map_or("-", |(name, _)| name);
        let (fill, length) = (self.data.first().unwrap_or(&0), self.data.len());
        write!(f, "{}:{schema}@{}#{} {fill}*{length}", self.topic, self.log_time, self.sequence)
    }
}

/// How a source is written.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) chunk_bytes: Option<u64>,
    pub(crate) compression: Option<Compression>,
    /// Added to every channel and schema id, so that ids of sources collide or differ.
    pub(crate) first_id: u16,
    pub(crate) is_static: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// In the order in which they are written.
    pub(crate) messages: Vec<Message>,
    pub(crate) shape: Shape,
}

impl Source {
    /// The source as an MCAP file.
    pub(crate) fn mcap(&self) -> Vec<u8> {
        let options = WriteOptions::new()
            .use_chunks(self.shape.chunk_bytes.is_some())
            .chunk_size(self.shape.chunk_bytes)
            .compression(self.shape.compression)
            .disable_seeking(true);
        let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
        let mut ids: Vec<(Message, u16)> = Vec::new();
        for message in &self.messages {
            let known = ids.iter().find(|(other, _)| {
                other.topic == message.topic
                    && other.schema == message.schema
                    && other.metadata == message.metadata
            });
            let id = match known {
                Some((_, id)) => *id,
                None => {
                    let id = self.shape.first_id + ids.len() as u16;
                    let schema = match &message.schema {
                        Some((name, data)) => {
                            writer.add_schema_with_id(id, name, "raw", data).unwrap();
                            id
                        }
                        None => 0,
                    };
                    writer
                        .add_channel_with_id(id, schema, &message.topic, "raw", &message.metadata)
                        .unwrap();
                    ids.push((message.clone(), id));
                    id
                }
            };
            let header = MessageHeader {
                channel_id: id,
                sequence: message.sequence,
                log_time: message.log_time,
                publish_time: message.publish_time,
            };
            writer.write_to_known_channel(&header, &message.data).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().into_inner()
    }

    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let times = self.messages.iter().map(|message| message.log_time);
        Some((times.clone().min()?, times.max()?))
    }
}

/// The stable merge: by time, then by the order of the sources, then by the original order.
pub(crate) fn merged(sources: &[Source]) -> Vec<Message> {
    let mut all: Vec<Message> =
        sources.iter().flat_map(|source| source.messages.iter().cloned()).collect();
    all.sort_by_key(|message| message.log_time);
    all
}

/// Sources of a few topics, with ties everywhere, disorder, overlaps and both ends of time.
pub(crate) fn sources() -> impl Strategy<Value = Vec<Source>> {
    prop::collection::vec(source(), 1..5)
}

fn source() -> impl Strategy<Value = Source> {
    let shape = (
        prop_oneof![
            Just(None),
            (32_u64..512).prop_map(Some),
            Just(Some(4096)),
            Just(Some(100 << 10)),
            Just(Some(1 << 20))
        ],
        prop_oneof![Just(None), Just(Some(Compression::Lz4)), Just(Some(Compression::Zstd))],
        prop_oneof![Just(1_u16), Just(2), Just(400)],
        any::<bool>(),
    );
    // Static files with tiny chunks are loaded whole: larger messages make larger chunks.
    let scale = prop_oneof![3 => Just(1_usize), 1 => Just(300)];
    let message = (0_u8..5, time(), any::<u64>(), any::<u32>(), 0_usize..300, any::<u8>());
    (shape, scale, prop::collection::vec(message, 0..60)).prop_map(
        |((chunk_bytes, compression, first_id, is_static), scale, messages)| Source {
            messages: messages
                .into_iter()
                .map(|(topic, log_time, publish_time, sequence, length, fill)| Message {
                    topic: format!("/t{}", topic % 3),
                    schema: (topic != 0).then(|| (format!("S{topic}"), vec![topic; 20])),
                    metadata: if topic == 4 {
                        BTreeMap::from([("frame".to_owned(), "map".to_owned())])
                    } else {
                        BTreeMap::new()
                    },
                    log_time,
                    publish_time,
                    sequence,
                    data: vec![fill; length * scale],
                })
                .collect(),
            shape: Shape { chunk_bytes, compression, first_id, is_static },
        },
    )
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..40, 2 => 1000_u64..1010, 1 => Just(0), 1 => Just(u64::MAX)]
}
