//! A chunk that the merge takes apart.

use std::sync::Arc;

use rdl_mcap_io::{ChunkDescriptor, MessageEntry};
use rdl_model::{ChunkRef, Nanos, TimeRange};

use super::Entries;
use crate::key::Key;
use crate::selection::Selection;

/// An open chunk and where the merge stands in it.
#[derive(Debug)]
pub(super) struct Open {
    window: Window,
    /// The next wanted message, or the end of the window.
    next: usize,
    /// The wanted channels, ascending; `None` when every channel in the chunk is wanted.
    wanted: Option<Box<[u16]>>,
    times: TimeRange,
}

/// What is known of the chunk's message table, less what lies after the query's times.
#[derive(Debug)]
struct Window {
    /// The position of the first entry in the whole table.
    first: usize,
    entries: Arc<[MessageEntry]>,
    /// One past the last position that is known and within the query's times.
    end: usize,
    /// When the table goes on.
    next: Option<Nanos>,
}

impl Window {
    fn new(entries: Entries, times: TimeRange) -> Window {
        let Entries { first, entries, next } = entries;
        let within = partition(entries.len(), |at| entries[at].log_time <= times.end);
        let ends = within < entries.len() || next.is_some_and(|next| next > times.end);
        Window { first, end: first + within, next: next.filter(|_| !ends), entries }
    }
}

impl Open {
    pub(super) fn new(
        entries: Entries,
        times: TimeRange,
        descriptor: &ChunkDescriptor,
        selection: &Selection,
    ) -> Open {
        let window = Window::new(entries, times);
        let wanted = wanted_channels(descriptor, selection);
        let mut open = Open { next: window.first, window, wanted, times };
        open.skip_early();
        open
    }

    /// Goes on with the part of the table that follows.
    pub(super) fn go_on(&mut self, entries: Entries) {
        self.window = Window::new(entries, self.times);
        self.skip_early();
    }

    /// Goes on at the first message that is not before the query's times, nor handed out before.
    fn skip_early(&mut self) {
        let Window { first, entries, .. } = &self.window;
        let early = partition(entries.len(), |at| entries[at].log_time < self.times.start);
        self.advance(self.next.max(first + early));
    }

    /// The key of the next wanted message, or of the first message that is not known yet.
    pub(super) fn next_key(&self, at: ChunkRef) -> Option<Key> {
        if self.next < self.window.end {
            let time = self.window.entries[self.next - self.window.first].log_time;
            return Some(Key { time, source: at.source, chunk: at.chunk, entry: self.next });
        }
        let time = self.window.next?.max(self.times.start);
        Some(Key { time, source: at.source, chunk: at.chunk, entry: self.next })
    }

    /// Whether the next message is not known yet.
    pub(super) fn is_starved(&self) -> bool {
        self.next >= self.window.end && self.window.next.is_some()
    }

    /// Goes on at the first wanted message that is not before `entry`.
    pub(super) fn advance(&mut self, entry: usize) {
        let Window { first, entries, end, .. } = &self.window;
        let mut next = entry;
        while next < *end && !self.is_wanted(entries[next - first].channel) {
            next += 1;
        }
        self.next = next;
    }

    /// Hands out the message at `first`, which is the next, and those that follow it at once, as
    /// long as they are known, wanted, at most `most` and below `bound`. The key of the last.
    pub(super) fn run(&mut self, first: Key, bound: Option<Key>, most: usize) -> Key {
        let Window { first: start, entries, end, .. } = &self.window;
        let rest = &entries[first.entry + 1 - start..end - start];
        let mut last = first;
        for message in rest.iter().take(most - 1) {
            let key = Key { time: message.log_time, entry: last.entry + 1, ..first };
            if bound.is_some_and(|bound| bound <= key) || !self.is_wanted(message.channel) {
                break;
            }
            last = key;
        }
        self.advance(last.entry + 1);
        last
    }

    fn is_wanted(&self, channel: u16) -> bool {
        let Some(wanted) = &self.wanted else {
            return true;
        };
        wanted.binary_search(&channel).is_ok()
    }
}

fn wanted_channels(descriptor: &ChunkDescriptor, selection: &Selection) -> Option<Box<[u16]>> {
    let used = descriptor.channels.iter().map(|used| used.id);
    let mut wanted: Vec<u16> = used.filter(|id| selection.is_wanted(*id)).collect();
    if wanted.len() == descriptor.channels.len() {
        return None;
    }
    wanted.sort_unstable();
    Some(wanted.into())
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
