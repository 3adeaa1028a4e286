//! The k-way merge of a query, chunk by chunk.
//!
//! What may come next has a [`Key`]: a chunk that is not open yet (the least key that a wanted
//! message in it can have), an open chunk (its next wanted message), and a source that is not
//! opened yet or still loading (the least key that a chunk it may still reveal can have). The least
//! of all decides the step. Nothing leaves whose key is not below every other key, so the output
//! is in the order of the keys whatever the sources reveal when.
//!
//! Invariants: log time never descends in what was handed out; each wanted message is handed out
//! once, or counted as late once, because its chunk came when a greater key had already left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use rdl_mcap_io::{ChannelRecord, ChunkDescriptor, MessageEntry, OpenChunk};
use rdl_model::{ChunkRef, Nanos, TimeRange};

use crate::Query;
use crate::key::Key;
use crate::selection::Selection;

mod open;
#[cfg(test)]
mod tests;

use open::Open;
pub(crate) use open::partition;

/// How many messages one step holds at most, so that whoever follows the steps stays fair.
const RUN_MESSAGES: usize = 1024;

/// How much of a source is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Nobody has opened it; no message of it is expected before `start`.
    Unopened {
        /// The declared start, or [`Nanos::MIN`].
        start: Nanos,
    },
    /// It is loading; the chunks that it has not revealed lie at `frontier` or later.
    Loading {
        /// The least time that may still come.
        frontier: Nanos,
    },
    /// It has no more chunks than it has revealed.
    Complete,
}

/// What a response does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this chunk as it is.
    Pass(ChunkRef),
    /// Read the chunk's message table from this position on (or from before it) and call
    /// [`MergeHeap::opened`]. Asked again when a part of the table is used up and there is more.
    Open {
        /// Which chunk.
        at: ChunkRef,
        /// The first message that is of interest as far as is known, in order of time.
        from: usize,
    },
    /// Fetch and verify this chunk, then call [`MergeHeap::replace_chunk`].
    Verify(ChunkRef),
    /// Send these messages of this open chunk, in this order; the query wants each of them.
    Merge {
        /// The open chunk.
        at: ChunkRef,
        /// Positions in the chunk's message table, as for [`OpenChunk::message`]; at least one.
        messages: Range<usize>,
    },
    /// Nothing may leave before this source goes on: open it if it is unopened, else wait for it.
    Wait(u32),
    /// Everything was handed out.
    End,
}

/// A part of a chunk's message table.
#[derive(Clone, Debug)]
pub struct Entries {
    /// The position of the first of them.
    pub first: usize,
    /// In stable order of log time.
    pub entries: Arc<[MessageEntry]>,
    /// The log time of the message that follows them; `None` when they are the last.
    pub next: Option<Nanos>,
}

impl From<&OpenChunk> for Entries {
    fn from(chunk: &OpenChunk) -> Entries {
        Entries { first: 0, entries: chunk.entries().clone(), next: None }
    }
}

/// Merges the chunks of all sources of a query.
#[derive(Debug)]
pub struct MergeHeap {
    query: Arc<Query>,
    /// The times that are merged; without any, nothing is.
    times: Option<TimeRange>,
    sources: BTreeMap<u32, Source>,
    /// Where sources that may reveal more hold the others back. A limit's `chunk` is the next one
    /// of its source, so messages of the known ones at the very same time may leave.
    limits: BTreeSet<Key>,
    /// The chunks that are not open, at the least key that they can have.
    waiting: BTreeMap<Key, Waiting>,
    /// Where in `waiting` a chunk is; `None` for one that its claim alone leaves out.
    places: HashMap<ChunkRef, Option<Key>>,
    /// The open chunks, at their next wanted message.
    open: BTreeMap<Key, Open>,
    /// Where in `open` a chunk is.
    opens: HashMap<ChunkRef, Key>,
    /// The greatest key handed out.
    sent: Option<Key>,
}

#[derive(Debug)]
struct Source {
    state: SourceState,
    next_chunk: u32,
    limit: Option<Key>,
    failed: bool,
    late: u64,
    selection: Selection,
}

