//! Legal sources, within every limit, but large.

use mcap::Compression;
use rdl_testkit::OneChunk;

use crate::running::{Outcome, ask_at_once, ask_at_once_for};

const START: u64 = 1_700_000_000_000_000_000;
/// `MAX_MESSAGE_BYTES`.
const LARGEST_MESSAGE: usize = 64 << 20;
/// Of a message's record, what comes before its data.
const MESSAGE_HEADER_BYTES: usize = 22;

fn chunk_of_120_mib(compression: Option<Compression>) -> OneChunk {
    OneChunk {
        topic: "/huge".to_owned(),
        start_nanos: START,
        messages: 1_200,
        payload_bytes: 100 << 10,
        compression,
    }
}

fn one_message(payload_bytes: usize) -> OneChunk {
    OneChunk {
        topic: "/huge".to_owned(),
        start_nanos: START,
        messages: 1,
        payload_bytes,
        compression: Some(Compression::Zstd),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_120_mib_in_zstd() {
    let source = chunk_of_120_mib(Some(Compression::Zstd));
    let allowed = [Outcome::Right, Outcome::Refused];
    ask_at_once("120 MiB in zstd", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_120_mib_in_lz4() {
    let source = chunk_of_120_mib(Some(Compression::Lz4));
    let allowed = [Outcome::Right, Outcome::Refused];
    ask_at_once("120 MiB in lz4", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_120_mib_as_it_is() {
    let source = chunk_of_120_mib(None);
    let allowed = [Outcome::Right, Outcome::Refused];
    ask_at_once("120 MiB uncompressed", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_just_64_mib() {
    let source = one_message(LARGEST_MESSAGE - MESSAGE_HEADER_BYTES);
    let allowed = [Outcome::Right, Outcome::Refused];
    ask_at_once("a message of 64 MiB", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_more_than_64_mib() {
    let source = one_message(LARGEST_MESSAGE + 1);
    let allowed = [Outcome::Named, Outcome::Refused];
    ask_at_once("a message over 64 MiB", 4, &source, source.write(), None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_just_64_mib_that_has_to_be_compressed() {
    let source = one_message(LARGEST_MESSAGE);
    let allowed = [Outcome::Right, Outcome::Refused];
    let what = "a message of 64 MiB in zstd";
    let file = source.write();
    ask_at_once_for("&compression=zstd", what, 4, &source, file, None, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_just_64_mib_that_is_looked_back_to() {
    let source = one_message(LARGEST_MESSAGE);
    let allowed = [Outcome::Right, Outcome::Refused];
    let what = "a message of 64 MiB before the range";
    let query = format!("&replayPolicy=lastPerChannel&start={}", START + 1);
    ask_at_once_for(&query, what, 4, &source, source.write(), None, &allowed).await;
}
