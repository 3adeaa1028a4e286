//! A file that only grows and goes with its last user.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::ByteRange;

use crate::charge::Charge;
use crate::files::{read_cached, read_range};
use crate::{StoreError, inventory};

/// How many empty files wait to be used again: to make a new one takes the file system longer than
/// to write a chunk.
const MOST_IDLE: usize = 1024;

/// Empty scratch files of one process that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct IdleFiles(Mutex<Vec<PathBuf>>);

/// A file for what was fetched by range or does not fit into memory; emptied when dropped.
///
/// Only those that were read last are held open: there are thousands.
#[derive(Debug)]
pub struct ScratchFile {
    path: PathBuf,
    /// Held by whoever appends, perhaps for as long as an eviction takes; readers do not wait.
    appending: Mutex<()>,
    end: AtomicU64,
    charge: Charge,
    /// Whose the open descriptor is.
    owner: u64,
}

/// The only part that a scratch file has, as descriptors are counted.
const WHOLE: u32 = 0;

impl ScratchFile {
    /// An empty file: one that is idle, or a new one at `path`.
    pub(crate) fn create(path: PathBuf, charge: Charge) -> Result<ScratchFile, StoreError> {
        let idle = charge.space().idle_files.0.lock().pop();
        let path = match idle {
            Some(idle) if idle.exists() => idle,
            _ => {
                charge.space().on_disk(0, "create", &path, || File::create_new(&path))?;
                path
            }
        };
        let owner = charge.space().descriptors.new_owner();
        Ok(ScratchFile { path, appending: Mutex::new(()), end: AtomicU64::new(0), charge, owner })
    }

    /// Appends bytes and says where they lie. Blocks. After [`StoreError::Full`] nothing was
    /// appended.
    pub fn append(&self, bytes: &[u8]) -> Result<ByteRange, StoreError> {
        let _appending = self.appending.lock();
        let range = ByteRange::at(self.bytes(), bytes.len() as u64);
        let file = File::options()
            .write(true)
            .open(&self.path)
            .map_err(StoreError::reading("open", &self.path))?;
        self.charge.write(range.len(), &self.path, || {
            file.write_all_at(bytes, range.start).inspect_err(|_| {
                // What cannot be cut off is written over by the next call.
                let _ = file.set_len(range.start);
            })
        })?;
        self.end.store(range.end, Ordering::Release);
        Ok(range)
    }

    /// Reads what was appended. Blocks.
    pub fn read(&self, range: ByteRange) -> Result<Bytes, StoreError> {
        read_range(&*self.open(range.end)?, &self.path, range.start, range.len())
    }

    /// The same where it does not block: the file is open and the bytes are in memory.
    pub fn read_at_once(&self, range: ByteRange) -> Option<Bytes> {
        let file = self.charge.space().descriptors.get(self.owner, WHOLE)?;
        read_cached(&file, range)
    }

    /// Fills `buffer` with what was appended at `offset`. Blocks.
    pub fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let file = self.open(offset.saturating_add(buffer.len() as u64))?;
        file.read_exact_at(buffer, offset).map_err(StoreError::io("read", &self.path))
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Opens it for reading up to `end`, which must have been appended.
    fn open(&self, end: u64) -> Result<Arc<File>, StoreError> {
        if end > self.bytes() {
            let beyond = std::io::ErrorKind::UnexpectedEof.into();
            return Err(StoreError::io("read", &self.path)(beyond));
        }
        let descriptors = &self.charge.space().descriptors;
        if let Some(file) = descriptors.get(self.owner, WHOLE) {
            return Ok(file);
        }
        let file = File::open(&self.path).map_err(StoreError::reading("open", &self.path))?;
        let file = Arc::new(file);
        descriptors.put(self.owner, WHOLE, &file);
        Ok(file)
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        self.charge.space().descriptors.close_all(self.owner);
        let emptied = File::options().write(true).truncate(true).open(&self.path).is_ok();
        let mut idle = self.charge.space().idle_files.0.lock();
        if emptied && idle.len() < MOST_IDLE {
            idle.push(std::mem::take(&mut self.path));
            return;
        }
        drop(idle);
        if let Err(error) = inventory::unless_gone(fs::remove_file(&self.path)) {
            tracing::warn!(file = %self.path.display(), %error, "cannot remove a scratch file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskStore, StoreConfig};

    #[test]
    fn gives_back_what_was_appended_and_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            folder: Some(folder.path().to_owned()),
            bucket: None,
            max_bytes: Some(10),
        };
        let store = DiskStore::open(&config).unwrap();
        let scratch = store.scratch().unwrap();
        let path = scratch.path.clone();
        let first = scratch.append(b"one").unwrap();
        let second = scratch.append(b"twelve").unwrap();
        assert_eq!(scratch.bytes(), 9);
        assert_eq!(store.usage().bytes, 9);

        let error = scratch.append(b"no").unwrap_err();
        assert!(matches!(error, StoreError::Full { needed_bytes: 2, max_bytes: 10 }), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 9);
        let third = scratch.append(b"!").unwrap();

        assert_eq!(scratch.read_at_once(second), None, "it is not open");
        assert_eq!(scratch.read(second).unwrap().as_ref(), b"twelve");
        if let Some(bytes) = scratch.read_at_once(second) {
            assert_eq!(bytes.as_ref(), b"twelve");
        }
        assert_eq!(scratch.read(first).unwrap().as_ref(), b"one");
        assert_eq!(scratch.read(third).unwrap().as_ref(), b"!");
        let mut buffer = [0; 4];
        scratch.read_into(1, &mut buffer).unwrap();
        assert_eq!(&buffer, b"netw");
        assert!(scratch.read(ByteRange::at(third.end, 1)).is_err());
        assert!(scratch.read(ByteRange { start: 0, end: u64::MAX }).is_err());
        assert!(scratch.read_into(u64::MAX, &mut buffer).is_err());
        assert_eq!(scratch.read_at_once(ByteRange::at(third.end, 1)), None);

        drop(scratch);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(store.usage().bytes, 0);
        let again = store.scratch().unwrap();
        assert_eq!((again.path.clone(), again.bytes()), (path.clone(), 0));
        assert_ne!(store.scratch().unwrap().path, path);
        drop(again);
        fs::remove_file(&path).unwrap();
        store.scratch().unwrap().append(b"one").unwrap();
    }

    #[test]
    fn one_that_was_removed_by_hand_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { folder: Some(folder.path().to_owned()), ..Default::default() };
        let store = DiskStore::open(&config).unwrap();
        let scratch = store.scratch().unwrap();
        let range = scratch.append(b"one").unwrap();
        fs::remove_file(&scratch.path).unwrap();
        assert!(matches!(scratch.read(range), Err(StoreError::Gone { .. })));
        assert!(matches!(scratch.append(b"two"), Err(StoreError::Gone { .. })));
    }
}
