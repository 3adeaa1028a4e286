//! What outlives its load, its process, and its files.

use std::fs;

use rdl_store::{DiskStore, StoreConfig, StoreError};

use crate::sample::{
    Load, attempts, bucket_store, bytes_below, check, chunk, is_there, key, put, store,
};

#[test]
fn a_complete_source_stays_without_a_bucket_as_long_as_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path(), 1 << 20);
    put(&first, "a", 1_000).unwrap();
    check(&first.find(&key("a")).unwrap(), 1_000);
    check(&first.find(&key("a")).unwrap(), 1_000);
    assert_eq!(first.usage().sources, 1);
    let second = store(folder.path(), 1 << 20);
    assert!(!is_there(&second, "a"));
    drop(first);
    assert_eq!(bytes_below(folder.path()), 0);
}

#[test]
fn a_complete_source_outlives_its_process_in_the_bucket() {
    let bucket = tempfile::tempdir().unwrap();
    let first = bucket_store(bucket.path(), 1 << 20);
    let mut load = Load::begin(&first, "a");
    for number in 0..5 {
        load.append(&chunk(number, 10_000)).unwrap();
        assert!(!is_there(&first, "a"), "it is not complete");
    }
    load.complete().unwrap();
    load.check_from(0);
    drop(first);
    let second = bucket_store(bucket.path(), 1 << 20);
    let found = second.find(&key("a")).unwrap();
    assert_eq!(found.index, load.index);
    assert_eq!(second.usage().bytes, bytes_below(&bucket.path().join("v1")));
}

#[test]
fn an_attempt_that_is_dropped_leaves_nothing() {
    let bucket = tempfile::tempdir().unwrap();
    let store = bucket_store(bucket.path(), 1 << 20);
    let mut load = Load::begin(&store, "a");
    load.append(&chunk(1, 10_000)).unwrap();
    let files = load.attempt.files();
    let position = load.index.chunks[0].position;
    drop(load);
    assert!(files.read(position).is_ok(), "it goes with its last reader");
    drop(files);
    assert_eq!(store.usage().bytes, 0);
    assert_eq!(bytes_below(bucket.path()), 0);
}

#[test]
fn what_vanished_under_a_reader_is_gone_and_then_forgotten() {
    let bucket = tempfile::tempdir().unwrap();
    let store = bucket_store(bucket.path(), 1 << 20);
    put(&store, "a", 1_000).unwrap();
    let found = store.find(&key("a")).unwrap();
    let attempt = attempts(bucket.path(), "a").remove(0);
    fs::remove_file(attempt.join("part-000001.mcap")).unwrap();
    let error = found.files.read(found.index.chunks[0].position).unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    assert!(!is_there(&store, "a"));
    assert!(!attempt.exists(), "it was forgotten");
    assert_eq!(store.usage().bytes, bytes_below(&bucket.path().join("v1")));
}

#[test]
fn what_a_reader_found_damaged_can_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1 << 20);
    put(&store, "a", 1_000).unwrap();
    let found = store.find(&key("a")).unwrap();
    let load = Load::begin(&store, "b");
    store.forget(&load.attempt.files());
    store.forget(&found.files);
    store.forget(&found.files);
    assert!(!is_there(&store, "a"));
    assert_eq!(store.usage().bytes, 0);
    put(&store, "a", 2_000).unwrap();
    check(&store.find(&key("a")).unwrap(), 2_000);
}

#[test]
fn damage_makes_a_miss() {
    let bucket = tempfile::tempdir().unwrap();
    let store = bucket_store(bucket.path(), 1 << 20);
    type Damage = fn(&std::path::Path);
    let cut: Damage = |attempt| {
        let part = fs::File::options().write(true).open(attempt.join("part-000001.mcap"));
        part.unwrap().set_len(10).unwrap();
    };
    let garble: Damage =
        |attempt| fs::write(attempt.join("complete.json"), "{\"layout\":").unwrap();
    let forge: Damage = |attempt| {
        let path = attempt.join("complete.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["attachments"] = serde_json::json!([{
            "name": "", "media_type": "", "log_time": 0,
            "position": { "part": 1, "range": { "start": 0, "end": u64::MAX } },
        }]);
        fs::write(path, json.to_string()).unwrap();
    };
    for (name, damage) in [("cut", cut), ("garble", garble), ("forge", forge)] {
        put(&store, name, 1_000).unwrap();
        assert!(is_there(&store, name));
        let attempt = attempts(bucket.path(), name).remove(0);
        damage(&attempt);
        assert!(!is_there(&store, name), "{name}");
        assert!(!attempt.exists(), "{name}");
        put(&store, name, 1_000).unwrap();
        check(&store.find(&key(name)).unwrap(), 1_000);
    }
}

#[test]
fn the_earliest_of_two_is_found_and_the_other_after_it() {
    let bucket = tempfile::tempdir().unwrap();
    let one = bucket_store(bucket.path(), 1 << 20);
    let other = bucket_store(bucket.path(), 1 << 20);
    let mut first = Load::begin(&one, "a");
    let mut second = Load::begin(&other, "a");
    first.append(&chunk(1, 1_000)).unwrap();
    second.append(&chunk(2, 1_000)).unwrap();
    first.complete().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    second.complete().unwrap();
    assert_eq!(other.find(&key("a")).unwrap().index, first.index);
    let attempt = attempts(bucket.path(), "a").into_iter().min_by_key(|attempt| {
        fs::metadata(attempt.join("complete.json")).unwrap().modified().unwrap()
    });
    fs::remove_file(attempt.unwrap().join("complete.json")).unwrap();
    assert_eq!(one.find(&key("a")).unwrap().index, second.index);
}

#[test]
fn a_bucket_on_another_disk_is_copied_to() {
    let Some(elsewhere) = other_disk() else {
        eprintln!("skipped: /dev/shm is not another file system");
        return;
    };
    let bucket = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&StoreConfig {
        folder: Some(elsewhere.path().to_owned()),
        bucket: Some(bucket.path().to_owned()),
        max_bytes: Some(100_000),
    })
    .unwrap();
    let mut load = Load::begin(&store, "a");
    load.append(&chunk(1, 30_000)).unwrap();
    load.append(&chunk(2, 10_000)).unwrap();
    load.complete().unwrap();
    load.check_from(0);
    assert_eq!(store.usage().bytes, bytes_below(bucket.path()));
    assert_eq!(store.usage().bytes, bytes_below(&bucket.path().join("v1")));
    assert_eq!(bytes_below(elsewhere.path()), 0);
    assert_eq!(store.find(&key("a")).unwrap().index, load.index);

    // While both copies are there both count.
    let mut load = Load::begin(&store, "b");
    load.append(&chunk(1, 50_000)).unwrap();
    drop(store.find(&key("a")));
    assert!(load.complete().unwrap_err().is_full());
    load.check_from(0);
    assert!(!is_there(&store, "b"));
    assert_eq!(attempts(bucket.path(), "b").len(), 0);
}

fn other_disk() -> Option<tempfile::TempDir> {
    use std::os::unix::fs::MetadataExt as _;
    let elsewhere = tempfile::tempdir_in("/dev/shm").ok()?;
    let here = fs::metadata(std::env::temp_dir()).ok()?.dev();
    (fs::metadata(elsewhere.path()).ok()?.dev() != here).then_some(elsewhere)
}
