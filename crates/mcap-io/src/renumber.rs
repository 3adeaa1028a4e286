//! Chunks under other ids: where two sources give one number to different channels, the chunks of
//! one of them are laid out anew, uncompressed, since that size is known before they are read.
//!
//! Nothing moves within the records: an id takes the place of another. Only the checksum and the
//! compression change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mcap::records::op;

use crate::codec::ChunkError;
use crate::open::chunk_body;
use crate::walk::{ChunkHeader, RECORD_HEADER_BYTES, record_at};
use crate::write::{ChunkHead, put_chunk_body, put_record};
use crate::{ChannelRecord, ChunkDescriptor, Compression, Limits};

/// An opcode that readers skip (MCAP specification, "Opcodes": private records).
pub(crate) const PADDING: u8 = 0x80;
/// All fields of a Chunk record with its opcode and length, but for the compression's name and
/// the records.
pub(crate) const CHUNK_FRAME_BYTES: u64 = (RECORD_HEADER_BYTES + 8 + 8 + 8 + 4 + 4 + 8) as u64;

/// Which ids the schemas and channels of one source get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewIds {
    schemas: BTreeMap<u16, u16>,
    channels: BTreeMap<u16, u16>,
    /// The id of each channel's schema, by the old id of the channel.
    schemas_of_channels: BTreeMap<u16, u16>,
    /// The channels whose record changes: its own id, or that of its schema.
    changed: BTreeSet<u16>,
    is_identity: bool,
}

impl NewIds {
    /// From the new id of each schema, and the new record of each channel, by its old one.
    pub fn new<'a>(
        schemas: BTreeMap<u16, u16>,
        channels: impl IntoIterator<Item = (&'a ChannelRecord, &'a ChannelRecord)>,
    ) -> NewIds {
        let mut ids = NewIds { schemas, ..NewIds::default() };
        for (old, new) in channels {
            ids.channels.insert(old.id, new.id);
            ids.schemas_of_channels.insert(old.id, new.schema_id);
            if (old.id, old.schema_id) != (new.id, new.schema_id) {
                ids.changed.insert(old.id);
            }
        }
        ids.is_identity = ids.changed.is_empty() && ids.schemas.iter().all(|(old, new)| old == new);
        ids
    }

    /// Whether nothing changes at all.
    pub fn is_identity(&self) -> bool {
        self.is_identity
    }

    /// The new id of a channel.
    pub fn channel(&self, old: u16) -> Option<u16> {
        self.channels.get(&old).copied()
    }

    /// Whether a chunk is right as it is.
    pub fn keep(&self, chunk: &ChunkDescriptor) -> bool {
        chunk.channels.iter().all(|used| self.channel(used.id) == Some(used.id))
            && self.keep_definitions(chunk)
    }

    /// Whether the schema and channel records in a chunk are right as they are.
    pub fn keep_definitions(&self, chunk: &ChunkDescriptor) -> bool {
        let is_same = |id: &u16| self.channels.contains_key(id) && !self.changed.contains(id);
        chunk.channel_records.iter().all(is_same)
            && chunk.schema_records.iter().all(|id| self.schemas.get(id) == Some(id))
    }
}

/// What [`renumber_chunk`] makes of such a chunk. Its channels stay in their order, for that of the
/// message indexes stays.
pub fn renumbered(chunk: &ChunkDescriptor, ids: &NewIds) -> ChunkDescriptor {
    let mut chunk = chunk.clone();
    for used in &mut chunk.channels {
        used.id = ids.channel(used.id).unwrap_or(used.id);
    }
    chunk.compression = Compression::None;
    chunk.record_bytes = CHUNK_FRAME_BYTES.saturating_add(chunk.uncompressed_bytes);
    chunk
}

