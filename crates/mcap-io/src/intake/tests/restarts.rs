use proptest::prelude::*;

use super::body::{self, Item, compressions, items, rechunked, sorted, truth, write};
use super::*;
use crate::Compression;
use crate::sample::same_cases_every_time;

/// Pushes `body` piece by piece and drains.
fn push(
    intake: &mut Intake,
    taken: &mut Taken,
    body: &[u8],
    piece: usize,
) -> Result<(), IntakeError> {
    for piece in body.chunks(piece) {
        let pushed = intake.push(Bytes::copy_from_slice(piece));
        taken.drain(intake);
        pushed?;
    }
    Ok(())
}

/// Everything but how the messages lie in chunks.
fn assert_same(taken: &Taken, items: &[Item], whole: &Taken) {
    assert_eq!(taken.messages(), sorted(items));
    assert_eq!(taken.metadata, whole.metadata);
    assert_eq!(taken.attachments, whole.attachments);
    assert_eq!(taken.channels, whole.channels);
    assert_eq!(taken.profiles, whole.profiles);
    assert_eq!(taken.below_frontier, taken.count(ProblemCode::LateMessages));
    for code in [
        ProblemCode::MessageWithoutChannel,
        ProblemCode::ChannelRedefined,
        ProblemCode::SchemaRedefined,
        ProblemCode::ChannelWithoutSchema,
        ProblemCode::MalformedRecord,
    ] {
        assert_eq!(taken.count(code), whole.count(code), "{code:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..same_cases_every_time() })]

    #[test]
    fn a_body_that_breaks_off_goes_on_where_it_was(
        items in items(),
        cuts in prop::collection::vec((0.0..1.0_f64, 1..20_usize, any::<bool>()), 1..6),
        how in compressions(),
    ) {
        let body = write(&items);
        let (whole, finished) = take(tight(), &body);
        finished.unwrap();
        let mut intake = Intake::new(tight());
        let mut taken = Taken::default();
        let mut current = body.clone();
        let mut furthest = 0;
        for (cut, chunk_len, flush) in cuts {
            let at = (current.len() as f64 * cut) as usize;
            push(&mut intake, &mut taken, &current[..at], 97).unwrap();
            if flush {
                intake.flush_early();
                taken.drain(&mut intake);
            }
            prop_assert!(!intake.is_complete());
            prop_assert!(intake.messages_taken() >= furthest);
            furthest = intake.messages_taken();
            intake.restart();
            prop_assert_eq!(intake.messages_taken(), furthest);
            current = write(&rechunked(&items, chunk_len, how));
        }
        push(&mut intake, &mut taken, &current, 97).unwrap();
        intake.finish().unwrap();
        taken.drain(&mut intake);
        prop_assert_eq!(intake.messages_taken(), truth(&items).0.len() as u64);
        // Metadata moves with the chunks; each record still comes once.
        taken.metadata.sort();
        taken.attachments.sort();
        let mut whole = whole;
        whole.metadata.sort();
        whole.attachments.sort();
        assert_same(&taken, &items, &whole);
    }

    #[test]
    fn other_data_is_noticed(items in items(), which in any::<prop::sample::Index>(), size in 1..20_usize) {
        let is_message = |item: &Item| matches!(item, Item::Message { .. });
        let mut flat = rechunked(&items, usize::MAX, Compression::None);
        let Some(Item::Chunk(_, data)) = flat.first_mut() else { return Ok(()) };
        let messages: Vec<usize> = (0..data.len()).filter(|at| is_message(&data[*at])).collect();
        prop_assume!(!messages.is_empty());
        let which = which.index(messages.len());
        let Item::Message { sequence, .. } = &mut data[messages[which]] else { unreachable!() };
        *sequence ^= 1 << 20;
        let other = write(&rechunked(&flat, size, Compression::Lz4));
        // How many messages come before each byte of the first body.
        let body = write(&rechunked(&items, size, Compression::None));
        let mut intake = Intake::new(tight());
        let mut taken = Taken::default();
        push(&mut intake, &mut taken, &body[..body.len() * 2 / 3], 97).unwrap();
        let lost_too = intake.messages_taken() + taken.count(ProblemCode::MessageWithoutChannel);
        intake.restart();
        let pushed = push(&mut intake, &mut taken, &other, 97);
        let (_, lost) = truth(&items);
        if lost == 0 {
            // A left-out message counts by its data alone; with none, the outcome is certain.
            let differs = (which as u64) < lost_too;
            prop_assert_eq!(pushed, if differs { Err(IntakeError::NotRepeatable) } else { Ok(()) });
        }
    }
}

fn small() -> Vec<Item> {
    let definitions = [Item::Channel(1, 0, body::channel(1))];
    let messages = (0..12).map(|n| body::message(1, 100 + n, 5));
    let data: Vec<Item> = definitions.into_iter().chain(messages).collect();
    let mut items = rechunked(&data, 4, Compression::Lz4);
    items.extend([body::metadata(1), body::metadata(1), body::attachment(1)]);
    items
}

#[test]
fn every_byte_may_be_the_last_before_a_restart() {
    let items = small();
    let body = write(&items);
    let (whole, _) = take(tight(), &body);
    assert_eq!((whole.metadata.len(), whole.attachments.len()), (2, 1));
    for cut in 0..=body.len() {
        let mut intake = Intake::new(tight());
        let mut taken = Taken::default();
        push(&mut intake, &mut taken, &body[..cut], 50).unwrap();
        let other = write(&rechunked(&items, 5, Compression::None));
        for body in [&other, &body] {
            intake.restart();
            push(&mut intake, &mut taken, body, 41).unwrap();
            assert!(intake.is_complete());
        }
        intake.finish().unwrap();
        taken.drain(&mut intake);
        assert_same(&taken, &items, &whole);
    }
}

#[test]
fn a_body_that_ends_before_what_was_taken_is_another() {
    let body = write(&small());
    let mut intake = Intake::new(tight());
    let mut taken = Taken::default();
    push(&mut intake, &mut taken, &body[..body.len() - 200], 50).unwrap();
    assert!(intake.messages_taken() > 4);
    intake.restart();
    let shorter = write(&small()[..1]);
    assert_eq!(
        push(&mut intake, &mut taken, &shorter, 50).and_then(|()| intake.finish()),
        Err(IntakeError::NotRepeatable)
    );
    assert!(!IntakeError::NotRepeatable.is_retryable());
    // The same for a file whose end is known to be lost.
    intake.restart();
    intake.push(Bytes::copy_from_slice(&shorter[..shorter.len() - 1])).unwrap();
    assert_eq!(intake.finish_truncated(), Err(IntakeError::NotRepeatable));
    assert!(!intake.is_complete());
}

#[test]
fn another_channel_or_time_is_other_data() {
    let with = |channel: u8, time: u64| {
        vec![
            Item::Channel(1, 0, body::channel(channel)),
            body::message(1, time, 0),
            body::message(1, 9, 0),
        ]
    };
    let outcome = |second: &[Item]| {
        let mut intake = Intake::new(tight());
        let body = write(&with(1, 3));
        intake.push(Bytes::copy_from_slice(&body[..body.len() - 1])).unwrap();
        intake.restart();
        intake.push(write(second).into())
    };
    assert_eq!(outcome(&with(1, 3)), Ok(()));
    assert_eq!(outcome(&with(3, 3)), Err(IntakeError::NotRepeatable));
    assert_eq!(outcome(&with(1, 4)), Err(IntakeError::NotRepeatable));
}

#[test]
fn a_chunk_that_was_damaged_in_one_body_alone_is_other_data() {
    let good = write(&small());
    let mut bad = good.clone();
    let chunk_at = bad.windows(3).rposition(|at| at == b"lz4").unwrap();
    bad[chunk_at + 40] ^= 1;
    for (first, second) in [(&good, &bad), (&bad, &good)] {
        let mut intake = Intake::new(tight());
        intake.push(Bytes::copy_from_slice(&first[..first.len() - 1])).unwrap();
        intake.restart();
        let pushed = intake.push(Bytes::copy_from_slice(second));
        assert_eq!(pushed, Err(IntakeError::NotRepeatable));
    }
    let mut intake = Intake::new(tight());
    let mut taken = Taken::default();
    for _ in 0..3 {
        intake.restart();
        push(&mut intake, &mut taken, &bad, 60).unwrap();
    }
    intake.finish().unwrap();
    taken.drain(&mut intake);
    assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
    assert_eq!(taken.messages().len(), 11);
}

#[test]
fn a_chunk_that_was_taken_in_part_is_not_kept_whole() {
    let mut ids = crate::CanonicalIds::new();
    let id = ids.channel(body::channel(1)).unwrap().id;
    let messages = |times: std::ops::Range<u64>| times.map(|time| body::message(id, time, 100_000));
    let definition = Item::Channel(id, 0, body::channel(1));
    let data: Vec<Item> = std::iter::once(definition).chain(messages(0..8)).collect();
    let first = write(&rechunked(&data, 2, Compression::None));
    let second = write(&rechunked(&data, 5, Compression::None));
    for taken_before in 0..8 {
        let mut intake = Intake::new(IntakeOptions::default());
        let mut taken = Taken::default();
        let cut = (taken_before + 1) * 100_000;
        push(&mut intake, &mut taken, &first[..cut], 1 << 20).unwrap();
        intake.restart();
        push(&mut intake, &mut taken, &second, 1 << 20).unwrap();
        intake.finish().unwrap();
        taken.drain(&mut intake);
        assert!(taken.messages() == sorted(&data), "cut at {cut}");
    }
}
