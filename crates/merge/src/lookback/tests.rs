use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ReplayPolicy;
use crate::generator::{CHANNELS, Chunk, Message, Recording, Source, config, recording};

const TF_STATIC: usize = 4;

fn at(source: u32, chunk: u32) -> ChunkRef {
    ChunkRef { source, chunk }
}

fn add_source(lookback: &mut Lookback, recording: &Recording, source: usize) {
    let number = u32::try_from(source).unwrap();
    let data = &recording.sources[source];
    lookback.add_channels(number, &data.channels());
    for chunk in 0..data.chunks.len() {
        let claimed = data.claimed.is_some();
        let descriptor = if claimed { data.claim(chunk) } else { data.descriptor(chunk) };
        let at = at(number, u32::try_from(chunk).unwrap());
        lookback.add_chunk(at, Arc::new(descriptor), claimed);
    }
}

/// Reads whatever is asked for; the chunks that were read.
fn search(lookback: &mut Lookback, recording: &Recording) -> BTreeSet<ChunkRef> {
    let mut read = BTreeSet::new();
    while let LookbackStep::Read(at) = lookback.next() {
        assert!(read.insert(at), "{at:?} is read twice");
        let source = &recording.sources[at.source as usize];
        lookback.offer(at, &source.open(at.chunk as usize));
    }
    read
}

/// The same, telling before each chunk which ones will be read.
fn search_telling(lookback: &mut Lookback, recording: &Recording) -> BTreeSet<ChunkRef> {
    let (mut read, mut told) = (BTreeSet::new(), BTreeSet::new());
    while let LookbackStep::Read(at) = lookback.next() {
        let upcoming = lookback.upcoming(usize::MAX);
        assert_eq!(upcoming.first(), Some(&at));
        told.extend(upcoming);
        read.insert(at);
        let source = &recording.sources[at.source as usize];
        lookback.offer(at, &source.open(at.chunk as usize));
    }
    assert_eq!(told, read);
    read
}

fn found(lookback: Lookback) -> Vec<(ChunkRef, usize)> {
    lookback.finish().into_iter().map(|message| (message.at, message.entry)).collect()
}

/// The messages to find, and the chunks that cannot be left unread, from all messages.
fn expected(recording: &Recording) -> (Vec<(ChunkRef, usize)>, BTreeSet<ChunkRef>) {
    let Some(times) = recording.query.lookback_times() else {
        return Default::default();
    };
    let mut messages = Vec::new();
    let mut needed = BTreeSet::new();
    for channel in (0..CHANNELS).filter(|channel| recording.wants(*channel)) {
        let mut of_channel = Vec::new();
        for at in recording.chunks() {
            let selected = recording.selected(at, times).into_iter();
            of_channel.extend(selected.filter(|(_, used)| *used == channel).map(|(key, _)| key));
        }
        of_channel.sort_unstable();
        let newest = of_channel.last().copied();
        if channel != TF_STATIC {
            of_channel.drain(..of_channel.len().saturating_sub(1));
        }
        for at in recording.chunks() {
            let Some(latest) = latest_told(recording, at, channel, times) else {
                continue;
            };
            let may_be_newer = newest.is_none_or(|newest| Key::last(latest, at) > newest);
            if may_be_newer || channel == TF_STATIC {
                needed.insert(at);
            }
        }
        needed.extend(of_channel.iter().map(|key| key.at()));
        messages.extend(of_channel);
    }
    messages.sort_unstable();
    (messages.into_iter().map(|key| (key.at(), key.entry)).collect(), needed)
}

/// How late a channel's messages in a chunk may be, as far as is known without opening it.
fn latest_told(
    recording: &Recording,
    at: ChunkRef,
    channel: usize,
    times: TimeRange,
) -> Option<Nanos> {
    let source = &recording.sources[at.source as usize];
    let of_channel = recording.messages(at).into_iter().filter(|(_, used)| *used == channel);
    let spans = of_channel.map(|(key, _)| TimeRange { start: key.time, end: key.time });
    let span = spans.reduce(TimeRange::union)?;
    let told = source.claimed.map_or(span, |_| source.claim(at.chunk as usize).times);
    told.overlaps(times).then(|| told.end.min(times.end))
}

