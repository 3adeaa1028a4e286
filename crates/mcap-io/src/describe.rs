//! What is true of a chunk: its descriptor and its message indexes.
//!
//! [`Tally`] counts messages as they are written or walked; whoever makes a [`ChunkDescriptor`]
//! makes it with this, from the messages themselves and never from what a header claims.

use std::collections::BTreeSet;

use mcap::records::op;
use rdl_model::{Nanos, TimeRange};

use crate::codec::ChunkError;
use crate::walk::{ChunkHeader, ChunkItem, ChunkItems, RECORD_HEADER_BYTES};
use crate::write::{ChunkHead, put_chunk_body, put_message_index, put_record};
use crate::{ChannelUse, ChunkDescriptor, Compression, Limits, StoredChunk};

/// The messages of one chunk, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    times: Option<TimeRange>,
    last: Nanos,
    disordered: bool,
    entries: Vec<TallyEntry>,
    /// Whether `entries` are in the order of the message indexes.
    sorted: bool,
    channel_records: BTreeSet<u16>,
    schema_records: BTreeSet<u16>,
}

#[derive(Debug)]
struct TallyEntry {
    log_time: Nanos,
    offset: u64,
    channel: u16,
}

/// What a descriptor says that the messages cannot tell.
pub(crate) struct Stored {
    pub(crate) compression: Compression,
    pub(crate) uncompressed_bytes: u64,
    pub(crate) crc: u32,
    pub(crate) record_bytes: u64,
    pub(crate) index_bytes: u64,
}

impl Tally {
    /// Counts a message that starts at `offset` in the uncompressed records.
    pub(crate) fn message(&mut self, channel: u16, log_time: Nanos, offset: usize) {
        let time = TimeRange { start: log_time, end: log_time };
        self.times = Some(self.times.map_or(time, |times| times.union(time)));
        self.disordered |= log_time < self.last;
        self.last = log_time;
        self.sorted = false;
        self.entries.push(TallyEntry { log_time, offset: offset as u64, channel });
    }

    pub(crate) fn channel_record(&mut self, id: u16) {
        self.channel_records.insert(id);
    }

    pub(crate) fn schema_record(&mut self, id: u16) {
        self.schema_records.insert(id);
    }

    pub(crate) fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The least and the greatest log time; `None` without messages.
    pub(crate) fn times(&self) -> Option<TimeRange> {
        self.times
    }

    /// The messages of each channel, ascending by id, in stable order of time.
    fn by_channel(&mut self) -> impl Iterator<Item = &[TallyEntry]> {
        if !self.sorted {
            // Sorted once a chunk, which costs less than finding the channel of each message.
            if self.disordered {
                self.entries.sort_by_key(|entry| (entry.channel, entry.log_time));
            } else {
                self.entries.sort_by_key(|entry| entry.channel);
            }
            self.sorted = true;
        }
        self.entries.chunk_by(|one, next| one.channel == next.channel)
    }

    /// What the MessageIndex records take, about, in bytes; more only with many channels.
    pub(crate) fn index_bytes(&self) -> usize {
        1024 + 16 * self.entries.len()
    }

    /// Appends the MessageIndex records, ascending by channel, entries in stable order of time.
    pub(crate) fn put_indexes(&mut self, out: &mut Vec<u8>) {
        for entries in self.by_channel() {
            let places = entries.iter().map(|entry| (entry.log_time.0, entry.offset));
            put_message_index(out, entries[0].channel, places);
        }
    }

    /// The descriptor; `None` without messages.
    pub(crate) fn descriptor(&mut self, stored: &Stored) -> Option<ChunkDescriptor> {
        let used = self.by_channel().map(|entries| ChannelUse {
            id: entries[0].channel,
            count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
            times: TimeRange {
                start: entries[0].log_time,
                end: entries[entries.len() - 1].log_time,
            },
        });
        let channels = used.collect();
        Some(ChunkDescriptor {
            times: self.times?,
            in_order: !self.disordered,
            message_count: self.count(),
            channels,
            channel_records: self.channel_records.iter().copied().collect(),
            schema_records: self.schema_records.iter().copied().collect(),
            compression: stored.compression,
            uncompressed_bytes: stored.uncompressed_bytes,
            crc: stored.crc,
            record_bytes: stored.record_bytes,
            index_bytes: stored.index_bytes,
        })
    }

