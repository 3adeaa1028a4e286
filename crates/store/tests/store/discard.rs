//! Sources that are larger than the disk.

use rdl_store::StoreError;

use crate::sample::{Load, bytes_below, chunk, is_there, store};

#[test]
fn a_source_larger_than_the_disk_goes_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1 << 20);
    let mut load = Load::begin(&store, "a");
    let mut reader = 0;
    let mut freed = 0;
    for number in 0..200 {
        let next = chunk(number, 30_000);
        while let Err(error) = load.append(&next) {
            assert!(error.is_full(), "{error}");
            // The reader takes one more part, and lets go of it.
            let part = load.index.chunks[reader].position.part;
            while load.index.chunks.get(reader).is_some_and(|next| next.position.part == part) {
                reader += 1;
            }
            freed += load.attempt.discard_before(part + 1).unwrap();
        }
        load.check_from(reader);
        assert!(bytes_below(folder.path()) <= 1 << 20);
        assert_eq!(bytes_below(folder.path()), store.usage().bytes);
    }
    assert!(freed > 4 << 20, "{freed}");
    let error = load.attempt.files().read(load.index.chunks[0].position).unwrap_err();
    assert!(matches!(error, StoreError::Discarded { part: 1 }), "{error}");

    load.complete().unwrap();
    load.check_from(reader);
    assert_eq!(store.usage().sources, 0, "half of it is gone");
    assert!(!is_there(&store, "a"));
    load.check_from(reader);
    drop(load);
    assert_eq!(bytes_below(folder.path()), 0);
    assert_eq!(store.usage().bytes, 0);
}

#[test]
fn the_open_part_can_be_discarded_with_what_did_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1_000_000);
    let mut load = Load::begin(&store, "a");
    load.append(&chunk(1, 10_000)).unwrap();
    let second = chunk(2, 990_000);
    assert!(load.append(&second).unwrap_err().is_full());
    assert_eq!(load.attempt.part_of_next(), 1);
    let freed = load.attempt.discard_before(u32::MAX).unwrap();
    assert!(freed > 10_000);
    assert_eq!((load.attempt.bytes(), load.attempt.part_of_next()), (0, 2));
    load.append(&second).unwrap();
    assert_eq!(load.index.chunks[1].position.part, 2);
    load.check_from(1);
    let error = load.attempt.files().read(load.index.chunks[0].position).unwrap_err();
    assert!(matches!(error, StoreError::Discarded { part: 1 }), "{error}");
    assert_eq!(load.attempt.discard_before(2).unwrap(), 0);
    load.check_from(1);
}

#[test]
fn nothing_is_discarded_that_was_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1 << 20);
    let mut load = Load::begin(&store, "a");
    for number in 0..4 {
        assert_eq!(load.attempt.part_of_next(), u32::try_from(number).unwrap() + 1);
        load.append(&chunk(number, 1_000)).unwrap();
        load.attempt.close_part().unwrap();
    }
    assert_eq!(load.attempt.discard_before(0).unwrap(), 0);
    assert_eq!(load.attempt.discard_before(1).unwrap(), 0);
    load.check_from(0);
    let before = load.attempt.bytes();
    let freed = load.attempt.discard_before(3).unwrap();
    assert_eq!(load.attempt.bytes(), before - freed);
    load.check_from(2);
    for chunk in &load.index.chunks[..2] {
        assert!(load.attempt.files().read(chunk.position).is_err());
    }
}
