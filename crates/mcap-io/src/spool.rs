//! Records that are too large for memory: kept elsewhere as they arrive, and read back bit by bit.
//!
//! [`crate::Intake`] gives a large record to a [`Spool`], which the caller provides, for this crate
//! does no I/O. [`ChunkReader`] then decompresses the records of a spooled chunk as a stream: with
//! the codec's window in memory, and never the whole chunk.

mod codec;

use std::fmt;
use std::io::{self, Read};

use self::codec::Codec;
use crate::fields::FieldError;
use crate::walk::{ChunkHeader, RECORD_HEADER_BYTES, cut_off};
use crate::{ChunkError, IntakeError};

/// Where the bytes of one large record wait, all in order.
pub trait Spool: Send {
    /// Appends bytes, all or none of them. [`io::ErrorKind::StorageFull`] means that it is worth
    /// trying again when there is more room.
    ///
    /// # Errors
    ///
    /// When they cannot be kept.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `into` with what was appended, from `offset` on.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn read_into(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// Makes an empty spool for each large record.
pub type SpoolFactory = Box<dyn FnMut() -> io::Result<Box<dyn Spool>> + Send>;

/// How much is read from a spool at a time, in bytes.
const READ_BYTES: usize = 256 << 10;

/// A fault of the spool on its way through a codec, whose own faults mean damaged data.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SpoolFault(io::Error);

/// Reads a part of a spool from its beginning to its end.
pub(crate) struct SpoolReader {
    spool: Box<dyn Spool>,
    at: u64,
    end: u64,
}

impl SpoolReader {
    pub(crate) fn new(spool: Box<dyn Spool>, at: u64, end: u64) -> SpoolReader {
        SpoolReader { spool, at, end }
    }

    pub(crate) fn into_spool(self) -> Box<dyn Spool> {
        self.spool
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let here = buffer.len().min(left);
        if here > 0 {
            let read = self.spool.read_into(self.at, &mut buffer[..here]);
            read.map_err(|error| io::Error::other(SpoolFault(error)))?;
            self.at += here as u64;
        }
        Ok(here)
    }
}

/// Why a spooled chunk cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Chunk(ChunkError),
    Spool(String),
}

impl From<ChunkError> for ReadError {
    fn from(error: ChunkError) -> Self {
        Self::Chunk(error)
    }
}

impl ReadError {
    /// What a failed read means: the spool's fault, or data that a codec does not understand.
    pub(crate) fn of(error: &io::Error) -> ReadError {
        match error.get_ref().and_then(|error| error.downcast_ref::<SpoolFault>()) {
            Some(SpoolFault(error)) => Self::Spool(error.to_string()),
            None => ChunkError::damaged(format!("it cannot be decompressed: {error}")).into(),
        }
    }

    /// What it means where the same bytes were read before without an error.
    pub(crate) fn into_intake_error(self) -> IntakeError {
        match self {
            Self::Spool(why) => IntakeError::Spool(why),
            Self::Chunk(error) => IntakeError::Spool(format!("it reads differently: {error}")),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(error) => error.fmt(f),
            Self::Spool(why) => f.write_str(why),
        }
    }
}

/// The head of a record, whose body comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) opcode: u8,
    pub(crate) body_bytes: u64,
    /// Where the record begins among the uncompressed records.
    pub(crate) offset: u64,
}

/// The decompressed records of a spooled chunk, one after the other.
pub(crate) struct ChunkReader {
    codec: Codec,
    declared_bytes: u64,
    at: u64,
    crc: crc32fast::Hasher,
}

impl ChunkReader {
    /// Reads the chunk whose record's body starts at `body_at` in the spool.
    pub(crate) fn new(
        spool: Box<dyn Spool>,
        header: &ChunkHeader,
        body_at: u64,
    ) -> Result<ChunkReader, ReadError> {
        let (from, to) = (header.records.start as u64, header.records.end as u64);
        let reader = SpoolReader::new(spool, body_at + from, body_at + to);
        Ok(ChunkReader {
            codec: Codec::new(header.compression, reader).map_err(|error| ReadError::of(&error))?,
            declared_bytes: header.uncompressed_bytes,
            at: 0,
            crc: crc32fast::Hasher::new(),
        })
    }

