//! The open chunks, each at its next message: a binary heap with the least at the top.
//!
//! Unlike the standard library's, it tells the least but one, which is how far the least may go, and
//! lets the top go on where it stands.

use rdl_model::ChunkRef;

use super::open::Open;
use crate::key::Key;

/// Every head is at most the two below it, at twice its position plus one and plus two.
#[derive(Debug, Default)]
pub(super) struct Heads(Vec<Head>);

#[derive(Debug)]
struct Head {
    key: Key,
    /// Boxed, for heads are moved about at every message.
    open: Box<Open>,
}

impl Heads {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, at: ChunkRef) -> bool {
        self.0.iter().any(|head| head.key.at() == at)
    }

    /// The least key.
    pub(super) fn least(&self) -> Option<Key> {
        self.0.first().map(|head| head.key)
    }

    /// The least key of all but the least.
    pub(super) fn second(&self) -> Option<Key> {
        self.0.iter().skip(1).take(2).map(|head| head.key).min()
    }

    /// The chunk at the least key.
    pub(super) fn top(&mut self) -> Option<&mut Open> {
        self.0.first_mut().map(|head| &mut *head.open)
    }

    /// Puts the chunk at the least key, which went on, where it belongs now; `None` drops it.
    pub(super) fn put_top(&mut self, key: Option<Key>) {
        match (key, self.0.first_mut()) {
            (Some(key), Some(top)) => {
                top.key = key;
                self.sink(0);
            }
            (None, Some(_)) => drop(self.remove(0)),
            (_, None) => {}
        }
    }

    pub(super) fn insert(&mut self, key: Key, open: Box<Open>) {
        self.0.push(Head { key, open });
        self.rise(self.0.len() - 1);
    }

    /// Takes a chunk out.
    pub(super) fn take(&mut self, at: ChunkRef) -> Option<Box<Open>> {
        let place = self.0.iter().position(|head| head.key.at() == at)?;
        Some(self.remove(place).open)
    }

    /// Drops all chunks of a source.
    pub(super) fn drop_source(&mut self, source: u32) {
        self.0.retain(|head| head.key.source != source);
        for place in (0..self.0.len() / 2).rev() {
            self.sink(place);
        }
    }

    fn remove(&mut self, place: usize) -> Head {
        let removed = self.0.swap_remove(place);
        if place < self.0.len() {
            self.sink(place);
            self.rise(place);
        }
        removed
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.0[above].key <= self.0[place].key {
                return;
            }
            self.0.swap(above, place);
            place = above;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let mut below = 2 * place + 1;
            if below >= self.0.len() {
                return;
            }
            if below + 1 < self.0.len() && self.0[below + 1].key < self.0[below].key {
                below += 1;
            }
            if self.0[place].key <= self.0[below].key {
                return;
            }
            self.0.swap(place, below);
            place = below;
        }
    }
}