/// Puts a stored chunk, its message indexes included, under new ids.
///
/// A schema or channel record with an id of which nothing is known becomes padding.
pub fn renumber_chunk(stored: &Bytes, ids: &NewIds, limits: &Limits) -> Result<Bytes, ChunkError> {
    let body = chunk_body(stored)?;
    let header = ChunkHeader::parse(&body)?;
    let records = header.decompress(&body, limits)?;
    let mut records = records.try_into_mut().unwrap_or_else(|shared| (&shared[..]).into());
    renumber_records(&mut records, ids)?;
    let indexes = stored.slice(RECORD_HEADER_BYTES + body.len()..);
    let mut out = Vec::with_capacity(CHUNK_FRAME_BYTES as usize + records.len() + indexes.len());
    put_record(&mut out, op::CHUNK, |out| {
        let head = ChunkHead {
            times: rdl_model::TimeRange { start: header.start, end: header.end },
            uncompressed_bytes: records.len() as u64,
            crc: crc32fast::hash(&records),
        };
        put_chunk_body(out, &head, Compression::None, |out| out.extend_from_slice(&records));
    });
    let indexes_at = out.len();
    out.extend_from_slice(&indexes);
    renumber_indexes(&mut out[indexes_at..], ids)?;
    Ok(out.into())
}

fn renumber_records(records: &mut [u8], ids: &NewIds) -> Result<(), ChunkError> {
    let mut at = 0;
    while at < records.len() {
        let (opcode, body_bytes) = frame(records, at)?;
        let body = at + RECORD_HEADER_BYTES;
        let is_known = match opcode {
            op::MESSAGE => replace(records, body, &ids.channels),
            op::CHANNEL => match id_at(records, body) {
                Some(old) => {
                    replace(records, body, &ids.channels)
                        && put(records, body + 2, ids.schemas_of_channels.get(&old))
                }
                None => false,
            },
            op::SCHEMA => replace(records, body, &ids.schemas),
            _ => true,
        };
        match (is_known, opcode) {
            (true, _) => {}
            (false, op::MESSAGE) => {
                return Err(ChunkError::Lies("a message is of an unknown channel".into()));
            }
            (false, _) => records[at] = PADDING,
        }
        at = body + body_bytes;
    }
    Ok(())
}

fn renumber_indexes(indexes: &mut [u8], ids: &NewIds) -> Result<(), ChunkError> {
    let mut at = 0;
    while at < indexes.len() {
        let (opcode, body_bytes) = frame(indexes, at)?;
        let body = at + RECORD_HEADER_BYTES;
        if opcode != op::MESSAGE_INDEX || !replace(indexes, body, &ids.channels) {
            return Err(ChunkError::damaged("a message index is something else"));
        }
        at = body + body_bytes;
    }
    Ok(())
}

fn frame(records: &[u8], at: usize) -> Result<(u8, usize), ChunkError> {
    let (opcode, body) =
        record_at(records, at).ok_or_else(|| ChunkError::damaged("a record is cut off"))?;
    Ok((opcode, body.len()))
}

fn id_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|id| u16::from_le_bytes(*id))
}

/// Replaces the id at that place; whether its new one is known.
fn replace(bytes: &mut [u8], at: usize, ids: &BTreeMap<u16, u16>) -> bool {
    let new = id_at(bytes, at).and_then(|old| ids.get(&old));
    put(bytes, at, new)
}

