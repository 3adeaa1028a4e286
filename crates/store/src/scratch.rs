//! A file that only grows and goes with its last user.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::ByteRange;

use crate::StoreError;
use crate::files::read_range;

/// A nameless file for chunks that were fetched by range; the system frees it when it is dropped.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    /// For error texts only.
    folder: PathBuf,
    end: Mutex<u64>,
}

impl ScratchFile {
    pub(crate) fn create(folder: &Path) -> Result<ScratchFile, StoreError> {
        let file =
            tempfile::tempfile_in(folder).map_err(StoreError::io("create a file in", folder))?;
        Ok(ScratchFile { file, folder: folder.to_owned(), end: Mutex::new(0) })
    }

    /// Appends bytes and says where they lie. Blocks.
    pub fn append(&self, bytes: &[u8]) -> Result<ByteRange, StoreError> {
        let mut end = self.end.lock();
        let range = ByteRange::at(*end, bytes.len() as u64);
        self.file
            .write_all_at(bytes, range.start)
            .map_err(StoreError::io("write to a file in", &self.folder))?;
        *end = range.end;
        Ok(range)
    }

    /// Reads what was appended. Blocks.
    pub fn read(&self, range: ByteRange) -> Result<Bytes, StoreError> {
        read_range(&self.file, &self.folder, range.start, range.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_appended() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = ScratchFile::create(folder.path()).unwrap();
        let first = scratch.append(b"one").unwrap();
        let second = scratch.append(b"twelve").unwrap();
        assert_eq!(scratch.read(second).unwrap().as_ref(), b"twelve");
        assert_eq!(scratch.read(first).unwrap().as_ref(), b"one");
        assert!(scratch.read(ByteRange::at(second.end, 1)).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
    }
}