#[derive(Debug)]
struct Waiting {
    descriptor: Arc<ChunkDescriptor>,
    claimed: bool,
    passes: bool,
}

impl Source {
    fn new(state: SourceState) -> Source {
        let selection = Selection::default();
        Source { state, next_chunk: 0, limit: None, failed: false, late: 0, selection }
    }
}

impl MergeHeap {
    /// A merge of no sources yet.
    pub fn new(query: Arc<Query>) -> MergeHeap {
        MergeHeap {
            times: query.merged_times(),
            query,
            sources: BTreeMap::new(),
            limits: BTreeSet::new(),
            waiting: BTreeMap::new(),
            places: HashMap::new(),
            open: BTreeMap::new(),
            opens: HashMap::new(),
            sent: None,
        }
    }

    /// Adds a source under its position in the manifest. Every source has to be added before the
    /// first [`MergeHeap::next`]: one that is not known holds nothing back.
    pub fn add_source(&mut self, source: u32, state: SourceState) {
        self.set_state(source, state);
    }

    /// Tells how much of a source is known now. Chunks that became known with it go first:
    /// [`MergeHeap::add_chunk`], then the new frontier.
    pub fn set_state(&mut self, source: u32, state: SourceState) {
        let known = self.sources.entry(source).or_insert_with(|| Source::new(state));
        known.state = state;
        self.place_limit(source);
    }

    /// Adds a source's next chunk, in the order of its index; one that is not the next or later
    /// is ignored. `claimed`: the descriptor is what a summary says and was not verified yet.
    /// `channels`: the source's channels known so far, at least those that the chunk uses.
    pub fn add_chunk(
        &mut self,
        at: ChunkRef,
        descriptor: Arc<ChunkDescriptor>,
        claimed: bool,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    ) {
        let source = self.sources.entry(at.source);
        let source = source.or_insert_with(|| Source::new(SourceState::Complete));
        if source.failed || at.chunk < source.next_chunk {
            return;
        }
        source.next_chunk = at.chunk.saturating_add(1);
        self.place_limit(at.source);
        self.place_chunk(at, descriptor, claimed, channels);
    }

    /// Puts the verified descriptor of a claimed chunk in the place of the claim; `None` leaves
    /// the chunk out, as one that is damaged or holds no message. A chunk that is not claimed is
    /// left as it is.
    pub fn replace_chunk(
        &mut self,
        at: ChunkRef,
        verified: Option<Arc<ChunkDescriptor>>,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    ) {
        let Some(place) = self.places.get(&at).copied() else {
            return;
        };
        if let Some(key) = place {
            if self.waiting.get(&key).is_some_and(|waiting| !waiting.claimed) {
                return;
            }
            self.waiting.remove(&key);
        }
        self.places.remove(&at);
        if let Some(descriptor) = verified {
            self.place_chunk(at, descriptor, false, channels);
        }
    }

    /// Hands in the part of a chunk's message table that [`Step::Open`] asked for. Wanted messages
    /// that come too late are counted here. A chunk that is claimed, unknown or already dealt with
    /// is ignored.
    pub fn opened(&mut self, at: ChunkRef, entries: Entries) {
        if let Some(key) = self.opens.remove(&at) {
            if let Some(mut open) = self.open.remove(&key) {
                open.go_on(entries);
                self.put_open(at, open);
            }
            return;
        }
        let (Some(times), Some(Some(key))) = (self.times, self.places.get(&at).copied()) else {
            return;
        };
        if self.waiting.get(&key).is_none_or(|waiting| waiting.claimed) {
            return;
        }
        let (Some(waiting), Some(source)) =
            (self.waiting.remove(&key), self.sources.get_mut(&at.source))
        else {
            return;
        };
        self.places.remove(&at);
        let open = Open::new(entries, times, &waiting.descriptor, &source.selection);
        self.put_open(at, open);
    }

