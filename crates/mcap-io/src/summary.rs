//! Reading the summary of a static source from the end of its file.
//!
//! Nothing in it is believed to be true until the chunks were verified, but everything in it is
//! harmless: every offset lies within the data section, ranges do not overlap, channels have their
//! schemas, and sizes are held against limits. [`Summary::unfit`] says when the file is better
//! loaded like a streamed source.

mod unfit;

use std::collections::BTreeMap;
use std::sync::Arc;

use mcap::MAGIC;
use mcap::records::op;
use rdl_model::{ByteRange, ErrorKind, Nanos, TimeRange};

use crate::fields::{FieldError, Fields};
use crate::walk::{ParsedChannel, RECORD_HEADER_BYTES, parse_channel, parse_schema, record_at};
use crate::{ChannelRecord, Limits, SchemaDef};
pub use unfit::Unfit;

/// The footer record and the magic after it.
const FOOTER_BYTES: u64 = (RECORD_HEADER_BYTES + 8 + 8 + 4 + MAGIC.len()) as u64;
/// The data end record, which comes before the summary.
const DATA_END_BYTES: u64 = (RECORD_HEADER_BYTES + 4) as u64;
/// A larger summary is not kept in memory for reading ranges, whatever the limits say.
const LARGEST_SUMMARY_BYTES: u64 = 64 << 20;
/// The least size of a chunk record: all its fields, and no compression's name.
const LEAST_CHUNK_BYTES: u64 = (RECORD_HEADER_BYTES + 8 + 8 + 8 + 4 + 4 + 8) as u64;

/// A message index record without its entries: opcode, length, channel and the entries' size.
pub const EMPTY_INDEX_BYTES: u64 = (RECORD_HEADER_BYTES + 2 + 4) as u64;
/// Log time and offset.
const INDEX_ENTRY_BYTES: u64 = 8 + 8;

/// What a file says of itself at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its schemas, by id, those that no channel has too.
    pub schemas: BTreeMap<u16, Arc<SchemaDef>>,
    /// Its channels, by id.
    pub channels: BTreeMap<u16, Arc<ChannelRecord>>,
    /// Its chunks, in their order in the file; none overlap.
    pub chunks: Vec<SummaryChunk>,
    /// Its statistics, where it has any.
    pub statistics: Option<SummaryStatistics>,
    /// Its metadata records.
    pub metadata: Vec<SummaryMetadata>,
    /// Its attachments.
    pub attachments: Vec<SummaryAttachment>,
    /// Where the data section ends at the latest, in bytes from the start of the file.
    pub data_end: u64,
    /// What its schema and channel records take, in bytes.
    definition_bytes: u64,
}

/// A chunk as a summary claims it to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryChunk {
    /// The claimed least and greatest log time.
    pub times: TimeRange,
    /// The chunk record.
    pub record: ByteRange,
    /// The size of the message index records after it; 0 when there are none.
    pub message_index_bytes: u64,
    /// The name of its compression, known or not.
    pub compression: String,
    /// The claimed size of its records, compressed.
    pub compressed_bytes: u64,
    /// The claimed size of its records, uncompressed.
    pub uncompressed_bytes: u64,
    /// The channels that have a message index, ascending.
    pub channels: Vec<u16>,
    /// How many messages each of them has, by the sizes of the message index records; `None` where
    /// those do not lie one behind the other after the chunk.
    pub message_counts: Option<Vec<u32>>,
}

/// What a summary claims of the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryStatistics {
    /// How many messages.
    pub message_count: u64,
    /// How many attachments.
    pub attachment_count: u32,
    /// How many metadata records.
    pub metadata_count: u32,
    /// How many chunks.
    pub chunk_count: u32,
    /// The least log time; 0 without messages.
    pub start: Nanos,
    /// The greatest log time; 0 without messages.
    pub end: Nanos,
    /// How many messages, by channel.
    pub channel_message_counts: BTreeMap<u16, u64>,
}

/// Where a metadata record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryMetadata {
    /// The whole record.
    pub record: ByteRange,
    /// Its claimed name.
    pub name: String,
}

/// Where an attachment lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryAttachment {
    /// The whole record.
    pub record: ByteRange,
    /// Its claimed name.
    pub name: String,
    /// Its claimed media type.
    pub media_type: String,
    /// When it was logged, as claimed.
    pub log_time: Nanos,
    /// When it was created, as claimed.
    pub create_time: Nanos,
    /// The claimed size of its data, in bytes.
    pub data_bytes: u64,
}

/// How far [`read_summary`] came.
#[derive(Clone, Debug, PartialEq)]
pub enum SummaryStep {
    /// These bytes of the file, which lie right before the given tail, belong in front of it.
    NeedBytes(ByteRange),
    /// All there is to know; `None` when the file has no summary, or no end.
    Done(Option<Summary>),
}

