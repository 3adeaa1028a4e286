//! What the other routes answer while and after sources load, and what a restart keeps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdl_testkit::{
    Channel, FakeBackend, Fault, FileSpec, Message, Process, Recording, decode, get, manifest_json,
    streamed_entry,
};
use serde_json::{Value, json};

use crate::drive::{drive, path};
use crate::running::{BINARY, Running};

const QUERY: &str = "ds.recording=drive";

fn downloads(backend: &FakeBackend, recording: &Recording) -> Vec<usize> {
    (0..recording.sources.len()).map(|number| backend.count(&path(number))).collect()
}

#[tokio::test]
async fn events_tell_of_a_prefetch_until_everything_is_there() {
    let (backend, recording, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let url = format!("{}/v1/events?{QUERY}&prefetch=true", loader.process.url());
    let answer = get(&url, &[]).await.unwrap();
    assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = answer.text();
    assert!(text.trim_end().contains("event: done"), "{text}");
    let last = text.lines().rfind(|line| line.starts_with("data: {")).unwrap();
    let last: Value = serde_json::from_str(&last["data: ".len()..]).unwrap();
    for source in last["sources"].as_array().unwrap() {
        assert_eq!(source["state"], "cached", "{source}");
    }
    assert!(downloads(&backend, &recording).iter().all(|count| *count == 1));
}

#[tokio::test]
async fn what_is_declared_is_known_while_a_source_loads() {
    let channels = ["/first", "/then"].map(|topic| Arc::new(Channel::json(topic)));
    let messages: Vec<Message> = (0..8000)
        .map(|n: u32| Message {
            channel: Arc::clone(&channels[usize::from(n >= 7900)]),
            log_time: u64::from(n),
            publish_time: 0,
            sequence: n,
            data: vec![7; 1000],
        })
        .collect();
    let backend = FakeBackend::start().await;
    let file = FileSpec { compression: None, ..FileSpec::default() }.write(&messages);
    backend.always("/slow", Fault::StallAfter(file.len() as u64 / 2, Duration::from_millis(1500)));
    backend.streamed("/slow", file);
    let entry = streamed_entry(Some("slow"), "/slow", &messages);
    backend.recording("drive", &manifest_json(None, &[entry]));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let watch = async {
        loop {
            let described = loader.describe(QUERY).await;
            let source = &described["sources"][0];
            assert_ne!(source["state"], "cached", "it was not seen while it loaded");
            if source["state"] == "loading" && !source["loadedUntil"].is_null() {
                return described;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (described, _) = tokio::join!(watch, loader.ask(QUERY, &[]));
    let topics = described["topics"].as_array().unwrap();
    let names: Vec<&Value> = topics.iter().map(|topic| &topic["name"]).collect();
    assert_eq!(names, ["/first", "/then"], "{described}");
    assert!(topics.iter().all(|topic| topic["messageCount"].is_null()), "{described}");
}

#[tokio::test]
async fn describing_a_recording_starts_no_load_and_streaming_it_makes_it_known() {
    let (backend, recording, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let described = loader.describe(QUERY).await;
    assert_eq!(described["name"], "a drive");
    assert!(described["sources"].as_array().unwrap().iter().all(|one| one["state"] == "pending"));
    assert!(downloads(&backend, &recording).iter().all(|count| *count == 0));

    let decoded = loader.stream(QUERY, &[]).await;
    assert!(decoded.messages == recording.merged());
    let described = loader.describe(QUERY).await;
    assert!(described["sources"].as_array().unwrap().iter().all(|one| one["state"] == "cached"));
    let counted: u64 = described["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| topic["messageCount"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, decoded.messages.len() as u64);
    assert_eq!(described["problems"], json!([]));
}

#[tokio::test]
async fn viewers_who_ask_at_once_share_one_download() {
    let (backend, recording, _) = drive().await;
    for number in 0..recording.sources.len() {
        let slow = Fault::Slow(4_000, Duration::from_millis(5));
        backend.always(&path(number), slow);
    }
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let (a, b, c) = tokio::join!(
        loader.stream(QUERY, &[]),
        loader.stream(QUERY, &[]),
        loader.stream(QUERY, &[])
    );
    for decoded in [a, b, c] {
        assert!(decoded.messages == recording.merged());
    }
    assert!(downloads(&backend, &recording).iter().all(|count| *count == 1));
}

/// The process is killed, not stopped.
#[tokio::test]
async fn a_restart_keeps_what_is_complete_in_the_bucket_folder() {
    let (backend, recording, _) = drive().await;
    let bucket = tempfile::tempdir().unwrap();
    let environment = [
        ("REQUEST_CACHE_STORAGE_PROVIDER", "local"),
        ("REQUEST_CACHE_BUCKET_NAME", bucket.path().to_str().unwrap()),
    ];
    for _ in 0..2 {
        let endpoint = backend.manifest_endpoint();
        let mut loader =
            Process::start_loader(Path::new(BINARY), &endpoint, &environment).await.unwrap();
        let url = format!("{}/v1/stream?{QUERY}", loader.url());
        let answer = get(&url, &[]).await.unwrap();
        assert!(answer.complete, "{}", loader.printed());
        assert!(decode(&answer.body).unwrap().messages == recording.merged());
        loader.kill().await.unwrap();
    }
    assert!(downloads(&backend, &recording).iter().all(|count| *count == 1));
}

#[tokio::test]
async fn a_silent_source_is_a_504() {
    let (backend, _, _) = drive().await;
    backend.always(&path(0), Fault::StallAfter(50, Duration::from_secs(60)));
    let silence = [("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "500")];
    let loader = Running::start(&backend.manifest_endpoint(), &silence).await;
    let answer = loader.ask(QUERY, &[]).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(answer.text().contains("source-0"), "{}", answer.text());
}
