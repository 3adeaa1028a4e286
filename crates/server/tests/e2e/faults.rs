//! What a fault of the backend must end in.

use std::time::Duration;

use bytes::Bytes;
use rdl_testkit::{Drive, Fault, FileSpec, Recording};
use serde_json::Value;

use crate::drive::{drive, path};
use crate::running::Running;

const QUERY: &str = "ds.recording=drive";
/// The silence that the loader bears, in milliseconds.
const SILENCE: (&str, &str) = ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "2500");

#[tokio::test]
async fn what_passes_is_not_noticed() {
    let half = |file: &Bytes| file.len() as u64 / 2;
    let (_, _, files) = drive().await;
    let (first, second) = (half(&files[0]), half(&files[1]));
    let table: [(&str, Vec<Fault>); 8] = [
        ("one cut connection", vec![Fault::CutAfter(first)]),
        ("a cut within the header", vec![Fault::CutAfter(5)]),
        ("cuts at several places", vec![Fault::CutAfter(first), Fault::CutAfter(first + 5_000)]),
        ("no answer at all", vec![Fault::Hangup, Fault::Hangup]),
        ("a burst of 503", vec![Fault::Status(503, None), Fault::Status(503, None)]),
        ("a short stall", vec![Fault::StallAfter(first, Duration::from_millis(800))]),
        ("a body that ends too soon", vec![Fault::EndAfter(first)]),
        ("a length that lies", vec![Fault::ContentLength(1 << 40)]),
    ];
    for (name, faults) in table {
        let (backend, recording, _) = drive().await;
        backend.script(&path(0), faults);
        backend.script(&path(1), [Fault::CutAfter(second)]);
        backend.script("/manifest", [Fault::Status(502, None)]);
        let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
        let answer = loader.stream(QUERY, &[]).await;
        assert!(answer.messages == recording.merged(), "{name}");
        assert!(answer.metadata.is_empty(), "{name}: {:?}", answer.metadata);
    }
}

#[tokio::test]
async fn a_source_that_keeps_failing_is_named() {
    for fault in [Fault::Status(500, None), Fault::Hangup, Fault::CutAfter(20)] {
        let (backend, recording, _) = drive().await;
        backend.always(&path(0), fault.clone());
        let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
        let answer = loader.ask(QUERY, &[]).await;
        assert_eq!(answer.status, 502, "{fault:?}: {}", answer.text());
        let problem = answer.json().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("source-0"), "{problem}");

        let partial = loader.stream(&format!("{QUERY}&partial=true"), &[]).await;
        let rest = Recording { sources: recording.sources[1..].to_vec() };
        assert!(partial.messages == rest.merged(), "{fault:?}: the other sources are whole");
        let (name, missing) = partial.metadata.last().unwrap();
        assert_eq!(name, "remote-data-loader");
        let missing: Value = serde_json::from_str(&missing["missing-1"]).unwrap();
        assert_eq!(missing["source"], "source-0", "{missing}");
    }
}

#[tokio::test]
async fn a_failure_after_the_headers_aborts() {
    let (backend, _, files) = drive().await;
    // Of the second window: the first has left by then.
    backend.always(&path(2), Fault::CutAfter(files[2].len() as u64 / 2));
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    let answer = loader.ask(QUERY, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.complete, "a truncated MCAP must never look whole");
    assert!(!answer.body.is_empty());
}

#[tokio::test]
async fn a_flipped_bit_costs_one_chunk_and_is_named() {
    let (backend, recording, files) = drive().await;
    backend.always(&path(0), Fault::FlipBit(files[0].len() as u64 / 4));
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    let answer = loader.stream(QUERY, &[]).await;
    let all = recording.merged();
    let lost = all.len() - answer.messages.len();
    assert!(lost > 0 && lost < recording.sources[0].len() / 2, "{lost} messages are lost");
    assert!(answer.messages.iter().all(|message| all.contains(message)));
    let (name, missing) = answer.metadata.last().unwrap();
    assert_eq!(name, "remote-data-loader");
    let missing: Value = serde_json::from_str(&missing["missing-1"]).unwrap();
    assert_eq!(missing["code"], "damaged-chunk", "{missing}");
    let described = loader.describe(QUERY).await;
    assert_eq!(described["problems"][0]["code"], "damaged-chunk", "{described}");
    assert_eq!(described["problems"][0]["source"], "source-0", "{described}");
}

#[tokio::test]
async fn a_source_that_never_repeats_itself_fails() {
    let (backend, _, _) = drive().await;
    let bodies = (10..20).map(|seed| {
        let other = Drive { seed, payload_bytes: 1_000, ..Drive::default() }.generate();
        let file = FileSpec::default().write(&other.sources[0]);
        // Broken off, so that the loader asks again.
        Fault::Body(Bytes::from(file[..file.len() - 100].to_vec()))
    });
    backend.script(&path(0), bodies);
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    let answer = loader.ask(QUERY, &[]).await;
    let described = loader.describe(QUERY).await;
    let asked = backend.count(&path(0));
    assert!(answer.status == 502 || !answer.complete, "asked {asked} times: {described}");
    let source = &described["sources"][0];
    assert_eq!(source["state"], "failed", "{described}");
    assert!(source["error"].as_str().unwrap().contains("different"), "{described}");
    assert!(asked <= 4, "it gave up: asked {asked} times");
}

#[tokio::test]
async fn refusals_keep_their_status_and_words() {
    let (backend, _, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    for status in [401, 403, 404] {
        backend.script("/manifest", [Fault::Status(status, Some("not today".to_owned()))]);
        let answer = loader.ask(QUERY, &[]).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-foxglove-error-message"), Some("not today"));
    }
}
