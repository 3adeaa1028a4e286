//! Files that others wrote: the MCAP project's conformance files, and the recordings inside the
//! `mcap` crate's package, each as a streamed source and as a static one.

use std::collections::BTreeMap;

use rdl_engine::Query;
use rdl_model::ProblemCode;
use rdl_testkit::{conformance_files, mcap_crate_file};
use serde_json::{Value, json};

use crate::backend::{Backend, recording};
use crate::output;

/// Everything of a message that must come out as it went in.
type Plain = (
    u64,
    u64,
    u32,
    String,
    String,
    Option<(String, String, Vec<u8>)>,
    BTreeMap<String, String>,
    Vec<u8>,
);

/// The messages of a file in its own order; `None` where the `mcap` crate cannot read it.
fn plain(bytes: &[u8]) -> Option<Vec<Plain>> {
    let mut messages = Vec::new();
    for message in mcap::MessageStream::new(bytes).ok()? {
        let message = message.ok()?;
        let channel = &message.channel;
        let schema = channel.schema.as_ref();
        messages.push((
            message.log_time,
            message.publish_time,
            message.sequence,
            channel.topic.clone(),
            channel.message_encoding.clone(),
            schema.map(|found| (found.name.clone(), found.encoding.clone(), found.data.to_vec())),
            channel.metadata.clone(),
            message.data.to_vec(),
        ));
    }
    Some(messages)
}

fn manifest(is_static: bool) -> Value {
    let source = if is_static {
        json!({ "url": "/s/0", "supportsRangeRequests": true })
    } else {
        json!({
            "url": "/s/0",
            "topics": [],
            "schemas": [],
            "startTime": "1970-01-01T00:00:00Z",
            "endTime": "2554-07-21T23:34:33.709551615Z",
        })
    };
    json!({ "sources": [source] })
}

/// The whole answer over one file, and the problems that were met.
async fn through(body: &[u8], is_static: bool) -> (Vec<u8>, Vec<ProblemCode>) {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(manifest(is_static), vec![body.to_vec()]).await;
    let engine = backend.engine(folder.path()).await;
    let recording = recording(&engine).await;
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    let problems = recording.sources().problems.iter().map(|problem| problem.code).collect();
    engine.shutdown().await;
    (bytes, problems)
}

async fn comes_out_sorted(name: &str, body: &[u8]) {
    let mut expected = plain(body).unwrap_or_else(|| panic!("{name} cannot be read"));
    expected.sort_by_key(|message| message.0);
    for is_static in [false, true] {
        let (bytes, _) = through(body, is_static).await;
        let got = plain(&bytes).unwrap_or_else(|| panic!("the answer over {name} cannot be read"));
        assert!(got == expected, "{name}, static: {is_static}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_files_come_out_whole() {
    for file in conformance_files() {
        let body = std::fs::read(&file).unwrap();
        comes_out_sorted(&file.display().to_string(), &body).await;
    }
}

/// 413 overlapping chunks of at most 5.4 KB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_recording_of_tiny_overlapping_chunks_comes_out_sorted() {
    for name in ["compressed.mcap", "uncompressed.mcap"] {
        comes_out_sorted(name, &mcap_crate_file(name)).await;
    }
}

#[tokio::test]
async fn a_file_whose_writer_died_is_served_as_far_as_it_goes() {
    let (bytes, problems) = through(&mcap_crate_file("chunk_not_closed.mcap"), true).await;
    assert_eq!(plain(&bytes).unwrap(), []);
    assert!(problems.contains(&ProblemCode::TruncatedFile), "{problems:?}");
}

/// Its messages are of a channel that is defined nowhere.
#[tokio::test]
async fn messages_without_a_channel_are_counted_and_never_silently_dropped() {
    for is_static in [false, true] {
        let (bytes, problems) =
            through(&mcap_crate_file("zstd_chunk_with_padding.mcap"), is_static).await;
        assert_eq!(plain(&bytes).unwrap(), []);
        assert!(problems.contains(&ProblemCode::MessageWithoutChannel), "{problems:?}");
    }
}
