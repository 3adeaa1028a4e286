use std::cell::Cell;

use rdl_mcap_io::{ChunkBuilder, Compression, Limits, MessageView};
use rdl_model::Nanos;
use rdl_store::{DiskStore, StoreConfig};

use super::*;

/// An open chunk of `messages` messages, and what it takes.
fn chunk(messages: u64) -> (OpenChunk, u64) {
    let mut builder = ChunkBuilder::new(Compression::None);
    for time in 0..messages {
        let (log_time, publish_time) = (Nanos(time), Nanos(time));
        let data = &[7; 100];
        builder.message(1, &MessageView { channel: 1, sequence: 0, log_time, publish_time, data });
    }
    let stored = builder.build().unwrap().unwrap();
    let open = OpenChunk::open(&stored.bytes, &Limits::default()).unwrap();
    let bytes = chunk_bytes(&open);
    (open, bytes)
}

struct Bench {
    chunks: OpenChunks,
    store: DiskStore,
    opened: Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(bound_bytes: u64) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { folder: Some(folder.path().to_owned()), ..StoreConfig::default() };
        let store = DiskStore::open(&config).unwrap();
        let (chunks, opened) = (OpenChunks::new(bound_bytes), Cell::new(0));
        Bench { chunks, store, opened, _folder: folder }
    }

    fn get(&self, number: u32) -> Opened {
        let open = || {
            self.opened.set(self.opened.get() + 1);
            Ok(chunk(10).0)
        };
        let spill = |chunk: &OpenChunk| Ok(Spilled::write(chunk, self.store.scratch()?)?);
        self.chunks.get((0, number), 100, open, spill).unwrap()
    }
}

fn is_spilled(opened: &Opened) -> bool {
    matches!(opened, Opened::Spilled(_))
}

#[test]
fn what_finds_no_room_is_spilled_and_shared_all_the_same() {
    let bench = Bench::new(2 * chunk(10).1);
    let open: Vec<Opened> = (0..4).map(|number| bench.get(number)).collect();
    let spilled: Vec<bool> = open.iter().map(is_spilled).collect();
    assert_eq!(spilled, [false, false, true, true]);
    assert_eq!(bench.opened.get(), 4);
    let again: Vec<bool> = (0..4).map(|number| is_spilled(&bench.get(number))).collect();
    assert_eq!((again, bench.opened.get()), (spilled, 4), "each was opened once");

    let Opened::Spilled(last) = &open[3] else { panic!("it is spilled") };
    assert_eq!(last.file.bytes(), last.run.entries_range(10, 0).end);
    assert!(bench.store.usage().running_bytes > 0);
    drop(open);
    assert_eq!(bench.store.usage().running_bytes, 0, "a spilled chunk goes with its last reader");
}

#[test]
fn what_nobody_reads_makes_room_the_least_recently_used_first() {
    let bench = Bench::new(2 * chunk(10).1);
    let read = bench.get(0);
    bench.get(1);
    assert!(!is_spilled(&bench.get(2)), "the second made room");
    assert_eq!(bench.opened.get(), 3);
    bench.get(2);
    bench.get(0);
    assert_eq!(bench.opened.get(), 3);
    drop(read);
    bench.get(1);
    bench.get(0);
    assert_eq!(bench.opened.get(), 4, "the third went, which was used longest ago");
}

#[test]
fn what_is_offered_waits_for_its_reader_and_takes_no_ones_place() {
    let (bytes, bound) = (chunk(10).1, 4 * OFFERED_BYTES);
    let bench = Bench::new(bound);
    for number in 0..3 {
        bench.chunks.offer((0, number), 0, || Some(chunk(10).0));
    }
    assert_eq!(bench.chunks.held.lock().bytes, 3 * bytes);
    bench.get(1);
    assert_eq!(bench.opened.get(), 0, "nobody had to open it");
    let much = || Some(chunk(2 * OFFERED_BYTES / 150).0);
    bench.chunks.offer((0, 3), 7, much);
    bench.chunks.offer((0, 4), 7, much);
    let known = |number| bench.chunks.find((0, number)).is_some();
    assert!(known(0) && known(3) && !known(4), "the last would be too much");
    bench.chunks.offer((0, 5), 6, much);
    assert!(known(0) && !known(3) && known(5), "what is due sooner takes its place");
}

#[test]
fn a_chunk_that_cannot_be_opened_is_tried_again() {
    let bench = Bench::new(1 << 20);
    let failed = bench.chunks.get(
        (0, 0),
        100,
        || Err(EngineError::TaskDied),
        |_| Err(EngineError::TaskDied),
    );
    assert!(failed.is_err());
    assert!(!is_spilled(&bench.get(0)));
}
