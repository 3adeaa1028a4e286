//! Walking the records of a decompressed chunk, and reading a Chunk record's own header.
//!
//! Nothing is copied: records borrow from the chunk. The scanner, [`crate::OpenChunk`] and
//! [`crate::verify_chunk`] all see a chunk through this one reader.

use std::ops::Range;

use bytes::Bytes;
use mcap::records::op;
use rdl_model::Nanos;

use crate::codec::{self, ChunkError};
use crate::fields::{FieldError, Fields};
use crate::{ChannelDef, Compression, Limits, MessageView, SchemaDef};

/// Opcode and length, which come before every body.
pub(crate) const RECORD_HEADER_BYTES: usize = 9;
/// Channel, sequence, log time and publish time, which come before a message's data.
pub(crate) const MESSAGE_HEADER_BYTES: usize = 22;

/// A record inside a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkItem<'a> {
    /// A schema's body; see [`parse_schema`].
    Schema(&'a [u8]),
    /// A channel's body; see [`parse_channel`].
    Channel(&'a [u8]),
    /// A message.
    Message(MessageView<'a>),
}

/// The records of a decompressed chunk with their offsets in it. Unknown opcodes are skipped,
/// opcode 0 is an error. After an error there is nothing more.
pub(crate) struct ChunkItems<'a> {
    records: &'a [u8],
    at: usize,
    max_message_bytes: u64,
}

impl<'a> ChunkItems<'a> {
    pub(crate) fn new(records: &'a [u8], limits: &Limits) -> ChunkItems<'a> {
        ChunkItems { records, at: 0, max_message_bytes: limits.max_message_bytes }
    }

    fn item(&mut self) -> Result<Option<(usize, ChunkItem<'a>)>, ChunkError> {
        while self.at < self.records.len() {
            let offset = self.at;
            let (opcode, body) = record_at(self.records, offset)
                .ok_or_else(|| cut_off("a record", offset as u64, FieldError::CutOff))?;
            self.at = offset + RECORD_HEADER_BYTES + body.len();
            let item = match opcode {
                op::SCHEMA => ChunkItem::Schema(body),
                op::CHANNEL => ChunkItem::Channel(body),
                op::MESSAGE => {
                    let message = parse_message(body)
                        .map_err(|error| cut_off("a message", offset as u64, error))?;
                    check_message_bytes(message.data.len() as u64, self.max_message_bytes)?;
                    ChunkItem::Message(message)
                }
                // No record has it (MCAP specification, "Opcodes"): what follows is no record.
                0 => return Err(opcode_zero(offset as u64)),
                _ => continue,
            };
            return Ok(Some((offset, item)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for ChunkItems<'a> {
    type Item = Result<(usize, ChunkItem<'a>), ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.item().transpose();
        if matches!(item, Some(Err(_))) {
            self.at = self.records.len();
        }
        item
    }
}

pub(crate) fn cut_off(what: &str, offset: u64, error: FieldError) -> ChunkError {
    ChunkError::damaged(format!("{what} at byte {offset} of its records is malformed: {error}"))
}

pub(crate) fn opcode_zero(offset: u64) -> ChunkError {
    ChunkError::damaged(format!("a record at byte {offset} of its records has opcode 0"))
}

pub(crate) fn check_message_bytes(bytes: u64, limit_bytes: u64) -> Result<(), ChunkError> {
    if bytes > limit_bytes {
        return Err(ChunkError::TooLarge { what: "a message", bytes, limit_bytes });
    }
    Ok(())
}

/// The opcode and the body of the record that starts at `offset`; `None` when it is not all there.
pub(crate) fn record_at(bytes: &[u8], offset: usize) -> Option<(u8, &[u8])> {
    let mut fields = Fields::new(bytes.get(offset..)?);
    let opcode = fields.u8().ok()?;
    let len = fields.u64().ok()?;
    Some((opcode, fields.bytes(len).ok()?))
}

/// Parses the body of a Message record.
pub(crate) fn parse_message(body: &[u8]) -> Result<MessageView<'_>, FieldError> {
    let mut fields = Fields::new(body);
    Ok(MessageView {
        channel: fields.u16()?,
        sequence: fields.u32()?,
        log_time: Nanos(fields.u64()?),
        publish_time: Nanos(fields.u64()?),
        data: fields.rest(),
    })
}

/// Parses the body of a Schema record: its id and what it is.
pub(crate) fn parse_schema(body: &[u8]) -> Result<(u16, SchemaDef), FieldError> {
    let mut fields = Fields::new(body);
    let id = fields.u16()?;
    let def = SchemaDef {
        name: fields.text()?.to_owned(),
        encoding: fields.text()?.to_owned(),
        data: Bytes::copy_from_slice(fields.blob()?),
    };
    Ok((id, def))
}

/// A Channel record, its schema not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedChannel {
    pub(crate) id: u16,
    /// 0 when it has none.
    pub(crate) schema_id: u16,
    /// Its schema is `None`.
    pub(crate) def: ChannelDef,
}

/// Parses the body of a Channel record.
pub(crate) fn parse_channel(body: &[u8]) -> Result<ParsedChannel, FieldError> {
    let mut fields = Fields::new(body);
    Ok(ParsedChannel {
        id: fields.u16()?,
        schema_id: fields.u16()?,
        def: ChannelDef {
            topic: fields.text()?.to_owned(),
            message_encoding: fields.text()?.to_owned(),
            metadata: fields.text_map()?,
            schema: None,
        },
    })
}

/// What a Chunk record says of itself, and where its records lie in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    /// The claimed least log time.
    pub(crate) start: Nanos,
    /// The claimed greatest log time.
    pub(crate) end: Nanos,
    pub(crate) uncompressed_bytes: u64,
    /// Of the uncompressed records; 0 when there is none.
    pub(crate) crc: u32,
    pub(crate) compression: Compression,
    /// Where the compressed records lie in the body.
    pub(crate) records: Range<usize>,
}

impl ChunkHeader {
    /// Parses the body of a Chunk record.
    pub(crate) fn parse(body: &[u8]) -> Result<ChunkHeader, ChunkError> {
        Self::parse_start(body, body.len() as u64)
    }

    /// Parses the header in the first bytes of a body of `body_bytes`.
    pub(crate) fn parse_start(start: &[u8], body_bytes: u64) -> Result<ChunkHeader, ChunkError> {
        let malformed = |error| ChunkError::damaged(format!("its header is malformed: {error}"));
        let mut fields = Fields::new(start);
        let start_time = Nanos(fields.u64().map_err(malformed)?);
        let end = Nanos(fields.u64().map_err(malformed)?);
        let uncompressed_bytes = fields.u64().map_err(malformed)?;
        let crc = fields.u32().map_err(malformed)?;
        let name = fields.text().map_err(malformed)?;
        let compressed_bytes = fields.u64().map_err(malformed)?;
        let from = start.len() - fields.rest().len();
        let to = (from as u64).checked_add(compressed_bytes).filter(|to| *to <= body_bytes);
        let to = to.and_then(|to| usize::try_from(to).ok());
        let to = to.ok_or_else(|| malformed(FieldError::CutOff))?;
        let compression = Compression::from_mcap_name(name)
            .ok_or_else(|| ChunkError::UnknownCompression(name.chars().take(64).collect()))?;
        Ok(ChunkHeader {
            start: start_time,
            end,
            uncompressed_bytes,
            crc,
            compression,
            records: from..to,
        })
    }

    /// Decompresses the records, and checks their size and, where there is one, their CRC.
    /// `body` is the one that the header was parsed from.
    pub(crate) fn decompress(&self, body: &Bytes, limits: &Limits) -> Result<Bytes, ChunkError> {
        let data = body.slice(self.records.clone());
        let limit_bytes = limits.max_chunk_bytes;
        let records =
            codec::decompress(self.compression, &data, self.uncompressed_bytes, limit_bytes)?;
        // 0 means that the writer computed none (MCAP specification, "Chunk").
        if self.crc != 0 && crc32fast::hash(&records) != self.crc {
            return Err(ChunkError::damaged("its checksum is wrong"));
        }
        Ok(records)
    }
}
