//! A file that is written while it is served.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rdl_files_backend::{AccessRule, FilesConfig, Place};
use rdl_testkit::{Drive, FileSpec, Message, check_all, check_beginning};
use serde_json::Value;

use crate::running::Running;

/// Longer than a listing lasts.
const AFTER_A_WHILE: Duration = Duration::from_millis(2_200);

/// A backend that publishes what is new at once, and keeps segments for so long.
async fn eager(folder: &Path, segments_kept: Duration) -> Running {
    let mut config = FilesConfig::new(Place::folder(folder).unwrap(), AccessRule::Anyone);
    config.segments_apart = Duration::ZERO;
    config.segments_kept = segments_kept;
    Running::start(config).await
}

async fn all(backend: &Running, sources: &[Value]) -> Vec<Message> {
    let mut messages = Vec::new();
    for source in sources {
        messages.extend(backend.messages(source).await);
    }
    messages
}

#[tokio::test]
async fn a_file_that_grows_gives_ever_more_and_what_was_named_stays() {
    let messages = Drive { windows: 1, groups: 1, ..Drive::default() }.generate().merged();
    let written = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&messages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.mcap");
    std::fs::write(&path, &written[..100]).unwrap();
    let kept = Duration::from_secs(12);
    let backend = eager(folder.path(), kept).await;
    let refused = backend.manifest("live").await;
    assert_eq!(refused.status, 404);
    let words = refused.header("x-foxglove-error-message").unwrap();
    assert!(words.contains("no whole chunk"), "{words}");

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let mut at = 100;
    let mut seen: Vec<(Vec<Value>, Vec<Message>)> = Vec::new();
    for part in [3, 6, 8, 10] {
        let end = written.len() * part / 10;
        file.write_all(&written[at..end]).unwrap();
        at = end;
        tokio::time::sleep(AFTER_A_WHILE).await;
        let sources = backend.sources("live").await;
        assert_eq!(sources.len(), seen.len() + 1);
        let found = all(&backend, &sources).await;
        check_beginning(&found, &messages).unwrap();
        if let Some((before, had)) = seen.last() {
            assert!(sources.starts_with(before) && had.len() < found.len());
        }
        seen.push((sources, found));
    }
    // It has its end by now, and whoever goes by its segments goes on with them.
    let (sources, found) = seen.last().unwrap();
    check_all(found, &messages).unwrap();
    assert_eq!(backend.sources("live").await, *sources);
    let listed = backend.recordings().await;
    assert_eq!(listed[0]["problems"], serde_json::json!([]));
    // When nobody has asked for a while it is a file like any other, and the old ids are still what
    // they were.
    tokio::time::sleep(kept + Duration::from_millis(200)).await;
    let whole = backend.sources("live").await;
    assert_eq!((whole.len(), whole[0]["url"].as_str()), (1, Some("files/live.mcap")));
    check_all(&backend.messages(&whole[0]).await, &messages).unwrap();
    check_all(&all(&backend, sources).await, &messages).unwrap();

    // Another file of that name never comes under the old ids.
    let other = Drive { seed: 9, windows: 1, groups: 1, ..Drive::default() }.generate().merged();
    let other = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&other);
    let replaced = folder.path().join("new");
    std::fs::write(&replaced, &other).unwrap();
    std::fs::rename(&replaced, &path).unwrap();
    let url = |source: &Value| format!("/{}", source["url"].as_str().unwrap());
    for source in sources {
        assert_eq!(backend.get(&url(source)).await.status, 410);
    }
    std::fs::write(&path, "gone").unwrap();
    assert_eq!(backend.get(&url(&sources[0])).await.status, 410);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(backend.get(&url(&sources[0])).await.status, 404);
}

