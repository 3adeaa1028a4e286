//! Spilled chunks: what an open chunk becomes when there is no room for it in memory.
//!
//! A run is a file of the chunk's messages in stable order of time: first the Message records, back
//! to back, then the table, one entry of [`ENTRY_BYTES`] for each. A reader takes a few entries at
//! a time, and of the records a window. This module says what lies where; reading and writing is
//! for others. What is read back is checked, since a file may be damaged.

use std::io;

use mcap::records::op;
use rdl_model::{ByteRange, Nanos};

use crate::open::OpenChunk;
use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES, parse_message, record_at};
use crate::{MessageEntry, MessageView};

/// Log time, offset of the record in the run, channel, and 16 bits of a checksum of these.
const ENTRY_BYTES: u64 = 16;
/// How much is handed out to be written at a time, about, in bytes.
const WRITTEN_AT_A_TIME: usize = 256 << 10;
/// One time of this many entries is kept in memory, to find the beginning of a range.
const ENTRIES_PER_MARK: usize = 1024;

/// Why a run cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spilled chunk is damaged: {0}")]
pub struct RunError(&'static str);

/// What is kept in memory of a spilled chunk.
#[derive(Clone, Debug)]
pub struct SortedRun {
    messages: usize,
    records_bytes: u64,
    /// The log time of every [`ENTRIES_PER_MARK`]th message.
    marks: Vec<Nanos>,
}

/// Of what comes before it in an entry.
fn check(entry: &[u8; ENTRY_BYTES as usize]) -> [u8; 2] {
    let [low, high, ..] = crc32fast::hash(&entry[..14]).to_le_bytes();
    [low, high]
}

impl OpenChunk {
    /// Hands out the bytes of a run of this chunk's messages, piece by piece.
    pub fn spill(&self, write: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<SortedRun> {
        let mut buffer = Vec::with_capacity(WRITTEN_AT_A_TIME);
        let mut put = |bytes: &[u8]| {
            if buffer.len() + bytes.len() > WRITTEN_AT_A_TIME && !buffer.is_empty() {
                write(&buffer)?;
                buffer.clear();
            }
            if bytes.len() >= WRITTEN_AT_A_TIME {
                return write(bytes);
            }
            buffer.extend_from_slice(bytes);
            Ok(())
        };
        let mut records_bytes = 0;
        for at in 0..self.len() {
            let record = self.record(at);
            records_bytes += record.len() as u64;
            put(record)?;
        }
        let mut offset = 0_u32;
        for (at, entry) in self.entries().iter().enumerate() {
            let mut bytes = [0; ENTRY_BYTES as usize];
            bytes[..8].copy_from_slice(&entry.log_time.0.to_le_bytes());
            bytes[8..12].copy_from_slice(&offset.to_le_bytes());
            bytes[12..14].copy_from_slice(&entry.channel.to_le_bytes());
            let check = check(&bytes);
            bytes[14..].copy_from_slice(&check);
            put(&bytes)?;
            // All records of an open chunk together are shorter than 4 GiB.
            offset = offset.wrapping_add(u32::try_from(self.record(at).len()).unwrap_or(u32::MAX));
        }
        if !buffer.is_empty() {
            write(&buffer)?;
        }
        let marks = self.entries().iter().step_by(ENTRIES_PER_MARK);
        Ok(SortedRun {
            messages: self.len(),
            records_bytes,
            marks: marks.map(|entry| entry.log_time).collect(),
        })
    }
}

impl SortedRun {
    /// A position in the table from which on everything is found that is not before `time`; the
    /// messages between it and the first such are few.
    pub fn shortly_before(&self, time: Nanos) -> usize {
        self.marks.partition_point(|mark| *mark < time).saturating_sub(1) * ENTRIES_PER_MARK
    }

    /// Where `count` entries of the table lie from position `from` on, or as many as there are.
    pub fn entries_range(&self, from: usize, count: usize) -> ByteRange {
        let from = from.min(self.messages);
        let count = count.min(self.messages - from) as u64;
        ByteRange::at(self.records_bytes + from as u64 * ENTRY_BYTES, count * ENTRY_BYTES)
    }

    /// The entries in bytes that were read where [`SortedRun::entries_range`] says.
    pub fn decode_entries(&self, bytes: &[u8]) -> Result<Vec<MessageEntry>, RunError> {
        let (entries, []) = bytes.as_chunks::<{ ENTRY_BYTES as usize }>() else {
            return Err(RunError("an entry of its table is cut off"));
        };
        let mut decoded: Vec<MessageEntry> = Vec::with_capacity(entries.len());
        for entry in entries {
            let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3, c0, c1, k0, k1] = *entry;
            if check(entry) != [k0, k1] {
                return Err(RunError("a checksum in its table is wrong"));
            }
            let entry = MessageEntry {
                log_time: Nanos(u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
                offset: u32::from_le_bytes([o0, o1, o2, o3]),
                channel: u16::from_le_bytes([c0, c1]),
            };
            let last = decoded.last();
            if last
                .is_some_and(|last| last.log_time > entry.log_time || last.offset >= entry.offset)
            {
                return Err(RunError("its table is not in order"));
            }
            if u64::from(entry.offset) >= self.records_bytes {
                return Err(RunError("its table names a message beyond its end"));
            }
            decoded.push(entry);
        }
        Ok(decoded)
    }

    /// How long the records are together, in bytes; they come first.
    pub fn records_bytes(&self) -> u64 {
        self.records_bytes
    }

    /// The record at the front of `bytes`, which were read at an entry's offset; `None` when it
    /// does not lie in them whole.
    pub fn message_in<'a>(&self, bytes: &'a [u8]) -> Result<Option<MessageView<'a>>, RunError> {
        match record_at(bytes, 0) {
            None => Ok(None),
            Some((op::MESSAGE, body)) => {
                parse_message(body).map(Some).map_err(|_| RunError("a message is malformed"))
            }
            Some(_) => Err(RunError("a record of it is no message")),
        }
    }

    /// How long the record is that begins with these bytes; `None` when its header is not there.
    pub fn record_bytes(&self, bytes: &[u8]) -> Option<u64> {
        let len: &[u8; 8] = bytes.get(1..)?.first_chunk()?;
        u64::from_le_bytes(*len).checked_add(RECORD_HEADER_BYTES as u64)
    }
}

/// The least that is read to see how long a record is, in bytes.
pub const LEAST_RECORD_BYTES: usize = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;

#[cfg(test)]
mod tests;
