//! The records of a chunk, as far as a manifest needs them.

use bytes::Bytes;
use mcap::records::{Record, op};
use rdl_mcap_io::{ChannelDef, SchemaDef};
use rdl_model::Nanos;

/// Opcode and length.
const HEADER_BYTES: usize = 1 + 8;
/// Channel and sequence number come before a message's log time.
const LOG_TIME_AT: usize = 2 + 4;

/// A record inside a chunk.
pub(super) enum ChunkRecord {
    /// A schema and its id.
    Schema(u16, SchemaDef),
    /// A channel, its id and that of its schema. The schema is not looked up.
    Channel(u16, u16, ChannelDef),
    /// A message of this channel and log time.
    Message(u16, Nanos),
}

/// The records of an uncompressed chunk, up to the first that is cut off. What cannot be read is
/// left out: the loader, which reads all of it, says so.
pub(super) fn records(chunk: &Bytes) -> impl Iterator<Item = ChunkRecord> {
    let mut rest: &[u8] = chunk;
    std::iter::from_fn(move || {
        loop {
            let (head, behind) = rest.split_first_chunk::<HEADER_BYTES>()?;
            let [opcode, length @ ..] = *head;
            let length = usize::try_from(u64::from_le_bytes(length)).ok()?;
            let (body, behind) = behind.split_at_checked(length)?;
            rest = behind;
            if let Some(record) = parse(opcode, body) {
                return Some(record);
            }
        }
    })
}

fn parse(opcode: u8, body: &[u8]) -> Option<ChunkRecord> {
    if opcode == op::MESSAGE {
        let channel = u16::from_le_bytes(*body.first_chunk()?);
        let time = body.get(LOG_TIME_AT..)?.first_chunk()?;
        return Some(ChunkRecord::Message(channel, Nanos(u64::from_le_bytes(*time))));
    }
    if !matches!(opcode, op::SCHEMA | op::CHANNEL) {
        return None;
    }
    match mcap::parse_record(opcode, body).ok()? {
        Record::Schema { header, data } => {
            let data = Bytes::copy_from_slice(&data);
            let def = SchemaDef { name: header.name, encoding: header.encoding, data };
            Some(ChunkRecord::Schema(header.id, def))
        }
        Record::Channel(channel) => {
            let def = ChannelDef {
                topic: channel.topic,
                message_encoding: channel.message_encoding,
                schema: None,
                metadata: channel.metadata,
            };
            Some(ChunkRecord::Channel(channel.id, channel.schema_id, def))
        }
        _ => None,
    }
}