/// Why a summary cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SummaryError {
    /// It cannot be parsed.
    #[error("its summary is malformed: {0}")]
    Malformed(String),
    /// Its checksum is wrong.
    #[error("the checksum of its summary is wrong")]
    WrongChecksum,
    /// It contradicts itself or the size of the file.
    #[error("its summary contradicts itself: {0}")]
    Contradiction(String),
    /// It is larger than allowed.
    #[error("its summary takes {bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The size allowed.
        limit_bytes: u64,
    },
}

impl SummaryError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Malformed(_) | Self::WrongChecksum | Self::Contradiction(_) => {
                ErrorKind::BadGateway
            }
        }
    }
}

/// Reads the summary of a file of `file_bytes` from its last bytes, `tail`.
///
/// May ask for more bytes, which then go in front of `tail`; asks at most twice.
pub fn read_summary(
    file_bytes: u64,
    tail: &[u8],
    limits: &Limits,
) -> Result<SummaryStep, SummaryError> {
    let tail_bytes = tail.len() as u64;
    let Some(tail_start) = file_bytes.checked_sub(tail_bytes) else {
        return Err(malformed("there are more bytes than the file has"));
    };
    let magic_bytes = MAGIC.len() as u64;
    let Some(footer_start) = file_bytes.checked_sub(FOOTER_BYTES).filter(|at| *at >= magic_bytes)
    else {
        return Ok(SummaryStep::Done(None));
    };
    if tail_start > footer_start {
        return Ok(SummaryStep::NeedBytes(ByteRange { start: footer_start, end: tail_start }));
    }
    let within = |at: u64| usize::try_from(at - tail_start).ok().and_then(|at| tail.get(at..));
    let footer = within(footer_start).unwrap_or_default();
    let Some(Footer { summary_start, offsets_start, crc }) = Footer::parse(footer) else {
        return Ok(SummaryStep::Done(None));
    };
    if summary_start == 0 {
        return Ok(SummaryStep::Done(None));
    }
    let data_end = summary_start.saturating_sub(DATA_END_BYTES);
    if data_end < magic_bytes || summary_start > footer_start {
        return Err(contradiction("it does not lie within the file"));
    }
    if offsets_start != 0 && !(summary_start..=footer_start).contains(&offsets_start) {
        return Err(contradiction("its offsets do not lie within it"));
    }
    let summary_bytes = footer_start - summary_start;
    let limit_bytes = limits.max_summary_bytes.min(LARGEST_SUMMARY_BYTES);
    if summary_bytes > limit_bytes {
        return Err(SummaryError::TooLarge { bytes: summary_bytes, limit_bytes });
    }
    if tail_start > summary_start {
        return Ok(SummaryStep::NeedBytes(ByteRange { start: summary_start, end: tail_start }));
    }
    let from_summary = within(summary_start).unwrap_or_default();
    let crc_at = from_summary.len() - MAGIC.len() - size_of::<u32>();
    // 0 means that the writer computed none (MCAP specification, "Footer").
    if crc != 0 && crc32fast::hash(&from_summary[..crc_at]) != crc {
        return Err(SummaryError::WrongChecksum);
    }
    let records = &from_summary[..from_summary.len() - footer.len()];
    let mut reader = Reader { data_end, ..Reader::default() };
    reader.read(records)?;
    reader.finish().map(|summary| SummaryStep::Done(Some(summary)))
}

struct Footer {
    summary_start: u64,
    offsets_start: u64,
    crc: u32,
}

impl Footer {
    /// Parses the footer record and the magic; `None` when they are not that.
    fn parse(bytes: &[u8]) -> Option<Footer> {
        let (opcode, body) = record_at(bytes, 0)?;
        let magic = &bytes[RECORD_HEADER_BYTES + body.len()..];
        if opcode != op::FOOTER || magic != MAGIC {
            return None;
        }
        let mut fields = Fields::new(body);
        let (summary_start, offsets_start) = (fields.u64().ok()?, fields.u64().ok()?);
        Some(Footer { summary_start, offsets_start, crc: fields.u32().ok()? })
    }
}

/// The summary as far as it is read.
#[derive(Default)]
struct Reader {
    data_end: u64,
    definition_bytes: u64,
    schemas: BTreeMap<u16, Arc<SchemaDef>>,
    /// Linked with their schemas at the end: the order of the records is free.
    channels: BTreeMap<u16, ParsedChannel>,
    chunks: Vec<SummaryChunk>,
    statistics: Option<SummaryStatistics>,
    metadata: Vec<SummaryMetadata>,
    attachments: Vec<SummaryAttachment>,
}

