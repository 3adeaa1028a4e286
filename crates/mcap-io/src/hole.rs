//! What stands in the place of a chunk that cannot be served: one that is just like it by all that
//! an index says (length, compression, both sizes, message indexes), and has no messages.
//!
//! Readers may believe the index of a file and not look at a chunk's own header. So its records,
//! which are a single one that readers skip, are put into a frame of the same compression that has
//! the length of what was there. Such frames are written by hand, from blocks that are stored as
//! they are and blocks of zeros, since no compressor makes a given length (RFC 8878, "Blocks"; LZ4
//! frame format 1.6.4).

use bytes::Bytes;
use mcap::records::op;

use crate::renumber::{CHUNK_FRAME_BYTES, PADDING};
use crate::walk::RECORD_HEADER_BYTES;
use crate::write::{ChunkHead, put_chunk_body, put_message_index, put_record, put_u32};
use crate::{ChunkDescriptor, Compression};

/// A chunk of the same length without messages, and message indexes without entries. `None` where
/// no chunk has that length.
pub fn chunk_without_messages(chunk: &ChunkDescriptor) -> Option<Bytes> {
    let name = chunk.compression.mcap_name().len() as u64;
    let compressed_bytes = chunk.record_bytes.checked_sub(CHUNK_FRAME_BYTES + name)?;
    let compressed_bytes = usize::try_from(compressed_bytes).ok()?;
    let mut records = Vec::new();
    put_padding(&mut records, chunk.uncompressed_bytes)?;
    let frame = match chunk.compression {
        Compression::None => Some(records.clone()),
        Compression::Zstd => zstd_frame(&records, compressed_bytes),
        Compression::Lz4 => lz4_frame(&records, compressed_bytes),
    };
    let frame = frame.filter(|frame| frame.len() == compressed_bytes)?;
    let mut out = Vec::with_capacity(usize::try_from(chunk.stored_bytes()).ok()?);
    put_record(&mut out, op::CHUNK, |out| {
        let head = ChunkHead {
            times: chunk.times,
            uncompressed_bytes: chunk.uncompressed_bytes,
            crc: crc32fast::hash(&records),
        };
        put_chunk_body(out, &head, chunk.compression, |out| out.extend_from_slice(&frame));
    });
    for used in &chunk.channels {
        put_message_index(&mut out, used.id, std::iter::empty());
        put_padding(&mut out, 16 * u64::from(used.count))?;
    }
    (out.len() as u64 == chunk.stored_bytes()).then(|| out.into())
}

/// Appends a record that readers skip, so long with its opcode and length; nothing for 0.
fn put_padding(out: &mut Vec<u8>, bytes: u64) -> Option<()> {
    if bytes == 0 {
        return Some(());
    }
    let content = usize::try_from(bytes).ok()?.checked_sub(RECORD_HEADER_BYTES)?;
    put_record(out, PADDING, |out| out.resize(out.len() + content, 0));
    Some(())
}

/// How many lengths of what is stored are tried, from the greatest on.
const TRIES: usize = 4096;

/// How the contents of a frame are cut: so many bytes are stored as they are, the rest, all zeros, is
/// not; and something is added that has no content.
struct Cut {
    stored: usize,
    added: usize,
}

/// Finds a cut that gives the frame its length. `cost` is what a frame of so many stored bytes takes;
/// what is added takes `unit` each.
fn find_cut(
    content: usize,
    frame_bytes: usize,
    unit: usize,
    most_added: usize,
    cost: impl Fn(usize) -> Option<usize>,
) -> Option<Cut> {
    let most = content.min(frame_bytes);
    let least = most.saturating_sub(TRIES).max(RECORD_HEADER_BYTES);
    (least..=most).rev().find_map(|stored| {
        let left = frame_bytes.checked_sub(cost(stored)?)?;
        let added = left / unit;
        (left % unit == 0 && added <= most_added).then_some(Cut { stored, added })
    })
}

