//! Writing records (MCAP specification, "Records"), each appended to a buffer.

use std::collections::BTreeMap;

use mcap::records::op;
use rdl_model::TimeRange;

use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::{ChannelRecord, Compression, MessageView, SchemaDef};

/// Appends a record whose body is what `body` appends.
pub(crate) fn put_record(out: &mut Vec<u8>, opcode: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(opcode);
    let length_at = out.len();
    put_u64(out, 0);
    let start = out.len();
    body(out);
    let len = (out.len() - start) as u64;
    out[length_at..start].copy_from_slice(&len.to_le_bytes());
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes after their 32-bit length.
pub(crate) fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    put_sized(out, |out| out.extend_from_slice(bytes));
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_blob(out, text.as_bytes());
}

/// Appends what `content` appends after its 32-bit length in bytes.
pub(crate) fn put_sized(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let length_at = out.len();
    put_u32(out, 0);
    let start = out.len();
    content(out);
    let len = u32::try_from(out.len() - start)
        .expect("texts, maps and schemas come from records that gave them a 32-bit length");
    out[length_at..start].copy_from_slice(&len.to_le_bytes());
}

pub(crate) fn put_text_map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    put_sized(out, |out| {
        for (key, value) in map {
            put_text(out, key);
            put_text(out, value);
        }
    });
}

pub(crate) fn put_header(out: &mut Vec<u8>, profile: &str, library: &str) {
    put_record(out, op::HEADER, |out| {
        put_text(out, profile);
        put_text(out, library);
    });
}

pub(crate) fn put_schema(out: &mut Vec<u8>, id: u16, schema: &SchemaDef) {
    put_record(out, op::SCHEMA, |out| {
        put_u16(out, id);
        put_text(out, &schema.name);
        put_text(out, &schema.encoding);
        put_blob(out, &schema.data);
    });
}

pub(crate) fn put_channel(out: &mut Vec<u8>, channel: &ChannelRecord) {
    put_record(out, op::CHANNEL, |out| {
        put_u16(out, channel.id);
        put_u16(out, channel.schema_id);
        put_text(out, &channel.def.topic);
        put_text(out, &channel.def.message_encoding);
        put_text_map(out, &channel.def.metadata);
    });
}

/// Appends `message` as one of `channel`, whatever its own channel is.
pub(crate) fn put_message(out: &mut Vec<u8>, channel: u16, message: &MessageView<'_>) {
    const HEAD_BYTES: usize = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;
    let body_bytes = (MESSAGE_HEADER_BYTES + message.data.len()) as u64;
    // All at once rather than field by field, for this is done for every message.
    let mut head = [0; HEAD_BYTES];
    head[0] = op::MESSAGE;
    head[1..9].copy_from_slice(&body_bytes.to_le_bytes());
    head[9..11].copy_from_slice(&channel.to_le_bytes());
    head[11..15].copy_from_slice(&message.sequence.to_le_bytes());
    head[15..23].copy_from_slice(&message.log_time.0.to_le_bytes());
    head[23..].copy_from_slice(&message.publish_time.0.to_le_bytes());
    out.reserve(HEAD_BYTES + message.data.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(message.data);
}

/// The first fields of a Chunk record.
pub(crate) struct ChunkHead {
    pub(crate) times: TimeRange,
    pub(crate) uncompressed_bytes: u64,
    pub(crate) crc: u32,
}

/// Appends the body of a Chunk record; `records` appends the compressed records.
pub(crate) fn put_chunk_body(
    out: &mut Vec<u8>,
    head: &ChunkHead,
    compression: Compression,
    records: impl FnOnce(&mut Vec<u8>),
) {
    put_u64(out, head.times.start.0);
    put_u64(out, head.times.end.0);
    put_u64(out, head.uncompressed_bytes);
    put_u32(out, head.crc);
    put_text(out, compression.mcap_name());
    let size_at = out.len();
    put_u64(out, 0);
    let start = out.len();
    records(out);
    let len = (out.len() - start) as u64;
    out[size_at..start].copy_from_slice(&len.to_le_bytes());
}

/// Appends a MessageIndex record; entries are (log time, offset in the uncompressed records).
pub(crate) fn put_message_index(
    out: &mut Vec<u8>,
    channel: u16,
    entries: impl ExactSizeIterator<Item = (u64, u64)>,
) {
    put_record(out, op::MESSAGE_INDEX, |out| {
        put_u16(out, channel);
        put_sized(out, |out| {
            out.reserve(16 * entries.len());
            for (log_time, offset) in entries {
                let mut entry = [0; 16];
                entry[..8].copy_from_slice(&log_time.to_le_bytes());
                entry[8..].copy_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&entry);
            }
        });
    });
}

pub(crate) fn put_data_end(out: &mut Vec<u8>, data_section_crc: u32) {
    put_record(out, op::DATA_END, |out| put_u32(out, data_section_crc));
}
