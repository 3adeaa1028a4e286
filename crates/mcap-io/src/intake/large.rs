//! Records that are too large for memory, on their way through a spool.
//!
//! The parts of such a record are appended to the spool as they arrive. When all of it is there, a
//! chunk is read once to verify it, since it is taken whole or not at all, and once more to take
//! its records, one at a time. A large message outside chunks is read like a chunk that holds it
//! alone.
//!
//! Between these steps, and whenever much waits to be drained, the intake stops: see
//! [`Intake::has_more`].

use mcap::records::op;
use rdl_model::TimeRange;
use twox_hash::xxhash3_128::Hasher;

use super::look::look_through_spooled;
use super::records::header_mismatch;
use super::{Intake, IntakeError};
use crate::codec::check_ratio;
use crate::huge::{self, HugeMessage};
use crate::scan::damaged_chunk;
use crate::spool::{ChunkReader, ReadError, RecordHead, decoder_bytes};
use crate::walk::{ChunkHeader, RECORD_HEADER_BYTES, parse_channel, parse_message, parse_schema};
use crate::{ChunkError, RecordPart, ScanError, Spool};

/// The header of a chunk, and the head of its compressed records, lie within this many bytes.
const START_BYTES: u64 = 4 << 10;
/// A message larger than this share of what makes a record large is a chunk of its own.
const HUGE_SHARE: u64 = 4;

/// A large record, and how far it is.
pub(super) enum Large {
    Arriving(Box<Arriving>),
    /// All of the chunk is there, and nothing was looked at.
    Arrived(Box<dyn Spool>, Arrived),
    /// The record is verified, and its messages are taken.
    Feeding(Feeding),
}

pub(super) struct Arriving {
    spool: Box<dyn Spool>,
    chunk: Option<u64>,
    position: u64,
    record_bytes: u64,
    /// Over all of it so far, for a chunk that must be left out.
    hasher: Hasher,
    /// A part for which there was no room.
    left_over: Option<RecordPart>,
}

/// A chunk that is there.
pub(super) struct Arrived {
    chunk: ChunkOf,
    header: ChunkHeader,
    decoder_bytes: u64,
}

/// Which chunk it is, and what it is known by.
#[derive(Clone, Copy)]
struct ChunkOf {
    ordinal: u64,
    position: u64,
    hash: u128,
}

pub(super) struct Feeding {
    reader: ChunkReader,
    buffer: Vec<u8>,
    working_bytes: u64,
    decoder_bytes: u64,
}

impl Large {
    /// What going on with it takes in memory, in bytes.
    pub(super) fn working_bytes(&self) -> u64 {
        match self {
            Self::Arriving(_) => 0,
            Self::Arrived(_, arrived) => arrived.decoder_bytes,
            Self::Feeding(feeding) => feeding.working_bytes,
        }
    }

    /// What it holds now, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Arriving(arriving) => {
                arriving.left_over.as_ref().map_or(0, |part| part.bytes.len())
            }
            Self::Arrived(..) => 0,
            Self::Feeding(feeding) => {
                let decoder_bytes = usize::try_from(feeding.decoder_bytes).unwrap_or(usize::MAX);
                feeding.buffer.capacity() + decoder_bytes
            }
        }
    }

    /// What the spool lacks before it takes the next part, in bytes.
    pub(super) fn missing_room_bytes(&self) -> Option<u64> {
        let Self::Arriving(arriving) = self else { return None };
        arriving.left_over.as_ref().map(|part| part.bytes.len() as u64)
    }
}

impl Arriving {
    /// Whether the part was kept.
    fn append(&mut self, part: RecordPart) -> Result<bool, IntakeError> {
        match self.spool.append(&part.bytes) {
            Ok(()) => {
                self.hasher.write(&part.bytes);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                self.left_over = Some(part);
                Ok(false)
            }
            Err(error) => Err(IntakeError::Spool(error.to_string())),
        }
    }

    /// The first bytes of the record.
    fn start(&mut self) -> Result<Vec<u8>, IntakeError> {
        let mut start = vec![0; self.record_bytes.min(START_BYTES) as usize];
        let read = self.spool.read_into(0, &mut start);
        read.map_err(|error| IntakeError::Spool(error.to_string()))?;
        Ok(start)
    }
}