#[tokio::test]
async fn what_is_added_is_named_after_a_while() {
    let messages = Drive { windows: 1, groups: 1, ..Drive::default() }.generate().merged();
    let spec = FileSpec { chunk_bytes: Some(2_000), summary: false, ..FileSpec::default() };
    let written = spec.write(&messages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.mcap");
    std::fs::write(&path, &written[..written.len() / 2]).unwrap();
    let mut config = FilesConfig::new(Place::folder(folder.path()).unwrap(), AccessRule::Anyone);
    config.segments_apart = Duration::from_secs(5);
    let backend = Running::start(config).await;
    let first = backend.sources("live").await;
    let more = written.len() * 3 / 4;
    std::fs::write(&path, &written[..more]).unwrap();
    tokio::time::sleep(AFTER_A_WHILE).await;
    assert_eq!(backend.sources("live").await, first);
    // Though the file has not grown any further.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = backend.sources("live").await;
    assert!(second.len() == 2 && second.starts_with(&first));
    check_beginning(&all(&backend, &second).await, &messages).unwrap();
    // What has its end waits for nothing.
    std::fs::write(&path, &written).unwrap();
    tokio::time::sleep(AFTER_A_WHILE).await;
    let third = backend.sources("live").await;
    assert!(third.len() == 3 && third.starts_with(&second));
    check_all(&all(&backend, &third).await, &messages).unwrap();

    // Another process names the same bytes the same way, and what it has not read up to is not its.
    let other = eager(folder.path(), Duration::ZERO).await;
    let once = other.sources("live").await;
    assert_eq!(once.len(), 1);
    check_all(&all(&other, &once).await, &messages).unwrap();
    let url = |source: &Value| format!("/{}", source["url"].as_str().unwrap());
    assert_eq!(other.get(&url(&first[0])).await.body, backend.get(&url(&first[0])).await.body);
    assert_eq!(other.get(&url(&second[1])).await.status, 410);
}

#[tokio::test]
async fn a_file_that_becomes_another_while_it_grows_begins_anew() {
    let write = |seed: u64| {
        let drive = Drive { seed, windows: 1, groups: 1, ..Drive::default() };
        let messages = drive.generate().merged();
        let spec = FileSpec { chunk_bytes: Some(2_000), summary: false, ..FileSpec::default() };
        (spec.write(&messages), messages)
    };
    let ((written, messages), (other, others)) = (write(1), write(9));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.mcap");
    let backend = eager(folder.path(), Duration::from_secs(600)).await;
    let mut before = Vec::new();
    for part in [2, 3] {
        std::fs::write(&path, &written[..written.len() * part / 4]).unwrap();
        tokio::time::sleep(AFTER_A_WHILE).await;
        before = backend.sources("live").await;
        check_beginning(&all(&backend, &before).await, &messages).unwrap();
    }
    std::fs::write(&path, &other).unwrap();
    tokio::time::sleep(AFTER_A_WHILE).await;
    let after = backend.sources("live").await;
    assert_eq!(after.len(), 1);
    assert!(!before.contains(&after[0]));
    check_all(&backend.messages(&after[0]).await, &others).unwrap();
}

#[tokio::test]
async fn what_is_no_version_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.mcap"), [0; 100]).unwrap();
    let backend = Running::folder(folder.path()).await;
    let hash = "0123456789abcdef0123456789abcdef";
    for version in ["", "-", "--", "0-5", "x-y-z", "+0-5-H", "0-05-H", "5-5-H", "6-5-H", "0-5-0"] {
        let version = version.replace('H', hash);
        let answer = backend.get(&format!("/intact/{version}/a.mcap")).await;
        assert_eq!(answer.status, 404, "{version}");
    }
    for (start, end) in [(0, 50), (0, u64::MAX), (5, 50), (u64::MAX - 1, u64::MAX)] {
        let gone = backend.get(&format!("/intact/{start}-{end}-{hash}/a.mcap")).await;
        assert_eq!(gone.status, 410);
    }
}

#[tokio::test]
async fn a_long_beginning_that_became_another_gets_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.mcap");
    let drive =
        Drive { windows: 1, groups: 1, messages: 3_000, payload_bytes: 4_000, ..Drive::default() };
    let messages = drive.generate().merged();
    let spec = FileSpec { compression: None, summary: false, ..FileSpec::default() };
    let mut written = spec.write(&messages);
    assert!(written.len() > 8 << 20);
    std::fs::write(&path, &written).unwrap();
    let backend = Running::folder(folder.path()).await;
    let source = backend.sources("long").await.remove(0);
    check_all(&backend.messages(&source).await, &messages).unwrap();
    let at = written.len() / 2;
    written[at] ^= 1;
    std::fs::write(&path, &written).unwrap();
    let answer = backend.get(&format!("/{}", source["url"].as_str().unwrap())).await;
    assert!(answer.status == 200 && !answer.complete);
    assert!(rdl_testkit::decode(&answer.body).is_err());
}

#[tokio::test]
async fn an_id_that_turned_out_wrong_is_not_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let drive = Drive { windows: 1, groups: 1, messages: 200, ..Drive::default() };
    let messages = drive.generate().merged();
    let spec = FileSpec {
        compression: None,
        summary: false,
        crcs: false,
        chunk_bytes: Some(2_000),
        ..FileSpec::default()
    };
    let mut written = spec.write(&messages);
    let half = written.len() / 2;
    std::fs::write(&path, &written[..half]).unwrap();
    let backend = Running::folder(folder.path()).await;
    backend.sources("a").await;
    // Something early becomes another while the file grows: the end of the first chunk's data, which
    // is payload.
    let chunk = rdl_testkit::arrived(&written[..half]).unwrap();
    let payload = chunk[0].data.clone();
    let at = written.windows(payload.len()).position(|part| part == &payload[..]).unwrap();
    written[at] ^= 1;
    std::fs::write(&path, &written).unwrap();
    tokio::time::sleep(AFTER_A_WHILE).await;
    let wrong = backend.sources("a").await.remove(0);
    let gone = backend.get(&format!("/{}", wrong["url"].as_str().unwrap())).await;
    assert_eq!(gone.status, 410);
    let right = backend.sources("a").await.remove(0);
    assert_ne!(wrong["id"], right["id"]);
    assert_eq!(backend.messages(&right).await.len(), messages.len());
}
