//! Sources whose chunk declares what it does not hold.

use mcap::records::op;
use mcap::{Compression, MAGIC};
use rdl_testkit::{Fault, OneChunk, RawFile};

use crate::running::{Outcome, ask_at_once};

/// Of a chunk's record, its size and times, CRC, empty compression and the length of its records.
const CHUNK_HEADER_BYTES: u64 = 8 + 8 + 8 + 4 + 4 + 8;
/// `MAX_CHUNK_BYTES`: what the record may have at most.
const LARGEST_RECORD: u64 = 256 << 20;
const FAILED: [Outcome; 2] = [Outcome::Named, Outcome::Refused];

/// What the manifest promises of each.
fn promised() -> OneChunk {
    OneChunk {
        topic: "/huge".to_owned(),
        start_nanos: 1_700_000_000_000_000_000,
        messages: 4,
        payload_bytes: 45 << 20,
        compression: Some(Compression::Zstd),
    }
}

/// A file that stops in front of the records of an uncompressed chunk, whose record has this size.
fn chunk_begun(record_bytes: u64) -> Vec<u8> {
    let records = record_bytes - CHUNK_HEADER_BYTES;
    let times = [promised().message(0).log_time, promised().message(3).log_time];
    let mut fields = Vec::new();
    fields.extend(times.iter().flat_map(|time| time.to_le_bytes()));
    fields.extend(records.to_le_bytes());
    fields.extend(0_u32.to_le_bytes());
    fields.extend(0_u32.to_le_bytes());
    fields.extend(records.to_le_bytes());
    RawFile::started().forged_record(op::CHUNK, record_bytes, &fields).into_bytes()
}

/// A whole file with one chunk of this size that has zeros for records.
fn zeros(record_bytes: u64) -> Vec<u8> {
    let begun = chunk_begun(record_bytes);
    let ended = RawFile::new().record(op::DATA_END, &[0; 4]).record(op::FOOTER, &[0; 20]);
    let ended = ended.bytes(MAGIC).into_bytes();
    let end = begun.len() + (record_bytes - CHUNK_HEADER_BYTES) as usize;
    // Pages of zeros that nobody writes to take no memory.
    let mut file = vec![0; end + ended.len()];
    file[..begun.len()].copy_from_slice(&begun);
    file[end..].copy_from_slice(&ended);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_256_mib_of_zeros() {
    let file = zeros(LARGEST_RECORD);
    ask_at_once("256 MiB of zeros", 1, &promised(), file, None, &FAILED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_64_mib_of_zeros() {
    let file = zeros(LARGEST_RECORD / 4);
    ask_at_once("64 MiB of zeros", 4, &promised(), file, None, &FAILED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_256_mib_that_never_comes() {
    let mut file = chunk_begun(LARGEST_RECORD);
    file.resize(file.len() + (64 << 10), 0);
    let fault = Some(Fault::ContentLength(LARGEST_RECORD));
    ask_at_once("256 MiB that never come", 4, &promised(), file, fault, &FAILED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_that_tells_its_size() {
    let source = promised();
    let allowed = [Outcome::Right, Outcome::Refused];
    ask_at_once("a bomb of 180 MiB", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_that_hide_their_size() {
    for compression in [Compression::Zstd, Compression::Lz4] {
        let what = format!("a bomb of 180 MiB in {compression:?} that declares 1 MiB");
        let source = OneChunk { compression: Some(compression), ..promised() };
        ask_at_once(&what, 4, &source, source.write_declaring(1 << 20), None, &FAILED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_declares_more_than_it_holds() {
    let source = OneChunk { payload_bytes: 1_000, ..promised() };
    let file = source.write_declaring(LARGEST_RECORD);
    ask_at_once("1 KiB that declare 256 MiB", 4, &source, file, None, &FAILED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_declares_a_tebibyte() {
    let source = OneChunk { payload_bytes: 1_000, ..promised() };
    let file = source.write_declaring(1 << 40);
    ask_at_once("1 KiB that declare 1 TiB", 4, &source, file, None, &FAILED).await;
}