/// A Zstandard frame of this length.
fn zstd_frame(records: &[u8], frame_bytes: usize) -> Option<Vec<u8>> {
    const BLOCK: usize = 128 << 10;
    /// Magic, descriptor, content size.
    const HEADER: usize = 4 + 1 + 4;
    let block = BLOCK.min(records.len());
    let zeros = |stored: usize| (records.len() - stored).div_ceil(block);
    // A block has three bytes before what is in it: itself, or the byte that is repeated.
    let cost =
        |stored: usize| Some(HEADER + 3 * stored.div_ceil(block) + stored + 4 * zeros(stored));
    let cut = find_cut(records.len(), frame_bytes, 3, BLOCK, cost)?;
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd];
    // One segment, whose size is in four bytes.
    out.push(0b1010_0000);
    put_u32(&mut out, u32::try_from(records.len()).ok()?);
    let mut put_block = |is_last: bool, kind: u32, size: usize, bytes: &[u8]| {
        let header = u32::from(is_last) | kind << 1 | u32::try_from(size).unwrap_or(0) << 3;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(bytes);
    };
    let mut left = zeros(cut.stored);
    for _ in 0..cut.added {
        put_block(false, 0, 0, &[]);
    }
    let stored = records[..cut.stored].chunks(block);
    let last_stored = stored.len();
    for (at, bytes) in (1..).zip(stored) {
        put_block(left == 0 && at == last_stored, 0, bytes.len(), bytes);
    }
    for zeros in records[cut.stored..].chunks(block) {
        left -= 1;
        put_block(left == 0, 1, zeros.len(), &[0]);
    }
    Some(out)
}

/// An LZ4 frame of this length.
fn lz4_frame(records: &[u8], frame_bytes: usize) -> Option<Vec<u8>> {
    const BLOCK: usize = 4 << 20;
    const STORED: u32 = 1 << 31;
    /// Magic, descriptor with its checksum; and the end mark.
    const HEADER: usize = 4 + 3;
    const END: usize = 4;
    let zeros = |stored: usize| {
        let left = records.len() - stored;
        let last = left % BLOCK;
        // What is left has to be long enough to be a match.
        if last > 0 && last < LEAST_ZEROS {
            return None;
        }
        let whole = (left / BLOCK) * (4 + zeros_block_bytes(BLOCK));
        Some(whole + if last > 0 { 4 + zeros_block_bytes(last) } else { 0 })
    };
    let cost =
        |stored: usize| Some(HEADER + 4 * stored.div_ceil(BLOCK) + stored + zeros(stored)? + END);
    // Each further block of stored bytes takes four more for its size.
    let cut = find_cut(records.len(), frame_bytes, 4, 4096, cost)?;
    let mut out = vec![0x04, 0x22, 0x4d, 0x18];
    // Version 1, blocks for themselves, no checksums, no content size; blocks of up to 4 MiB.
    let descriptor = [0b0110_0000, 0b0111_0000];
    out.extend_from_slice(&descriptor);
    let checksum = twox_hash::XxHash32::oneshot(0, &descriptor);
    out.push(checksum.to_le_bytes()[1]);
    let (first, rest) = records[..cut.stored].split_at_checked(cut.added)?;
    for bytes in first.chunks(1).chain(rest.chunks(BLOCK)) {
        put_u32(&mut out, STORED | u32::try_from(bytes.len()).ok()?);
        out.extend_from_slice(bytes);
    }
    for zeros in records[cut.stored..].chunks(BLOCK) {
        put_u32(&mut out, u32::try_from(zeros_block_bytes(zeros.len())).ok()?);
        put_zeros_block(&mut out, zeros.len());
    }
    put_u32(&mut out, 0);
    Some(out)
}

/// The end of an LZ4 block is five literals, and the last match starts twelve bytes before it.
const LEAST_ZEROS: usize = 32;
const LAST_LITERALS: usize = 5;
/// A match is at least so long.
const LEAST_MATCH: usize = 4;

/// Of one zero, a match of it, and the last literals: how long the match is beyond what a token holds.
fn zeros_beyond_token(zeros: usize) -> usize {
    zeros - 1 - LAST_LITERALS - LEAST_MATCH - 15
}

/// How long an LZ4 block of so many zeros is.
fn zeros_block_bytes(zeros: usize) -> usize {
    let length_bytes = zeros_beyond_token(zeros) / 255 + 1;
    1 + 1 + 2 + length_bytes + 1 + LAST_LITERALS
}

