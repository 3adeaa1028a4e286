//! Bytes in, records out: the top-level records of an MCAP body, however it is split.
//!
//! The first room of a streamed source. [`Scanner`] frames records, checks magic, lengths and
//! checksums, and opens chunks; what the records mean for each other is [`crate::Intake`]'s
//! business.
//!
//! Invariants: any split of the input gives the same events, but for records that are too large for
//! memory, whose parts come as they arrive. Every length is held against its
//! limit before the bytes are waited for. What is not needed (indexes, unknown opcodes, attachments
//! that are too large) is skipped as it arrives and takes no memory. [`ScanEvent::End`] comes only
//! after the footer and the end magic.

mod event;
mod framing;
mod records;

use bytes::Bytes;
use mcap::records::op;
use rdl_model::{Problem, ProblemCode};

pub use self::event::{RecordPart, ScanError, ScanEvent, ScannedChunk, ScannedMessage};
use self::framing::Framer;
pub use self::records::ChunkRecord;
use crate::fields::{FieldError, Fields};
use crate::summary::parse_statistics;
use crate::walk::{
    ChunkHeader, MESSAGE_HEADER_BYTES, ParsedChannel, RECORD_HEADER_BYTES, parse_channel,
    parse_message, parse_schema,
};
use crate::{AttachmentRecord, ChunkError, Limits, MetadataRecord, RecordError};

/// What stands for a chunk's length until it is known. Who finds it meets what a writer left that
/// died before it closed its last chunk.
const UNFINISHED_LENGTH: u64 = u64::MAX;

/// Where the uncompressed size of a chunk ends, counted from the front of its record.
const CHUNK_SIZE_END: usize = RECORD_HEADER_BYTES + 8 + 8 + 8;

/// Comes first and last in every file.
const MAGIC: &[u8; 8] = b"\x89MCAP0\r\n";
/// The bytes of the footer that the summary's checksum covers: all but that checksum.
const FOOTER_COVERED_BYTES: usize = RECORD_HEADER_BYTES + 16;

/// No attachment is that large; such a length is forged.
const MAX_SKIPPED_ATTACHMENT_BYTES: u64 = 1 << 40;

enum Section {
    Start,
    Data,
    Summary { start: u64 },
    EndMagic,
    Done,
}

/// What is skipped as it arrives.
struct Skipping {
    left_bytes: u64,
    /// Comes when all of it has passed.
    then: Option<ScanEvent>,
}

/// What is given out as it arrives.
#[derive(Clone, Copy)]
struct Large {
    chunk: Option<u64>,
    position: u64,
    record_bytes: u64,
    given_bytes: u64,
}

/// Reads the records of one MCAP body. Push bytes, then take events until there is none.
pub struct Scanner {
    limits: Limits,
    framer: Framer,
    section: Section,
    skipping: Option<Skipping>,
    large: Option<Large>,
    header_seen: bool,
    chunks: u64,
    /// Where the record starts that was begun last.
    record_start: u64,
    /// Where the data section ended.
    data_end: Option<u64>,
    /// A problem that comes after the event that was given last.
    queued: Option<ScanEvent>,
    /// Once it has failed it stays so.
    failed: Option<ScanError>,
}

impl Scanner {
    /// A scanner at the first byte of a body.
    pub fn new(limits: Limits) -> Scanner {
        Scanner {
            limits,
            framer: Framer::default(),
            section: Section::Start,
            skipping: None,
            large: None,
            header_seen: false,
            chunks: 0,
            record_start: 0,
            data_end: None,
            queued: None,
            failed: None,
        }
    }

    /// Gives it the next bytes.
    pub fn push(&mut self, bytes: Bytes) {
        self.framer.push(bytes);
    }

