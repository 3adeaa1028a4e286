//! Records that go through a spool come out as those that do not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcap::records::op;
use proptest::prelude::*;

use super::body::{self, Item, compressions, items, message, rechunked, sorted, truth, write};
use super::*;
use crate::sample::{COMPRESSIONS, same_cases_every_time};

/// Everything larger than this goes through the spool.
fn larger_than(large_chunk_bytes: u64) -> IntakeOptions {
    let limits = Limits { large_chunk_bytes, ..Limits::default() };
    IntakeOptions { limits, ..tight() }
}

fn problems(taken: &Taken) -> Vec<(ProblemCode, u64)> {
    let counted = taken.problems.iter().filter(|problem| {
        // Which are late depends on when the frontier was looked at.
        problem.code != ProblemCode::LateMessages
    });
    let mut problems: Vec<_> = counted.map(|problem| (problem.code, problem.count)).collect();
    problems.sort_unstable_by_key(|(code, count)| (format!("{code:?}"), *count));
    problems
}

fn assert_same(taken: &Taken, expected: &Taken) {
    assert_eq!(taken.messages(), expected.messages());
    assert_eq!(problems(taken), problems(expected));
    assert_eq!(taken.channels, expected.channels);
    assert_eq!(taken.metadata, expected.metadata);
    assert_eq!(taken.attachments, expected.attachments);
    assert_eq!(taken.below_frontier, taken.count(ProblemCode::LateMessages));
}

/// A chunk that defines what it uses, with messages of this length.
fn chunk(how: Compression, count: u64, len: usize) -> Vec<Item> {
    let mut items = vec![Item::Schema(1, body::schema(1)), Item::Channel(3, 1, body::channel(1))];
    items.extend((0..count).map(|n| message(3, 1000 + 10 * n, len)));
    vec![Item::Chunk(how, items)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..same_cases_every_time() })]

    #[test]
    fn large_records_come_out_as_small_ones(
        items in items(),
        size in 1..60_usize,
        how in compressions(),
        large in prop::sample::select(vec![0, 40, 100, 1000, 8000]),
        piece in 1..3000_usize,
    ) {
        let items = rechunked(&items, size, how);
        let body = write(&items);
        let (small, finished) = take(tight(), &body);
        finished.unwrap();
        let (taken, finished) = take_in_pieces(larger_than(large), &body, piece);
        finished.unwrap();
        assert_same(&taken, &small);
        assert_eq!(taken.messages(), sorted(&items));
    }

    #[test]
    fn a_large_record_that_breaks_off_comes_again(
        items in items(),
        cuts in prop::collection::vec((0.0..1.0_f64, any::<bool>(), 1..20_usize, compressions()), 1..4),
    ) {
        let (whole, _) = take(tight(), &write(&items));
        let mut intake = with_spool(larger_than(60));
        let mut taken = Taken::default();
        for (cut, in_the_middle, size, how) in cuts {
            let body = write(&rechunked(&items, size, how));
            let cut = &body[..(body.len() as f64 * cut) as usize];
            if in_the_middle {
                // It stops before the first large chunk is looked at, or after.
                intake.push(Bytes::copy_from_slice(cut)).unwrap();
                if intake.has_more() {
                    intake.resume().unwrap();
                }
                taken.drain(&mut intake);
            } else {
                taken.push(&mut intake, cut).unwrap();
            }
            intake.restart();
            prop_assert!(!intake.has_more() && intake.working_bytes() == 0);
        }
        let mut whole = whole;
        taken.push(&mut intake, &write(&items)).unwrap();
        intake.finish().unwrap();
        taken.drain(&mut intake);
        prop_assert_eq!(intake.messages_taken(), truth(&items).0.len() as u64);
        for taken in [&mut taken, &mut whole] {
            taken.metadata.sort();
            taken.attachments.sort();
        }
        assert_eq!(taken.messages(), whole.messages());
        assert_eq!(problems(&taken), problems(&whole));
    }
}

