//! Places with something wrong in them, and more than is good.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rdl_testkit::{Drive, FileSpec, Viewer, check_all};

use crate::running::Running;
use crate::watched::Watched;

/// A file with one message, whose schema is that long.
fn with_schema(schema_bytes: usize) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let options = mcap::WriteOptions::new().compression(None);
    let mut writer = options.create(&mut file).unwrap();
    let schema = writer.add_schema("long", "none", &vec![7; schema_bytes]).unwrap();
    let channel = writer.add_channel(schema, "/a", "none", &BTreeMap::new()).unwrap();
    let header = mcap::records::MessageHeader {
        channel_id: channel,
        sequence: 0,
        log_time: 1_700_000_000_000_000_000,
        publish_time: 1_700_000_000_000_000_000,
    };
    writer.write_to_known_channel(&header, b"x").unwrap();
    writer.finish().unwrap();
    drop(writer);
    file.into_inner()
}

#[tokio::test]
async fn one_object_that_may_not_be_read_is_named_and_the_others_go_on() {
    let store = Watched::default();
    let messages = Drive::default().generate().merged();
    let whole = FileSpec::default().write(&messages);
    for name in ["drive/a.mcap", "drive/b.mcap"] {
        store.put(name, whole.clone()).await;
    }
    store.refuse(Some("drive/a.mcap"));
    let backend = Running::start(store.config("")).await;
    let listed = backend.recordings().await;
    let problem = listed[1]["problems"][0].as_str().unwrap();
    assert!(problem.contains("may not be read"), "{problem}");
    assert_eq!(listed[2]["problems"], serde_json::json!([]));
    let sources = backend.sources("drive").await;
    assert_eq!(sources.len(), 1);
    check_all(&backend.messages(&sources[0]).await, &messages).unwrap();
    let refused = backend.manifest("drive/a").await;
    let words = refused.header("x-foxglove-error-message").unwrap().to_owned();
    assert!(refused.status == 404 && words.contains("may not be read"), "{words}");
    // It is not remembered.
    store.refuse(None);
    assert_eq!(backend.sources("drive").await.len(), 2);
}

#[tokio::test]
async fn a_listing_is_nobodys_and_what_went_wrong_is_told_to_all_who_wait() {
    let store = Watched::default();
    store.put("a.mcap", FileSpec::default().write(&Drive::default().generate().merged())).await;
    let backend = Running::start(store.config("")).await;
    // Of the start, which is old by then.
    backend.recordings().await;
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let before = store.lists();
    store.inner.set_latency(Duration::from_millis(500));
    let viewer = Viewer::open(&format!("{}/recordings", backend.url)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(viewer);
    tokio::time::sleep(Duration::from_millis(600)).await;
    store.inner.set_latency(Duration::ZERO);
    assert_eq!(backend.recordings().await.len(), 1);
    assert_eq!(store.lists() - before, 1, "it went on when who asked had left");

    tokio::time::sleep(Duration::from_millis(2_200)).await;
    store.inner.set_latency(Duration::from_millis(500));
    store.inner.set_away(true);
    let before = store.lists();
    let started = Instant::now();
    let answers = join_all((0..10).map(|_| backend.get("/recordings"))).await;
    assert!(answers.iter().all(|answer| answer.status == 503));
    assert!(started.elapsed() < Duration::from_millis(2_000), "{:?}", started.elapsed());
    assert!(store.lists() - before <= 2, "{}", store.lists() - before);
}

#[tokio::test]
async fn a_prefix_may_have_any_signs() {
    for prefix in ["te~am", "a #1", "50%", "[x]{y}", "what*?|"] {
        let store = Watched::default();
        let whole = FileSpec::default().write(&Drive::default().generate().merged());
        store.put(&format!("{prefix}/drive/a.mcap"), whole.clone()).await;
        store.put("elsewhere.mcap", whole.clone()).await;
        let backend = Running::start(store.config(prefix)).await;
        let listed = backend.recordings().await;
        assert_eq!(listed.len(), 2, "{prefix}: {listed:?}");
        assert_eq!(backend.get("/files/drive/a.mcap").await.body, whole);
    }
}

#[tokio::test]
async fn a_large_summary_is_read_in_pieces() {
    let store = Watched::default();
    store.put("a.mcap", with_schema(9 << 20)).await;
    let backend = Running::start(store.config("")).await;
    assert_eq!(backend.sources("a").await[0]["url"], "files/a.mcap");
    assert!(store.largest_read() <= 4 << 20, "{}", store.largest_read());
}

#[tokio::test]
async fn a_manifest_that_the_loader_would_not_take_says_what_to_split() {
    let store = Watched::default();
    // Cut off: the manifest has to have the schemas.
    let whole = with_schema(1 << 20);
    let cut = &whole[..(1 << 20) + 400];
    for number in 0..12 {
        store.put(&format!("many/{number:02}.mcap"), cut.to_vec()).await;
    }
    let backend = Running::start(store.config("")).await;
    assert_eq!(backend.sources("many/00").await.len(), 1);
    let refused = backend.manifest("many").await;
    let words = refused.header("x-foxglove-error-message").unwrap();
    assert_eq!(refused.status, 400, "{words}");
    assert!(words.contains("16 MiB") && words.contains("split \"many\""), "{words}");
}

#[tokio::test]
async fn more_files_than_a_manifest_may_name_are_refused_at_once() {
    let store = Watched::default();
    for number in 0..=10_000 {
        store.put(&format!("many/{number}.mcap"), "x").await;
    }
    let backend = Running::start(store.config("")).await;
    let reads = store.inner.reads();
    let started = Instant::now();
    let refused = backend.get("/manifest?recording=many&recording=many/").await;
    let words = refused.header("x-foxglove-error-message").unwrap();
    assert_eq!(refused.status, 400, "{words}");
    assert!(words.contains("10000 files") && words.contains("fewer recordings"), "{words}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(store.inner.reads(), reads);
}

#[tokio::test]
async fn a_file_that_was_empty_when_it_was_listed_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    std::fs::write(&path, "").unwrap();
    let backend = Running::folder(folder.path()).await;
    backend.recordings().await;
    std::fs::write(&path, "not empty").unwrap();
    assert_eq!(backend.get("/files/a.mcap").await.body, &b"not empty"[..]);
}