    /// Puts an open chunk at its next wanted message, and counts those before it that are late.
    fn put_open(&mut self, at: ChunkRef, mut open: Open) {
        while let Some(key) = open.next_key(at) {
            if open.is_starved() || self.sent.is_none_or(|sent| sent < key) {
                self.opens.insert(at, key);
                self.open.insert(key, open);
                return;
            }
            if let Some(source) = self.sources.get_mut(&at.source) {
                source.late = source.late.saturating_add(1);
            }
            open.advance(key.entry + 1);
        }
    }

    /// Leaves out what a source has not delivered yet, and whatever it may still reveal. To
    /// deliver what is known of it nevertheless, set it [`SourceState::Complete`] instead.
    pub fn failed(&mut self, source: u32) {
        let known = self.sources.entry(source);
        let known = known.or_insert_with(|| Source::new(SourceState::Complete));
        known.failed = true;
        self.place_limit(source);
        self.waiting.retain(|key, _| key.source != source);
        self.places.retain(|at, _| at.source != source);
        self.open.retain(|key, _| key.source != source);
        self.opens.retain(|at, _| at.source != source);
    }

    /// What to do next. Until it was done ([`Step::Open`], [`Step::Verify`], [`Step::Wait`]), the
    /// answer stays the same or gets better.
    ///
    /// `accepts_ids` is asked last of all before a chunk passes: whether each id that it uses or
    /// records is free in this response or was written with identical fields.
    pub fn next(
        &mut self,
        accepts_ids: &mut dyn FnMut(ChunkRef, &ChunkDescriptor) -> bool,
    ) -> Step {
        loop {
            let Some(least) = self.least() else {
                return Step::End;
            };
            if self.limits.contains(&least) {
                return Step::Wait(least.source);
            }
            if let Some(open) = self.open.remove(&least) {
                if open.is_starved() {
                    self.open.insert(least, open);
                    return Step::Open { at: least.at(), from: least.entry };
                }
                self.opens.remove(&least.at());
                return self.run(least, open);
            }
            let Some(waiting) = self.waiting.remove(&least) else {
                return Step::End;
            };
            match self.reach(least, &waiting, accepts_ids) {
                Reached::Stays(step) => {
                    self.waiting.insert(least, waiting);
                    return step;
                }
                Reached::Passes => {
                    self.places.remove(&least.at());
                    self.sent = Some(Key::last(waiting.descriptor.times.end, least.at()));
                    return Step::Pass(least.at());
                }
                Reached::Late(count) => {
                    self.places.remove(&least.at());
                    if let Some(source) = self.sources.get_mut(&least.source) {
                        source.late = source.late.saturating_add(count);
                    }
                }
            }
        }
    }

    /// Whether an open chunk has messages left to hand out.
    pub fn is_open(&self, at: ChunkRef) -> bool {
        self.opens.contains_key(&at)
    }

    /// How many chunks are open.
    pub fn open_chunks(&self) -> usize {
        self.open.len()
    }

    /// How many wanted messages of each source were left out because they came when greater keys
    /// had left; sources without any are not listed.
    pub fn late(&self) -> impl Iterator<Item = (u32, u64)> {
        let late = self.sources.iter().map(|(source, known)| (*source, known.late));
        late.filter(|(_, count)| *count > 0)
    }

    /// The next chunks that are not open, at most `count`, claimed ones included, in the order in
    /// which they will be reached: what to read ahead.
    pub fn upcoming(&self, count: usize) -> Vec<ChunkRef> {
        self.waiting.keys().take(count).map(|key| key.at()).collect()
    }

    /// The next unopened sources, at most `count`, in the order in which they will be reached.
    pub fn upcoming_sources(&self, count: usize) -> Vec<u32> {
        let unopened = |source: &u32| {
            let state = self.sources.get(source).map(|known| known.state);
            matches!(state, Some(SourceState::Unopened { .. }))
        };
        self.limits.iter().map(|key| key.source).filter(unopened).take(count).collect()
    }