impl Reader {
    fn read(&mut self, records: &[u8]) -> Result<(), SummaryError> {
        let mut at = 0;
        while at < records.len() {
            let (opcode, body) = record_at(records, at)
                .ok_or_else(|| malformed(format!("the record at byte {at} is cut off")))?;
            self.record(opcode, body).map_err(|error| match error {
                RecordFault::Field(error) => {
                    malformed(format!("the record at byte {at} (opcode {opcode:#04x}): {error}"))
                }
                RecordFault::Wrong(what) => contradiction(what),
            })?;
            at += RECORD_HEADER_BYTES + body.len();
        }
        Ok(())
    }

    fn record(&mut self, opcode: u8, body: &[u8]) -> Result<(), RecordFault> {
        if matches!(opcode, op::SCHEMA | op::CHANNEL) {
            self.definition_bytes += (RECORD_HEADER_BYTES + body.len()) as u64;
        }
        match opcode {
            op::SCHEMA => {
                let (id, schema) = parse_schema(body)?;
                if self.schemas.get(&id).is_some_and(|known| **known != schema) {
                    return Err(wrong(format!("schema {id} is defined twice, differently")));
                }
                self.schemas.entry(id).or_insert_with(|| Arc::new(schema));
            }
            op::CHANNEL => {
                let channel = parse_channel(body)?;
                let id = channel.id;
                if self.channels.get(&id).is_some_and(|known| *known != channel) {
                    return Err(wrong(format!("channel {id} is defined twice, differently")));
                }
                self.channels.insert(id, channel);
            }
            op::STATISTICS => self.statistics = Some(parse_statistics(body)?),
            op::CHUNK_INDEX => self.chunk(body)?,
            op::METADATA_INDEX => {
                let mut fields = Fields::new(body);
                let record = self.range("a metadata record", fields.u64()?, fields.u64()?)?;
                self.metadata.push(SummaryMetadata { record, name: fields.text()?.to_owned() });
            }
            op::ATTACHMENT_INDEX => {
                let mut fields = Fields::new(body);
                let record = self.range("an attachment", fields.u64()?, fields.u64()?)?;
                let attachment = SummaryAttachment {
                    record,
                    log_time: Nanos(fields.u64()?),
                    create_time: Nanos(fields.u64()?),
                    data_bytes: fields.u64()?,
                    name: fields.text()?.to_owned(),
                    media_type: fields.text()?.to_owned(),
                };
                if attachment.data_bytes > record.len() {
                    return Err(wrong("an attachment is larger than its record"));
                }
                self.attachments.push(attachment);
            }
            _ => {}
        }
        Ok(())
    }

    fn chunk(&mut self, body: &[u8]) -> Result<(), RecordFault> {
        let mut fields = Fields::new(body);
        let times = TimeRange { start: Nanos(fields.u64()?), end: Nanos(fields.u64()?) };
        let record = self.range("a chunk", fields.u64()?, fields.u64()?)?;
        let index_offsets = fields.id_map()?;
        let message_index_bytes = fields.u64()?;
        let compression = fields.text()?.to_owned();
        let compressed_bytes = fields.u64()?;
        let uncompressed_bytes = fields.u64()?;
        let at = record.start;
        if times.start > times.end {
            return Err(wrong(format!("the chunk at byte {at} ends before it starts")));
        }
        let fixed_bytes = LEAST_CHUNK_BYTES.saturating_add(compression.len() as u64);
        if record.len().checked_sub(fixed_bytes).is_none_or(|room| room < compressed_bytes) {
            return Err(wrong(format!("the chunk at byte {at} is too short for its records")));
        }
        let indexes = ByteRange::at(record.end, message_index_bytes);
        let inside = |offset: &u64| (indexes.start..indexes.end).contains(offset);
        if indexes.end > self.data_end || !index_offsets.values().all(inside) {
            return Err(wrong(format!(
                "the message indexes of the chunk at byte {at} lie elsewhere"
            )));
        }
        let message_counts = message_counts(indexes, &index_offsets);
        self.chunks.push(SummaryChunk {
            times,
            record,
            message_index_bytes,
            compression,
            compressed_bytes,
            uncompressed_bytes,
            channels: index_offsets.into_keys().collect(),
            message_counts,
        });
        Ok(())
    }

    /// A record that must lie within the data section.
    fn range(&self, what: &str, offset: u64, len: u64) -> Result<ByteRange, RecordFault> {
        let end = offset.checked_add(len).filter(|end| *end <= self.data_end);
        match end {
            Some(end) if offset >= MAGIC.len() as u64 && len >= RECORD_HEADER_BYTES as u64 => {
                Ok(ByteRange { start: offset, end })
            }
            _ => Err(wrong(format!("{what} of {len} bytes at byte {offset} lies elsewhere"))),
        }
    }

