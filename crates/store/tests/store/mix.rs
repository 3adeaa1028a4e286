//! Everything at once.

use rdl_store::{FoundSource, ScratchFile};

use crate::sample::{Load, bytes_below, chunk, key, store};

const BOUND: u64 = 300_000;

/// A small generator of numbers; the same seed gives the same ones (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let len = from.len() as u64;
        (len > 0).then(|| from.swap_remove(usize::try_from(self.below(len)).unwrap()))
    }
}

#[derive(Default)]
struct Seen {
    full: u32,
    stored: u32,
    found: u32,
    missed: u32,
}

#[test]
fn the_bound_holds_whatever_happens() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        run(seed, &mut seen);
    }
    let Seen { full, stored, found, missed } = seen;
    assert!(
        full > 50 && stored > 50 && found > 50 && missed > 50,
        "{full} {stored} {found} {missed}"
    );
}

fn run(seed: u64, seen: &mut Seen) {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), BOUND);
    let mut random = Random(seed);
    let mut loads: Vec<(Load, usize)> = Vec::new();
    let mut scratches: Vec<ScratchFile> = Vec::new();
    let mut readers: Vec<(FoundSource, u64)> = Vec::new();
    for step in 0..300 {
        match random.below(10) {
            0 | 1 if loads.len() < 4 => {
                let name = random.below(12).to_string();
                loads.push((Load::begin(&store, &name), 0));
            }
            2..=4 => {
                if let Some((mut load, from)) = random.pick(&mut loads) {
                    let size = usize::try_from(random.below(40_000)).unwrap();
                    let next = chunk(step, size + 100);
                    seen.full += u32::from(load.append(&next).is_err_and(|error| error.is_full()));
                    load.check_from(from);
                    loads.push((load, from));
                }
            }
            5 => {
                if let Some((mut load, from)) = random.pick(&mut loads) {
                    match load.complete() {
                        Ok(()) => seen.stored += 1,
                        Err(error) => assert!(error.is_full(), "{error}"),
                    }
                    load.check_from(from);
                }
            }
            6 => match random.below(4) {
                0 => drop(random.pick(&mut loads)),
                1 => {
                    if let Some((mut load, from)) = random.pick(&mut loads) {
                        let part = load.attempt.part_of_next();
                        load.attempt.discard_before(part).unwrap();
                        let from = load.index.chunks.iter().skip(from);
                        let from = from.filter(|chunk| chunk.position.part >= part).count();
                        let from = load.index.chunks.len() - from;
                        load.check_from(from);
                        loads.push((load, from));
                    }
                }
                _ => scratches.push(store.scratch().unwrap()),
            },
            7 => {
                if let Some(scratch) = random.pick(&mut scratches) {
                    let bytes = vec![7; usize::try_from(random.below(30_000)).unwrap()];
                    match scratch.append(&bytes) {
                        Ok(range) => assert!(scratch.read(range).unwrap() == bytes),
                        Err(error) => assert!(error.is_full(), "{error}"),
                    }
                    if random.below(3) > 0 {
                        scratches.push(scratch);
                    }
                }
            }
            8 => match store.find(&key(&random.below(12).to_string())) {
                Some(found) => {
                    let bytes = total_read(&found);
                    readers.push((found, bytes));
                    seen.found += 1;
                }
                None => seen.missed += 1,
            },
            _ => drop(random.pick(&mut readers)),
        }
        for (found, bytes) in &readers {
            assert_eq!(total_read(found), *bytes, "it is being read");
        }
        let there = bytes_below(folder.path());
        assert!(there <= BOUND, "seed {seed}, step {step}: {there}");
        assert_eq!(there, store.usage().bytes, "seed {seed}, step {step}");
    }
    drop((loads, scratches, readers));
    assert_eq!(bytes_below(folder.path()), store.usage().bytes);
}

fn total_read(found: &FoundSource) -> u64 {
    let read = |position| found.files.read(position).unwrap().len() as u64;
    found.index.chunks.iter().map(|chunk| read(chunk.position)).sum()
}

#[test]
fn the_bound_holds_with_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), BOUND);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let mut random = Random(thread);
                for step in 0..60 {
                    let mut load = Load::begin(store, &random.below(8).to_string());
                    for _ in 0..random.below(4) {
                        let size = usize::try_from(random.below(30_000)).unwrap();
                        match load.append(&chunk(step, size + 100)) {
                            Ok(()) => load.check_from(0),
                            Err(error) => assert!(error.is_full(), "{error}"),
                        }
                    }
                    if let Err(error) = load.complete() {
                        assert!(error.is_full(), "{error}");
                    }
                    if let Some(found) = store.find(&key(&random.below(8).to_string())) {
                        total_read(&found);
                    }
                    assert!(store.usage().bytes <= BOUND);
                }
            });
        }
    });
    assert!(store.usage().sources > 0);
    assert_eq!(bytes_below(folder.path()), store.usage().bytes);
}