    fn place_limit(&mut self, source: u32) {
        let Some(known) = self.sources.get_mut(&source) else {
            return;
        };
        if let Some(key) = known.limit.take() {
            self.limits.remove(&key);
        }
        let (Some(times), false) = (self.times, known.failed) else {
            return;
        };
        let time = match known.state {
            SourceState::Unopened { start } => start.max(times.start),
            SourceState::Loading { frontier } => frontier.max(times.start),
            SourceState::Complete => return,
        };
        if time <= times.end {
            let key = Key::first(time, ChunkRef { source, chunk: known.next_chunk });
            known.limit = Some(key);
            self.limits.insert(key);
        }
    }

    fn place_chunk(
        &mut self,
        at: ChunkRef,
        descriptor: Arc<ChunkDescriptor>,
        claimed: bool,
        channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    ) {
        let (Some(times), Some(source)) = (self.times, self.sources.get_mut(&at.source)) else {
            return;
        };
        let choice = source.selection.choose(&self.query, times, &descriptor, claimed, channels);
        if let Some(choice) = choice {
            let key = Key::first(choice.start, at);
            self.places.insert(at, Some(key));
            self.waiting.insert(key, Waiting { descriptor, claimed, passes: choice.passes });
        } else if claimed {
            self.places.insert(at, None);
        }
    }

    /// The least key of all.
    fn least(&self) -> Option<Key> {
        let limit = self.limits.first().copied();
        let waiting = self.waiting.first_key_value().map(|(key, _)| *key);
        let open = self.open.first_key_value().map(|(key, _)| *key);
        [limit, waiting, open].into_iter().flatten().min()
    }

    /// What becomes of a chunk at the least key, which was just taken out.
    fn reach(
        &self,
        key: Key,
        waiting: &Waiting,
        accepts_ids: &mut dyn FnMut(ChunkRef, &ChunkDescriptor) -> bool,
    ) -> Reached {
        let Waiting { descriptor, claimed, passes } = waiting;
        if *claimed {
            return Reached::Stays(Step::Verify(key.at()));
        }
        if let Some(sent) = self.sent.filter(|sent| key <= *sent) {
            let late = self.wholly_late(key.at(), descriptor, sent);
            return late.map_or(Reached::Stays(open(key)), Reached::Late);
        }
        let end = Key::last(descriptor.times.end, key.at());
        if *passes
            && self.least().is_none_or(|other| end < other)
            && accepts_ids(key.at(), descriptor)
        {
            return Reached::Passes;
        }
        Reached::Stays(open(key))
    }

    /// How many wanted messages a chunk has, when all of them are late and the descriptor alone
    /// tells how many they are.
    fn wholly_late(&self, at: ChunkRef, descriptor: &ChunkDescriptor, sent: Key) -> Option<u64> {
        let (times, source) = (self.times?, self.sources.get(&at.source)?);
        let wanted = descriptor.channels.iter().filter(|used| source.selection.is_wanted(used.id));
        let mut count = 0u64;
        for used in wanted.filter(|used| used.times.overlaps(times)) {
            if !times.covers(used.times) || Key::last(used.times.end, at) > sent {
                return None;
            }
            count = count.saturating_add(u64::from(used.count));
        }
        Some(count)
    }

    /// The longest run of wanted messages of the chunk at the least key that stays below every
    /// other key.
    fn run(&mut self, first: Key, mut open: Open) -> Step {
        let at = first.at();
        let other = self.least();
        let mut last = first;
        while last.entry - first.entry + 1 < RUN_MESSAGES {
            match open.wanted_key(at, last.entry + 1) {
                Some(key) if other.is_none_or(|other| key < other) => last = key,
                _ => break,
            }
        }
        self.sent = Some(last);
        open.advance(last.entry + 1);
        self.put_open(at, open);
        Step::Merge { at, messages: first.entry..last.entry + 1 }
    }
}

/// Opens a chunk from its first message.
fn open(key: Key) -> Step {
    Step::Open { at: key.at(), from: 0 }
}

enum Reached {
    Stays(Step),
    Passes,
    Late(u64),
}