    fn finish(mut self) -> Result<Summary, SummaryError> {
        self.chunks.sort_by_key(|chunk| chunk.record.start);
        self.check_overlaps()?;
        let mut channels = BTreeMap::new();
        for (id, mut parsed) in self.channels {
            if parsed.schema_id != 0 {
                let schema = self.schemas.get(&parsed.schema_id).ok_or_else(|| {
                    contradiction(format!("channel {id} names schema {}", parsed.schema_id))
                })?;
                parsed.def.schema = Some(schema.clone());
            }
            let schema_id = parsed.schema_id;
            let channel = ChannelRecord { id, schema_id, def: Arc::new(parsed.def) };
            channels.insert(id, Arc::new(channel));
        }
        let indexed = self.chunks.iter().flat_map(|chunk| &chunk.channels);
        let counted = self.statistics.iter().flat_map(|found| found.channel_message_counts.keys());
        if let Some(id) = indexed.chain(counted).find(|id| !channels.contains_key(id)) {
            return Err(contradiction(format!("channel {id} has messages and no definition")));
        }
        Ok(Summary {
            schemas: self.schemas,
            channels,
            chunks: self.chunks,
            statistics: self.statistics,
            metadata: self.metadata,
            attachments: self.attachments,
            data_end: self.data_end,
            definition_bytes: self.definition_bytes,
        })
    }

    fn check_overlaps(&self) -> Result<(), SummaryError> {
        let chunks = self
            .chunks
            .iter()
            .map(|chunk| (chunk.record.start, chunk.record.end + chunk.message_index_bytes));
        let metadata = self.metadata.iter().map(|found| (found.record.start, found.record.end));
        let attachments =
            self.attachments.iter().map(|found| (found.record.start, found.record.end));
        let mut ranges: Vec<(u64, u64)> = chunks.chain(metadata).chain(attachments).collect();
        ranges.sort_unstable();
        match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => Err(contradiction(format!("two records overlap at byte {}", pair[1].0))),
            None => Ok(()),
        }
    }
}

/// How many messages each channel has, ascending by channel, when the message index records fill
/// `indexes`, one behind the other.
fn message_counts(indexes: ByteRange, offsets: &BTreeMap<u16, u64>) -> Option<Vec<u32>> {
    let mut starts: Vec<u64> = offsets.values().copied().collect();
    starts.sort_unstable();
    if starts.first() != Some(&indexes.start) {
        return None;
    }
    let counts = offsets.values().map(|start| {
        let next = starts.partition_point(|other| other <= start);
        let end = starts.get(next).copied().unwrap_or(indexes.end);
        let entries = (end - start).checked_sub(EMPTY_INDEX_BYTES)?;
        (entries % INDEX_ENTRY_BYTES == 0).then_some(())?;
        u32::try_from(entries / INDEX_ENTRY_BYTES).ok()
    });
    counts.collect()
}

pub(crate) fn parse_statistics(body: &[u8]) -> Result<SummaryStatistics, FieldError> {
    let mut fields = Fields::new(body);
    let message_count = fields.u64()?;
    let (_schema_count, _channel_count) = (fields.u16()?, fields.u32()?);
    Ok(SummaryStatistics {
        message_count,
        attachment_count: fields.u32()?,
        metadata_count: fields.u32()?,
        chunk_count: fields.u32()?,
        start: Nanos(fields.u64()?),
        end: Nanos(fields.u64()?),
        channel_message_counts: fields.id_map()?,
    })
}

/// Reads the profile from the first bytes of a file: the magic and the header record.
pub fn read_header(front: &[u8]) -> Result<String, SummaryError> {
    let record = front
        .strip_prefix(MAGIC)
        .ok_or_else(|| malformed("the file does not start with the MCAP magic"))?;
    // The library's name, which comes last, may lie beyond `front`.
    let mut fields = Fields::new(record);
    let header = |error: FieldError| malformed(format!("the header: {error}"));
    if fields.u8().map_err(header)? != op::HEADER {
        return Err(malformed("the file does not start with a header"));
    }
    fields.u64().map_err(header)?;
    Ok(fields.text().map_err(header)?.to_owned())
}

enum RecordFault {
    Field(FieldError),
    Wrong(String),
}

impl From<FieldError> for RecordFault {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

fn wrong(what: impl Into<String>) -> RecordFault {
    RecordFault::Wrong(what.into())
}

fn malformed(what: impl Into<String>) -> SummaryError {
    SummaryError::Malformed(what.into())
}

fn contradiction(what: impl Into<String>) -> SummaryError {
    SummaryError::Contradiction(what.into())
}

#[cfg(test)]
mod tests;
