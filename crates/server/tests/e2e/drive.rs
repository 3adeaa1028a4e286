//! A recording of a few streamed sources behind a fake backend.

use bytes::Bytes;
use rdl_testkit::{Drive, FakeBackend, FileSpec, Recording, manifest_json, streamed_entry};

/// Where a source's data lies.
pub(crate) fn path(number: usize) -> String {
    format!("/data/{number}")
}

/// The recording `drive`: four streamed sources, `source-0` and so on, and their files.
pub(crate) async fn drive() -> (FakeBackend, Recording, Vec<Bytes>) {
    let recording = Drive { payload_bytes: 1_000, ..Drive::default() }.generate();
    let backend = FakeBackend::start().await;
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    for (number, messages) in recording.sources.iter().enumerate() {
        let file = Bytes::from(FileSpec::default().write(messages));
        backend.streamed(&path(number), file.clone());
        let id = format!("source-{number}");
        entries.push(streamed_entry(Some(&id), &path(number), messages));
        files.push(file);
    }
    backend.recording("drive", &manifest_json(Some("a drive"), &entries));
    (backend, recording, files)
}
