//! Which complete sources make room.

use std::time::Duration;

use crate::sample::{
    Load, age, attempts, bucket_store, bytes_below, check, chunk, is_there, key, put, store,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn what_was_used_longest_ago_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    for name in ["a", "b", "c"] {
        put(&store, name, 25_000).unwrap();
    }
    assert!(is_there(&store, "a"));
    put(&store, "d", 25_000).unwrap();
    assert!(!is_there(&store, "b"), "it was used longest ago");
    for name in ["c", "a", "d"] {
        check(&store.find(&key(name)).unwrap(), 25_000);
    }
    assert_eq!(store.usage().sources, 3);
    assert_eq!(bytes_below(folder.path()), store.usage().bytes);
}

#[test]
fn what_is_being_read_never_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    put(&store, "a", 40_000).unwrap();
    put(&store, "b", 40_000).unwrap();
    let read = store.find(&key("a")).unwrap();
    put(&store, "c", 40_000).unwrap();
    check(&read, 40_000);
    assert!(!is_there(&store, "b"));

    // A load that has completed and is still read goes neither.
    let mut load = Load::begin(&store, "d");
    load.append(&chunk(1, 40_000)).unwrap();
    load.complete().unwrap();
    assert!(put(&store, "e", 40_000).unwrap_err().is_full());
    check(&read, 40_000);
    load.check_from(0);
    drop(read);
    put(&store, "e", 40_000).unwrap();
    load.check_from(0);
    assert!(!is_there(&store, "a"));
}

#[test]
fn everyone_who_reads_a_source_has_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    put(&store, "a", 1_000).unwrap();
    let one = store.find(&key("a")).unwrap();
    let other = store.find(&key("a")).unwrap();
    assert!(std::sync::Arc::ptr_eq(&one.files, &other.files));
}

#[test]
fn reading_counts_as_use_after_a_restart_too() {
    let bucket = tempfile::tempdir().unwrap();
    let first = bucket_store(bucket.path(), 100_000);
    for name in ["a", "b", "c"] {
        put(&first, name, 25_000).unwrap();
        age(bucket.path(), name, DAY);
    }
    age(bucket.path(), "a", DAY * 2);
    age(bucket.path(), "b", DAY * 3);
    drop(first);

    let second = bucket_store(bucket.path(), 100_000);
    assert!(second.usage().bytes > 75_000, "it was measured");
    assert_eq!(second.usage().sources, 3);
    check(&second.find(&key("b")).unwrap(), 25_000);
    put(&second, "d", 25_000).unwrap();
    assert!(!is_there(&second, "a"), "it was used longest ago");
    for name in ["b", "c", "d"] {
        check(&second.find(&key(name)).unwrap(), 25_000);
    }
}

#[test]
fn what_another_process_uses_stays() {
    let bucket = tempfile::tempdir().unwrap();
    let one = bucket_store(bucket.path(), 100_000);
    let other = bucket_store(bucket.path(), 100_000);
    put(&one, "a", 40_000).unwrap();
    put(&one, "b", 40_000).unwrap();
    let third = bucket_store(bucket.path(), 100_000);
    assert!(put(&third, "c", 40_000).unwrap_err().is_full(), "both were just used");
    age(bucket.path(), "a", DAY * 2);
    age(bucket.path(), "b", DAY);
    let read = one.find(&key("a")).unwrap();
    put(&other, "c", 40_000).unwrap();
    check(&read, 40_000);
    assert!(!is_there(&one, "b"), "the other process has evicted it");
    check(&one.find(&key("c")).unwrap(), 40_000);

    // A use by both counts as long as it is fresh.
    drop(other.find(&key("a")).unwrap());
    age(bucket.path(), "c", DAY);
    let fourth = bucket_store(bucket.path(), 100_000);
    drop(fourth.find(&key("a")).unwrap());
    assert!(put(&fourth, "d", 80_000).unwrap_err().is_full());
    check(&read, 40_000);
    put(&other, "d", 40_000).unwrap();
    check(&read, 40_000);
    assert!(!is_there(&one, "c"));
}

#[test]
fn a_clock_that_was_wrong_protects_nothing_for_ever() {
    let bucket = tempfile::tempdir().unwrap();
    let one = bucket_store(bucket.path(), 100_000);
    put(&one, "a", 60_000).unwrap();
    let attempt = attempts(bucket.path(), "a").remove(0);
    let used = std::fs::File::options().write(true).open(attempt.join("used")).unwrap();
    used.set_modified(std::time::SystemTime::now() + DAY).unwrap();
    let other = bucket_store(bucket.path(), 100_000);
    put(&other, "b", 60_000).unwrap();
    assert!(!is_there(&one, "a"));
}

#[test]
fn what_others_write_is_seen() {
    let bucket = tempfile::tempdir().unwrap();
    let (bound, stores) = (400_000, [0, 1, 2]);
    let stores = stores.map(|_| bucket_store(bucket.path(), bound));
    for store in &stores {
        assert_eq!(store.usage().bytes, 0);
    }
    for number in 0..60 {
        let name = number.to_string();
        put(&stores[number % 3], &name, 10_000).unwrap();
        age(bucket.path(), &name, DAY);
        let bytes = bytes_below(&bucket.path().join("v1"));
        // Each may be over by what it wrote since it last looked.
        assert!(bytes <= bound + 3 * (bound / 16 + 20_000), "{bytes}");
    }
    assert!(bytes_below(&bucket.path().join("v1")) > bound / 2);
}

#[test]
fn what_died_in_the_bucket_is_removed() {
    let bucket = tempfile::tempdir().unwrap();
    let first = bucket_store(bucket.path(), 100_000);
    for name in ["old", "young"] {
        put(&first, name, 40_000).unwrap();
        let attempt = attempts(bucket.path(), name).remove(0);
        std::fs::remove_file(attempt.join("complete.json")).unwrap();
    }
    age(bucket.path(), "old", Duration::from_secs(2 * 60 * 60));
    drop(first);
    let second = bucket_store(bucket.path(), 100_000);
    assert!(second.usage().bytes < 50_000);
    assert_eq!(second.usage().sources, 0);
    assert_eq!(attempts(bucket.path(), "old").len(), 0);
    assert_eq!(attempts(bucket.path(), "young").len(), 1);
}
