//! An engine in miniature drives the heap: it reveals sources at random, opens and verifies what
//! the heap asks for, and checks each step against a brute-force model of what is known.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::generator::{Recording, recording};

/// How one run of the heap goes.
#[derive(Clone, Debug)]
struct Script {
    /// Decides, one after the other, whatever is free to be decided.
    choices: Vec<u8>,
    /// Whether any chunk may pass; those of odd place in their source then have ids to spare.
    passes: bool,
    /// Whether sources announce frontiers beyond what they still hold.
    lies: bool,
}

struct Engine<'a> {
    recording: &'a Recording,
    script: &'a Script,
    choice: usize,
    heap: MergeHeap,
    states: Vec<SourceState>,
    /// How many chunks of each source are known.
    known: Vec<u32>,
    /// Chunks that are known by their claim alone.
    claimed: BTreeSet<ChunkRef>,
    /// Wanted messages not handed out yet, of each chunk that is known for good.
    rest: BTreeMap<ChunkRef, BTreeSet<Key>>,
    opened: BTreeSet<ChunkRef>,
    /// Up to where the table of an open chunk was shown, and when it goes on.
    windows: BTreeMap<ChunkRef, (usize, Option<Nanos>)>,
    late: BTreeMap<u32, u64>,
    sent: Vec<Key>,
}

/// What came out of a run.
struct Outcome {
    sent: Vec<Key>,
    late: BTreeMap<u32, u64>,
    opened: BTreeSet<ChunkRef>,
}

fn run(recording: &Recording, script: &Script) -> Outcome {
    let sources = recording.sources.len();
    let mut engine = Engine {
        recording,
        script,
        choice: 0,
        heap: MergeHeap::new(Arc::clone(&recording.query)),
        states: vec![SourceState::Complete; sources],
        known: vec![0; sources],
        claimed: BTreeSet::new(),
        rest: BTreeMap::new(),
        opened: BTreeSet::new(),
        windows: BTreeMap::new(),
        late: BTreeMap::new(),
        sent: Vec::new(),
    };
    engine.start();
    while engine.step() {}
    assert!(engine.rest.values().all(BTreeSet::is_empty), "not handed out: {:?}", engine.rest);
    let heap_late: BTreeMap<u32, u64> = engine.heap.late().collect();
    assert_eq!(heap_late, engine.late, "late messages");
    Outcome { sent: engine.sent, late: engine.late, opened: engine.opened }
}