fn put_zeros_block(out: &mut Vec<u8>, zeros: usize) {
    // One literal, and a match that is longer than the token holds, one byte back.
    out.extend_from_slice(&[0x1f, 0, 1, 0]);
    let beyond = zeros_beyond_token(zeros);
    out.resize(out.len() + beyond / 255, 255);
    out.push(u8::try_from(beyond % 255).unwrap_or(0));
    out.push(u8::try_from(LAST_LITERALS << 4).unwrap_or(0));
    out.resize(out.len() + LAST_LITERALS, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{COMPRESSIONS, Message, channel, same_cases_every_time};
    use crate::walk::ChunkHeader;
    use crate::{ChunkBuilder, Limits, OpenChunk, StoredChunk};

    fn chunk(compression: Compression, messages: &[Vec<u8>]) -> StoredChunk {
        let mut builder = ChunkBuilder::new(compression);
        for channel in [channel(1, 1, "/a"), channel(2, 0, "/b")] {
            builder.channel(&channel);
        }
        for (at, data) in (0..).zip(messages) {
            let message = Message { channel: 0, sequence: 0, log_time: at, data: data.clone() };
            builder.message(1 + at as u16 % 2, &message.view());
        }
        builder.build().unwrap().unwrap()
    }

    fn assert_is_a_hole(stored: &StoredChunk) {
        let descriptor = &stored.descriptor;
        let hole = chunk_without_messages(descriptor).unwrap();
        assert_eq!(hole.len(), stored.bytes.len());
        let record_bytes = usize::try_from(descriptor.record_bytes).unwrap();
        let record = hole.slice(..record_bytes);
        // By our reader, which checks sizes and the checksum.
        assert!(OpenChunk::open(&record, &Limits::default()).unwrap().is_empty());
        let header = |bytes: &Bytes| {
            ChunkHeader::parse(&bytes.slice(RECORD_HEADER_BYTES..record_bytes)).unwrap()
        };
        let (ours, theirs) = (header(&hole), header(&stored.bytes));
        assert_eq!(ours, ChunkHeader { crc: ours.crc, ..theirs });
        // By the decoders that the mcap crate has.
        let parsed = mcap::parse_record(op::CHUNK, &hole[RECORD_HEADER_BYTES..record_bytes]);
        let mcap::records::Record::Chunk { header, data } = parsed.unwrap() else { panic!() };
        assert!(mcap::read::ChunkReader::new(header, &data).unwrap().next().is_some());
        // And by the libraries of whoever wrote the formats.
        let frame = &record[RECORD_HEADER_BYTES..][ours.records.clone()];
        let mut plain = Vec::new();
        let read = match descriptor.compression {
            Compression::None => std::io::Read::read_to_end(&mut &frame[..], &mut plain),
            Compression::Zstd => zstd::bulk::decompress(frame, ours.uncompressed_bytes as usize)
                .map(|bytes| bytes.len())
                .inspect(|_| plain = vec![0; ours.uncompressed_bytes as usize]),
            Compression::Lz4 => {
                std::io::Read::read_to_end(&mut lz4::Decoder::new(frame).unwrap(), &mut plain)
            }
        };
        assert_eq!(read.unwrap() as u64, ours.uncompressed_bytes);
    }

    fn noise(seed: u32, len: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        (0..len).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..same_cases_every_time() })]

        #[test]
        fn a_hole_is_as_long_as_the_chunk_and_has_no_messages(
            sizes in prop::collection::vec((0_usize..30_000, any::<u32>(), any::<bool>()), 3..40),
            compression in prop::sample::select(&COMPRESSIONS[..]),
        ) {
            let data = |&(len, seed, random): &(usize, u32, bool)| match random {
                true => noise(seed, len),
                // Text of few words, as many messages are.
                false => noise(seed, len).iter().map(|byte| b'a' + byte % 4).collect(),
            };
            assert_is_a_hole(&chunk(compression, &sizes.iter().map(data).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn large_and_incompressible_chunks_have_holes_too() {
        for compression in COMPRESSIONS {
            for len in [9_000_000, 4 << 20, 300_000] {
                assert_is_a_hole(&chunk(compression, &[noise(7, len), vec![0; 40]]));
            }
        }
    }

    #[test]
    fn what_is_smaller_than_any_chunk_has_none() {
        let mut tiny = chunk(Compression::None, &[vec![1]]).descriptor;
        tiny.record_bytes = CHUNK_FRAME_BYTES + 5;
        assert_eq!(chunk_without_messages(&tiny), None);
    }
}