#[test]
fn a_chunk_of_many_mib_is_taken_in_little_by_little() {
    for how in COMPRESSIONS {
        let items = chunk(how, 300, 100_000);
        let body = write(&items);
        let limits = Limits { large_chunk_bytes: 64 << 10, ..Limits::default() };
        let mut intake = with_spool(IntakeOptions { limits, ..IntakeOptions::default() });
        let mut taken = Taken::default();
        let (mut most_waiting, mut most_held) = (0, 0);
        for piece in body.chunks(1 << 20) {
            let mut pushed = intake.push(Bytes::copy_from_slice(piece));
            loop {
                pushed.unwrap();
                let held = intake.memory_bytes();
                let before = taken.chunks.len();
                taken.drain(&mut intake);
                let waiting = taken.chunks[before..].iter();
                most_waiting = most_waiting
                    .max(waiting.map(|chunk| chunk.descriptor.uncompressed_bytes).sum::<u64>());
                most_held = most_held.max(held);
                if !intake.has_more() {
                    break;
                }
                pushed = intake.resume();
            }
        }
        intake.finish().unwrap();
        taken.drain(&mut intake);
        assert_eq!(taken.messages(), sorted(&items), "{how:?}");
        assert!(most_waiting < 8 << 20, "{most_waiting} bytes wait");
        assert!(most_held < 20 << 20, "{most_held} bytes are held");
    }
}

#[test]
fn every_flipped_bit_of_a_large_chunk_ends_as_in_a_small_one() {
    for how in COMPRESSIONS {
        let items = chunk(how, 3, 20);
        let whole = write(&items);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (small, expected) = take_in_pieces(tight(), &flipped, 113);
            let (taken, finished) = take_in_pieces(larger_than(100), &flipped, 113);
            let code = |result: &Result<(), IntakeError>| {
                result.as_ref().err().map(std::mem::discriminant)
            };
            assert_eq!(code(&finished), code(&expected), "{how:?}, bit {bit}: {finished:?}");
            if finished.is_ok() {
                assert_same(&taken, &small);
            }
        }
    }
}

#[test]
fn a_large_chunk_that_declares_another_size_is_left_out() {
    for how in COMPRESSIONS {
        let items = chunk(how, 5, 300);
        let whole = write(&items);
        let size_at = 8 + whole[8..].iter().position(|byte| *byte == op::CHUNK).unwrap() + 9 + 16;
        let declared = u64::from_le_bytes(*whole[size_at..].first_chunk().unwrap());
        for wrong in [0, 1, declared - 1, declared + 1, 2 * declared, 200 << 20] {
            let mut body = whole.clone();
            body[size_at..size_at + 8].copy_from_slice(&wrong.to_le_bytes());
            let (taken, finished) = take_in_pieces(larger_than(100), &body, 1000);
            finished.unwrap();
            assert_eq!(taken.count(ProblemCode::DamagedChunk), 1, "{how:?} {wrong}");
            assert!(taken.chunks.is_empty());
        }
        let mut body = whole.clone();
        body[size_at..size_at + 8].copy_from_slice(&(300_u64 << 20).to_le_bytes());
        let (_, finished) = take(larger_than(100), &body);
        let error = finished.unwrap_err();
        assert!(matches!(error, IntakeError::Unreadable(ScanError::TooLarge { .. })), "{error}");
    }
}

#[test]
fn a_large_chunk_that_is_cut_off_is_truncated() {
    let items = chunk(Compression::Lz4, 5, 300);
    let whole = write(&items);
    for len in 0..whole.len() {
        let mut intake = with_spool(larger_than(100));
        let mut taken = Taken::default();
        taken.push(&mut intake, &whole[..len]).unwrap();
        assert_eq!(intake.finish(), Err(IntakeError::Truncated { position: len as u64 }));
        intake.finish_truncated().unwrap();
        taken.drain(&mut intake);
        assert_eq!(taken.count(ProblemCode::TruncatedFile), 1);
        assert!(matches!(taken.messages().len(), 0 | 5));
    }
}