    /// What it holds in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.framer.memory_bytes()
    }

    /// How long the record is that is arriving, with the uncompressed records of a chunk, in bytes.
    pub(crate) fn incoming_bytes(&mut self) -> u64 {
        let passes_on = self.skipping.is_some() || self.large.is_some();
        if passes_on || !matches!(self.section, Section::Data) {
            return 0;
        }
        let Some([opcode, len @ ..]) = self.framer.peek::<RECORD_HEADER_BYTES>() else { return 0 };
        let len = u64::from_le_bytes(len).min(self.limits.max_chunk_bytes);
        let uncompressed_bytes = match opcode {
            op::CHUNK => self.declared_bytes().unwrap_or(0).min(self.limits.max_chunk_bytes),
            _ => 0,
        };
        let goes_elsewhere = matches!(opcode, op::CHUNK | op::MESSAGE)
            && len.max(uncompressed_bytes) > self.limits.large_chunk_bytes;
        if goes_elsewhere { 0 } else { len.saturating_add(uncompressed_bytes) }
    }

    /// How much has to arrive before the chunk that is arriving can be looked at, in bytes; 0 where
    /// whatever comes next brings it on.
    pub(crate) fn missing_bytes(&mut self) -> u64 {
        let Some([op::CHUNK, len @ ..]) = self.framer.peek::<RECORD_HEADER_BYTES>() else {
            return 0;
        };
        if self.incoming_bytes() == 0 {
            return 0;
        }
        let record_bytes = u64::from_le_bytes(len).saturating_add(RECORD_HEADER_BYTES as u64);
        record_bytes.saturating_sub(self.framer.waiting_bytes() as u64)
    }

    /// The uncompressed size that the chunk declares which comes next; `None` until it has arrived.
    fn declared_bytes(&mut self) -> Option<u64> {
        let start = self.framer.peek::<CHUNK_SIZE_END>()?;
        start.last_chunk().copied().map(u64::from_le_bytes)
    }

    /// Takes out the bytes of the record that is arriving; see [`Scanner::swap_in`].
    pub(crate) fn swap_out(&mut self) -> Bytes {
        self.framer.swap_out()
    }

    /// Puts back what [`Scanner::swap_out`] took, before anything else is pushed.
    pub(crate) fn swap_in(&mut self, bytes: Bytes) {
        self.framer.swap_in(bytes);
    }

    /// The next event; `None` when it needs more bytes, or the end was reached.
    pub fn next_event(&mut self) -> Result<Option<ScanEvent>, ScanError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let event = self.advance();
        if let Err(error) = &event {
            self.failed = Some(error.clone());
        }
        event
    }

    /// Where the data section's last record ends of those that have arrived whole and were read, in
    /// bytes from the start of the body: what lies before it makes a body, once it gets an end.
    pub fn intact_bytes(&self) -> u64 {
        match self.data_end {
            Some(end) => end,
            None if !self.header_seen => 0,
            None if self.failed.is_some() || self.skipping.is_some() || self.large.is_some() => {
                self.record_start
            }
            None => self.framer.position(),
        }
    }

    /// Whether the end magic was met.
    pub fn is_complete(&self) -> bool {
        matches!(self.section, Section::Done)
    }

    /// Ends the body; [`ScanError::Truncated`] unless it is complete.
    pub fn finish(&mut self) -> Result<(), ScanError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.is_complete() => Ok(()),
            None => Err(ScanError::Truncated { position: self.framer.arrived_bytes() }),
        }
    }

    fn advance(&mut self) -> Result<Option<ScanEvent>, ScanError> {
        loop {
            if let Some(event) = self.queued.take() {
                return Ok(Some(event));
            }
            if let Some(skipping) = &mut self.skipping {
                skipping.left_bytes -= self.framer.skip(skipping.left_bytes);
                if skipping.left_bytes > 0 {
                    return Ok(None);
                }
                self.queued = self.skipping.take().and_then(|skipping| skipping.then);
                continue;
            }
            if let Some(large) = self.large {
                return Ok(self.part(large));
            }
            match self.section {
                Section::Start => {
                    let Some(magic) = self.framer.take(MAGIC.len()) else { return Ok(None) };
                    if magic != MAGIC[..] {
                        return Err(malformed(0, "there is no MCAP magic"));
                    }
                    self.section = Section::Data;
                }
                Section::Data | Section::Summary { .. } => match self.record()? {
                    Step::Event(event) => return Ok(Some(event)),
                    Step::Nothing => {}
                    Step::NeedsBytes => return Ok(None),
                },
                Section::EndMagic => {
                    let position = self.framer.position();
                    let Some(magic) = self.framer.take(MAGIC.len()) else { return Ok(None) };
                    if magic != MAGIC[..] {
                        return Err(malformed(position, "there is no end magic after the footer"));
                    }
                    self.section = Section::Done;
                    return Ok(Some(ScanEvent::End));
                }
                Section::Done if self.framer.is_empty() => return Ok(None),
                Section::Done => {
                    let position = self.framer.position();
                    return Err(malformed(position, "there is something after the end magic"));
                }
            }
        }
    }

    /// Takes one record, or starts to skip it.
    fn record(&mut self) -> Result<Step, ScanError> {
        let position = self.framer.position();
        self.record_start = position;
        let Some(head) = self.framer.peek::<RECORD_HEADER_BYTES>() else {
            return Ok(Step::NeedsBytes);
        };
        let [opcode, len @ ..] = head;
        let len = u64::from_le_bytes(len);
        if !self.header_seen && opcode != op::HEADER {
            return Err(malformed(position, "the first record is not a header"));
        }
        let in_summary = match self.section {
            Section::Summary { start } => {
                let bytes = (position - start).saturating_add(len);
                let limit_bytes = self.limits.max_summary_bytes;
                check(position, "the summary section", bytes, limit_bytes)?;
                true
            }
            _ => false,
        };
        let wanted = match (opcode, in_summary) {
            (0, _) => return Err(malformed(position, "opcode 0, which no record has,")),
            (op::FOOTER | op::STATISTICS, _) => true,
            (op::MESSAGE | op::CHUNK | op::ATTACHMENT | op::METADATA | op::DATA_END, true) => {
                let what =
                    format!("a record of the data section (opcode {opcode:#04x}) after its end");
                return Err(malformed(position, what));
            }
            (op::ATTACHMENT, false) if len > self.limits.max_attachment_bytes => {
                check(position, "the attachment", len, MAX_SKIPPED_ATTACHMENT_BYTES)?;
                self.queued = Some(ScanEvent::AttachmentLeftOut);
                let what = format!(
                    "the attachment at byte {position} has {len} bytes, more than the {} that are kept; it is left out",
                    self.limits.max_attachment_bytes
                );
                let problem = Problem::new(ProblemCode::AttachmentTooLarge, what);
                self.skip(len, Some(ScanEvent::Problem(problem)));
                return Ok(Step::Nothing);
            }
            (
                op::HEADER
                | op::SCHEMA
                | op::CHANNEL
                | op::MESSAGE
                | op::CHUNK
                | op::ATTACHMENT
                | op::METADATA
                | op::DATA_END,
                false,
            ) => true,
            _ => false,
        };
        let (what, limit_bytes) = match opcode {
            op::CHUNK => ("the chunk", self.limits.max_chunk_bytes),
            op::ATTACHMENT => ("the attachment", self.limits.max_attachment_bytes),
            op::MESSAGE => {
                let limit_bytes = self.limits.max_message_bytes;
                ("the message", limit_bytes.saturating_add(MESSAGE_HEADER_BYTES as u64))
            }
            _ if wanted => ("the record", self.limits.max_message_bytes),
            _ => ("the record", self.limits.max_chunk_bytes),
        };
        if opcode == op::CHUNK && len == UNFINISHED_LENGTH {
            return Err(ScanError::Truncated { position });
        }
        check(position, what, len, limit_bytes)?;
        if !wanted {
            self.skip(len, None);
            return Ok(Step::Nothing);
        }
        if matches!(opcode, op::CHUNK | op::MESSAGE) {
            let Some(is_large) = self.is_large(position, opcode, len)? else {
                return Ok(Step::NeedsBytes);
            };
            if is_large {
                self.begin_large(position, opcode, len);
                return Ok(Step::Nothing);
            }
        }
        let too_large = |_| ScanError::TooLarge { position, what, bytes: len, limit_bytes };
        let record_bytes = usize::try_from(len).map_err(too_large)? + RECORD_HEADER_BYTES;
        let crc = match opcode {
            op::DATA_END | op::FOOTER => Some(self.framer.crc()),
            _ => None,
        };
        let Some(record) = self.framer.take(record_bytes) else { return Ok(Step::NeedsBytes) };
        match (opcode, crc) {
            (op::DATA_END, Some(crc)) => Ok(self.data_end(&record, crc)),
            (op::FOOTER, Some(crc)) => self.footer(position, &record, crc),
            _ => self.parsed(position, opcode, record).map(Step::Event),
        }
    }

    /// Whether a chunk or message of this length is given out in parts; `None` until that is known.
    fn is_large(&mut self, position: u64, opcode: u8, len: u64) -> Result<Option<bool>, ScanError> {
        let limit_bytes = self.limits.large_chunk_bytes;
        let declares = opcode == op::CHUNK && len >= (CHUNK_SIZE_END - RECORD_HEADER_BYTES) as u64;
        if !declares {
            return Ok(Some(len > limit_bytes));
        }
        let Some(declared_bytes) = self.declared_bytes() else { return Ok(None) };
        check(position, "a chunk", declared_bytes, self.limits.max_chunk_bytes)?;
        Ok(Some(len.max(declared_bytes) > limit_bytes))
    }

    fn begin_large(&mut self, position: u64, opcode: u8, len: u64) {
        let chunk = (opcode == op::CHUNK).then(|| {
            self.chunks += 1;
            self.chunks
        });
        let record_bytes = len.saturating_add(RECORD_HEADER_BYTES as u64);
        self.large = Some(Large { chunk, position, record_bytes, given_bytes: 0 });
    }

    fn part(&mut self, large: Large) -> Option<ScanEvent> {
        let Large { chunk, position, record_bytes, given_bytes: offset } = large;
        let bytes = self.framer.take_some(record_bytes - offset)?;
        let given_bytes = offset + bytes.len() as u64;
        self.large = (given_bytes < record_bytes).then_some(Large { given_bytes, ..large });
        Some(ScanEvent::Part(RecordPart { chunk, position, record_bytes, offset, bytes }))
    }

    /// Skips a record whose body is `len` long.
    fn skip(&mut self, len: u64, then: Option<ScanEvent>) {
        let left_bytes = len.saturating_add(RECORD_HEADER_BYTES as u64);
        self.skipping = Some(Skipping { left_bytes, then });
    }

    fn parsed(&mut self, position: u64, opcode: u8, record: Bytes) -> Result<ScanEvent, ScanError> {
        let body = record.slice(RECORD_HEADER_BYTES..);
        let event = match opcode {
            op::CHUNK => return self.chunk(position, record, &body),
            op::HEADER => {
                let first = !std::mem::replace(&mut self.header_seen, true);
                header(&body, first)
            }
            op::SCHEMA => parse_schema(&body).map(|(id, def)| ScanEvent::Schema { id, def }),
            op::CHANNEL => parse_channel(&body).map(|ParsedChannel { id, schema_id, def }| {
                ScanEvent::Channel { id, schema_id, def }
            }),
            op::MESSAGE => match parse_message(&body) {
                Ok(message) => {
                    let data = body.slice_ref(message.data);
                    return Ok(ScanEvent::Message(ScannedMessage {
                        channel: message.channel,
                        sequence: message.sequence,
                        log_time: message.log_time,
                        publish_time: message.publish_time,
                        data,
                    }));
                }
                Err(error) => {
                    let problem = malformed_record("a message", position, &error);
                    return Ok(ScanEvent::LeftOut { problem, record });
                }
            },
            op::METADATA => match MetadataRecord::parse(&body) {
                Ok(metadata) => return Ok(ScanEvent::Metadata(metadata)),
                Err(error) => return Ok(ScanEvent::Problem(record_problem(position, &error))),
            },
            op::ATTACHMENT => match AttachmentRecord::from_record_bytes(&record) {
                Ok(attachment) => return Ok(ScanEvent::Attachment(attachment)),
                Err(error) => {
                    self.queued = Some(ScanEvent::Problem(record_problem(position, &error)));
                    return Ok(ScanEvent::AttachmentLeftOut);
                }
            },
            _ => parse_statistics(&body).map(ScanEvent::Statistics),
        };
        Ok(event.unwrap_or_else(|error| {
            ScanEvent::Problem(malformed_record(&format!("opcode {opcode:#04x}"), position, &error))
        }))
    }

    fn chunk(
        &mut self,
        position: u64,
        record: Bytes,
        body: &Bytes,
    ) -> Result<ScanEvent, ScanError> {
        self.chunks += 1;
        let ordinal = self.chunks;
        let opened = ChunkHeader::parse(body)
            .and_then(|header| Ok((header.decompress(body, &self.limits)?, header)));
        match opened {
            Ok((records, header)) => {
                Ok(ScanEvent::Chunk(ScannedChunk { ordinal, position, record, records, header }))
            }
            Err(ChunkError::Damaged(why) | ChunkError::Lies(why)) => {
                Ok(ScanEvent::LeftOut { problem: damaged_chunk(ordinal, position, &why), record })
            }
            Err(ChunkError::TooLarge { what, bytes, limit_bytes }) => {
                Err(ScanError::TooLarge { position, what, bytes, limit_bytes })
            }
            Err(ChunkError::UnknownCompression(name)) => {
                Err(ScanError::UnknownCompression { position, name })
            }
        }
    }

    fn data_end(&mut self, record: &[u8], computed: crc32fast::Hasher) -> Step {
        self.data_end = Some(self.record_start);
        self.framer.restart_crc();
        self.section = Section::Summary { start: self.framer.position() };
        let computed = computed.finalize();
        match Fields::new(&record[RECORD_HEADER_BYTES..]).u32() {
            // 0 means that the writer computed none (MCAP specification, "Data End").
            Ok(crc) if crc == 0 || crc == computed => Step::Nothing,
            Ok(crc) => problem(
                ProblemCode::DataSectionCrc,
                format!("the data section has checksum {computed:08x}, and its end says {crc:08x}"),
            ),
            Err(error) => problem(
                ProblemCode::DataSectionCrc,
                format!("the end of the data section has no checksum: {error}"),
            ),
        }
    }

    fn footer(
        &mut self,
        position: u64,
        record: &[u8],
        mut crc: crc32fast::Hasher,
    ) -> Result<Step, ScanError> {
        let mut fields = Fields::new(&record[RECORD_HEADER_BYTES..]);
        let (Ok(summary_start), Ok(_), Ok(stated)) = (fields.u64(), fields.u64(), fields.u32())
        else {
            return Err(malformed(position, "the footer is cut off"));
        };
        self.data_end.get_or_insert(position);
        let section = std::mem::replace(&mut self.section, Section::EndMagic);
        let Section::Summary { start } = section else {
            return Ok(problem(
                ProblemCode::SummaryMismatch,
                format!("the footer at byte {position} comes without an end of the data section"),
            ));
        };
        if summary_start != 0 && summary_start != start {
            return Ok(problem(
                ProblemCode::SummaryMismatch,
                format!("the footer puts the summary at byte {summary_start}; it is at {start}"),
            ));
        }
        crc.update(&record[..FOOTER_COVERED_BYTES]);
        let computed = crc.finalize();
        if stated == 0 || stated == computed {
            return Ok(Step::Nothing);
        }
        Ok(problem(
            ProblemCode::SummaryCrc,
            format!("the summary has checksum {computed:08x}, and the footer says {stated:08x}"),
        ))
    }
}

