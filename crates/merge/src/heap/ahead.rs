//! What the merge has not opened: where sources that may reveal more hold the others back, and the
//! chunks that wait.
//!
//! The least key of all of it is at hand, since every message that leaves is held against it and
//! it changes only from chunk to chunk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rdl_mcap_io::ChunkDescriptor;
use rdl_model::ChunkRef;

use crate::key::Key;
use crate::selection::WhyOpened;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// A limit's `chunk` is the next one of its source, so messages of the known ones at the very
    /// same time may leave.
    limits: BTreeSet<Key>,
    /// The chunks that are not open, at the least key that they can have.
    waiting: BTreeMap<Key, Waiting>,
    /// Where in `waiting` a chunk is; `None` for one that its claim alone leaves out.
    places: HashMap<ChunkRef, Option<Key>>,
    /// The least of `limits` and `waiting`.
    least: Option<Key>,
}

/// A chunk that is not open.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) descriptor: Arc<ChunkDescriptor>,
    /// Whether it is what a summary says, and was not verified yet.
    pub(super) claimed: bool,
    /// Why it may not be sent as it is, as far as it alone decides.
    pub(super) opened: Option<WhyOpened>,
}

impl Ahead {
    /// The least key.
    pub(super) fn least(&self) -> Option<Key> {
        self.least
    }

    /// Whether the least key is where a source holds the others back.
    pub(super) fn is_held_back(&self) -> bool {
        self.least.is_some() && self.least == self.limits.first().copied()
    }

    /// The waiting chunk at the least key of those, and the least of all other keys.
    pub(super) fn first_waiting(&self) -> Option<(Key, &Waiting, Option<Key>)> {
        let mut waiting = self.waiting.iter();
        let (key, first) = waiting.next()?;
        let second = waiting.next().map(|(key, _)| *key);
        Some((*key, first, second.into_iter().chain(self.limits.first().copied()).min()))
    }

    /// The waiting chunks, in order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ChunkRef> {
        self.waiting.keys().map(|key| key.at())
    }

    /// The same, with what is known of them.
    pub(super) fn waiting_descriptors(&self) -> impl Iterator<Item = (ChunkRef, &ChunkDescriptor)> {
        self.waiting.iter().map(|(key, waiting)| (key.at(), &*waiting.descriptor))
    }

    /// The sources that hold others back, in order.
    pub(super) fn limits(&self) -> impl Iterator<Item = u32> {
        self.limits.iter().map(|key| key.source)
    }

    /// Moves the limit of a source.
    pub(super) fn move_limit(&mut self, from: Option<Key>, to: Option<Key>) {
        if let Some(from) = from {
            self.limits.remove(&from);
        }
        self.limits.extend(to);
        self.refresh();
    }

    pub(super) fn put(&mut self, key: Key, waiting: Waiting) {
        self.places.insert(key.at(), Some(key));
        self.waiting.insert(key, waiting);
        self.refresh();
    }

    /// Remembers a chunk that its claim leaves out, for the truth may not.
    pub(super) fn put_left_out(&mut self, at: ChunkRef) {
        self.places.insert(at, None);
    }

    /// Takes a chunk out that is `claimed` or not, as said.
    pub(super) fn take(&mut self, at: ChunkRef, claimed: bool) -> Option<Waiting> {
        let key = self.places.get(&at).copied()??;
        if self.waiting.get(&key)?.claimed != claimed {
            return None;
        }
        self.places.remove(&at);
        let taken = self.waiting.remove(&key);
        self.refresh();
        taken
    }

    /// Takes out what is claimed of a chunk, left out or not. Whether there was a claim.
    pub(super) fn take_claim(&mut self, at: ChunkRef) -> bool {
        match self.places.get(&at) {
            None => false,
            Some(Some(_)) => self.take(at, true).is_some(),
            Some(None) => self.places.remove(&at).is_some(),
        }
    }

    /// Drops all chunks of a source.
    pub(super) fn drop_source(&mut self, source: u32) {
        self.waiting.retain(|key, _| key.source != source);
        self.places.retain(|at, _| at.source != source);
        self.refresh();
    }

    fn refresh(&mut self) {
        let limit = self.limits.first().copied();
        let waiting = self.waiting.first_key_value().map(|(key, _)| *key);
        self.least = limit.into_iter().chain(waiting).min();
    }
}
