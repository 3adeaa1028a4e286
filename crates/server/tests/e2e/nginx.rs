//! Static files behind nginx.

use rdl_testkit::{Drive, FakeBackend, FileSpec, Nginx, manifest_json, static_entry};

use crate::running::Running;

#[tokio::test]
async fn static_files_are_merged_by_ranges() {
    // Chunks that are worth fetching alone.
    let drive = Drive { messages: 300, payload_bytes: 4_000, ..Drive::default() };
    let recording = drive.generate();
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::serve(folder.path()).await.unwrap();
    let compressions = [None, Some(mcap::Compression::Lz4), Some(mcap::Compression::Zstd)];
    let mut entries = Vec::new();
    for (number, messages) in recording.sources.iter().enumerate() {
        let spec = FileSpec {
            chunk_bytes: Some(200_000),
            compression: compressions[number % compressions.len()],
            ..FileSpec::default()
        };
        let name = format!("{number}.mcap");
        std::fs::write(folder.path().join(&name), spec.write(messages)).unwrap();
        entries.push(static_entry(&format!("{}/{name}", nginx.url())));
    }
    let backend = FakeBackend::start().await;
    backend.recording("files", &manifest_json(Some("files"), &entries));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;

    let described = loader.describe("ds.recording=files").await;
    let sources = described["sources"].as_array().unwrap();
    assert_eq!(sources.len(), entries.len());
    assert!(sources.iter().all(|source| source["state"] == "indexed"), "{described}");
    let all = loader.stream("ds.recording=files", &[]).await;
    assert!(all.messages == recording.merged(), "the merge equals a stable sort of everything");

    let (from, to) = (drive.start_nanos + 4_000_000_000, drive.start_nanos + 12_000_000_000);
    let topics = ["/group0/topic1", "/group1/topic0"];
    let query = format!("topics={}&topics={}&start={from}&end={to}", topics[0], topics[1]);
    let part = loader.stream(&format!("ds.recording=files&{query}"), &[]).await;
    assert!(!part.messages.is_empty());
    assert!(part.messages == recording.selected(&topics, from, to));
}
