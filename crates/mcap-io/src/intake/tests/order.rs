use proptest::prelude::*;

use super::body::{Item, flat, items, message, sorted, truth, write};
use super::*;
use crate::sample::same_cases_every_time;

/// All that is fixed by the data, however it came.
fn check(items: &[Item], taken: &Taken) {
    assert_eq!(taken.messages(), sorted(items));
    assert_eq!(taken.count(ProblemCode::MessageWithoutChannel), truth(items).1);
    assert_eq!(taken.below_frontier, taken.count(ProblemCode::LateMessages));
    let metadata = flat(items).into_iter().filter_map(|item| match item {
        Item::Metadata(metadata) => Some(metadata),
        _ => None,
    });
    assert!(metadata.eq(taken.metadata.iter().cloned()));
    let attachments = flat(items).into_iter().filter_map(|item| match item {
        Item::Attachment(attachment) => Some(attachment),
        _ => None,
    });
    assert!(attachments.eq(taken.attachments.iter().cloned()));
    assert_eq!(taken.profiles, ["ros2"]);
    for code in [
        ProblemCode::DamagedChunk,
        ProblemCode::DataSectionCrc,
        ProblemCode::SummaryCrc,
        ProblemCode::SummaryMismatch,
        ProblemCode::ChunkHeaderMismatch,
        ProblemCode::MalformedRecord,
    ] {
        assert_eq!(taken.count(code), 0, "{:?}", taken.problems);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..same_cases_every_time() })]

    #[test]
    fn any_source_comes_out_as_its_stable_sort(
        items in items(),
        pieces in prop::collection::vec((1..400_usize, 0..5_u8), 1..50),
    ) {
        let body = write(&items);
        let mut intake = Intake::new(tight());
        let mut taken = Taken::default();
        let mut rest = Bytes::from(body.clone());
        for (len, action) in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let piece = rest.split_to((*len).min(rest.len()));
            intake.push(piece).unwrap();
            taken.drain(&mut intake);
            match action {
                0 => intake.flush_early(),
                1 => intake.shed(),
                2 => {
                    intake.shed();
                    taken.drain(&mut intake);
                    let swapped = intake.swap_out();
                    prop_assert_eq!(intake.memory_bytes(), 0);
                    if let Some(swapped) = swapped {
                        intake.swap_in(swapped);
                    }
                }
                _ => {}
            }
            taken.drain(&mut intake);
        }
        intake.finish().unwrap();
        taken.drain(&mut intake);
        prop_assert!(intake.is_complete());
        let messages = truth(&items).0.len() as u64;
        prop_assert_eq!(intake.messages_taken(), messages);
        check(&items, &taken);
        let (whole, finished) = take(IntakeOptions::default(), &body);
        finished.unwrap();
        check(&items, &whole);
        prop_assert_eq!(whole.count(ProblemCode::LateMessages), 0);
    }

    #[test]
    fn any_split_gives_the_same_events(items in items(), size in 1..50_usize) {
        let body = write(&items);
        let events = |size: usize| {
            let mut scanner = Scanner::new(Limits::default());
            let mut events = Vec::new();
            for piece in body.chunks(size) {
                scanner.push(Bytes::copy_from_slice(piece));
                while let Some(event) = scanner.next_event().unwrap() {
                    events.push(event);
                }
            }
            scanner.finish().unwrap();
            events
        };
        prop_assert_eq!(events(size), events(body.len()));
        prop_assert_eq!(events(1), events(body.len()));
    }
}

fn defined() -> Vec<Item> {
    vec![Item::Channel(1, 0, body::channel(1))]
}

#[test]
fn the_ends_of_time_are_times() {
    let mut items = defined();
    items.extend([u64::MAX, 0, u64::MAX, 0].map(|time| message(1, time, 3)));
    let (taken, finished) = take(IntakeOptions::default(), &write(&items));
    finished.unwrap();
    check(&items, &taken);
    assert_eq!(taken.frontier, Some(Nanos::MAX));
}

#[test]
fn the_sort_buffer_mends_what_it_holds() {
    // Each message lies 20 before the one in front of it, in runs that the window covers.
    let mut items = defined();
    items.extend((0..200).map(|n| message(1, 1000 + n * 10 - (n % 3) * 20, 10)));
    let body = write(&items);
    let mut intake = Intake::new(tight());
    let mut taken = Taken::default();
    // The first three messages come at once; nothing is known to be the least before.
    let (first, rest) = body.split_at(400);
    intake.push(Bytes::copy_from_slice(first)).unwrap();
    taken.drain(&mut intake);
    for piece in rest.chunks(7) {
        intake.push(Bytes::copy_from_slice(piece)).unwrap();
        intake.flush_early();
        taken.drain(&mut intake);
    }
    intake.finish().unwrap();
    taken.drain(&mut intake);
    check(&items, &taken);
    assert_eq!(taken.count(ProblemCode::LateMessages), 0);
    assert!(taken.chunks.len() > 10);
    let mut last = Nanos::MIN;
    for chunk in &taken.chunks {
        assert!(chunk.descriptor.in_order && last <= chunk.descriptor.times.start);
        last = chunk.descriptor.times.end;
    }
}

