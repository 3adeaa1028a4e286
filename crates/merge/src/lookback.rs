//! Finding what is sent of the time before a query's start: for each channel its newest message.
//!
//! A best-first search over descriptors. Each chunk counts at the latest key that a message of it
//! within the searched times can have, and so does each channel in it; the latest of all is looked
//! at first, and is read only if its channel still lacks something later. So a chunk is read only
//! when, given what the descriptors tell, it may hold something newer than what is found in the
//! end, or holds what is found.
//!
//! Channels are told apart by what they are ([`ChannelDef`]), across sources: the newest message
//! of a channel is the newest in any source; of equal times the last in merge order.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use rdl_mcap_io::{ChannelDef, ChannelRecord, ChunkDescriptor, OpenChunk};
use rdl_model::{ChunkRef, Nanos, TimeRange};

use crate::Query;
use crate::heap::partition;
use crate::key::Key;

mod keep;
mod latched;
mod load;
#[cfg(test)]
mod tests;
mod upcoming;
mod video;

use keep::Kept;
pub use load::{DeclaredSource, next_to_load};

/// What a [`Lookback`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookbackStep {
    /// Read (fetch and verify, if it is claimed) and open this chunk, then call
    /// [`Lookback::offer`], or [`Lookback::skip`] when it cannot be had.
    Read(ChunkRef),
    /// Nothing, as far as the chunks added so far go.
    Done,
}

/// A message to be sent before the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookbackMessage {
    /// The chunk.
    pub at: ChunkRef,
    /// The position for [`OpenChunk::message`].
    pub entry: usize,
}

/// The search. Sources may be added in any order, and more of them after it was
/// [`LookbackStep::Done`]; it then goes on.
#[derive(Debug)]
pub struct Lookback {
    query: Arc<Query>,
    /// The times that are searched; without any, nothing is.
    times: Option<TimeRange>,
    kept: Vec<Kept>,
    /// The wanted channels of each topic, as positions in `kept`.
    by_topic: HashMap<String, Vec<usize>>,
    /// The wanted channels of each source, by id, as positions in `kept`.
    by_source: HashMap<u32, BTreeMap<u16, usize>>,
    /// Chunks not looked at, the one that may reach latest on top.
    chunks: BinaryHeap<Unseen>,
    /// Channels of chunks that were looked at, the one that may reach latest on top.
    candidates: BinaryHeap<(Key, usize)>,
    /// Chunks that were offered or skipped.
    dealt_with: HashSet<ChunkRef>,
}

#[derive(Debug)]
struct Unseen {
    latest: Key,
    descriptor: Arc<ChunkDescriptor>,
    claimed: bool,
}

impl Lookback {
    /// A search for what this query's replay policy asks for, in no sources yet.
    pub fn new(query: Arc<Query>) -> Lookback {
        Lookback {
            times: query.lookback_times(),
            query,
            kept: Vec::new(),
            by_topic: HashMap::new(),
            by_source: HashMap::new(),
            chunks: BinaryHeap::new(),
            candidates: BinaryHeap::new(),
            dealt_with: HashSet::new(),
        }
    }

    /// The times that are searched, both ends included; `None`: nothing has to be added.
    pub fn times(&self) -> Option<TimeRange> {
        self.times
    }

    /// Adds channels of a source; those that it has already are skipped. They go before the
    /// chunks that use them.
    pub fn add_channels(&mut self, source: u32, channels: &BTreeMap<u16, Arc<ChannelRecord>>) {
        if self.times.is_none() {
            return;
        }
        for (id, channel) in channels {
            let known = self.by_source.get(&source).is_some_and(|ids| ids.contains_key(id));
            if !known && self.query.wants(&channel.def) {
                let place = self.place_of(&channel.def);
                self.by_source.entry(source).or_default().insert(*id, place);
            }
        }
    }

    /// Adds a chunk. `claimed`: the descriptor is what a summary says and was not verified yet.
    pub fn add_chunk(&mut self, at: ChunkRef, descriptor: Arc<ChunkDescriptor>, claimed: bool) {
        if let Some(time) = self.latest(descriptor.times) {
            self.chunks.push(Unseen { latest: Key::last(time, at), descriptor, claimed });
        }
    }