    /// Forgets the messages and keeps the buffer.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.channel_records.clear();
        self.schema_records.clear();
        (self.times, self.last, self.disordered, self.sorted) = (None, Nanos::MIN, false, false);
    }
}

/// A decompressed chunk, described.
pub(crate) struct Described<'a> {
    /// `None` when it has no messages.
    pub(crate) descriptor: Option<ChunkDescriptor>,
    /// MessageIndex records, made anew.
    pub(crate) message_indexes: Vec<u8>,
    /// The bodies of the schema records inside, in their order.
    pub(crate) schemas: Vec<&'a [u8]>,
    /// The bodies of the channel records inside, in their order.
    pub(crate) channels: Vec<&'a [u8]>,
}

/// Describes a chunk record of `record_bytes` (opcode and length included) with this header and
/// these decompressed records.
pub(crate) fn describe<'a>(
    header: &ChunkHeader,
    record_bytes: u64,
    records: &'a [u8],
    limits: &Limits,
) -> Result<Described<'a>, ChunkError> {
    let mut tally = Tally::default();
    let (mut schemas, mut channels) = (Vec::new(), Vec::new());
    let id_of = |body: &[u8], offset: usize| match body.first_chunk() {
        Some(id) => Ok(u16::from_le_bytes(*id)),
        None => Err(ChunkError::damaged(format!("a record at byte {offset} has no id"))),
    };
    for item in ChunkItems::new(records, limits) {
        let (offset, item) = item?;
        match item {
            ChunkItem::Message(message) => tally.message(message.channel, message.log_time, offset),
            ChunkItem::Schema(body) => {
                tally.schema_record(id_of(body, offset)?);
                schemas.push(body);
            }
            ChunkItem::Channel(body) => {
                tally.channel_record(id_of(body, offset)?);
                channels.push(body);
            }
        }
    }
    let mut message_indexes = Vec::new();
    tally.put_indexes(&mut message_indexes);
    let descriptor = tally.descriptor(&Stored {
        compression: header.compression,
        uncompressed_bytes: records.len() as u64,
        // A CRC that the header gives was checked when the records were decompressed.
        crc: if header.crc == 0 { crc32fast::hash(records) } else { header.crc },
        record_bytes,
        index_bytes: message_indexes.len() as u64,
    });
    Ok(Described { descriptor, message_indexes, schemas, channels })
}

impl Described<'_> {
    /// The chunk in the form in which it is kept, and whether its header told the truth; `None`
    /// without messages. `body` is the body of the Chunk record, whose header this was made from.
    ///
    /// A header that tells the truth is kept to the byte. One that lies about times is written
    /// anew around the same compressed records.
    pub(crate) fn into_stored(
        self,
        header: &ChunkHeader,
        body: &[u8],
    ) -> Option<(StoredChunk, bool)> {
        let mut descriptor = self.descriptor?;
        let truthful = header.start == descriptor.times.start && header.end == descriptor.times.end;
        let mut bytes =
            Vec::with_capacity(RECORD_HEADER_BYTES + body.len() + self.message_indexes.len());
        put_record(&mut bytes, op::CHUNK, |out| {
            if truthful {
                out.extend_from_slice(body);
                return;
            }
            let head = ChunkHead {
                times: descriptor.times,
                uncompressed_bytes: descriptor.uncompressed_bytes,
                crc: descriptor.crc,
            };
            let records = &body[header.records.clone()];
            put_chunk_body(out, &head, header.compression, |out| out.extend_from_slice(records));
        });
        descriptor.record_bytes = bytes.len() as u64;
        bytes.extend_from_slice(&self.message_indexes);
        Some((StoredChunk { descriptor, bytes: bytes.into() }, truthful))
    }
}
