//! A running loader, looked at from outside.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rdl_testkit::{FakeBackend, FileSpec, Observed, Process, Recording};
use rdl_testkit::{manifest_json, streamed_entry};
use tokio::time::Instant;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_remote-data-loader");
/// How much of a second an idle process may compute.
const IDLE_SECONDS: f64 = 0.1;

/// A loader in front of a fake backend, with a disk folder of its own.
pub(crate) struct Loader {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Loader {
    pub(crate) async fn start(backend: &FakeBackend, environment: &[(&str, &str)]) -> Loader {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let mut all = vec![("REQUEST_CACHE_DISK_FOLDER", path.as_str())];
        all.extend_from_slice(environment);
        let endpoint = backend.manifest_endpoint();
        let process = Process::start_loader(Path::new(BINARY), &endpoint, &all).await.unwrap();
        Loader { process, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.process.url())
    }

    /// The URL of `/v1/stream` with this query.
    pub(crate) fn stream(&self, query: &str) -> String {
        self.url(&format!("/v1/stream?{query}"))
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed::of(self.process.id().unwrap())
    }

    /// Waits until the process does next to nothing for a whole second.
    pub(crate) async fn becomes_idle(&self, patience: Duration) {
        let observed = self.observed();
        let start = Instant::now();
        loop {
            let before = observed.cpu_seconds().unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let spent = observed.cpu_seconds().unwrap() - before;
            if spent < IDLE_SECONDS {
                return;
            }
            assert!(start.elapsed() < patience, "{spent} s of a second: {}", self.printed());
        }
    }

    pub(crate) fn printed(&self) -> String {
        self.process.printed()
    }
}

/// Serves a recording of streamed sources under its name; gives their paths and files.
pub(crate) fn serve(
    backend: &FakeBackend,
    name: &str,
    recording: &Recording,
) -> Vec<(String, Bytes)> {
    let spec = FileSpec { compression: None, chunk_bytes: Some(1 << 20), ..FileSpec::default() };
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    for (number, messages) in recording.sources.iter().enumerate() {
        let path = format!("/{name}/{number}");
        let file = Bytes::from(spec.write(messages));
        backend.streamed(&path, file.clone());
        entries.push(streamed_entry(Some(&format!("{name}-{number}")), &path, messages));
        files.push((path, file));
    }
    backend.recording(name, &manifest_json(Some(name), &entries));
    files
}

/// Waits for something that must happen in time; a test that hangs says what it waited for.
pub(crate) async fn within<T>(
    seconds: u64,
    what: &str,
    loader: &Loader,
    future: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {seconds} s: {what}\n{}", loader.printed()),
    }
}
