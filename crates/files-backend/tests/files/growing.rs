//! A file that is written while it is served.

use std::io::Write as _;
use std::time::Duration;

use rdl_testkit::{Drive, FileSpec, check_all, check_beginning};

use crate::running::Running;

/// Longer than a listing lasts.
const AFTER_A_WHILE: Duration = Duration::from_millis(2_200);

#[tokio::test]
async fn a_file_that_grows_gives_ever_more_and_old_ids_the_same() {
    let messages = Drive { windows: 1, groups: 1, ..Drive::default() }.generate().merged();
    let written = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&messages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.mcap");
    std::fs::write(&path, &written[..100]).unwrap();
    let backend = Running::folder(folder.path()).await;
    let refused = backend.manifest("live").await;
    assert_eq!(refused.status, 404);
    let words = refused.header("x-foxglove-error-message").unwrap();
    assert!(words.contains("no whole chunk"), "{words}");

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let mut at = 100;
    let mut seen = Vec::new();
    for part in [3, 6] {
        let end = written.len() * part / 10;
        file.write_all(&written[at..end]).unwrap();
        at = end;
        tokio::time::sleep(AFTER_A_WHILE).await;
        let sources = backend.sources("live").await;
        let found = backend.messages(&sources[0]).await;
        check_beginning(&found, &messages).unwrap();
        seen.push((sources[0].clone(), found));
    }
    assert!(seen[0].1.len() < seen[1].1.len());
    assert_ne!(seen[0].0["id"], seen[1].0["id"]);
    for (source, found) in &seen {
        assert!(backend.messages(source).await == *found, "{source}");
    }

    // Once it has its end it is a file like any other, and the old ids are still what they were.
    file.write_all(&written[at..]).unwrap();
    tokio::time::sleep(AFTER_A_WHILE).await;
    let sources = backend.sources("live").await;
    assert_eq!(sources[0]["url"], "files/live.mcap");
    check_all(&backend.messages(&sources[0]).await, &messages).unwrap();
    assert!(backend.messages(&seen[0].0).await == seen[0].1);

    // Another file of that name never comes under the old id.
    let other = Drive { seed: 9, windows: 1, groups: 1, ..Drive::default() }.generate().merged();
    let other = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&other);
    let replaced = folder.path().join("new");
    std::fs::write(&replaced, &other).unwrap();
    std::fs::rename(&replaced, &path).unwrap();
    let url = format!("/{}", seen[0].0["url"].as_str().unwrap());
    assert_eq!(backend.get(&url).await.status, 410);
    std::fs::write(&path, "gone").unwrap();
    assert_eq!(backend.get(&url).await.status, 410);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(backend.get(&url).await.status, 404);
}

#[tokio::test]
async fn what_is_no_version_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.mcap"), [0; 100]).unwrap();
    let backend = Running::folder(folder.path()).await;
    let hash = "0123456789abcdef0123456789abcdef";
    for version in ["", "-", "5", "x-y", &format!("+5-{hash}"), &format!("05-{hash}"), "5-0"] {
        let answer = backend.get(&format!("/intact/{version}/a.mcap")).await;
        assert_eq!(answer.status, 404, "{version}");
    }
    let short = backend.get(&format!("/intact/50-{hash}/a.mcap")).await;
    assert_eq!(short.status, 410);
    let larger = backend.get(&format!("/intact/{}-{hash}/a.mcap", u64::MAX)).await;
    assert_eq!(larger.status, 410);
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
