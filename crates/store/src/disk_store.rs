use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rdl_mcap_io::Index;
use rdl_model::SourceKey;

use crate::attempt::Destination;
use crate::charge::{Charge, Holder};
use crate::complete::{self, COMPLETE, Unusable};
use crate::inventory::{is_hidden, sources_folder};
use crate::kept::Kept;
use crate::process_folder::ProcessFolder;
use crate::space::Space;
use crate::{Attempt, ScratchFile, SourceFiles, StoreError, Usage, WholeFile, used};

/// Where the disk store keeps what.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// The folder in which this process makes a folder of its own. Default: `.scratch` in the
    /// bucket folder, so that a complete source moves there by a rename; without one,
    /// `remote-data-loader` in the system's folder for temporary files.
    pub folder: Option<PathBuf>,
    /// The bucket, where it is a folder: complete sources outlive the process there.
    pub bucket: Option<PathBuf>,
    /// How many bytes the store may hold. Default: 10 GiB, and at most half of what the file
    /// system has free at the start, complete sources counted as free.
    pub max_bytes: Option<u64>,
}

impl StoreConfig {
    /// Where processes make their folders.
    pub(crate) fn processes_folder(&self) -> PathBuf {
        match (&self.folder, &self.bucket) {
            (Some(folder), _) => folder.clone(),
            (None, Some(bucket)) => bucket.join(".scratch"),
            (None, None) => std::env::temp_dir().join("remote-data-loader"),
        }
    }
}

/// The disk store of one process.
#[derive(Debug)]
pub struct DiskStore {
    space: Arc<Space>,
    process: ProcessFolder,
    /// Whether complete sources outlive the process.
    durable: bool,
    created: AtomicU64,
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
        let process = ProcessFolder::create(&config.processes_folder())?;
        let v1 = config.bucket.as_deref().unwrap_or(process.path()).join("v1");
        let sources = sources_folder(&v1);
        fs::create_dir_all(&sources).map_err(StoreError::io("create the folder", &sources))?;
        let kept = Kept::new(v1, config.bucket.is_some());
        let space = Arc::new(Space::new(process.path(), kept, config.max_bytes));
        let measured = space.clone();
        let measuring = std::thread::Builder::new()
            .name("store-measure".into())
            .spawn(move || measured.measure());
        if let Err(error) = measuring {
            tracing::debug!(%error, "the store is measured when it is first written to");
        }
        Ok(DiskStore {
            space,
            process,
            durable: config.bucket.is_some(),
            created: AtomicU64::new(0),
        })
    }

    /// Starts storing a source that people know by `name`. With `keep` it can be found again once
    /// it is complete, where there is a bucket by later processes too. Blocks.
    pub fn begin(&self, key: &SourceKey, name: &str, keep: bool) -> Result<Attempt, StoreError> {
        let (folder, kept) = self.new_folder(key);
        Attempt::create(&self.space, folder, name, keep.then_some(kept))
    }

    /// Starts storing a file under a key, as it is; people know it by `name`. Blocks.
    pub fn begin_whole(&self, key: &SourceKey, name: &str) -> Result<WholeFile, StoreError> {
        let (folder, kept) = self.new_folder(key);
        WholeFile::create(&self.space, folder, name, kept)
    }

    /// A folder to write in, and where it moves when it is complete.
    fn new_folder(&self, key: &SourceKey) -> (PathBuf, Destination) {
        let number = self.next_number();
        let process = self.process.path().file_name().unwrap_or_default().to_string_lossy();
        let kept = Destination {
            folder: self.source_folder(key).join(format!("00000001-{process}-{number}")),
            durable: self.durable,
        };
        (self.process.path().join(format!("{key}-{number}")), kept)
    }

    /// The complete source of this key that was stored earliest, if any. One of which something is
    /// missing or damaged is a miss and is forgotten. It is not evicted while its files are held.
    /// Blocks.
    pub fn find(&self, key: &SourceKey) -> Option<FoundSource> {
        let mut attempts: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.source_folder(key))
            .ok()?
            .flatten()
            .filter(|entry| !is_hidden(&entry.path()))
            .filter_map(|entry| {
                let complete = fs::metadata(entry.path().join(COMPLETE)).ok()?;
                Some((complete.modified().ok()?, entry.path()))
            })
            .collect();
        attempts.sort();
        attempts.into_iter().find_map(|(_, folder)| self.open_complete(&folder))
    }

    fn open_complete(&self, folder: &Path) -> Option<FoundSource> {
        let open = || SourceFiles::kept(folder.to_owned(), &self.space);
        let files = self.space.kept.pin(folder, open);
        // Before it is read: whoever evicts looks at this last.
        files.touch();
        match complete::read(folder) {
            Ok(index) => {
                if used::last(folder).is_none() {
                    // Somebody tidied up; without it no other process would see this use.
                    let _ = used::begin(folder);
                }
                Some(FoundSource { index, files })
            }
            Err(Unusable::Gone) => None,
            Err(Unusable::Damaged(what)) => {
                tracing::warn!(folder = %folder.display(), what, "a stored source is damaged; it will be loaded again");
                self.space.forget(folder);
                None
            }
            Err(Unusable::Unreadable(error)) => {
                tracing::warn!(folder = %folder.display(), %error, "a stored source cannot be read");
                None
            }
        }
    }

    /// Removes a complete source that a reader found to be damaged, so that it is loaded again;
    /// whoever else reads it finds it gone. Nothing happens to one that is not complete. Blocks.
    pub fn forget(&self, files: &SourceFiles) {
        if let Some(folder) = files.kept_folder() {
            tracing::warn!(folder = %folder.display(), "removing a stored source that is damaged");
            self.space.forget(&folder);
        }
    }

    /// Removes a complete source that is not needed any more. Nothing happens to one that is not
    /// complete. Blocks.
    pub fn discard(&self, files: &SourceFiles) {
        if let Some(folder) = files.kept_folder() {
            self.space.forget(&folder);
        }
    }

    /// A file for what was fetched by range or does not fit into memory. Blocks.
    pub fn scratch(&self) -> Result<ScratchFile, StoreError> {
        let path = self.process.path().join(format!("scratch-{}", self.next_number()));
        ScratchFile::create(path, Charge::new(&self.space, Holder::Other))
    }

    /// How much it holds. Blocks until the first look at the disk is over.
    pub fn usage(&self) -> Usage {
        self.space.usage()
    }

    /// How much it may hold, in bytes. Blocks until the first look at the disk is over.
    pub fn max_bytes(&self) -> u64 {
        self.usage().max_bytes
    }

    fn next_number(&self) -> u64 {
        self.created.fetch_add(1, Ordering::Relaxed)
    }

    fn source_folder(&self, key: &SourceKey) -> PathBuf {
        sources_folder(self.space.kept.v1()).join(key.to_string())
    }
}
