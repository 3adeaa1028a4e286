//! What happens where there is no room.

use rdl_store::StoreError;

use crate::sample::{Load, bytes_below, check, chunk, is_there, key, put, store};

#[test]
fn after_full_the_same_call_may_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let hog = store.scratch().unwrap();
    hog.append(&vec![0; 60_000]).unwrap();

    let mut load = Load::begin(&store, "a");
    load.append(&chunk(1, 10_000)).unwrap();
    let second = chunk(2, 40_000);
    for _ in 0..3 {
        let error = load.append(&second).unwrap_err();
        assert!(error.is_full(), "{error}");
        let StoreError::Full { needed_bytes, max_bytes } = error else { unreachable!() };
        assert!(needed_bytes >= 40_000 && max_bytes == 100_000);
        assert_eq!(bytes_below(folder.path()), store.usage().bytes);
    }
    load.check_from(0);
    drop(hog);
    load.append(&second).unwrap();
    load.append(&chunk(3, 100)).unwrap();
    load.check_from(0);
    load.complete().unwrap();

    let found = store.find(&key("a")).unwrap();
    assert_eq!(found.index, load.index);
    load.check_from(0);
    // Nothing is in it twice.
    assert!(store.usage().bytes < 55_000, "{:?}", store.usage());
    assert_eq!(bytes_below(folder.path()), store.usage().bytes);
}

#[test]
fn a_chunk_that_was_given_up_after_full_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let hog = store.scratch().unwrap();
    hog.append(&vec![0; 80_000]).unwrap();
    let mut load = Load::begin(&store, "a");
    assert!(load.append(&chunk(1, 30_000)).unwrap_err().is_full());
    drop(hog);
    load.append(&chunk(2, 10_000)).unwrap();
    load.append(&chunk(1, 30_000)).unwrap();
    load.check_from(0);
}

#[test]
fn closing_and_completing_may_be_repeated_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let mut load = Load::begin(&store, "a");
    load.append(&chunk(1, 50_000)).unwrap();
    let hog = store.scratch().unwrap();
    let room = 100_000 - store.usage().bytes;
    hog.append(&vec![0; usize::try_from(room).unwrap()]).unwrap();
    assert!(load.attempt.close_part().unwrap_err().is_full());
    assert!(load.complete().unwrap_err().is_full());
    assert_eq!(bytes_below(folder.path()), 100_000);
    load.check_from(0);
    drop(hog);

    // Room for the summary, and none for complete.json.
    load.attempt.close_part().unwrap();
    let hog = store.scratch().unwrap();
    let room = 100_000 - store.usage().bytes;
    hog.append(&vec![0; usize::try_from(room).unwrap()]).unwrap();
    for _ in 0..2 {
        assert!(load.complete().unwrap_err().is_full());
        assert!(!is_there(&store, "a"));
    }
    drop(hog);
    load.complete().unwrap();
    load.complete().unwrap();
    assert_eq!(store.usage().sources, 1);
    let found = store.find(&key("a")).unwrap();
    assert_eq!(found.index, load.index);
    assert_eq!(bytes_below(folder.path()), store.usage().bytes);
}

#[test]
fn an_attachment_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let hog = store.scratch().unwrap();
    hog.append(&vec![0; 99_000]).unwrap();
    let attachment = rdl_mcap_io::AttachmentRecord {
        name: "calibration".into(),
        media_type: "text/plain".into(),
        log_time: rdl_model::Nanos(1),
        create_time: rdl_model::Nanos(0),
        data: vec![5; 20_000].into(),
    };
    let mut load = Load::begin(&store, "a");
    assert!(load.attempt.append_attachment(&attachment).unwrap_err().is_full());
    drop(hog);
    let position = load.attempt.append_attachment(&attachment).unwrap();
    let again = load.attempt.append_attachment(&attachment).unwrap();
    assert_ne!(position, again, "the first was acknowledged: this is another one");
    assert!(store.usage().bytes < 41_000);
    let read = load.attempt.files().read(position).unwrap();
    assert!(read == attachment.to_record_bytes());
}

#[test]
fn one_load_leaves_a_quarter_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let mut large = Load::begin(&store, "large");
    let mut small = Load::begin(&store, "small");
    large.append(&chunk(1, 50_000)).unwrap();
    let second = chunk(2, 30_000);
    assert!(large.append(&second).unwrap_err().is_full());
    small.append(&chunk(3, 30_000)).unwrap();
    assert!(large.append(&second).unwrap_err().is_full());
    // Alone it may use what is there.
    drop(small);
    large.append(&second).unwrap();
    large.append(&chunk(4, 15_000)).unwrap();
    assert!(large.attempt.bytes() > 95_000);
    large.check_from(0);
}

#[test]
fn what_can_never_fit_evicts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    put(&store, "a", 30_000).unwrap();
    let mut load = Load::begin(&store, "b");
    assert!(load.append(&chunk(1, 200_000)).unwrap_err().is_full());
    drop(load);
    check(&store.find(&key("a")).unwrap(), 30_000);
}

#[test]
fn parts_are_small_where_the_disk_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 16 << 20);
    let mut load = Load::begin(&store, "a");
    for number in 0..50 {
        load.append(&chunk(number, 100 << 10)).unwrap();
    }
    load.complete().unwrap();
    let mut parts = vec![0; 64];
    for indexed in &load.index.chunks {
        let end = &mut parts[indexed.position.part as usize];
        *end = indexed.position.range.end.max(*end);
    }
    let largest = parts.into_iter().max().unwrap();
    assert!(largest <= (256 << 10) + (101 << 10), "{largest}");
}

#[test]
fn what_goes_with_its_readers_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100_000);
    let mut load = Load::of(store.begin(&key("a"), "a", false).unwrap());
    load.append(&chunk(1, 50_000)).unwrap();
    load.complete().unwrap();
    assert!(!is_there(&store, "a"));
    load.check_from(0);
    let files = load.attempt.files();
    drop(load);
    assert!(store.usage().bytes > 50_000);
    drop(files);
    assert_eq!(store.usage().bytes, 0);
    assert_eq!(bytes_below(folder.path()), 0);
}