enum Step {
    Event(ScanEvent),
    Nothing,
    NeedsBytes,
}

/// The problem of a chunk that is left out whole.
pub(crate) fn damaged_chunk(ordinal: u64, position: u64, why: &str) -> Problem {
    let what = format!("chunk {ordinal} at byte {position} is left out: {why}");
    Problem::new(ProblemCode::DamagedChunk, what)
}

fn header(body: &[u8], first: bool) -> Result<ScanEvent, FieldError> {
    if !first {
        let what = "there is a second header; it is left out";
        return Ok(ScanEvent::Problem(Problem::new(ProblemCode::MalformedRecord, what)));
    }
    let mut fields = Fields::new(body);
    Ok(ScanEvent::Header { profile: fields.text()?.to_owned(), library: fields.text()?.to_owned() })
}

fn problem(code: ProblemCode, message: String) -> Step {
    Step::Event(ScanEvent::Problem(Problem::new(code, message)))
}

fn malformed_record(what: &str, position: u64, error: &FieldError) -> Problem {
    let what = format!("{what} at byte {position} is left out: {error}");
    Problem::new(ProblemCode::MalformedRecord, what)
}

fn record_problem(position: u64, error: &RecordError) -> Problem {
    let code = match error {
        RecordError::Malformed(_) => ProblemCode::MalformedRecord,
        RecordError::WrongChecksum { .. } => ProblemCode::DamagedAttachment,
    };
    Problem::new(code, format!("the record at byte {position} is left out: {error}"))
}

fn malformed(position: u64, what: impl Into<String>) -> ScanError {
    ScanError::Malformed { position, what: what.into() }
}

fn check(position: u64, what: &'static str, bytes: u64, limit_bytes: u64) -> Result<(), ScanError> {
    if bytes > limit_bytes {
        return Err(ScanError::TooLarge { position, what, bytes, limit_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