    /// A message record that came outside chunks, as if it were all of an uncompressed chunk.
    pub(crate) fn of_record(spool: Box<dyn Spool>, record_bytes: u64) -> ChunkReader {
        let reader = SpoolReader::new(spool, 0, record_bytes);
        ChunkReader {
            codec: Codec::plain(reader),
            declared_bytes: record_bytes,
            at: 0,
            crc: crc32fast::Hasher::new(),
        }
    }

    pub(crate) fn into_spool(self) -> Box<dyn Spool> {
        self.codec.into_reader().into_spool()
    }

    /// The head of the next record; `None` after the last one.
    pub(crate) fn head(&mut self) -> Result<Option<RecordHead>, ReadError> {
        let offset = self.at;
        let left_bytes = self.declared_bytes - offset;
        if left_bytes == 0 {
            return Ok(None);
        }
        let record_cut_off = || cut_off("a record", offset, FieldError::CutOff);
        let Some(left_bytes) = left_bytes.checked_sub(RECORD_HEADER_BYTES as u64) else {
            return Err(record_cut_off().into());
        };
        let mut head = [0; RECORD_HEADER_BYTES];
        self.fill(&mut head)?;
        let [opcode, len @ ..] = head;
        let body_bytes = u64::from_le_bytes(len);
        if body_bytes > left_bytes {
            return Err(record_cut_off().into());
        }
        Ok(Some(RecordHead { opcode, body_bytes, offset }))
    }

    /// Fills `buffer` with the next bytes of the current record.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.too_short().into()),
                Ok(here) => filled += here,
                Err(error) => return Err(ReadError::of(&error)),
            }
        }
        Ok(())
    }

    /// Appends the next `bytes` of the current record, for which there is room, to `out`.
    pub(crate) fn append_to(&mut self, out: &mut Vec<u8>, bytes: u64) -> Result<(), ReadError> {
        let read = self.take(bytes).read_to_end(out);
        match read.map_err(|error| ReadError::of(&error))? as u64 {
            read if read == bytes => Ok(()),
            _ => Err(self.too_short().into()),
        }
    }

    /// Passes over the next `bytes` of the current record.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), ReadError> {
        let skipped = io::copy(&mut self.take(bytes), &mut io::sink());
        match skipped.map_err(|error| ReadError::of(&error))? {
            skipped if skipped == bytes => Ok(()),
            _ => Err(self.too_short().into()),
        }
    }

    /// Reads what is left, and holds all that was read against the declared size and the CRC.
    pub(crate) fn check_end(&mut self, crc: u32) -> Result<(), ReadError> {
        self.skip(self.declared_bytes - self.at)?;
        if self.read(&mut [0]).map_err(|error| ReadError::of(&error))? > 0 {
            return Err(ChunkError::damaged(format!(
                "its header declares {} uncompressed bytes, and there are more",
                self.declared_bytes
            ))
            .into());
        }
        // 0 means that the writer computed none (MCAP specification, "Chunk").
        if crc != 0 && self.crc.clone().finalize() != crc {
            return Err(ChunkError::damaged("its checksum is wrong").into());
        }
        Ok(())
    }

    fn too_short(&self) -> ChunkError {
        ChunkError::damaged(format!(
            "its header declares {} uncompressed bytes, and {} were found",
            self.declared_bytes, self.at
        ))
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.codec.read(buffer)?;
        self.crc.update(&buffer[..here]);
        self.at += here as u64;
        Ok(here)
    }
}

/// About what decompressing this chunk takes in memory, in bytes; `start` are the first bytes of
/// its compressed records.
pub(crate) fn decoder_bytes(header: &ChunkHeader, start: &[u8]) -> u64 {
    codec::window_bytes(header.compression, start) + READ_BYTES as u64
}
