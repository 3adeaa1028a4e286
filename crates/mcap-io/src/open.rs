//! Opened chunks: what a merge takes messages from.

use std::sync::Arc;

use bytes::Bytes;
use mcap::records::op;
use rdl_model::Nanos;

use crate::codec::ChunkError;
use crate::walk::{
    ChunkHeader, ChunkItem, ChunkItems, MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES, parse_message,
    record_at,
};
use crate::{Limits, MessageView};

/// A decompressed chunk with a table of its messages in stable order of time.
///
/// Its CRC and the frame of every record in it were checked when it was opened.
#[derive(Clone, Debug)]
pub struct OpenChunk {
    records: Bytes,
    /// By log time; equal times in their order in the chunk.
    messages: Arc<[MessageEntry]>,
}

/// Where a message of an [`OpenChunk`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEntry {
    /// When it was logged.
    pub log_time: Nanos,
    /// Where its record starts in the uncompressed records; ascends in the original order.
    pub offset: u32,
    /// The id of its channel.
    pub channel: u16,
}

impl OpenChunk {
    /// Opens a chunk as it is kept: a whole Chunk record, and whatever comes after it.
    pub fn open(chunk_record: &Bytes, limits: &Limits) -> Result<OpenChunk, ChunkError> {
        let body = chunk_body(chunk_record)?;
        let header = ChunkHeader::parse(&body)?;
        OpenChunk::from_records(header.decompress(&body, limits)?, limits)
    }

    /// Opens a chunk whose uncompressed records are at hand.
    pub fn from_records(records: Bytes, limits: &Limits) -> Result<OpenChunk, ChunkError> {
        // Every offset below is less than this, so all of them fit.
        if u32::try_from(records.len()).is_err() {
            return Err(ChunkError::TooLarge {
                what: "a chunk",
                bytes: records.len() as u64,
                limit_bytes: u64::from(u32::MAX),
            });
        }
        let mut messages = Vec::new();
        for item in ChunkItems::new(&records, limits) {
            if let (offset, ChunkItem::Message(message)) = item? {
                messages.push(MessageEntry {
                    log_time: message.log_time,
                    offset: u32::try_from(offset).unwrap_or(u32::MAX),
                    channel: message.channel,
                });
            }
        }
        if !messages.is_sorted_by_key(|entry| entry.log_time) {
            messages.sort_by_key(|entry| entry.log_time);
        }
        Ok(OpenChunk { records, messages: messages.into() })
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Where the messages stand, in order of time.
    pub fn entries(&self) -> &Arc<[MessageEntry]> {
        &self.messages
    }

    /// Where message `i` in order of time stands. Panics when there is no such message.
    pub fn entry(&self, i: usize) -> MessageEntry {
        self.messages[i]
    }

    /// The whole record of message `i` in order of time.
    pub(crate) fn record(&self, i: usize) -> &[u8] {
        let offset = self.messages[i].offset as usize;
        let body = record_at(&self.records, offset).map_or(0, |(_, body)| body.len());
        &self.records[offset..offset + RECORD_HEADER_BYTES + body]
    }

    /// Message `i` in order of time. Panics when there is no such message.
    pub fn message(&self, i: usize) -> MessageView<'_> {
        let offset = self.messages[i].offset as usize;
        record_at(&self.records, offset)
            .and_then(|(_, body)| parse_message(body).ok())
            .expect("the record was parsed when the chunk was opened")
    }

    /// What it takes in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.records.len() + self.messages.len() * size_of::<MessageEntry>()
    }
}

/// The body of the Chunk record at the front of `record`.
pub(crate) fn chunk_body(record: &Bytes) -> Result<Bytes, ChunkError> {
    match record_at(record, 0) {
        Some((op::CHUNK, body)) => {
            Ok(record.slice(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + body.len()))
        }
        Some((opcode, _)) => {
            Err(ChunkError::Lies(format!("a record with opcode {opcode:#04x} is no chunk")))
        }
        None => Err(ChunkError::damaged("the chunk record is cut off")),
    }
}

/// What a chunk of this many uncompressed bytes takes at most when it is opened: its records, and
/// a table entry for each of the least messages that fit.
pub fn open_chunk_bound_bytes(uncompressed_bytes: u64) -> u64 {
    let least_message = (RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES) as u64;
    let entries = uncompressed_bytes / least_message;
    uncompressed_bytes.saturating_add(entries.saturating_mul(size_of::<MessageEntry>() as u64))
}