impl Intake {
    /// Takes a part of a large record, the first of which makes its spool.
    pub(super) fn part(&mut self, part: RecordPart) -> Result<(), IntakeError> {
        let mut arriving = match self.body.large.take() {
            Some(Large::Arriving(arriving)) => arriving,
            _ => self.begin(&part)?,
        };
        let is_last = part.is_last();
        if !arriving.append(part)? {
            self.is_paused = true;
        } else if is_last {
            return self.arrived(arriving);
        }
        self.body.large = Some(Large::Arriving(arriving));
        Ok(())
    }

    fn begin(&mut self, part: &RecordPart) -> Result<Box<Arriving>, IntakeError> {
        let &RecordPart { chunk, position, record_bytes, .. } = part;
        let Some(make) = &mut self.make_spool else {
            let what = if chunk.is_some() { "the chunk" } else { "the message" };
            let limit_bytes = self.limits.large_chunk_bytes;
            let error = ScanError::TooLarge { position, what, bytes: record_bytes, limit_bytes };
            return Err(error.into());
        };
        let spool = make().map_err(|error| IntakeError::Spool(error.to_string()))?;
        let hasher = Hasher::new();
        let left_over = None;
        Ok(Box::new(Arriving { spool, chunk, position, record_bytes, hasher, left_over }))
    }

    /// Goes on with the large record that is here; whether there is one to go on with.
    pub(super) fn go_on_with_large(&mut self) -> Result<bool, IntakeError> {
        match self.body.large.take() {
            None => return Ok(false),
            Some(Large::Arriving(mut arriving)) => {
                let left_over = arriving.left_over.take();
                self.body.large = Some(Large::Arriving(arriving));
                match left_over {
                    None => return Ok(false),
                    Some(part) => self.part(part)?,
                }
            }
            Some(Large::Arrived(spool, arrived)) => self.verify(spool, &arrived)?,
            Some(Large::Feeding(mut feeding)) => {
                if self.feed(&mut feeding)? {
                    self.body.large = Some(Large::Feeding(feeding));
                }
            }
        }
        Ok(true)
    }

    /// All of the record is in the spool.
    fn arrived(&mut self, mut arriving: Box<Arriving>) -> Result<(), IntakeError> {
        self.is_paused = true;
        let body_bytes = arriving.record_bytes - RECORD_HEADER_BYTES as u64;
        let Some(ordinal) = arriving.chunk else {
            self.body.large = Some(Large::Feeding(Feeding {
                reader: ChunkReader::of_record(arriving.spool, arriving.record_bytes),
                buffer: Vec::new(),
                working_bytes: huge::memory_bytes(body_bytes),
                decoder_bytes: 0,
            }));
            return Ok(());
        };
        self.body.chunks += 1;
        let start = arriving.start()?;
        let body = &start[RECORD_HEADER_BYTES..];
        let hash = arriving.hasher.finish_128();
        let chunk = ChunkOf { ordinal, position: arriving.position, hash };
        let header = ChunkHeader::parse_start(body, body_bytes).and_then(|header| {
            let compressed_bytes = header.records.len() as u64;
            check_ratio(header.compression, header.uncompressed_bytes, compressed_bytes)?;
            Ok(header)
        });
        match header {
            Ok(header) => {
                let records = body.get(header.records.start..).unwrap_or_default();
                let decoder_bytes = decoder_bytes(&header, records);
                let arrived = Arrived { chunk, header, decoder_bytes };
                self.body.large = Some(Large::Arrived(arriving.spool, arrived));
                Ok(())
            }
            Err(error) => self.large_chunk_fails(chunk, error),
        }
    }

