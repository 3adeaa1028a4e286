//! Compressing and decompressing the records of a chunk.
//!
//! Decompression trusts nothing: the declared size is checked against the limit before anything
//! is reserved, memory is committed only as data arrives, and what comes out longer or shorter
//! than declared is damaged.

use std::io::{self, BufRead as _, Write as _};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use lz4::liblz4::{BlockChecksum, BlockMode, BlockSize, ContentChecksum};
use lz4_flex::frame::FrameDecoder;
use rdl_model::ErrorKind;

use crate::Compression;

/// Why a chunk cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Its checksum or its codec says that it is damaged, or a record inside is cut off.
    #[error("{0}")]
    Damaged(String),
    /// It is whole, and contradicts itself or what is known of its channels.
    #[error("{0}")]
    Lies(String),
    /// Something in it is over a limit.
    #[error("{what} of {bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it says it is.
        bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// It is compressed in a way that MCAP does not define.
    #[error("its compression {0:?} is neither lz4 nor zstd")]
    UnknownCompression(String),
}

impl ChunkError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Damaged(_) | Self::Lies(_) | Self::UnknownCompression(_) => ErrorKind::BadGateway,
        }
    }

    pub(crate) fn damaged(why: impl Into<String>) -> ChunkError {
        Self::Damaged(why.into())
    }
}

/// The fastest level that still finds what repeats from message to message.
const ZSTD_LEVEL: i32 = 1;

/// Of the levels of LZ4's reference library, which are negative for speed, the first: next to the
/// default it takes half the time, and a hundredth more room.
const LZ4_LEVEL: i32 = -1;

/// An LZ4 sequence spends at least one byte on 255.
const LZ4_MAX_RATIO: u64 = 255;

/// Contexts of zstd that nobody uses: to make one takes as long as to decompress a few kilobytes.
static IDLE: Mutex<Vec<zstd::bulk::Decompressor<'static>>> = Mutex::new(Vec::new());
/// As many as decompress side by side; each takes about 100 KiB.
const MOST_IDLE: usize = 8;

/// Compresses chunk after chunk with one context.
#[derive(Default)]
pub(crate) struct Compressor {
    /// Made at the first use: it takes hundreds of kilobytes.
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// Appends `records`, compressed, to `out`.
    ///
    /// LZ4 is written as one frame of independent 256 KiB blocks with its content size: blocks
    /// that size keep the ratio (the window is 64 KiB) and a reader's buffers within its caches,
    /// and every LZ4 library reads them. The reference library compresses twice as fast as
    /// `lz4_flex`, which decompresses twice as fast, and checks what it is given.
    pub(crate) fn compress(
        &mut self,
        compression: Compression,
        records: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match compression {
            Compression::None => out.extend_from_slice(records),
            Compression::Lz4 => {
                let mut encoder = lz4::EncoderBuilder::new()
                    .level(LZ4_LEVEL.cast_unsigned())
                    .content_size(records.len() as u64)
                    .block_size(BlockSize::Max256KB)
                    .block_mode(BlockMode::Independent)
                    // The chunk has a checksum of its own.
                    .checksum(ContentChecksum::NoChecksum)
                    .block_checksum(BlockChecksum::NoBlockChecksum)
                    .auto_flush(true)
                    .build(out)?;
                encoder.write_all(records)?;
                encoder.finish().1?;
            }
            Compression::Zstd => {
                let compressor = match &mut self.zstd {
                    Some(compressor) => compressor,
                    None => self.zstd.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
                };
                out.reserve(zstd::zstd_safe::compress_bound(records.len()));
                // Behind what is there, and without filling the room with zeros first.
                let mut end = io::Cursor::new(&mut *out);
                end.set_position(end.get_ref().len() as u64);
                compressor.compress_to_buffer(records, &mut end)?;
            }
        }
        Ok(())
    }
}

/// Decompresses the records of a chunk, which say that they are `declared_bytes` long.
///
/// Uncompressed records are not copied.
pub(crate) fn decompress(
    compression: Compression,
    data: &Bytes,
    declared_bytes: u64,
    limit_bytes: u64,
) -> Result<Bytes, ChunkError> {
    let too_large = || ChunkError::TooLarge { what: "a chunk", bytes: declared_bytes, limit_bytes };
    if declared_bytes > limit_bytes {
        return Err(too_large());
    }
    let declared = usize::try_from(declared_bytes).map_err(|_| too_large())?;
    check_ratio(compression, declared_bytes, data.len() as u64)?;
    match compression {
        Compression::None if data.len() == declared => Ok(data.clone()),
        Compression::None => Err(wrong_size(declared, data.len())),
        Compression::Lz4 => decompress_lz4(data, declared),
        Compression::Zstd => decompress_zstd(data, declared),
    }
}

/// Refuses a declared size that so few bytes cannot hold.
pub(crate) fn check_ratio(
    compression: Compression,
    declared_bytes: u64,
    compressed_bytes: u64,
) -> Result<(), ChunkError> {
    if compression == Compression::Lz4 && declared_bytes / LZ4_MAX_RATIO > compressed_bytes {
        return Err(ChunkError::damaged(format!(
            "{compressed_bytes} bytes of lz4 cannot hold the {declared_bytes} that its header declares"
        )));
    }
    Ok(())
}

fn decompress_lz4(data: &[u8], declared: usize) -> Result<Bytes, ChunkError> {
    let mut decoder = FrameDecoder::new(data);
    // Reserved pages are committed when they are first written to.
    let mut out = Vec::with_capacity(declared);
    loop {
        let block = decoder
            .fill_buf()
            .map_err(|error| ChunkError::damaged(format!("lz4 cannot be decompressed: {error}")))?;
        if block.is_empty() {
            break;
        }
        if block.len() > declared - out.len() {
            return Err(wrong_size(declared, out.len() + block.len()));
        }
        out.extend_from_slice(block);
        let taken = block.len();
        decoder.consume(taken);
    }
    if out.len() != declared {
        return Err(wrong_size(declared, out.len()));
    }
    Ok(out.into())
}

fn decompress_zstd(data: &[u8], declared: usize) -> Result<Bytes, ChunkError> {
    let damaged =
        |error: io::Error| ChunkError::damaged(format!("zstd cannot be decompressed: {error}"));
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = idle().pop();
    let mut decompressor = match taken {
        Some(decompressor) => decompressor,
        None => zstd::bulk::Decompressor::new().map_err(damaged)?,
    };
    // Reserved pages are committed when they are first written to. In one pass into the final
    // buffer there is no window to allocate, whatever the frame asks for.
    let mut out: Vec<u8> = Vec::with_capacity(declared);
    // One that failed is not kept.
    decompressor.decompress_to_buffer(data, &mut out).map_err(damaged)?;
    let mut idle = idle();
    if idle.len() < MOST_IDLE {
        idle.push(decompressor);
    }
    drop(idle);
    if out.len() != declared {
        return Err(wrong_size(declared, out.len()));
    }
    Ok(out.into())
}

fn wrong_size(declared: usize, found: usize) -> ChunkError {
    ChunkError::damaged(format!(
        "its header declares {declared} uncompressed bytes, and {found} were found"
    ))
}