    /// What to do next; the same until it was done.
    #[expect(clippy::should_implement_trait, reason = "it goes on after it was done")]
    pub fn next(&mut self) -> LookbackStep {
        loop {
            let candidate = self.candidates.peek().copied();
            let unseen = self.chunks.peek().map(|unseen| unseen.latest);
            match (candidate, unseen) {
                (Some((key, place)), unseen) if unseen.is_none_or(|unseen| unseen < key) => {
                    let lacking = self.kept.get(place).is_some_and(|kept| kept.lacks(key));
                    if lacking && !self.dealt_with.contains(&key.at()) {
                        return LookbackStep::Read(key.at());
                    }
                    self.candidates.pop();
                }
                (_, Some(latest)) if self.kept.iter().any(|kept| kept.lacks(latest)) => {
                    self.look_at_next(&mut |_, _| {});
                }
                _ => return LookbackStep::Done,
            }
        }
    }

    /// Takes what is wanted of a chunk that [`LookbackStep::Read`] asked for, and tells what that
    /// is, as far as is known: newer messages may take the place of some.
    pub fn offer(&mut self, at: ChunkRef, chunk: &OpenChunk) -> Vec<LookbackMessage> {
        let mut taken = Vec::new();
        let (Some(times), true) = (self.times, self.dealt_with.insert(at)) else {
            return taken;
        };
        let Some(ids) = self.by_source.get(&at.source) else {
            return taken;
        };
        let end = partition(chunk.len(), |entry| chunk.entry(entry).log_time <= times.end);
        for entry in (0..end).rev() {
            let message = chunk.entry(entry);
            if message.log_time < times.start {
                break;
            }
            let key = Key { time: message.log_time, source: at.source, chunk: at.chunk, entry };
            let kept = ids.get(&message.channel).and_then(|place| self.kept.get_mut(*place));
            if let Some(kept) = kept.filter(|kept| kept.lacks(key)) {
                kept.add(key, chunk.message(entry).data);
                taken.push(LookbackMessage { at, entry });
            }
        }
        taken
    }

    /// Leaves out a chunk that cannot be had.
    pub fn skip(&mut self, at: ChunkRef) {
        self.dealt_with.insert(at);
    }

    /// When the newest message found of this topic was logged.
    pub fn newest_found(&self, topic: &str) -> Option<Nanos> {
        let places = self.by_topic.get(topic)?.iter();
        places.filter_map(|place| self.kept.get(*place)?.newest()).map(|key| key.time).max()
    }

    /// The messages found, in merge order.
    pub fn finish(self) -> Vec<LookbackMessage> {
        let mut keys: Vec<Key> = self.kept.into_iter().flat_map(Kept::into_keys).collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| LookbackMessage { at: key.at(), entry: key.entry }).collect()
    }

    /// The latest searched time that such a range may hold.
    fn latest(&self, times: TimeRange) -> Option<Nanos> {
        let searched = self.times.filter(|searched| searched.overlaps(times))?;
        Some(times.end.min(searched.end))
    }

    /// Comparing definitions is dear, so only those of the same topic are compared.
    fn place_of(&mut self, def: &Arc<ChannelDef>) -> usize {
        let places = self.by_topic.entry(def.topic.clone()).or_default();
        let same = |place: &&usize| self.kept.get(**place).is_some_and(|kept| kept.is_of(def));
        if let Some(place) = places.iter().find(same) {
            return *place;
        }
        let place = self.kept.len();
        places.push(place);
        self.kept.push(Kept::new(Arc::clone(def)));
        place
    }

    /// Tells which candidates that gives.
    fn look_at_next(&mut self, found: &mut dyn FnMut(Key, usize)) {
        let Some(Unseen { latest, descriptor, claimed }) = self.chunks.pop() else {
            return;
        };
        let at = latest.at();
        let Some(ids) = self.by_source.get(&at.source) else {
            return;
        };
        if self.dealt_with.contains(&at) {
            return;
        }
        if claimed && descriptor.channels.is_empty() {
            // A claim without channels says nothing about them.
            for place in ids.values() {
                self.candidates.push((latest, *place));
                found(latest, *place);
            }
        }
        for used in &descriptor.channels {
            let (Some(place), Some(time)) = (ids.get(&used.id), self.latest(used.times)) else {
                continue;
            };
            let key = Key::last(time, at);
            if self.kept.get(*place).is_some_and(|kept| kept.lacks(key)) {
                self.candidates.push((key, *place));
                found(key, *place);
            }
        }
    }
}

impl Ord for Unseen {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.latest.cmp(&other.latest)
    }
}

impl PartialOrd for Unseen {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Unseen {
    fn eq(&self, other: &Self) -> bool {
        self.latest == other.latest
    }
}

impl Eq for Unseen {}
