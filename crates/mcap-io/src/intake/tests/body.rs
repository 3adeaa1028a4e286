//! Bodies to take in, and what must come of them, worked out the simplest way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mcap::records::op;
use proptest::collection::vec;
use proptest::prelude::*;
use rdl_model::{Nanos, TimeRange};

use crate::codec::Compressor;
use crate::write::{
    ChunkHead, put_channel, put_chunk_body, put_data_end, put_header, put_message, put_record,
    put_schema, put_sized, put_u16, put_u32, put_u64,
};
use crate::{
    AttachmentRecord, ChannelDef, ChannelRecord, Compression, MessageView, MetadataRecord,
    SchemaDef,
};

const MAGIC: &[u8] = b"\x89MCAP0\r\n";

/// A message as it must be served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) channel: Arc<ChannelDef>,
    pub(crate) sequence: u32,
    pub(crate) log_time: Nanos,
    pub(crate) publish_time: Nanos,
    pub(crate) data: Vec<u8>,
}

impl Truth {
    pub(crate) fn of(channel: &Arc<ChannelDef>, message: &MessageView<'_>) -> Truth {
        Truth {
            channel: channel.clone(),
            sequence: message.sequence,
            log_time: message.log_time,
            publish_time: message.publish_time,
            data: message.data.to_vec(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Schema(u16, SchemaDef),
    Channel(u16, u16, ChannelDef),
    Message { channel: u16, sequence: u32, log_time: u64, data: Vec<u8> },
    Chunk(Compression, Vec<Item>),
    Metadata(MetadataRecord),
    Attachment(AttachmentRecord),
    Unknown(u8, Vec<u8>),
}

impl Item {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Item::Schema(id, def) => put_schema(out, *id, def),
            Item::Channel(id, schema_id, def) => {
                let def = Arc::new(def.clone());
                put_channel(out, &ChannelRecord { id: *id, schema_id: *schema_id, def });
            }
            Item::Message { channel, sequence, log_time, data } => {
                put_message(out, *channel, &view(*channel, *sequence, *log_time, data));
            }
            Item::Chunk(compression, items) => put_chunk(out, *compression, items),
            Item::Metadata(metadata) => out.extend_from_slice(&metadata.to_record_bytes()),
            Item::Attachment(attachment) => out.extend_from_slice(&attachment.to_record_bytes()),
            Item::Unknown(opcode, body) => {
                put_record(out, *opcode, |out| out.extend_from_slice(body));
            }
        }
    }
}

fn view(channel: u16, sequence: u32, log_time: u64, data: &[u8]) -> MessageView<'_> {
    let publish_time = Nanos(log_time.wrapping_add(u64::from(sequence)));
    MessageView { channel, sequence, log_time: Nanos(log_time), publish_time, data }
}

pub(crate) fn put_chunk(out: &mut Vec<u8>, compression: Compression, items: &[Item]) {
    let mut records = Vec::new();
    items.iter().for_each(|item| item.put(&mut records));
    let times = items.iter().filter_map(|item| match item {
        Item::Message { log_time, .. } => Some(Nanos(*log_time)),
        _ => None,
    });
    let start = times.clone().min().unwrap_or_default();
    let head = ChunkHead {
        times: TimeRange { start, end: times.max().unwrap_or_default() },
        uncompressed_bytes: records.len() as u64,
        crc: crc32fast::hash(&records),
    };
    put_record(out, op::CHUNK, |out| {
        put_chunk_body(out, &head, compression, |out| {
            Compressor::default().compress(compression, &records, out).unwrap();
        });
    });
}

/// The whole body, with a summary that holds statistics.
pub(crate) fn write(items: &[Item]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_header(&mut out, "ros2", "test");
    items.iter().for_each(|item| item.put(&mut out));
    end(&mut out, items);
    out
}

