//! What lies in the folder of complete sources, as the file system has it.
//!
//! ```text
//! v1/sources/<key>/<epoch>-<attempt>/part-000001.mcap …, complete.json, used
//! ```
//!
//! Several processes may share the folder, and people may tidy it by hand: what vanishes while it
//! is looked at counts as not there.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::complete::COMPLETE;
use crate::files::PART_PREFIX;
use crate::used::USED;

/// Everything in the folder.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The lengths of all files together, whatever they are.
    pub(crate) bytes: u64,
    /// The attempts among it.
    pub(crate) attempts: Vec<StoredAttempt>,
}

/// One attempt's folder.
#[derive(Clone, Debug)]
pub(crate) struct StoredAttempt {
    pub(crate) folder: PathBuf,
    /// The lengths of its files together.
    pub(crate) bytes: u64,
    pub(crate) part_count: u32,
    /// When `complete.json` was written, if it is there.
    pub(crate) completed: Option<SystemTime>,
    /// When it was last used, or else completed, or else changed.
    pub(crate) used: SystemTime,
}

impl Inventory {
    /// Looks at everything below `v1`.
    pub(crate) fn take(v1: &Path) -> Inventory {
        let mut inventory = Inventory::default();
        let sources = sources_folder(v1);
        for_each(v1, |path, metadata| {
            if path != sources {
                inventory.bytes += bytes_of(&path, metadata);
            }
        });
        for_each(&sources, |key, metadata| {
            if !metadata.is_dir() {
                inventory.bytes += metadata.len();
                return;
            }
            for_each(&key, |folder, metadata| {
                if metadata.is_dir() {
                    let attempt = StoredAttempt::at(folder, metadata);
                    inventory.bytes += attempt.bytes;
                    inventory.attempts.push(attempt);
                } else {
                    inventory.bytes += metadata.len();
                }
            });
        });
        inventory
    }

    /// How many sources are complete.
    pub(crate) fn complete_count(&self) -> u64 {
        self.attempts.iter().filter(|attempt| attempt.is_complete()).count() as u64
    }
}

impl StoredAttempt {
    pub(crate) fn at(folder: PathBuf, metadata: &Metadata) -> StoredAttempt {
        let mut bytes = 0;
        let mut part_count = 0;
        let (mut completed, mut used) = (None, None);
        for_each(&folder, |path, metadata| {
            bytes += bytes_of(&path, metadata);
            let name = path.file_name().unwrap_or_default();
            if name == COMPLETE {
                completed = metadata.modified().ok();
            } else if name == USED {
                used = metadata.modified().ok();
            } else if name.as_encoded_bytes().starts_with(PART_PREFIX.as_bytes()) {
                part_count += 1;
            }
        });
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let used = used.or(completed).unwrap_or(changed);
        StoredAttempt { folder, bytes, part_count, completed, used }
    }

    /// Whether it can be found; one that is being copied into place cannot.
    pub(crate) fn is_complete(&self) -> bool {
        self.completed.is_some() && !is_hidden(&self.folder)
    }
}

/// Where the sources lie below `v1`.
pub(crate) fn sources_folder(v1: &Path) -> PathBuf {
    v1.join("sources")
}

/// Whether the name says that the folder is not there for others yet.
pub(crate) fn is_hidden(folder: &Path) -> bool {
    folder.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Removes an attempt, `complete.json` first: what is left is no longer found, whatever happens
/// next. The folder of its key goes with its last attempt.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    remove_complete(folder)?;
    remove_rest(folder)
}

/// The first half of [`remove`].
pub(crate) fn remove_complete(folder: &Path) -> io::Result<()> {
    unless_gone(fs::remove_file(folder.join(COMPLETE)))
}

/// The second half of [`remove`].
pub(crate) fn remove_rest(folder: &Path) -> io::Result<()> {
    unless_gone(fs::remove_dir_all(folder))?;
    if let Some(key) = folder.parent() {
        // It stays while another attempt lies in it.
        let _ = fs::remove_dir(key);
    }
    Ok(())
}

pub(crate) fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The length of a file, or of all files in a folder.
fn bytes_of(path: &Path, metadata: &Metadata) -> u64 {
    if !metadata.is_dir() {
        return metadata.len();
    }
    let mut bytes = 0;
    for_each(path, |path, metadata| bytes += bytes_of(&path, metadata));
    bytes
}

/// Links are not followed: what they point to is not ours.
fn for_each(folder: &Path, mut entry: impl FnMut(PathBuf, &Metadata)) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(folder = %folder.display(), %error, "cannot look into a folder of the store");
            }
            return;
        }
    };
    for found in entries.flatten() {
        if let Ok(metadata) = found.metadata() {
            entry(found.path(), &metadata);
        }
    }
}
