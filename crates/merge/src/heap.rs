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

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rdl_mcap_io::{ChannelRecord, ChunkDescriptor, MessageEntry, OpenChunk};
use rdl_model::{ChunkRef, Nanos, TimeRange};

use crate::Query;
use crate::key::Key;
use crate::selection::{Selection, WhyOpened};

mod ahead;
mod heads;
mod open;
#[cfg(test)]
mod tests;

use ahead::{Ahead, Waiting};
use heads::Heads;
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
    ahead: Ahead,
    open: Heads,
    /// The chunk that was asked for or handed out last, and whether it is open.
    recent: Option<(ChunkRef, bool)>,
    /// The greatest key handed out.
    sent: Option<Key>,
    /// Why the chunk that was last asked to be opened from its beginning is.
    why_opened: Option<WhyOpened>,
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
            ahead: Ahead::default(),
            open: Heads::default(),
            recent: None,
            sent: None,
            why_opened: None,
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
        if !self.ahead.take_claim(at) {
            return;
        }
        if let Some(descriptor) = verified {
            self.place_chunk(at, descriptor, false, channels);
        }
    }

    /// Hands in the part of a chunk's message table that [`Step::Open`] asked for. Wanted messages
    /// that come too late are counted here. A chunk that is claimed, unknown or already dealt with
    /// is ignored.
    pub fn opened(&mut self, at: ChunkRef, entries: Entries) {
        if let Some(mut open) = self.open.take(at) {
            open.go_on(entries);
            self.put_open(at, open);
            return;
        }
        let Some(times) = self.times else { return };
        let Some(waiting) = self.ahead.take(at, false) else { return };
        let Some(source) = self.sources.get_mut(&at.source) else { return };
        let open = Open::new(entries, times, &waiting.descriptor, &source.selection);
        self.put_open(at, Box::new(open));
    }

    /// Puts an open chunk at its next wanted message, and counts those before it that are late.
    fn put_open(&mut self, at: ChunkRef, mut open: Box<Open>) {
        self.recent = Some((at, false));
        while let Some(key) = open.next_key(at) {
            if open.is_starved() || self.sent.is_none_or(|sent| sent < key) {
                self.recent = Some((at, true));
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
        self.ahead.drop_source(source);
        self.open.drop_source(source);
        self.recent = None;
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
            let bound = self.ahead.least();
            if let Some(key) = self.open.least()
                && bound.is_none_or(|bound| key < bound)
            {
                return self.go_on(key, bound);
            }
            let Some(bound) = bound else {
                return Step::End;
            };
            if self.ahead.is_held_back() {
                return Step::Wait(bound.source);
            }
            let at = bound.at();
            match self.reach(accepts_ids) {
                Reached::Stays(step) => return step,
                Reached::Opens(step, why) => {
                    self.why_opened = Some(why);
                    return step;
                }
                Reached::Passes(last) => {
                    self.ahead.take(at, false);
                    self.sent = Some(last);
                    return Step::Pass(at);
                }
                Reached::Late(count) => {
                    self.ahead.take(at, false);
                    if let Some(source) = self.sources.get_mut(&at.source) {
                        source.late = source.late.saturating_add(count);
                    }
                }
            }
        }
    }

    /// Whether an open chunk has messages left to hand out.
    pub fn is_open(&self, at: ChunkRef) -> bool {
        match self.recent {
            Some((recent, is_open)) if recent == at => is_open,
            _ => self.open.contains(at),
        }
    }

    /// Why the chunk that the last [`Step::Open`] from the beginning of a chunk asked for is taken
    /// apart.
    pub fn why_opened(&self) -> Option<WhyOpened> {
        self.why_opened
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
        self.ahead.waiting().take(count).collect()
    }

    /// The same, all of them, with their size as they are stored, in bytes.
    pub fn upcoming_sizes(&self) -> impl Iterator<Item = (ChunkRef, u64)> {
        let waiting = self.ahead.waiting_descriptors();
        waiting.map(|(at, descriptor)| (at, descriptor.stored_bytes()))
    }

    /// The next unopened sources, at most `count`, in the order in which they will be reached.
    pub fn upcoming_sources(&self, count: usize) -> Vec<u32> {
        let unopened = |source: &u32| {
            let state = self.sources.get(source).map(|known| known.state);
            matches!(state, Some(SourceState::Unopened { .. }))
        };
        self.ahead.limits().filter(unopened).take(count).collect()
    }

    fn place_limit(&mut self, source: u32) {
        let Some(known) = self.sources.get_mut(&source) else {
            return;
        };
        let time = match (self.times, known.state) {
            (Some(times), SourceState::Unopened { start: time })
            | (Some(times), SourceState::Loading { frontier: time })
                if !known.failed =>
            {
                Some(time.max(times.start)).filter(|time| *time <= times.end)
            }
            _ => None,
        };
        let at = ChunkRef { source, chunk: known.next_chunk };
        let limit = time.map(|time| Key::first(time, at));
        self.ahead.move_limit(known.limit, limit);
        known.limit = limit;
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
            let waiting = Waiting { descriptor, claimed, opened: choice.opened };
            self.ahead.put(Key::first(choice.start, at), waiting);
        } else if claimed {
            self.ahead.put_left_out(at);
        }
    }

    /// What becomes of the waiting chunk at the least key.
    fn reach(&self, accepts_ids: &mut dyn FnMut(ChunkRef, &ChunkDescriptor) -> bool) -> Reached {
        let Some((key, waiting, other)) = self.ahead.first_waiting() else {
            return Reached::Stays(Step::End);
        };
        let Waiting { descriptor, claimed, opened } = waiting;
        if *claimed {
            return Reached::Stays(Step::Verify(key.at()));
        }
        let open = |why| Reached::Opens(Step::Open { at: key.at(), from: 0 }, why);
        if let Some(sent) = self.sent.filter(|sent| key <= *sent) {
            let late = self.wholly_late(key.at(), descriptor, sent);
            return late.map_or_else(|| open(opened.unwrap_or(WhyOpened::Late)), Reached::Late);
        }
        if let Some(why) = opened {
            return open(*why);
        }
        let last = Key::last(descriptor.times.end, key.at());
        let mut others = other.into_iter().chain(self.open.least());
        if !others.all(|other| last < other) {
            return open(WhyOpened::Overlap);
        }
        match accepts_ids(key.at(), descriptor) {
            true => Reached::Passes(last),
            false => open(WhyOpened::Ids),
        }
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

    /// Goes on in the open chunk at the least key: with the longest run of wanted messages that
    /// stays below every other key, of which `bound` is the least that is not of an open chunk.
    fn go_on(&mut self, first: Key, bound: Option<Key>) -> Step {
        let bound = bound.into_iter().chain(self.open.second()).min();
        let at = first.at();
        let Some(open) = self.open.top() else {
            return Step::End;
        };
        if open.is_starved() {
            return Step::Open { at, from: first.entry };
        }
        let last = open.run(first, bound, RUN_MESSAGES);
        let next = open.next_key(at);
        self.open.put_top(next);
        self.sent = Some(last);
        self.recent = Some((at, next.is_some()));
        Step::Merge { at, messages: first.entry..last.entry + 1 }
    }
}

enum Reached {
    Stays(Step),
    Opens(Step, WhyOpened),
    /// Its greatest key.
    Passes(Key),
    Late(u64),
}