/// Puts the id into that place; whether there is one, and a place.
fn put(bytes: &mut [u8], at: usize, id: Option<&u16>) -> bool {
    match (id, bytes.get_mut(at..at + 2)) {
        (Some(id), Some(place)) => {
            place.copy_from_slice(&id.to_le_bytes());
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample::{Message, channel};
    use crate::{ChunkBuilder, OpenChunk, verify_chunk};

    const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

    fn chunk(compression: Compression, channels: &[Arc<ChannelRecord>]) -> crate::StoredChunk {
        let mut builder = ChunkBuilder::new(compression);
        for channel in channels {
            if let Some(schema) = &channel.def.schema {
                builder.schema(channel.schema_id, schema);
            }
            builder.channel(channel);
            for n in 0..3 {
                builder.message(channel.id, &Message::new(0, 100 - n, "some data").view());
            }
        }
        builder.build().unwrap().unwrap()
    }

    #[test]
    fn a_chunk_under_new_ids_is_as_long_as_was_said_and_says_the_same() {
        let old = [channel(1, 1, "/a"), channel(2, 0, "/b"), channel(9, 4, "/c")];
        let new = [channel(7, 5, "/a"), channel(1, 0, "/b"), channel(9, 1, "/c")];
        let schemas = BTreeMap::from([(1, 5), (4, 1)]);
        let pairs = old.iter().zip(&new).map(|(old, new)| (&**old, &**new));
        let ids = NewIds::new(schemas, pairs);
        for compression in COMPRESSIONS {
            let stored = chunk(compression, &old);
            assert!(!ids.keep(&stored.descriptor));
            let laid = renumbered(&stored.descriptor, &ids);
            let made = renumber_chunk(&stored.bytes, &ids, &Limits::default()).unwrap();
            assert_eq!(made.len() as u64, laid.stored_bytes());
            let record_bytes = usize::try_from(laid.record_bytes).unwrap();
            let known = |id| new.iter().find(|channel| channel.id == id).cloned();
            let verified =
                verify_chunk(made.slice(..record_bytes), &known, &Limits::default()).unwrap();
            let verified = verified.unwrap();
            assert_eq!(verified.definitions.len(), 3);
            assert_eq!(verified.chunk.descriptor.times, laid.times);
            // Message indexes are in the old order, and have the same entries.
            let sorted = |indexes: &[u8]| {
                let mut records = Vec::new();
                let mut at = 0;
                while at < indexes.len() {
                    let (_, body) = record_at(indexes, at).unwrap();
                    records.push(body.to_vec());
                    at += RECORD_HEADER_BYTES + body.len();
                }
                records.sort();
                records
            };
            let whole = &verified.chunk.bytes[record_bytes..];
            assert_eq!(sorted(&made[record_bytes..]), sorted(whole));
            let (before, after) = (open(&stored.bytes), open(&made));
            for at in 0..before.len() {
                let (a, b) = (before.message(at), after.message(at));
                assert_eq!((a.log_time, a.sequence, a.data), (b.log_time, b.sequence, b.data));
                assert_eq!(ids.channel(a.channel), Some(b.channel));
            }
        }
    }

    fn open(bytes: &Bytes) -> OpenChunk {
        OpenChunk::open(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn what_nobody_knows_becomes_padding_and_a_message_of_it_an_error() {
        let old = [channel(1, 1, "/a"), channel(2, 2, "/b")];
        let mut builder = ChunkBuilder::new(Compression::Lz4);
        builder.schema(2, old[1].def.schema.as_ref().unwrap());
        builder.channel(&old[1]);
        builder.message(1, &Message::new(0, 5, "x").view());
        let stored = builder.build().unwrap().unwrap();
        let one = channel(3, 1, "/a");
        let ids = NewIds::new(BTreeMap::from([(1, 1)]), [(&*old[0], &*one)]);
        let made = renumber_chunk(&stored.bytes, &ids, &Limits::default()).unwrap();
        let record_bytes = renumbered(&stored.descriptor, &ids).record_bytes as usize;
        let known = |id| (id == 3).then(|| one.clone());
        let verified = verify_chunk(made.slice(..record_bytes), &known, &Limits::default());
        let descriptor = verified.unwrap().unwrap().chunk.descriptor;
        assert!(descriptor.channel_records.is_empty() && descriptor.schema_records.is_empty());
        let stored = chunk(Compression::Lz4, &old);
        assert!(renumber_chunk(&stored.bytes, &ids, &Limits::default()).is_err());
    }

    #[test]
    fn a_chunk_is_kept_when_neither_its_messages_nor_its_records_change() {
        let (a, b) = (channel(1, 1, "/a"), channel(2, 2, "/b"));
        let b_new = channel(2, 7, "/b");
        let ids = NewIds::new(BTreeMap::from([(1, 1), (2, 7)]), [(&*a, &*a), (&*b, &*b_new)]);
        assert!(!ids.is_identity());
        assert!(ids.keep(&chunk(Compression::Lz4, std::slice::from_ref(&a)).descriptor));
        assert!(
            !ids.keep(&chunk(Compression::Lz4, &[b]).descriptor),
            "its record has a new schema"
        );
        let mut builder = ChunkBuilder::new(Compression::Lz4);
        builder.message(2, &Message::new(0, 5, "x").view());
        assert!(ids.keep(&builder.build().unwrap().unwrap().descriptor), "it has no record");
        let same = NewIds::new(BTreeMap::from([(1, 1)]), [(&*a, &*a)]);
        assert!(same.is_identity());
        let unknown_schema = chunk(Compression::Lz4, &[channel(1, 9, "/a")]);
        assert!(!same.keep(&unknown_schema.descriptor));
    }
}
