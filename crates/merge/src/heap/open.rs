//! A decompressed chunk in the merge.

use std::sync::Arc;

use rdl_mcap_io::{ChunkDescriptor, OpenChunk};
use rdl_model::{ChunkRef, TimeRange};

use crate::key::Key;
use crate::selection::Selection;

/// An open chunk and where the merge stands in it.
#[derive(Debug)]
pub(super) struct Open {
    chunk: Arc<OpenChunk>,
    /// The next wanted message; `end` when there is none.
    next: usize,
    /// One past the last message within the query's times.
    end: usize,
    /// One bit for each channel id; `None` when every channel in the chunk is wanted.
    wanted: Option<Box<[u64]>>,
}

impl Open {
    pub(super) fn new(
        chunk: Arc<OpenChunk>,
        times: TimeRange,
        descriptor: &ChunkDescriptor,
        selection: &Selection,
    ) -> Open {
        let next = partition(chunk.len(), |entry| chunk.entry(entry).log_time < times.start);
        let end = partition(chunk.len(), |entry| chunk.entry(entry).log_time <= times.end);
        let wanted = wanted_bits(descriptor, selection);
        let mut open = Open { chunk, next, end, wanted };
        open.advance(next);
        open
    }

    pub(super) fn chunk(&self) -> &Arc<OpenChunk> {
        &self.chunk
    }

    /// The key of the next wanted message.
    pub(super) fn next_key(&self, at: ChunkRef) -> Option<Key> {
        self.wanted_key(at, self.next)
    }

    /// The key of this message, if it lies within the query's times and is wanted.
    pub(super) fn wanted_key(&self, at: ChunkRef, entry: usize) -> Option<Key> {
        if entry >= self.end {
            return None;
        }
        let message = self.chunk.entry(entry);
        let key = Key { time: message.log_time, source: at.source, chunk: at.chunk, entry };
        self.is_wanted(message.channel).then_some(key)
    }

    /// Goes on at the first wanted message that is not before `entry`.
    pub(super) fn advance(&mut self, entry: usize) {
        self.next = entry;
        while self.next < self.end && !self.is_wanted(self.chunk.entry(self.next).channel) {
            self.next += 1;
        }
    }

    fn is_wanted(&self, channel: u16) -> bool {
        let Some(bits) = &self.wanted else {
            return true;
        };
        bits[usize::from(channel) / 64] & (1 << (channel % 64)) != 0
    }
}

fn wanted_bits(descriptor: &ChunkDescriptor, selection: &Selection) -> Option<Box<[u64]>> {
    if descriptor.channels.iter().all(|used| selection.is_wanted(used.id)) {
        return None;
    }
    let mut bits = vec![0u64; (usize::from(u16::MAX) + 1) / 64].into_boxed_slice();
    for used in descriptor.channels.iter().filter(|used| selection.is_wanted(used.id)) {
        bits[usize::from(used.id) / 64] |= 1 << (used.id % 64);
    }
    Some(bits)
}

/// How many of `0..len` come before the first for which `before` is false.
pub(crate) fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
