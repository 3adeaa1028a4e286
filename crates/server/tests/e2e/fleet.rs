//! Loaders that share a bucket: how they are set up, asked, and what they leave behind.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdl_testkit::servers::VersityServer;
use rdl_testkit::{
    Drive, FakeBackend, Fault, FileSpec, Message, Process, Recording, arrived, check_all,
    manifest_json, streamed_entry,
};
use serde_json::Value;

use crate::drive::path;
use crate::running::{BINARY, Running};

pub(crate) const QUERY: &str = "ds.recording=drive";
pub(crate) const BUCKET: &str = "recordings";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Short times, so that a replica that died is missed soon.
pub(crate) const PACE: [(&str, &str); 4] = [
    ("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS", "2000"),
    ("REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS", "400"),
    ("REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS", "200"),
    ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "20000"),
];

/// A recording of so many streamed sources, and its backend.
pub(crate) async fn recording(sources: usize) -> (FakeBackend, Recording) {
    let drive = Drive { windows: sources / 2, payload_bytes: 2_000, ..Drive::default() };
    let recording = drive.generate();
    let backend = FakeBackend::start().await;
    let mut entries = Vec::new();
    for (number, messages) in recording.sources.iter().enumerate() {
        backend.streamed(&path(number), Bytes::from(FileSpec::default().write(messages)));
        entries.push(streamed_entry(Some(&format!("source-{number}")), &path(number), messages));
    }
    backend.recording("drive", &manifest_json(Some("a drive"), &entries));
    (backend, recording)
}

/// The same, and what is in it; each source takes some seconds: so many bytes come every 100 ms.
pub(crate) async fn slow_recording(sources: usize, bytes: u64) -> (FakeBackend, Vec<Message>) {
    let (backend, recording) = recording(sources).await;
    for source in 0..sources {
        backend.always(&path(source), Fault::Slow(bytes, Duration::from_millis(100)));
    }
    (backend, recording.merged())
}

/// How to reach a bucket on this S3.
pub(crate) fn s3(url: &str) -> Vec<(&str, &str)> {
    let mut environment = vec![
        ("REQUEST_CACHE_STORAGE_PROVIDER", "s3_compatible"),
        ("REQUEST_CACHE_BUCKET_NAME", BUCKET),
        ("REQUEST_CACHE_PREFIX", "team/a"),
        ("S3_COMPATIBLE_SERVICE_URL", url),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", VersityServer::ACCESS_KEY),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", VersityServer::SECRET_KEY),
    ];
    environment.extend(PACE);
    environment
}

/// An S3 with that bucket, empty.
pub(crate) async fn s3_server() -> VersityServer {
    let server = VersityServer::start().await.unwrap();
    server.create_bucket(BUCKET).unwrap();
    server
}

/// Freezes a process after a while, and for a while.
pub(crate) async fn pause(process: &Process, after: Duration, during: Duration) {
    tokio::time::sleep(after).await;
    process.freeze().unwrap();
    tokio::time::sleep(during).await;
    process.thaw().unwrap();
}

/// How often each source was asked for.
pub(crate) fn counts(backend: &FakeBackend, sources: usize) -> Vec<usize> {
    (0..sources).map(|source| backend.count(&path(source))).collect()
}

/// Asks for everything, and compares it; an error tells what was wrong.
pub(crate) async fn ask(loader: &Running, truth: &[Message]) -> anyhow::Result<()> {
    let answer = loader.ask(QUERY, &[]).await;
    let printed = || format!("{}\n{}", answer.text(), loader.process.printed());
    anyhow::ensure!(answer.status == 200 && answer.complete, "{}: {}", answer.status, printed());
    check_all(&arrived(&answer.body)?, truth)
}

/// `cache list --json` with this environment.
pub(crate) async fn listed(environment: &[(&str, &str)]) -> Value {
    let output = tokio::process::Command::new(BINARY)
        .args(["cache", "list", "--json"])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the bucket holds, unless that is one complete attempt for each source and nothing else.
pub(crate) async fn unsettled(environment: &[(&str, &str)], sources: usize) -> Option<Value> {
    let list = listed(environment).await;
    let entries = list.as_array().unwrap();
    let ids: HashSet<&str> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
    let all_complete = entries.iter().all(|entry| entry["state"] == "complete");
    let is_settled = all_complete && entries.len() == sources && ids.len() == sources;
    (!is_settled).then_some(list)
}

/// Waits until the bucket holds one complete attempt for each source, and nothing else.
pub(crate) async fn settled(environment: &[(&str, &str)], sources: usize) {
    let started = Instant::now();
    while let Some(list) = unsettled(environment, sources).await {
        assert!(started.elapsed() < PATIENCE, "the bucket does not settle: {list:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
