use rdl_mcap_io::ChannelUse;

use super::*;
use crate::ReplayPolicy;
use crate::generator::{Chunk, Message, Source};

const ANY_IDS: &dyn Fn(ChunkRef, &ChunkDescriptor) -> bool = &|_, _| true;

fn at(source: u32, chunk: u32) -> ChunkRef {
    ChunkRef { source, chunk }
}

/// A chunk of the first channel with messages at these times.
fn chunk(times: impl IntoIterator<Item = u64>) -> Chunk {
    Chunk::of(times.into_iter().map(|time| Message::new(time, 0)))
}

fn next(heap: &mut MergeHeap) -> Step {
    heap.next(&mut |at, descriptor| ANY_IDS(at, descriptor))
}

fn heap(query: Query) -> MergeHeap {
    MergeHeap::new(Arc::new(query))
}

fn between(start: u64, end: u64) -> Query {
    let times = TimeRange { start: Nanos(start), end: Nanos(end) };
    Query { times, has_start: true, ..Query::default() }
}

fn add(heap: &mut MergeHeap, at: ChunkRef, source: &Source) {
    let descriptor = Arc::new(source.descriptor(at.chunk as usize));
    heap.add_chunk(at, descriptor, false, &source.channels());
}

fn claim(heap: &mut MergeHeap, at: ChunkRef, times: (u64, u64), source: &Source) {
    let mut claim = source.descriptor(at.chunk as usize);
    claim.times = TimeRange { start: Nanos(times.0), end: Nanos(times.1) };
    for used in &mut claim.channels {
        used.times = claim.times;
    }
    heap.add_chunk(at, Arc::new(claim), true, &source.channels());
}

fn verify(heap: &mut MergeHeap, at: ChunkRef, source: &Source) {
    let descriptor = Arc::new(source.descriptor(at.chunk as usize));
    heap.replace_chunk(at, Some(descriptor), &source.channels());
}

#[test]
fn nothing_is_the_end() {
    assert_eq!(next(&mut heap(Query::default())), Step::End);
}

#[test]
fn a_range_without_times_and_a_replay_in_range_merge_nothing() {
    let backwards = between(5, 4);
    let in_range = Query { replay: ReplayPolicy::LastPerChannelInRange, ..between(0, 9) };
    for query in [backwards, in_range] {
        let mut heap = heap(query);
        heap.add_source(0, SourceState::Unopened { start: Nanos(1) });
        let source = Source::of([chunk([4, 5])]);
        add(&mut heap, at(1, 0), &source);
        assert_eq!(next(&mut heap), Step::End);
    }
}

#[test]
fn a_run_is_bounded() {
    let source = Source::of([chunk((0..3000).rev())]);
    let mut heap = heap(Query::default());
    heap.add_source(0, SourceState::Complete);
    add(&mut heap, at(0, 0), &source);
    assert_eq!(next(&mut heap), Step::Open { at: at(0, 0), from: 0 }, "it is not in order");
    heap.opened(at(0, 0), Entries::from(&*source.open(0)));
    for messages in [0..1024, 1024..2048, 2048..3000] {
        assert_eq!(heap.open_chunks(), 1);
        assert_eq!(next(&mut heap), Step::Merge { at: at(0, 0), messages });
    }
    assert_eq!(heap.open_chunks(), 0);
    assert_eq!(next(&mut heap), Step::End);
    assert!(!heap.is_open(at(0, 0)));
}

