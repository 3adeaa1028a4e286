use std::io::{self, BufReader, Read};

use lz4_flex::frame::FrameDecoder;

use super::{READ_BYTES, SpoolReader};
use crate::Compression;

/// The largest window of zstd that is decompressed as a stream, as a power of two: 128 MiB, the
/// most that any of its levels asks for.
const MAX_WINDOW_LOG: u32 = 27;

/// Decompresses a spool as a stream.
pub(super) enum Codec {
    None(BufReader<SpoolReader>),
    Lz4(Box<FrameDecoder<BufReader<SpoolReader>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<SpoolReader>>),
}

impl Codec {
    pub(super) fn new(compression: Compression, reader: SpoolReader) -> io::Result<Codec> {
        let reader = BufReader::with_capacity(READ_BYTES, reader);
        Ok(match compression {
            Compression::None => Self::None(reader),
            Compression::Lz4 => Self::Lz4(Box::new(FrameDecoder::new(reader))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Self::Zstd(decoder)
            }
        })
    }

    pub(super) fn plain(reader: SpoolReader) -> Codec {
        Self::None(BufReader::with_capacity(READ_BYTES, reader))
    }

    pub(super) fn into_reader(self) -> SpoolReader {
        let reader = match self {
            Self::None(reader) => reader,
            Self::Lz4(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        reader.into_inner()
    }
}

impl Read for Codec {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(reader) => reader.read(buffer),
            Self::Lz4(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// What the codec holds while it decompresses what starts so, about, in bytes. What is no frame
/// takes nothing: it fails at once.
pub(super) fn window_bytes(compression: Compression, start: &[u8]) -> u64 {
    match compression {
        Compression::None => 0,
        // A compressed block, and two decompressed ones with the window before them.
        Compression::Lz4 => lz4_block_bytes(start).map_or(0, |block| 3 * block + (128 << 10)),
        // Three more blocks beside the window.
        Compression::Zstd => {
            let window = zstd_window_bytes(start).unwrap_or(0);
            window.min(1 << MAX_WINDOW_LOG) + (512 << 10)
        }
    }
}

/// The maximum size of blocks (LZ4 frame format, "Frame Descriptor").
fn lz4_block_bytes(start: &[u8]) -> Option<u64> {
    let size = (start.get(5)? >> 4) & 7;
    Some(1 << (8 + 2 * u32::from(size.max(4))))
}

/// The window of a frame (RFC 8878, section 3.1.1.1.2), or its content where that is one segment.
fn zstd_window_bytes(start: &[u8]) -> Option<u64> {
    let descriptor = *start.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *start.get(5)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let at = 5 + dictionary_id_bytes;
    let mut size = [0; 8];
    size[..size_bytes].copy_from_slice(start.get(at..at + size_bytes)?);
    let offset = if size_bytes == 2 { 256 } else { 0 };
    Some(u64::from_le_bytes(size).saturating_add(offset))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_window_of_a_frame_is_what_its_head_says() {
        let data = vec![7; 3 << 20];
        let one_segment = zstd::bulk::compress(&data, 1).unwrap();
        assert_eq!(zstd_window_bytes(&one_segment), Some(512 << 10));
        let small = zstd::bulk::compress(&data[..1000], 1).unwrap();
        assert_eq!(zstd_window_bytes(&small), Some(1000));
        for window_log in [10, 20, 27] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(&data).unwrap();
            let frame = encoder.finish().unwrap();
            assert_eq!(zstd_window_bytes(&frame), Some(1 << window_log));
        }
        let lz4 = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max1MB);
        let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(lz4, Vec::new());
        encoder.write_all(&data).unwrap();
        assert_eq!(lz4_block_bytes(&encoder.finish().unwrap()), Some(1 << 20));
        assert_eq!(window_bytes(Compression::Lz4, b"short"), 0);
    }
}