#[test]
fn a_huge_message_has_an_uncompressed_chunk_of_its_own() {
    let mut items = vec![Item::Channel(3, 0, body::channel(1))];
    let huge = |time| message(3, time, 3000);
    items.extend([message(3, 10, 5), huge(30), huge(20), message(3, 25, 5), huge(40)]);
    for how in [None, Some(Compression::Zstd)] {
        let items = match how {
            Some(how) => vec![Item::Chunk(how, items.clone())],
            None => items.clone(),
        };
        let (taken, finished) = take_in_pieces(larger_than(1000), &write(&items), 700);
        finished.unwrap();
        assert_eq!(taken.messages(), sorted(&items));
        let uncompressed = taken.chunks.iter().map(|chunk| &chunk.descriptor);
        let uncompressed = uncompressed.filter(|chunk| chunk.compression == Compression::None);
        assert!(uncompressed.clone().all(|chunk| chunk.message_count == 1));
        assert_eq!(uncompressed.count(), 3);
    }
}

#[test]
fn the_largest_message_is_the_same_through_a_spool() {
    let limits = Limits { max_message_bytes: 100, large_chunk_bytes: 50, ..Limits::default() };
    let options = IntakeOptions { limits, ..tight() };
    for (len, fits) in [(99, true), (100, true), (101, false)] {
        let loose = vec![Item::Channel(1, 0, body::channel(1)), message(1, 5, len)];
        let chunked = vec![Item::Chunk(Compression::Lz4, loose.clone())];
        for items in [loose, chunked] {
            let (taken, finished) = take(options.clone(), &write(&items));
            assert_eq!(finished.is_ok(), fits, "{len}: {finished:?}");
            if fits {
                assert_eq!(taken.messages(), sorted(&items));
            }
        }
    }
}

/// A spool that is full, or fails, after some appends.
struct Failing {
    kept: Kept,
    appends_left: Arc<AtomicUsize>,
    kind: io::ErrorKind,
    reads: bool,
}

impl Spool for Failing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = |left: usize| left.checked_sub(1);
        let left = self.appends_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        left.map_err(|_| io::Error::from(self.kind))?;
        self.kept.append(bytes)
    }

    fn read_into(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if self.reads { self.kept.read_into(offset, into) } else { Err(self.kind.into()) }
    }
}

fn failing(kind: io::ErrorKind, appends: usize, reads: bool) -> (Intake, Arc<AtomicUsize>) {
    let appends_left = Arc::new(AtomicUsize::new(appends));
    let left = appends_left.clone();
    let mut intake = Intake::new(larger_than(100));
    intake.set_spool(Box::new(move || {
        let appends_left = left.clone();
        Ok(Box::new(Failing { kept: Kept::default(), appends_left, kind, reads }))
    }));
    (intake, appends_left)
}

#[test]
fn a_full_spool_is_tried_again() {
    let items = chunk(Compression::Lz4, 5, 300);
    let (mut intake, appends_left) = failing(io::ErrorKind::StorageFull, 1, true);
    let mut taken = Taken::default();
    for piece in write(&items).chunks(200) {
        intake.push(Bytes::copy_from_slice(piece)).unwrap();
        taken.drain(&mut intake);
        while intake.has_more() {
            if let Some(missing_bytes) = intake.missing_room_bytes() {
                assert!((1..=200).contains(&missing_bytes));
                assert!(intake.memory_bytes() as u64 >= missing_bytes);
                appends_left.fetch_add(1, Ordering::Relaxed);
            }
            intake.resume().unwrap();
            taken.drain(&mut intake);
        }
    }
    intake.finish().unwrap();
    taken.drain(&mut intake);
    assert_eq!(taken.messages(), sorted(&items));
}

#[test]
fn a_spool_that_fails_ends_the_body() {
    for how in COMPRESSIONS {
        for (appends, reads) in [(0, true), (usize::MAX, false)] {
            let (mut intake, _) = failing(io::ErrorKind::PermissionDenied, appends, reads);
            let pushed = Taken::default().push(&mut intake, &write(&chunk(how, 5, 300)));
            let error = pushed.unwrap_err();
            assert!(matches!(error, IntakeError::Spool(_)), "{error}");
            assert!(!error.is_retryable());
            assert_eq!(error.kind(), rdl_model::ErrorKind::Internal);
        }
    }
}

#[test]
fn without_a_spool_a_large_record_is_refused() {
    let mut intake = Intake::new(larger_than(100));
    let pushed = intake.push(write(&chunk(Compression::Lz4, 5, 300)).into());
    let error = pushed.unwrap_err();
    assert!(matches!(error, IntakeError::Unreadable(ScanError::TooLarge { .. })), "{error}");
}
