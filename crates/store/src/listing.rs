//! The bucket folder as an operator sees it, from a process that loads nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rdl_model::SourceKey;

use crate::inventory::{self, Inventory, StoredAttempt, is_hidden};
use crate::kept::{LEFT_BEHIND_AFTER, USE_COUNTS_FOR};
use crate::process_folder;
use crate::used::is_within;
use crate::{StoreConfig, StoreError, complete};

/// A bucket folder that other processes may be using.
#[derive(Clone, Debug)]
pub struct BucketFolder {
    bucket: PathBuf,
    /// Where processes have their folders.
    processes: PathBuf,
}

/// What is stored of one source by one attempt.
#[derive(Clone, Debug)]
pub struct StoredSource {
    folder: PathBuf,
    /// The key that it is stored under.
    pub key: SourceKey,
    /// Its id, or else its URL less query and credentials; unknown unless it is complete.
    pub name: Option<String>,
    /// How long its files are together, in bytes.
    pub bytes: u64,
    /// How many parts there are.
    pub part_count: u32,
    /// When it was completed; `None` where it is not.
    pub completed_at: Option<SystemTime>,
    /// When it was last used: read, completed, or else written to.
    pub used_at: SystemTime,
    /// A running process is writing it.
    pub is_loading: bool,
}

impl StoredSource {
    /// Whether a running process may be reading or writing it now.
    pub fn is_in_use(&self) -> bool {
        self.is_loading || (self.completed_at.is_some() && is_within(self.used_at, USE_COUNTS_FOR))
    }
}

impl BucketFolder {
    /// The bucket of a store; `None` where it has none.
    pub fn of(config: &StoreConfig) -> Option<BucketFolder> {
        let bucket = config.bucket.clone()?;
        Some(BucketFolder { bucket, processes: config.processes_folder() })
    }

    /// Everything in it, the longest unused first: complete sources, those that are being loaded
    /// into it, and what is left of others. Blocks.
    pub fn list(&self) -> Result<Vec<StoredSource>, StoreError> {
        // A wrong path must not look like an empty cache.
        fs::read_dir(&self.bucket).map_err(StoreError::io("list", &self.bucket))?;
        let attempts = Inventory::take(&self.bucket.join("v1")).attempts;
        let mut found: Vec<StoredSource> = attempts.into_iter().filter_map(stored).collect();
        for process in process_folder::all_in(&self.processes) {
            let is_living = process_folder::is_living(&process);
            for (folder, key) in loading_in(&process) {
                let Ok(metadata) = fs::metadata(&folder) else { continue };
                let attempt = StoredAttempt::at(folder, &metadata);
                found.push(StoredSource { is_loading: is_living, ..incomplete(attempt, key) });
            }
        }
        found.sort_by(|a, b| (a.used_at, &a.folder).cmp(&(b.used_at, &b.folder)));
        Ok(found)
    }

    /// Removes what [`BucketFolder::list`] found; a running process that reads it finds it gone.
    /// Blocks.
    pub fn remove(&self, source: &StoredSource) -> Result<(), StoreError> {
        inventory::remove(&source.folder).map_err(StoreError::io("remove", &source.folder))
    }
}

/// A folder that is not named after a key is not ours.
fn stored(attempt: StoredAttempt) -> Option<StoredSource> {
    let key = attempt.folder.parent()?.file_name()?.to_str()?.parse().ok()?;
    if !attempt.is_complete() {
        // One that a process copies here from another disk.
        let is_loading = is_hidden(&attempt.folder) && is_within(attempt.used, LEFT_BEHIND_AFTER);
        return Some(StoredSource { is_loading, ..incomplete(attempt, key) });
    }
    let name = complete::name(&attempt.folder).filter(|name| !name.is_empty());
    let completed_at = attempt.completed;
    Some(StoredSource { name, completed_at, ..incomplete(attempt, key) })
}

fn incomplete(attempt: StoredAttempt, key: SourceKey) -> StoredSource {
    StoredSource {
        key,
        name: None,
        bytes: attempt.bytes,
        part_count: attempt.part_count,
        completed_at: None,
        used_at: attempt.used,
        is_loading: false,
        folder: attempt.folder,
    }
}

/// The attempts in a process's folder: `<key>-<number>`.
fn loading_in(process: &Path) -> Vec<(PathBuf, SourceKey)> {
    let Ok(entries) = fs::read_dir(process) else { return Vec::new() };
    let key = |folder: &Path| folder.file_name()?.to_str()?.split_once('-')?.0.parse().ok();
    let folders = entries.flatten().map(|entry| entry.path());
    folders.filter_map(|folder| key(&folder).map(|key| (folder, key))).collect()
}
