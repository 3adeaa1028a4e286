//! Complete sources: which are being read, when each was last used, and which go to make room.
//!
//! With a bucket they lie in its folder, which other processes may share; without one in this
//! process's own folder.
//!
//! Invariants: a source that is being read in this process is never evicted, nor one that another
//! process used in the last minute. Of the others the one that was used longest ago goes first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rdl_metrics::table;

use crate::SourceFiles;
use crate::inventory::{self, Inventory, StoredAttempt};
use crate::used::{self, is_within};

/// Whoever reads a source says so at most this often.
pub(crate) const TOUCHED_EVERY: Duration = Duration::from_secs(60);

/// For so long a use by another process counts: until it is due to say so again, and a while.
pub(crate) const USE_COUNTS_FOR: Duration = Duration::from_secs(70);

/// After this time a folder without `complete.json` was left by a process that died, or by a
/// removal that did not end.
pub(crate) const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(60 * 60);

/// The folder of complete sources.
#[derive(Debug)]
pub(crate) struct Kept {
    v1: PathBuf,
    shared: bool,
    uses: Mutex<HashMap<PathBuf, Use>>,
}

/// What this process knows of a source's use.
#[derive(Debug, Default)]
struct Use {
    files: Weak<SourceFiles>,
    /// The last use that this process wrote down.
    by_us: Option<SystemTime>,
    /// The last use that another process had written down before.
    by_others: Option<SystemTime>,
}

/// What went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evicted {
    pub(crate) bytes: u64,
    pub(crate) sources: u64,
    /// What could have gone too.
    pub(crate) left_bytes: u64,
}

impl Kept {
    pub(crate) fn new(v1: PathBuf, shared: bool) -> Kept {
        Kept { v1, shared, uses: Mutex::default() }
    }

    pub(crate) fn v1(&self) -> &Path {
        &self.v1
    }

    /// Whether other processes may use the folder too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Counts what is there, and removes what died there.
    pub(crate) fn take_inventory(&self) -> Inventory {
        let mut inventory = Inventory::take(&self.v1);
        let mut removed_bytes = 0;
        inventory.attempts.retain(|attempt| {
            let left_behind = !attempt.is_complete()
                && attempt.used.elapsed().is_ok_and(|age| age > LEFT_BEHIND_AFTER);
            if !left_behind {
                return true;
            }
            match inventory::remove(&attempt.folder) {
                Ok(()) => removed_bytes += attempt.bytes,
                Err(error) => {
                    tracing::warn!(folder = %attempt.folder.display(), %error, "cannot remove what was left behind");
                }
            }
            false
        });
        inventory.bytes = inventory.bytes.saturating_sub(removed_bytes);
        self.uses.lock().retain(|folder, known| known.files.strong_count() > 0 || folder.exists());
        inventory
    }

    /// The files of the source in `folder`, the same for everyone; it is not evicted while
    /// anybody holds them.
    pub(crate) fn pin(
        &self,
        folder: &Path,
        open: impl FnOnce() -> SourceFiles,
    ) -> Arc<SourceFiles> {
        let mut uses = self.uses.lock();
        let known = uses.entry(folder.to_owned()).or_default();
        known.files.upgrade().unwrap_or_else(|| {
            let files = Arc::new(open());
            known.files = Arc::downgrade(&files);
            files
        })
    }

    /// Says that `files` lie in `folder` from here on.
    pub(crate) fn arrived(&self, folder: &Path, files: &Arc<SourceFiles>) {
        let mut uses = self.uses.lock();
        let known = uses.entry(folder.to_owned()).or_default();
        known.files = Arc::downgrade(files);
        known.by_us = used::last(folder);
    }

    /// Writes down that the source is used now, where that was ever done before: a folder that is
    /// being removed must not get a new file.
    pub(crate) fn touch(&self, folder: &Path) {
        let mut uses = self.uses.lock();
        let before = used::last(folder);
        match used::touch(folder) {
            Ok(now) => {
                let known = uses.entry(folder.to_owned()).or_default();
                if before != known.by_us {
                    known.by_others = before;
                }
                known.by_us = Some(now);
            }
            Err(error) => {
                tracing::debug!(folder = %folder.display(), %error, "cannot write down a use");
            }
        }
    }

    /// Evicts until `wished` bytes are free, or nothing where not even `needed` can be.
    pub(crate) fn evict(&self, inventory: Inventory, needed: u64, wished: u64) -> Evicted {
        let mut candidates = inventory.attempts;
        {
            let uses = self.uses.lock();
            candidates.retain(|attempt| {
                attempt.is_complete() && !self.is_used(attempt, uses.get(&attempt.folder))
            });
        }
        candidates.sort_by(|a, b| (a.used, &a.folder).cmp(&(b.used, &b.folder)));
        let left_bytes = candidates.iter().map(|attempt| attempt.bytes).sum();
        let mut evicted = Evicted { left_bytes, ..Evicted::default() };
        if evicted.left_bytes < needed {
            return evicted;
        }
        for attempt in candidates {
            if evicted.bytes >= wished {
                break;
            }
            evicted.left_bytes -= attempt.bytes;
            if self.remove_unused(&attempt) {
                evicted.bytes += attempt.bytes;
                evicted.sources += 1;
            }
        }
        table::DISK_EVICTED.more(evicted.sources);
        table::DISK_EVICTED_BYTES.more(evicted.bytes);
        tracing::debug!(evicted.bytes, evicted.sources, "evicted complete sources");
        evicted
    }

    fn is_used(&self, attempt: &StoredAttempt, known: Option<&Use>) -> bool {
        if known.is_some_and(|known| known.files.strong_count() > 0) {
            return true;
        }
        if !self.shared {
            return false;
        }
        let by_us = known.and_then(|known| known.by_us);
        let by_others = match known {
            Some(known) if Some(attempt.used) == by_us => known.by_others,
            _ => Some(attempt.used),
        };
        // A clock that was set back must not protect a source for ever.
        by_others.is_some_and(|used| is_within(used, USE_COUNTS_FOR))
    }

    /// Removes the source unless somebody began to use it meanwhile.
    fn remove_unused(&self, attempt: &StoredAttempt) -> bool {
        let mut uses = self.uses.lock();
        let now = used::last(&attempt.folder).or(attempt.completed).unwrap_or(attempt.used);
        let attempt = StoredAttempt { used: now, ..attempt.clone() };
        if self.is_used(&attempt, uses.get(&attempt.folder)) {
            return false;
        }
        // From the moment that complete.json is gone nobody finds it; the rest may take longer.
        if let Err(error) = inventory::remove_complete(&attempt.folder) {
            tracing::warn!(folder = %attempt.folder.display(), %error, "cannot evict a source");
            return false;
        }
        if let Entry::Occupied(known) = uses.entry(attempt.folder.clone()) {
            known.remove();
        }
        drop(uses);
        match inventory::remove_rest(&attempt.folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(folder = %attempt.folder.display(), %error, "cannot remove an evicted source");
                false
            }
        }
    }
}