impl Engine<'_> {
    fn choose(&mut self, among: u8) -> u8 {
        self.choice += 1;
        self.script.choices.get(self.choice % self.script.choices.len().max(1)).unwrap_or(&0)
            % among
    }

    fn start(&mut self) {
        for source in 0..self.states.len() {
            let number = u32::try_from(source).unwrap();
            self.states[source] = match self.choose(3) {
                0 => SourceState::Unopened { start: self.announced(source) },
                1 => SourceState::Loading { frontier: self.announced(source) },
                _ => SourceState::Complete,
            };
            self.heap.add_source(number, self.states[source]);
            if self.states[source] == SourceState::Complete {
                while self.reveal(source) {}
            }
        }
    }

    /// A frontier: the least time still to come or earlier, unless the script lies.
    fn announced(&mut self, source: usize) -> Nanos {
        let rest = &self.recording.sources[source].chunks[self.known[source] as usize..];
        let times = rest.iter().flat_map(|chunk| &chunk.messages).map(|message| message.time);
        let least = times.min().unwrap_or(Nanos::MAX);
        match self.choose(4) {
            0 => Nanos(least.0.saturating_sub(2)),
            1 | 2 if self.script.lies => Nanos(least.0.saturating_add(5)),
            _ => least,
        }
    }

    /// Adds the source's next chunk.
    fn reveal(&mut self, source: usize) -> bool {
        let data = &self.recording.sources[source];
        let chunk = self.known[source] as usize;
        if chunk == data.chunks.len() {
            return false;
        }
        let at = ChunkRef { source: u32::try_from(source).unwrap(), chunk: self.known[source] };
        self.known[source] += 1;
        let channels = data.channels();
        if data.claimed.is_some() {
            self.heap.add_chunk(at, Arc::new(data.claim(chunk)), true, &channels);
            self.claimed.insert(at);
        } else {
            self.heap.add_chunk(at, Arc::new(data.descriptor(chunk)), false, &channels);
            self.learn(at);
        }
        true
    }

    /// The truth of a chunk became known: what of it comes too late is late for good.
    fn learn(&mut self, at: ChunkRef) {
        self.claimed.remove(&at);
        let selected = self.recording.selected(at, self.recording.query.times);
        let mut rest: BTreeSet<Key> = selected.into_iter().map(|(key, _)| key).collect();
        if let Some(sent) = self.sent.last() {
            let on_time = rest.split_off(sent);
            if !rest.is_empty() {
                *self.late.entry(at.source).or_default() += rest.len() as u64;
            }
            rest = on_time;
        }
        self.rest.insert(at, rest);
    }

    /// Lets a source go on by a chunk, or by a frontier.
    fn progress(&mut self, source: usize) {
        if self.states[source] == SourceState::Complete {
            return;
        }
        let revealed = self.reveal(source);
        self.states[source] = if revealed {
            SourceState::Loading { frontier: self.announced(source) }
        } else {
            SourceState::Complete
        };
        self.heap.set_state(u32::try_from(source).unwrap(), self.states[source]);
    }

    fn step(&mut self) -> bool {
        if self.choose(4) == 0 && !self.states.is_empty() {
            let source = usize::from(self.choose(u8::MAX)) % self.states.len();
            self.progress(source);
        }
        let passes = self.script.passes;
        let step = self.heap.next(&mut |at, _| passes && accepts_ids(at));
        match step.clone() {
            Step::Pass(at) => {
                assert!(self.may_pass(at), "{at:?} must not pass");
                let rest = self.rest.insert(at, BTreeSet::new()).unwrap();
                assert_eq!(rest.len(), self.recording.messages(at).len());
                self.sent.extend(rest);
            }
            Step::Open { at, from } if self.opened.contains(&at) => {
                let (end, next) = self.windows[&at];
                assert!(from == end && next.is_some(), "{at:?} has no more");
                let key =
                    (next.unwrap().max(self.recording.query.times.start), at.source, at.chunk);
                assert!(self.other_keys(at).iter().all(|other| key <= *other), "read on too early");
                self.show(at, from);
            }
            Step::Open { at, from } => {
                assert_eq!(from, 0);
                assert!(!self.may_pass(at), "{at:?} could have passed");
                let key = (self.least_told(at).unwrap(), at.source, at.chunk);
                assert!(self.other_keys(at).iter().all(|other| key < *other), "opened too early");
                assert!(self.opened.insert(at), "{at:?} is opened twice");
                self.show(at, from);
            }
            Step::Verify(at) => {
                assert!(self.claimed.contains(&at), "{at:?} is not claimed");
                let source = &self.recording.sources[at.source as usize];
                let claimed = source.claim(at.chunk as usize).times.start;
                let key = (claimed.max(self.recording.query.times.start), at.source, at.chunk);
                assert!(self.other_keys(at).iter().all(|other| key < *other), "too early");
                let descriptor = Arc::new(source.descriptor(at.chunk as usize));
                self.heap.replace_chunk(at, Some(descriptor), &source.channels());
                self.learn(at);
            }
            Step::Merge { at, messages } => {
                assert!((1..=RUN_MESSAGES).contains(&messages.len()));
                let all = self.recording.messages(at);
                assert!(messages.end <= self.windows[&at].0, "beyond what was shown");
                for entry in messages {
                    let rest = self.rest.get_mut(&at).unwrap();
                    assert!(rest.remove(&all[entry].0), "unwanted, late or sent twice");
                    self.sent.push(all[entry].0);
                }
            }
            Step::Wait(source) => {
                let limit = self.limit(source).expect("a complete source holds nothing back");
                let next = ChunkRef { source, chunk: self.known[source as usize] };
                assert!(self.other_keys(next).iter().all(|other| limit <= *other), "not held back");
                self.progress(source as usize);
            }
            Step::End => return false,
        }
        true
    }

    /// Hands in a part of a chunk's table: all that is left, or a few entries.
    fn show(&mut self, at: ChunkRef, from: usize) {
        let chunk = self.recording.sources[at.source as usize].open(at.chunk as usize);
        let left = chunk.len() - from;
        let count = match self.choose(4) {
            0 => left,
            few => left.min(usize::from(few)),
        };
        let end = from + count;
        let next = (end < chunk.len()).then(|| chunk.entry(end).log_time);
        self.windows.insert(at, (end, next));
        let entries = match self.choose(2) {
            0 => chunk.entries()[from..end].into(),
            _ => spilled_entries(&chunk, from, count).into(),
        };
        self.heap.opened(at, Entries { first: from, entries, next });
    }

    /// Whether the conditions for passing hold, computed from the messages themselves.
    fn may_pass(&self, at: ChunkRef) -> bool {
        let (recording, query) = (self.recording, &self.recording.query);
        let source = &recording.sources[at.source as usize];
        let chunk = &source.chunks[at.chunk as usize];
        let descriptor = source.descriptor(at.chunk as usize);
        let end = (descriptor.times.end, at.source, at.chunk);
        let mut there = chunk.channel_records.clone();
        there.extend(chunk.messages.iter().map(|message| message.channel));
        let schemas: BTreeSet<u16> =
            there.iter().map(|channel| source.schema_id(*channel)).collect();
        self.script.passes
            && accepts_ids(at)
            && chunk.messages.is_sorted_by_key(|message| message.time)
            && query.accepts.as_ref().is_none_or(|accepts| accepts.contains(&chunk.compression))
            && recording.selected(at, query.times).len() == chunk.messages.len()
            && self.rest[&at].len() == chunk.messages.len()
            && chunk.channel_records.iter().all(|channel| recording.wants(*channel))
            && descriptor.schema_records.iter().all(|schema| schemas.contains(schema))
            && self.other_keys(at).iter().all(|other| end < *other)
    }

    /// Where a source that may reveal more holds the others back.
    fn limit(&self, source: u32) -> Option<(Nanos, u32, u32)> {
        let time = match self.states[source as usize] {
            SourceState::Unopened { start } => start,
            SourceState::Loading { frontier } => frontier,
            SourceState::Complete => return None,
        };
        let start = self.recording.query.times.start;
        Some((time.max(start), source, self.known[source as usize]))
    }

    /// The keys of everything else that is known.
    fn other_keys(&self, than: ChunkRef) -> Vec<(Nanos, u32, u32)> {
        let times = self.recording.query.times;
        let mut keys = Vec::new();
        keys.extend((0u32..).take(self.states.len()).filter_map(|source| self.limit(source)));
        for at in self.claimed.iter().filter(|at| **at != than) {
            let claim = self.recording.sources[at.source as usize].claim(at.chunk as usize);
            let messages = self.recording.messages(*at);
            if messages.iter().any(|(_, channel)| self.recording.wants(*channel))
                && claim.times.overlaps(times)
            {
                keys.push((claim.times.start.max(times.start), at.source, at.chunk));
            }
        }
        for (at, rest) in self.rest.iter().filter(|(at, _)| **at != than) {
            let next = if self.opened.contains(at) {
                let (end, more) = self.windows[at];
                let shown = rest.first().filter(|key| key.entry < end).map(|key| key.time);
                shown.or(more.map(|time| time.max(times.start)))
            } else if rest.is_empty() && !self.recording.selected(*at, times).is_empty() {
                None // Passed, or all of it came too late.
            } else {
                self.least_told(*at)
            };
            keys.extend(next.map(|time| (time, at.source, at.chunk)));
        }
        keys.retain(|key| key.0 <= times.end);
        keys
    }

    /// The earliest wanted time of an unopened chunk, as far as the span of each channel tells.
    fn least_told(&self, at: ChunkRef) -> Option<Nanos> {
        let times = self.recording.query.times;
        let mut spans: BTreeMap<usize, TimeRange> = BTreeMap::new();
        for (key, channel) in self.recording.messages(at) {
            let time = TimeRange { start: key.time, end: key.time };
            spans.entry(channel).and_modify(|span| *span = span.union(time)).or_insert(time);
        }
        let wanted = spans.iter().filter(|(channel, _)| self.recording.wants(**channel));
        let told = wanted.filter(|(_, span)| span.overlaps(times)).map(|(_, span)| span.start);
        told.min().map(|start| start.max(times.start))
    }
}

