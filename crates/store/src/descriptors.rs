//! Parts and scratch files that are being read, kept open: a chunk is read in slices, and to open
//! the file for each takes 3 µs, an eighth of what it takes to read 256 KiB that are in the page
//! cache.
//!
//! Invariants: at most [`MAX_OPEN`] files, however many sources there are; what is discarded or let
//! go of is not held open, so that the system frees its bytes.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How many files one process keeps open.
const MAX_OPEN: usize = 64;

/// The files that were read last, of all sources of a process.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    /// The one that was read last stands last.
    open: Mutex<Vec<Open>>,
    owners: AtomicU64,
}

#[derive(Debug)]
struct Open {
    owner: u64,
    part: u32,
    file: Arc<File>,
}

impl Descriptors {
    /// A number for somebody who has files.
    pub(crate) fn new_owner(&self) -> u64 {
        self.owners.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, owner: u64, part: u32) -> Option<Arc<File>> {
        let mut open = self.open.lock();
        let at = open.iter().rposition(|open| open.owner == owner && open.part == part)?;
        open[at..].rotate_left(1);
        open.last().map(|open| open.file.clone())
    }

    pub(crate) fn put(&self, owner: u64, part: u32, file: &Arc<File>) {
        let mut open = self.open.lock();
        // Closing may take a while: after the lock.
        let _closed = (open.len() >= MAX_OPEN).then(|| open.remove(0));
        open.push(Open { owner, part, file: file.clone() });
        drop(open);
    }

    /// Closes an owner's parts before `part`.
    pub(crate) fn close_before(&self, owner: u64, part: u32) {
        self.open.lock().retain(|open| open.owner != owner || open.part >= part);
    }

    /// Closes all of an owner's parts.
    pub(crate) fn close_all(&self, owner: u64) {
        self.open.lock().retain(|open| open.owner != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_longest_ago_is_closed() {
        let descriptors = Descriptors::default();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let (one, other) = (descriptors.new_owner(), descriptors.new_owner());
        for part in 1..=64 {
            descriptors.put(one, part, &file);
        }
        assert!(descriptors.get(one, 1).is_some());
        assert!(descriptors.get(other, 1).is_none());
        descriptors.put(other, 1, &file);
        assert!(descriptors.get(one, 1).is_some());
        assert!(descriptors.get(one, 2).is_none());
        assert_eq!(Arc::strong_count(&file), 65);

        descriptors.close_before(one, 64);
        assert_eq!(Arc::strong_count(&file), 3);
        assert!(descriptors.get(one, 64).is_some() && descriptors.get(other, 1).is_some());
        descriptors.close_all(one);
        assert_eq!(Arc::strong_count(&file), 2);
    }
}