#[test]
fn a_source_holds_back_what_comes_after_its_frontier_only() {
    let first = Source::of([chunk([1, 5])]);
    let second = Source::of([chunk([5, 5])]);
    let mut heap = heap(Query::default());
    heap.add_source(0, SourceState::Loading { frontier: Nanos(0) });
    heap.add_source(1, SourceState::Unopened { start: Nanos(5) });
    assert_eq!(next(&mut heap), Step::Wait(0));
    add(&mut heap, at(0, 0), &first);
    heap.set_state(0, SourceState::Loading { frontier: Nanos(5) });
    assert_eq!(next(&mut heap), Step::Pass(at(0, 0)), "its own last message ties and is earlier");
    assert_eq!(next(&mut heap), Step::Wait(0));
    heap.set_state(0, SourceState::Complete);
    assert_eq!(next(&mut heap), Step::Wait(1));
    add(&mut heap, at(1, 0), &second);
    heap.set_state(1, SourceState::Complete);
    assert_eq!(next(&mut heap), Step::Pass(at(1, 0)));
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn an_earlier_source_at_the_same_time_holds_a_chunk_back() {
    let mut heap = heap(Query::default());
    let source = Source::of([chunk([1, 5])]);
    heap.add_source(0, SourceState::Loading { frontier: Nanos(5) });
    add(&mut heap, at(1, 0), &source);
    assert_eq!(next(&mut heap), Step::Open { at: at(1, 0), from: 0 });
    heap.opened(at(1, 0), Entries::from(&*source.open(0)));
    assert_eq!(next(&mut heap), Step::Merge { at: at(1, 0), messages: 0..1 });
    assert_eq!(next(&mut heap), Step::Wait(0));
}

#[test]
fn sources_that_start_after_the_range_hold_nothing_back() {
    let mut heap = heap(between(2, 4));
    heap.add_source(0, SourceState::Unopened { start: Nanos(5) });
    heap.add_source(1, SourceState::Loading { frontier: Nanos(5) });
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn chunks_without_anything_wanted_are_not_opened() {
    let other_topic = Chunk::of([Message::new(3, 1)]);
    let around = Chunk::of([Message::new(0, 0), Message::new(3, 1), Message::new(1, 0)]);
    let source = Source::of([chunk([0, 1]), chunk([5, 6]), other_topic, around]);
    let topics = Some(BTreeSet::from(["/a".to_owned()]));
    let mut heap = heap(Query { topics, ..between(2, 4) });
    for chunk in 0..4 {
        add(&mut heap, at(0, chunk), &source);
    }
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn a_record_of_an_unwanted_channel_or_schema_keeps_a_chunk_from_passing() {
    let with = |channels: &[usize], schemas: &[usize]| Chunk {
        channel_records: channels.iter().copied().collect(),
        schema_records: schemas.iter().copied().collect(),
        ..chunk([1, 2])
    };
    // Channels 0 and 1 share a schema; topic /a is channels 0 and 3.
    let cases = [
        (with(&[0, 3], &[0]), true),
        (with(&[], &[1]), true),
        (with(&[1], &[]), false),
        (with(&[], &[2]), false),
    ];
    for (chunk, passes) in cases {
        let topics = Some(BTreeSet::from(["/a".to_owned()]));
        let mut heap = heap(Query { topics, ..Query::default() });
        let source = Source::of([chunk.clone()]);
        add(&mut heap, at(0, 0), &source);
        let expected =
            if passes { Step::Pass(at(0, 0)) } else { Step::Open { at: at(0, 0), from: 0 } };
        assert_eq!(next(&mut heap), expected, "{chunk:?}");
    }
}

#[test]
fn a_late_chunk_is_counted_without_being_opened_where_its_descriptor_tells() {
    let on_time = Source::of([chunk([1, 5])]);
    let late = Source::of([chunk([2, 3, 3]), chunk([5, 9])]);
    let mut heap = heap(Query::default());
    add(&mut heap, at(1, 0), &on_time);
    assert_eq!(next(&mut heap), Step::Pass(at(1, 0)));
    add(&mut heap, at(0, 0), &late);
    assert_eq!(next(&mut heap), Step::End);
    assert_eq!(heap.late().collect::<Vec<_>>(), [(0, 3)]);
    add(&mut heap, at(0, 1), &late);
    assert_eq!(next(&mut heap), Step::Open { at: at(0, 1), from: 0 });
    heap.opened(at(0, 1), Entries::from(&*late.open(1)));
    assert_eq!(heap.late().collect::<Vec<_>>(), [(0, 4)], "5 ties with what was sent");
    assert_eq!(next(&mut heap), Step::Merge { at: at(0, 1), messages: 1..2 });
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn a_claimed_chunk_is_verified_when_it_is_reached() {
    let source = Source::of([chunk([3, 4]), chunk([1, 2])]);
    let mut heap = heap(Query::default());
    claim(&mut heap, at(0, 0), (0, 9), &source);
    claim(&mut heap, at(0, 1), (1, 9), &source);
    assert_eq!(heap.upcoming(9), [at(0, 0), at(0, 1)]);
    assert_eq!(heap.upcoming(1), [at(0, 0)]);
    assert_eq!(next(&mut heap), Step::Verify(at(0, 0)));
    heap.opened(at(0, 0), Entries::from(&*source.open(0)));
    assert_eq!(next(&mut heap), Step::Verify(at(0, 0)), "opening does not verify");
    verify(&mut heap, at(0, 0), &source);
    assert_eq!(next(&mut heap), Step::Verify(at(0, 1)), "the first starts later than it claimed");
    verify(&mut heap, at(0, 1), &source);
    assert_eq!(next(&mut heap), Step::Pass(at(0, 1)));
    assert_eq!(next(&mut heap), Step::Pass(at(0, 0)));
    verify(&mut heap, at(0, 0), &source);
    assert_eq!(next(&mut heap), Step::End, "what is verified stays as it is");
}

#[test]
fn a_claim_prunes_until_the_truth_is_known() {
    let source = Source::of([chunk([3, 4]), chunk([3, 4])]);
    let mut heap = heap(between(2, 5));
    claim(&mut heap, at(0, 0), (6, 9), &source);
    claim(&mut heap, at(0, 1), (2, 9), &source);
    verify(&mut heap, at(0, 0), &source);
    assert_eq!(next(&mut heap), Step::Verify(at(0, 1)));
    heap.replace_chunk(at(0, 1), None, &source.channels());
    assert_eq!(next(&mut heap), Step::Pass(at(0, 0)));
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn a_claim_that_says_too_late_a_time_makes_late_messages() {
    let honest = Source::of([chunk([1, 4])]);
    let liar = Source::of([chunk([2, 3, 5])]);
    let mut heap = heap(Query::default());
    add(&mut heap, at(0, 0), &honest);
    claim(&mut heap, at(1, 0), (5, 5), &liar);
    assert_eq!(next(&mut heap), Step::Pass(at(0, 0)));
    assert_eq!(next(&mut heap), Step::Verify(at(1, 0)));
    verify(&mut heap, at(1, 0), &liar);
    assert_eq!(next(&mut heap), Step::Open { at: at(1, 0), from: 0 });
    heap.opened(at(1, 0), Entries::from(&*liar.open(0)));
    assert_eq!(next(&mut heap), Step::Merge { at: at(1, 0), messages: 2..3 });
    assert_eq!(heap.late().collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn a_claim_that_says_nothing_of_its_channels_is_looked_at() {
    let source = Source::of([chunk([3, 4])]);
    for channels in [vec![], vec![ChannelUse { id: 999, ..source.descriptor(0).channels[0] }]] {
        let topics = Some(BTreeSet::from(["/b".to_owned()]));
        let mut heap = heap(Query { topics, ..Query::default() });
        let claim = ChunkDescriptor { channels, ..source.descriptor(0) };
        heap.add_chunk(at(0, 0), Arc::new(claim), true, &source.channels());
        assert_eq!(next(&mut heap), Step::Verify(at(0, 0)));
        verify(&mut heap, at(0, 0), &source);
        assert_eq!(next(&mut heap), Step::End);
    }
}

#[test]
fn a_failed_source_is_left_out_from_there_on() {
    let failing = Source::of([chunk([1, 2, 0]), chunk([6]), chunk([7])]);
    let other = Source::of([chunk([3])]);
    let mut heap = heap(Query::default());
    heap.add_source(0, SourceState::Loading { frontier: Nanos(2) });
    add(&mut heap, at(0, 0), &failing);
    add(&mut heap, at(0, 1), &failing);
    add(&mut heap, at(1, 0), &other);
    assert_eq!(next(&mut heap), Step::Open { at: at(0, 0), from: 0 });
    heap.opened(at(0, 0), Entries::from(&*failing.open(0)));
    assert_eq!(next(&mut heap), Step::Merge { at: at(0, 0), messages: 0..3 });
    assert_eq!(next(&mut heap), Step::Wait(0));
    heap.failed(0);
    add(&mut heap, at(0, 2), &failing);
    heap.set_state(0, SourceState::Loading { frontier: Nanos(2) });
    heap.opened(at(0, 1), Entries::from(&*failing.open(1)));
    assert_eq!(next(&mut heap), Step::Pass(at(1, 0)));
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn sources_that_fail_among_many_open_ones_leave_the_others_in_order() {
    // Each chunk is out of order, so that it is opened, and its times lie between the others'.
    let times = |source: u64| [100 + source * 7 % 40, source % 3, 300 - source, 200 + source];
    let sources: Vec<Source> = (0..40).map(|source| Source::of([chunk(times(source))])).collect();
    let mut heap = heap(Query::default());
    for (number, source) in (0..).zip(&sources) {
        add(&mut heap, at(number, 0), source);
    }
    let fails = |source: u32| source % 3 == 1;
    let mut sent = Vec::new();
    while sent.len() < 40 || heap.open_chunks() > 0 {
        match next(&mut heap) {
            Step::Open { at, .. } => {
                heap.opened(at, Entries::from(&*sources[at.source as usize].open(0)));
            }
            Step::Merge { at, messages } => {
                let chunk = sources[at.source as usize].open(0);
                for entry in messages {
                    sent.push((chunk.entry(entry).log_time.0, at.source));
                }
                if sent.len() == 40 {
                    // Everything is open by now, for each source has a message at 0, 1 or 2.
                    assert_eq!(heap.open_chunks(), 40);
                    (0..40).filter(|source| fails(*source)).for_each(|source| heap.failed(source));
                    assert_eq!(heap.open_chunks(), 27);
                    assert!(!heap.is_open(ChunkRef { source: 1, chunk: 0 }));
                    assert!(heap.is_open(ChunkRef { source: 2, chunk: 0 }));
                }
            }
            step => panic!("{step:?}"),
        }
    }
    let mut expected: Vec<(u64, u32)> = (0..40)
        .flat_map(|source| times(u64::from(source)).map(|time| (time, source)))
        .filter(|(time, source)| *time < 3 || !fails(*source))
        .collect();
    expected.sort_unstable();
    assert_eq!(sent, expected);
}

#[test]
fn chunks_out_of_turn_are_ignored() {
    let source = Source::of([chunk([1]), chunk([2]), chunk([3])]);
    let mut heap = heap(Query::default());
    add(&mut heap, at(0, 1), &source);
    add(&mut heap, at(0, 0), &source);
    add(&mut heap, at(0, 1), &source);
    heap.opened(at(0, 2), Entries::from(&*source.open(2)));
    verify(&mut heap, at(0, 2), &source);
    assert_eq!(next(&mut heap), Step::Pass(at(0, 1)));
    heap.opened(at(0, 1), Entries::from(&*source.open(1)));
    assert_eq!(next(&mut heap), Step::End);
}

#[test]
fn unopened_sources_are_foretold_in_order() {
    let mut heap = heap(Query::default());
    heap.add_source(0, SourceState::Unopened { start: Nanos(7) });
    heap.add_source(1, SourceState::Loading { frontier: Nanos(1) });
    heap.add_source(2, SourceState::Unopened { start: Nanos(3) });
    heap.add_source(3, SourceState::Unopened { start: Nanos(7) });
    assert_eq!(heap.upcoming_sources(9), [2, 0, 3]);
    assert_eq!(heap.upcoming_sources(2), [2, 0]);
}

#[test]
fn the_last_nanosecond_exists() {
    let source = Source::of([chunk([0, u64::MAX]), chunk([u64::MAX])]);
    let mut heap = heap(between(u64::MAX, u64::MAX));
    heap.add_source(0, SourceState::Loading { frontier: Nanos::MAX });
    add(&mut heap, at(0, 0), &source);
    add(&mut heap, at(0, 1), &source);
    assert_eq!(next(&mut heap), Step::Open { at: at(0, 0), from: 0 });
    heap.opened(at(0, 0), Entries::from(&*source.open(0)));
    assert_eq!(next(&mut heap), Step::Merge { at: at(0, 0), messages: 1..2 });
    assert_eq!(next(&mut heap), Step::Pass(at(0, 1)));
    assert_eq!(next(&mut heap), Step::Wait(0));
}