fn looking_back() -> impl Strategy<Value = Recording> {
    let replay =
        prop_oneof![Just(ReplayPolicy::LastPerChannel), Just(ReplayPolicy::LastPerChannelInRange)];
    (recording(), replay, any::<bool>()).prop_map(|(mut recording, replay, has_start)| {
        let query = Query { replay, has_start, ..Query::clone(&recording.query) };
        recording.query = Arc::new(query);
        recording
    })
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn finds_the_newest_and_reads_no_more_than_it_must(
        recording in looking_back(),
        order in any::<prop::sample::Index>(),
    ) {
        let mut lookback = Lookback::new(Arc::clone(&recording.query));
        let sources = recording.sources.len();
        for source in 0..sources {
            add_source(&mut lookback, &recording, (source + order.index(sources)) % sources);
        }
        let read = search(&mut lookback, &recording);
        let (messages, needed) = expected(&recording);
        prop_assert_eq!(&read, &needed);
        prop_assert_eq!(found(lookback), messages.clone());
        let mut lookback = Lookback::new(Arc::clone(&recording.query));
        for source in 0..sources {
            add_source(&mut lookback, &recording, source);
        }
        prop_assert_eq!(search_telling(&mut lookback, &recording), needed);
        prop_assert_eq!(found(lookback), messages);
    }

    #[test]
    fn goes_on_when_sources_are_added_later(recording in looking_back()) {
        let mut lookback = Lookback::new(Arc::clone(&recording.query));
        let mut read = BTreeSet::new();
        for source in 0..recording.sources.len() {
            add_source(&mut lookback, &recording, source);
            let more = search(&mut lookback, &recording);
            prop_assert!(more.is_disjoint(&read));
            read.extend(more);
        }
        prop_assert_eq!(found(lookback), expected(&recording).0);
    }
}

fn before(start: u64) -> Arc<Query> {
    let times = TimeRange { start: Nanos(start), end: Nanos::MAX };
    let replay = ReplayPolicy::LastPerChannel;
    Arc::new(Query { times, has_start: true, replay, ..Query::default() })
}

fn static_transforms(times: impl IntoIterator<Item = u64>) -> Chunk {
    Chunk::of(times.into_iter().map(|time| Message::new(time, TF_STATIC)))
}

#[test]
fn of_latched_messages_the_newest_thousand_are_kept() {
    let chunks =
        [static_transforms(0..10), static_transforms(10..900), static_transforms(600..1300)];
    let recording = Recording { sources: vec![Source::of(chunks)], query: before(2000) };
    let mut lookback = Lookback::new(Arc::clone(&recording.query));
    add_source(&mut lookback, &recording, 0);
    let read = search(&mut lookback, &recording);
    assert_eq!(read, BTreeSet::from([at(0, 1), at(0, 2)]), "the first is not needed");
    let found = found(lookback);
    assert_eq!(found.len(), 1000);
    let times: Vec<u64> = (600..900).flat_map(|time| [time; 2]).chain(900..1300).collect();
    assert_eq!(times.len(), 1000);
    let of = |(at, entry): &(ChunkRef, usize)| recording.messages(*at)[*entry].0.time.0;
    assert_eq!(found.iter().map(of).collect::<Vec<_>>(), times);
}

#[test]
fn a_chunk_that_cannot_be_had_gives_way_to_the_next_best() {
    let chunk = |time| Chunk::of([Message::new(time, 0)]);
    let source = Source::of([chunk(1), chunk(2), chunk(3)]);
    let recording = Recording { sources: vec![source], query: before(9) };
    let mut lookback = Lookback::new(Arc::clone(&recording.query));
    add_source(&mut lookback, &recording, 0);
    assert_eq!(lookback.next(), LookbackStep::Read(at(0, 2)));
    assert_eq!(lookback.next(), LookbackStep::Read(at(0, 2)), "until it was done");
    lookback.skip(at(0, 2));
    assert_eq!(lookback.newest_found("/a"), None);
    assert_eq!(search(&mut lookback, &recording), BTreeSet::from([at(0, 1)]));
    assert_eq!(lookback.newest_found("/a"), Some(Nanos(2)));
    assert_eq!(lookback.newest_found("/b"), None);
    assert_eq!(found(lookback), [(at(0, 1), 0)]);
}

#[test]
fn a_claim_that_says_nothing_of_its_channels_is_looked_at() {
    let source = Source::of([Chunk::of([Message::new(3, 0)])]);
    let recording = Recording { sources: vec![source], query: before(9) };
    let mut lookback = Lookback::new(Arc::clone(&recording.query));
    lookback.add_channels(0, &recording.sources[0].channels());
    let claim = ChunkDescriptor { channels: vec![], ..recording.sources[0].descriptor(0) };
    lookback.add_chunk(at(0, 0), Arc::new(claim), true);
    assert_eq!(search(&mut lookback, &recording), BTreeSet::from([at(0, 0)]));
    assert_eq!(found(lookback), [(at(0, 0), 0)]);
}

#[test]
fn a_channel_with_two_ids_in_a_source_is_one_channel() {
    let source = Source::of([Chunk::of([Message::new(3, 0), Message::new(4, 1)])]);
    let recording = Recording { sources: vec![source], query: before(9) };
    let mut channels = recording.sources[0].channels();
    let twin = ChannelRecord { id: 2, ..(*channels[&1]).clone() };
    channels.insert(2, Arc::new(twin));
    let mut lookback = Lookback::new(Arc::clone(&recording.query));
    lookback.add_channels(0, &channels);
    lookback.add_chunk(at(0, 0), Arc::new(recording.sources[0].descriptor(0)), false);
    search(&mut lookback, &recording);
    assert_eq!(found(lookback), [(at(0, 0), 1)]);
}