#[test]
fn late_messages_have_a_chunk_of_their_own() {
    let mut items = defined();
    items.extend((0..100).map(|n| message(1, 1000 + n, 60)));
    items.push(message(1, 5, 1));
    items.push(message(1, 3, 1));
    items.push(message(1, 1100, 1));
    let (taken, finished) = take_in_pieces(tight(), &write(&items), 50);
    finished.unwrap();
    check(&items, &taken);
    assert_eq!(taken.count(ProblemCode::LateMessages), 2);
    let late = taken.chunks.iter().find(|chunk| chunk.descriptor.times.start == Nanos(3)).unwrap();
    assert_eq!((late.descriptor.times.end, late.descriptor.message_count), (Nanos(5), 2));
    assert!(late.descriptor.in_order);
}

#[test]
fn new_chunks_are_as_large_as_they_should_be() {
    let mut items = defined();
    items.extend((0..400).map(|n| message(1, n, 69)));
    items.push(message(1, 400, 5000));
    items.push(message(1, 401, 69));
    let (taken, finished) = take(tight(), &write(&items));
    finished.unwrap();
    check(&items, &taken);
    let sizes: Vec<u64> =
        taken.chunks.iter().map(|chunk| chunk.descriptor.uncompressed_bytes).collect();
    assert_eq!(sizes.iter().filter(|size| **size == 300).count(), sizes.len() - 3, "{sizes:?}");
    assert_eq!(sizes[sizes.len() - 2..], [5031, 100]);
    for chunk in &taken.chunks {
        assert_eq!(chunk.descriptor.compression, Compression::Lz4);
        assert!(chunk.descriptor.channel_records.is_empty());
        assert_ne!(chunk.descriptor.crc, 0);
    }
}

#[test]
fn flushing_early_keeps_the_window_back() {
    let mut items = defined();
    items.extend((0..10).map(|n| message(1, n * 10, 1)));
    let body = write(&items);
    let mut intake = Intake::new(IntakeOptions { sort_buffer_bytes: 1 << 20, ..tight() });
    let mut taken = Taken::default();
    intake.push(body.into()).unwrap();
    taken.drain(&mut intake);
    assert_eq!((taken.chunks.len(), taken.frontier), (0, None));
    intake.flush_early();
    taken.drain(&mut intake);
    assert_eq!(taken.messages().last().unwrap().log_time, Nanos(50));
    assert_eq!(taken.frontier, Some(Nanos(50)));
    intake.finish().unwrap();
    taken.drain(&mut intake);
    check(&items, &taken);
    assert_eq!(taken.frontier, Some(Nanos(90)));
}

#[test]
fn channels_without_messages_are_known() {
    let chunk = vec![Item::Channel(2, 0, body::channel(2))];
    let items = [Item::Channel(1, 0, body::channel(1)), Item::Chunk(Compression::Lz4, chunk)];
    let (taken, finished) = take(IntakeOptions::default(), &write(&items));
    finished.unwrap();
    let topics: Vec<&str> =
        taken.channels.values().map(|channel| channel.def.topic.as_str()).collect();
    assert!(taken.chunks.is_empty() && topics.len() == 2);
    assert!(topics.contains(&"/1") && topics.contains(&"/2"));
    assert_eq!(taken.frontier, None);
}

#[test]
fn what_is_defined_anew_is_a_channel_of_its_own() {
    let items = vec![
        Item::Schema(1, body::schema(1)),
        Item::Channel(1, 1, body::channel(1)),
        message(1, 1, 1),
        Item::Channel(1, 1, body::channel(1)),
        Item::Schema(1, body::schema(2)),
        message(1, 2, 1),
        Item::Channel(1, 1, body::channel(1)),
        message(1, 3, 1),
        Item::Channel(2, 7, body::channel(2)),
        message(2, 4, 1),
        Item::Schema(0, body::schema(2)),
    ];
    let (taken, finished) = take(IntakeOptions::default(), &write(&items));
    finished.unwrap();
    assert_eq!(taken.messages(), sorted(&items));
    assert_eq!(taken.channels.len(), 3);
    for code in [
        ProblemCode::ChannelRedefined,
        ProblemCode::SchemaRedefined,
        ProblemCode::ChannelWithoutSchema,
        ProblemCode::MalformedRecord,
    ] {
        assert_eq!(taken.count(code), 1, "{code:?}");
    }
}
