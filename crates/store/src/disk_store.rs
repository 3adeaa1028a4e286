use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rdl_mcap_io::Index;
use rdl_model::SourceKey;

use crate::complete::{self, COMPLETE, Unusable};
use crate::process_folder::ProcessFolder;
use crate::{Attempt, ScratchFile, SourceFiles, StoreError};

/// Where the disk store keeps what.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// The folder in which this process makes a folder of its own. Default: `.scratch` in the
    /// bucket folder, so that a complete source moves there by a rename; without one,
    /// `remote-data-loader` in the system's folder for temporary files.
    pub folder: Option<PathBuf>,
    /// The bucket, where it is a folder: complete sources outlive the process there.
    pub bucket: Option<PathBuf>,
}

/// The disk store of one process.
#[derive(Debug)]
pub struct DiskStore {
    process: ProcessFolder,
    bucket: Option<PathBuf>,
    attempts: AtomicU64,
}

/// A complete source from an earlier load.
pub struct FoundSource {
    /// What is known of it.
    pub index: Index,
    /// Its chunks.
    pub files: Arc<SourceFiles>,
}

impl DiskStore {
    /// Creates this process's folder, and removes those that dead processes left. Blocks.
    pub fn open(config: &StoreConfig) -> Result<DiskStore, StoreError> {
        if let Some(bucket) = &config.bucket {
            fs::create_dir_all(bucket).map_err(StoreError::io("create the bucket", bucket))?;
        }
        let root = match (&config.folder, &config.bucket) {
            (Some(folder), _) => folder.clone(),
            (None, Some(bucket)) => bucket.join(".scratch"),
            (None, None) => std::env::temp_dir().join("remote-data-loader"),
        };
        Ok(DiskStore {
            process: ProcessFolder::create(&root)?,
            bucket: config.bucket.clone(),
            attempts: AtomicU64::new(0),
        })
    }

    /// Starts storing a source. With `keep` it outlives the process once it is complete, where
    /// there is a bucket. Blocks.
    pub fn begin(&self, key: &SourceKey, keep: bool) -> Result<Attempt, StoreError> {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        let folder = self.process.path().join(format!("{key}-{number}"));
        let kept = self.bucket.as_deref().filter(|_| keep).map(|bucket| {
            let process = self.process.path().file_name().unwrap_or_default().to_string_lossy();
            source_folder(bucket, key).join(format!("00000001-{process}-{number}"))
        });
        Attempt::create(folder, kept)
    }

    /// The complete source of this key that was stored earliest, if any. One that turns out to be
    /// damaged is a miss and is forgotten. Blocks.
    pub fn find(&self, key: &SourceKey) -> Option<FoundSource> {
        let folder = source_folder(self.bucket.as_deref()?, key);
        let mut attempts: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)
            .ok()?
            .flatten()
            .filter_map(|entry| {
                let complete = fs::metadata(entry.path().join(COMPLETE)).ok()?;
                Some((complete.modified().ok()?, entry.path()))
            })
            .collect();
        attempts.sort();
        attempts.into_iter().find_map(|(_, folder)| match complete::read(&folder) {
            Ok(index) => {
                Some(FoundSource { index, files: Arc::new(SourceFiles::new(folder, true)) })
            }
            Err(Unusable::Damaged(what)) => {
                tracing::warn!(folder = %folder.display(), what, "a stored source is damaged; it will be loaded again");
                forget(&folder);
                None
            }
            Err(Unusable::Unreadable(error)) => {
                tracing::warn!(folder = %folder.display(), %error, "a stored source cannot be read");
                None
            }
        })
    }

    /// A file for chunks that were fetched by range. Blocks.
    pub fn scratch(&self) -> Result<ScratchFile, StoreError> {
        ScratchFile::create(self.process.path())
    }
}

fn source_folder(bucket: &Path, key: &SourceKey) -> PathBuf {
    bucket.join("v1").join("sources").join(key.to_string())
}

/// `complete.json` goes first: what is left is no longer found, whatever happens next.
fn forget(folder: &Path) {
    let removed = fs::remove_file(folder.join(COMPLETE)).and_then(|()| fs::remove_dir_all(folder));
    if let Err(error) = removed {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove a damaged source");
    }
}
