//! What a lookback will read, told before it does.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rdl_model::ChunkRef;

use super::{Kept, Lookback};
use crate::key::Key;

/// How many chunks are looked at to tell.
const LOOKS: usize = 256;

impl Lookback {
    /// Chunks that will be read, the one that may reach latest first: for each channel the first
    /// that may have a message, which is read whatever the others turn out to hold, and of a latched
    /// channel each. Not necessarily all of them; at most `count`.
    pub fn upcoming(&mut self, count: usize) -> Vec<ChunkRef> {
        let mut first: HashMap<usize, Key> = HashMap::new();
        let mut all: Vec<(Key, usize)> = self.candidates.iter().copied().collect();
        all.retain(|candidate| self.is_needed(*candidate));
        for (key, place) in &all {
            let first = first.entry(*place).or_insert(*key);
            *first = (*first).max(*key);
        }
        for _ in 0..LOOKS {
            let Some(latest) = self.chunks.peek().map(|unseen| unseen.latest) else { break };
            let is_settled = |(place, kept): (usize, &Kept)| {
                let is_found = first.get(&place).is_some_and(|first| *first > latest);
                !kept.lacks(latest) || (is_found && !kept.keeps_all())
            };
            if self.kept.iter().enumerate().all(is_settled) {
                break;
            }
            self.look_at_next(&mut |key, place| {
                all.push((key, place));
                let first = first.entry(place).or_insert(key);
                *first = (*first).max(key);
            });
        }
        // Of chunks that were not looked at, one may reach later.
        let unseen = self.chunks.peek().map(|unseen| unseen.latest);
        all.retain(|(key, place)| {
            let keeps_all = self.kept.get(*place).is_some_and(Kept::keeps_all);
            unseen.is_none_or(|unseen| unseen < *key)
                && (keeps_all || first.get(place) == Some(key))
        });
        all.sort_unstable_by_key(|(key, _)| Reverse(*key));
        let mut chunks: Vec<ChunkRef> = all.into_iter().map(|(key, _)| key.at()).collect();
        // The keys of one chunk need not be neighbours.
        let mut seen = HashSet::new();
        chunks.retain(|at| seen.insert(*at));
        chunks.truncate(count);
        chunks
    }

    fn is_needed(&self, (key, place): (Key, usize)) -> bool {
        self.kept.get(place).is_some_and(|kept| kept.lacks(key))
            && !self.dealt_with.contains(&key.at())
    }
}