fn end(out: &mut Vec<u8>, items: &[Item]) {
    let crc = crc32fast::hash(out);
    put_data_end(out, crc);
    let summary = out.len();
    let mut counts = BTreeMap::<u16, u64>::new();
    let mut times = Vec::new();
    let flat = flat(items);
    for item in &flat {
        if let Item::Message { channel, log_time, .. } = item {
            *counts.entry(*channel).or_default() += 1;
            times.push(*log_time);
        }
    }
    let count = |is: fn(&Item) -> bool| items.iter().filter(|item| is(item)).count() as u32;
    put_record(out, op::STATISTICS, |out| {
        put_u64(out, times.len() as u64);
        put_u16(out, 0);
        put_u32(out, counts.len() as u32);
        put_u32(out, count(|item| matches!(item, Item::Attachment(_))));
        put_u32(out, count(|item| matches!(item, Item::Metadata(_))));
        put_u32(out, count(|item| matches!(item, Item::Chunk(..))));
        put_u64(out, times.iter().min().copied().unwrap_or(0));
        put_u64(out, times.iter().max().copied().unwrap_or(0));
        put_sized(out, |out| {
            for (channel, count) in &counts {
                put_u16(out, *channel);
                put_u64(out, *count);
            }
        });
    });
    let footer = out.len();
    put_record(out, op::FOOTER, |out| {
        put_u64(out, summary as u64);
        put_u64(out, 0);
        put_u32(out, 0);
    });
    let crc = crc32fast::hash(&out[summary..footer + 25]);
    out[footer + 25..footer + 29].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(MAGIC);
}

/// The items without their chunks.
pub(crate) fn flat(items: &[Item]) -> Vec<Item> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Item::Chunk(_, items) => flat.extend_from_slice(items),
            item => flat.push(item.clone()),
        }
    }
    flat
}

/// The messages in the order of the body, and how many name no channel.
pub(crate) fn truth(items: &[Item]) -> (Vec<Truth>, u64) {
    let mut schemas = BTreeMap::new();
    let mut channels = BTreeMap::new();
    let (mut messages, mut lost) = (Vec::new(), 0);
    for item in flat(items) {
        match item {
            Item::Schema(id, def) => {
                schemas.insert(id, Arc::new(def));
            }
            Item::Channel(id, schema_id, def) => {
                let schema = schemas.get(&schema_id).cloned();
                channels.insert(id, Arc::new(ChannelDef { schema, ..def }));
            }
            Item::Message { channel, sequence, log_time, data } => match channels.get(&channel) {
                Some(def) => {
                    messages.push(Truth::of(def, &view(channel, sequence, log_time, &data)));
                }
                None => lost += 1,
            },
            _ => {}
        }
    }
    (messages, lost)
}

/// The same in ascending log time.
pub(crate) fn sorted(items: &[Item]) -> Vec<Truth> {
    let (mut messages, _) = truth(items);
    messages.sort_by_key(|message| message.log_time);
    messages
}

pub(crate) fn schema(n: u8) -> SchemaDef {
    SchemaDef {
        name: format!("schema {n}"),
        encoding: "protobuf".into(),
        data: Bytes::from(vec![n; usize::from(n)]),
    }
}

pub(crate) fn channel(n: u8) -> ChannelDef {
    ChannelDef {
        topic: format!("/{n}"),
        message_encoding: "protobuf".into(),
        schema: None,
        metadata: n
            .is_multiple_of(2)
            .then(|| ("n".to_owned(), n.to_string()))
            .into_iter()
            .collect(),
    }
}

pub(crate) fn message(channel: u16, log_time: u64, len: usize) -> Item {
    let sequence = (log_time as u32) ^ len as u32;
    let data = (0..len).map(|at| (at as u64 ^ log_time) as u8).collect();
    Item::Message { channel, sequence, log_time, data }
}

pub(crate) fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![Compression::None, Compression::Lz4, Compression::Zstd])
}

