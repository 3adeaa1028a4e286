//! A store that is slow or away, and viewers who stop reading or leave.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use rdl_files_backend::{AccessRule, FilesConfig, Place};
use rdl_store::{BucketConfig, BucketProvider};
use rdl_testkit::{Drive, FileSpec, FlakyStore, Viewer, check_all};

use crate::running::Running;

fn config(store: &FlakyStore) -> FilesConfig {
    let provider = BucketProvider::Other(Arc::new(store.clone()));
    let bucket = BucketConfig { provider, name: "b".to_owned(), prefix: String::new() };
    FilesConfig::new(Place::bucket(&bucket).unwrap(), AccessRule::Anyone)
}

async fn put(store: &FlakyStore, name: &str, bytes: impl Into<Bytes>) {
    let bytes: Bytes = bytes.into();
    store.another().put(&Path::from(name), bytes.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_reading_or_leaves_has_nothing_more_read() {
    let store = FlakyStore::new();
    put(&store, "large.mcap", vec![7; 256 << 20]).await;
    let backend = Running::start(config(&store)).await;
    let before = store.reads();
    let viewer = Viewer::open_narrow(&format!("{}/files/large.mcap", backend.url)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let taken = store.reads() - before;
    // Some pieces of 4 MiB: what the sockets hold, and one ahead; and a look, unless it was listed.
    assert!((1..=6).contains(&taken), "{taken} of 65");
    drop(viewer);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(store.reads() - before <= taken + 1);
}

#[tokio::test]
async fn a_store_that_is_away_is_a_503_and_is_not_remembered() {
    let store = FlakyStore::new();
    let messages = Drive::default().generate().merged();
    put(&store, "a.mcap", FileSpec::default().write(&messages)).await;
    let backend = Running::start(config(&store)).await;
    store.set_away(true);
    for path in ["/recordings", "/manifest?recording=a", "/files/a.mcap"] {
        let answer = backend.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("x-foxglove-error-message").unwrap().contains("ask again"));
    }
    store.set_away(false);
    let sources = backend.sources("a").await;
    check_all(&backend.messages(&sources[0]).await, &messages).unwrap();
    // What is known is not asked for again, and what is listed is told although nothing is read.
    store.set_away(true);
    assert_eq!(backend.sources("a").await, sources);
}

#[tokio::test]
async fn a_file_that_takes_long_to_read_is_waited_for_and_read_on_meanwhile() {
    let store = FlakyStore::new();
    let messages = Drive { messages: 3_000, ..Drive::default() }.generate().merged();
    let spec = FileSpec { summary: false, ..FileSpec::default() };
    put(&store, "a.mcap", spec.write(&messages)).await;
    let mut config = config(&store);
    config.manifest_wait = Duration::from_millis(100);
    config.recordings_wait = Duration::from_millis(100);
    let backend = Running::start(config).await;
    assert_eq!(backend.get("/manifest?recording=b").await.status, 404);
    store.set_latency(Duration::from_millis(300));
    let refused = backend.manifest("a").await;
    assert_eq!(refused.status, 503);
    let words = refused.header("x-foxglove-error-message").unwrap();
    assert!(words.contains("still being read"), "{words}");
    let listed = backend.recordings().await;
    assert!(listed[0]["problems"][0].as_str().unwrap().contains("still being read"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    store.set_latency(Duration::ZERO);
    let reads = store.reads();
    let sources = backend.sources("a").await;
    assert_eq!(store.reads(), reads, "what was begun was finished");
    check_all(&backend.messages(&sources[0]).await, &messages).unwrap();
}