    /// Reads all of the chunk before anything of it is taken.
    fn verify(&mut self, spool: Box<dyn Spool>, arrived: &Arrived) -> Result<(), IntakeError> {
        self.is_paused = true;
        let Arrived { chunk, ref header, decoder_bytes } = *arrived;
        let read = |spool| {
            let reader = ChunkReader::new(spool, header, RECORD_HEADER_BYTES as u64);
            reader.map_err(ReadError::into_intake_error)
        };
        let mut reader = read(spool)?;
        let look = match look_through_spooled(&mut reader, header.crc, &self.limits) {
            Ok(look) => look,
            Err(ReadError::Spool(why)) => return Err(IntakeError::Spool(why)),
            Err(ReadError::Chunk(error)) => return self.large_chunk_fails(chunk, error),
        };
        let claimed = TimeRange { start: header.start, end: header.end };
        if look.times.is_some_and(|times| times != claimed) {
            self.problem(header_mismatch(chunk.ordinal, chunk.position));
        }
        self.body.large = Some(Large::Feeding(Feeding {
            reader: read(reader.into_spool())?,
            buffer: Vec::new(),
            working_bytes: decoder_bytes + huge::memory_bytes(look.largest_body_bytes),
            decoder_bytes,
        }));
        Ok(())
    }

    fn large_chunk_fails(&mut self, chunk: ChunkOf, error: ChunkError) -> Result<(), IntakeError> {
        let position = chunk.position;
        match error {
            ChunkError::Damaged(why) | ChunkError::Lies(why) => {
                self.body.incomplete = true;
                self.continuity.left_out(chunk.hash)?;
                self.problem(damaged_chunk(chunk.ordinal, position, &why));
                Ok(())
            }
            ChunkError::TooLarge { what, bytes, limit_bytes } => {
                Err(ScanError::TooLarge { position, what, bytes, limit_bytes }.into())
            }
            ChunkError::UnknownCompression(name) => {
                Err(ScanError::UnknownCompression { position, name }.into())
            }
        }
    }

    /// Takes the next record; whether there was one.
    fn feed(&mut self, feeding: &mut Feeding) -> Result<bool, IntakeError> {
        let head = feeding.reader.head().map_err(ReadError::into_intake_error)?;
        let Some(RecordHead { opcode, body_bytes, .. }) = head else { return Ok(false) };
        let is_huge = body_bytes > self.limits.large_chunk_bytes / HUGE_SHARE;
        match opcode {
            op::MESSAGE if is_huge => self.huge_message(&mut feeding.reader, body_bytes)?,
            op::MESSAGE | op::SCHEMA | op::CHANNEL => {
                feeding.read(body_bytes).map_err(ReadError::into_intake_error)?;
                self.large_chunk_record(opcode, &feeding.buffer)?;
                feeding.buffer.shrink_to(64 << 10);
            }
            _ => feeding.reader.skip(body_bytes).map_err(ReadError::into_intake_error)?,
        }
        Ok(true)
    }

    fn large_chunk_record(&mut self, opcode: u8, body: &[u8]) -> Result<(), IntakeError> {
        // Nothing is malformed in what was looked through before.
        match opcode {
            op::SCHEMA => {
                if let Ok((id, def)) = parse_schema(body) {
                    self.define_schema(id, def)?;
                }
            }
            op::CHANNEL => {
                if let Ok(parsed) = parse_channel(body) {
                    self.define_channel(parsed)?;
                }
            }
            _ => {
                if let Ok(message) = parse_message(body) {
                    self.message(&message)?;
                }
            }
        }
        Ok(())
    }

    fn huge_message(
        &mut self,
        reader: &mut ChunkReader,
        body_bytes: u64,
    ) -> Result<(), IntakeError> {
        let len = usize::try_from(body_bytes).unwrap_or(usize::MAX);
        let huge = HugeMessage::read(len, |out| reader.append_to(out, body_bytes));
        let huge = huge.map_err(ReadError::into_intake_error)?;
        let channel = match huge.view() {
            Ok(message) => self.count_message(&message)?,
            Err(_) => None,
        };
        match channel.and_then(|channel| huge.into_stored(channel)) {
            Some(chunk) => self.rechunker.huge(chunk),
            None => Ok(()),
        }
    }
}

impl Feeding {
    /// Reads the body of a record.
    fn read(&mut self, body_bytes: u64) -> Result<(), ReadError> {
        self.buffer.clear();
        self.buffer.reserve_exact(usize::try_from(body_bytes).unwrap_or(usize::MAX));
        self.reader.append_to(&mut self.buffer, body_bytes)
    }
}