/// The same part of the table, by way of a file.
fn spilled_entries(chunk: &OpenChunk, from: usize, count: usize) -> Vec<MessageEntry> {
    let mut file = Vec::new();
    let run = chunk.spill(&mut |bytes| {
        file.extend_from_slice(bytes);
        Ok(())
    });
    let run = run.unwrap();
    let range = run.entries_range(from, count);
    run.decode_entries(&file[range.start as usize..range.end as usize]).unwrap()
}

fn accepts_ids(at: ChunkRef) -> bool {
    (at.source + at.chunk) % 4 != 3
}

fn script(lies: bool) -> impl Strategy<Value = Script> {
    (vec(any::<u8>(), 1..40), prop::bool::weighted(0.8)).prop_map(move |(choices, passes)| Script {
        choices,
        passes,
        lies,
    })
}

/// Everything the query selects: a stable sort by time of the sources one after the other.
fn expected(recording: &Recording) -> Vec<Key> {
    let mut all: Vec<Key> = Vec::new();
    for at in recording.chunks() {
        let selected = recording.selected(at, recording.query.times);
        all.extend(selected.into_iter().map(|(key, _)| key));
    }
    all.sort_by_key(|key| (key.time, key.source));
    all
}

proptest! {
    #![proptest_config(crate::generator::config(2000))]

    #[test]
    fn merging_equals_a_stable_sort(recording in recording(), script in script(false)) {
        let outcome = run(&recording, &script);
        prop_assert_eq!(outcome.sent, expected(&recording));
        prop_assert!(outcome.late.is_empty());
        let needed = recording.chunks().into_iter().filter(|at| {
            !recording.selected(*at, TimeRange::ALL).is_empty()
        });
        let needed: BTreeSet<ChunkRef> = needed.collect();
        prop_assert!(outcome.opened.is_subset(&needed), "a chunk without wanted topics was opened");
    }

    #[test]
    fn late_messages_are_left_out_and_counted(recording in recording(), script in script(true)) {
        let outcome = run(&recording, &script);
        prop_assert!(outcome.sent.is_sorted_by(|one, other| one < other));
        let late: u64 = outcome.late.values().sum();
        let expected = expected(&recording);
        prop_assert!(outcome.sent.len() as u64 + late <= expected.len() as u64);
        let sent: BTreeSet<Key> = outcome.sent.into_iter().collect();
        prop_assert!(sent.is_subset(&expected.into_iter().collect()));
    }
}