#[derive(Clone, Debug)]
enum Op {
    Schema(u16, u8),
    Channel(u16, u16, u8),
    /// Channel, how far time goes on and how far back this message lies, data length.
    Messages(u16, Vec<(u64, u64, usize)>),
    Metadata(u8),
    Attachment(u8),
    Unknown,
    /// How the chunk that begins here is compressed; `None`: loose records follow.
    Cut(Option<Compression>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let step = prop_oneof![3 => 0..3_u64, 1 => 0..60_u64];
    let back = prop_oneof![4 => Just(0), 2 => 0..30_u64, 1 => 0..200_u64];
    let len = prop_oneof![4 => 0..40_usize, 1 => 0..600_usize];
    let op = prop_oneof![
        1 => (0..4_u16, 0..3_u8).prop_map(|(id, n)| Op::Schema(id, n)),
        2 => (0..4_u16, 0..4_u16, 0..4_u8).prop_map(|(id, schema, n)| Op::Channel(id, schema, n)),
        8 => (0..4_u16, vec((step, back, len), 1..12)).prop_map(|(id, of)| Op::Messages(id, of)),
        1 => (0..3_u8).prop_map(Op::Metadata),
        1 => (0..3_u8).prop_map(Op::Attachment),
        1 => Just(Op::Unknown),
        4 => prop::option::of(compressions()).prop_map(Op::Cut),
    ];
    vec(op, 0..40)
}

/// Any body that is well-formed record by record: loose messages, chunks of any size and
/// compression, empty ones, disorder, ids defined late, twice, anew or never.
pub(crate) fn items() -> impl Strategy<Value = Vec<Item>> {
    (ops(), any::<bool>()).prop_map(|(ops, defined_first)| {
        let mut items = Vec::new();
        let mut open: Option<(Compression, Vec<Item>)> = None;
        let mut now = 500;
        if defined_first {
            items.extend((1..4).map(|id| Item::Schema(id, schema(id as u8))));
            items.extend((0..4).map(|id| Item::Channel(id, id, channel(id as u8))));
        }
        for op in ops {
            let mut inside = Vec::new();
            let mut outside = None;
            match op {
                Op::Schema(id, n) => inside.push(Item::Schema(id.max(1), schema(n))),
                Op::Channel(id, schema_id, n) => {
                    inside.push(Item::Channel(id, schema_id, channel(n)));
                }
                Op::Messages(id, steps) => {
                    for (step, back, len) in steps {
                        now += step;
                        inside.push(message(id, now - back, len));
                    }
                }
                Op::Metadata(n) => outside = Some(metadata(n)),
                Op::Attachment(n) => outside = Some(attachment(n)),
                Op::Unknown => inside.push(Item::Unknown(0x93, vec![1, 2, 3])),
                Op::Cut(next) => {
                    items.extend(open.take().map(|(how, items)| Item::Chunk(how, items)));
                    open = next.map(|how| (how, Vec::new()));
                }
            }
            match &mut open {
                Some((_, open)) => open.extend(inside),
                None => items.extend(inside),
            }
            items.extend(outside);
        }
        items.extend(open.map(|(how, items)| Item::Chunk(how, items)));
        items
    })
}

pub(crate) fn metadata(n: u8) -> Item {
    let metadata = [("n".to_owned(), n.to_string())].into();
    Item::Metadata(MetadataRecord { name: format!("metadata {n}"), metadata })
}

pub(crate) fn attachment(n: u8) -> Item {
    Item::Attachment(AttachmentRecord {
        name: format!("attachment {n}"),
        media_type: "text/plain".into(),
        log_time: Nanos(u64::from(n)),
        create_time: Nanos(0),
        data: vec![n; 50].into(),
    })
}

/// The same data in other chunks: definitions, messages and loose records keep their order within
/// their kind.
pub(crate) fn rechunked(items: &[Item], size: usize, how: Compression) -> Vec<Item> {
    let is_data = |item: &Item| {
        matches!(
            item,
            Item::Schema(..) | Item::Channel(..) | Item::Message { .. } | Item::Unknown(..)
        )
    };
    let (data, loose): (Vec<Item>, Vec<Item>) = flat(items).into_iter().partition(is_data);
    let chunks = data.chunks(size).map(|items| Item::Chunk(how, items.to_vec()));
    chunks.chain(loose).collect()
}
