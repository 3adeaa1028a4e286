//! A file that is kept as it is: it is found again under a key, used, and evicted like a source.
//!
//! It lies where a source would, as its only part. What it is stands in the metadata of its
//! `complete.json`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{Index, MetadataRecord, Position};
use rdl_model::ByteRange;

use crate::attempt::{Destination, PartInfo};
use crate::complete::{self, Written};
use crate::files::part_name;
use crate::space::Space;
use crate::{SourceFiles, StoreError, used};

/// Which part of its folder the file is.
pub(crate) const PART: u32 = 1;

/// A file that is being written, from front to back; dropped before [`WholeFile::complete`] it goes.
pub struct WholeFile {
    files: Arc<SourceFiles>,
    folder: PathBuf,
    file: File,
    path: PathBuf,
    bytes: u64,
    name: String,
    kept: Destination,
}

/// A file that is kept.
#[derive(Clone, Debug)]
pub struct KeptFile {
    files: Arc<SourceFiles>,
    /// How long it is.
    bytes: u64,
}

impl WholeFile {
    pub(crate) fn create(
        space: &Arc<Space>,
        folder: PathBuf,
        name: &str,
        kept: Destination,
    ) -> Result<WholeFile, StoreError> {
        space.on_disk(0, "create the folder", &folder, || fs::create_dir_all(&folder))?;
        let files = Arc::new(SourceFiles::loading(folder.clone(), space));
        let path = folder.join(part_name(PART));
        let file = space.on_disk(0, "create", &path, || File::create_new(&path))?;
        Ok(WholeFile { files, folder, file, path, bytes: 0, name: name.to_owned(), kept })
    }

    /// Appends bytes. Blocks. After [`StoreError::Full`] nothing was appended.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let len = bytes.len() as u64;
        self.files.charge().write(len, &self.path, || {
            self.file.write_all_at(bytes, self.bytes).inspect_err(|_| {
                // What cannot be cut off is written over by the next call.
                let _ = self.file.set_len(self.bytes);
            })
        })?;
        self.bytes += len;
        Ok(())
    }

    /// How long it is so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it findable; `about` says what it is. Blocks.
    pub fn complete(self, about: MetadataRecord) -> Result<KeptFile, StoreError> {
        let space = self.files.charge().space();
        if self.kept.durable {
            space.on_disk(0, "sync", &self.path, || self.file.sync_data())?;
        }
        let part = PartInfo {
            name: part_name(PART),
            bytes: self.bytes,
            data_bytes: self.bytes,
            messages: 0,
        };
        let index = Index { metadata: vec![about], ..Index::default() };
        let written = Written { name: &self.name, parts: &[part], index: &index };
        complete::write(&self.folder, &written, self.kept.durable, self.files.charge())?;
        space.on_disk(0, "create a file in", &self.folder, || used::begin(&self.folder))?;
        self.files.move_to(&self.kept.folder)?;
        Ok(KeptFile { files: self.files, bytes: self.bytes })
    }
}

impl KeptFile {
    /// A file that was found again, and how long it has to be.
    pub fn new(files: Arc<SourceFiles>, bytes: u64) -> KeptFile {
        KeptFile { files, bytes }
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it lies.
    pub fn files(&self) -> &Arc<SourceFiles> {
        &self.files
    }

    /// Reads a part. Blocks.
    pub fn read(&self, range: ByteRange) -> Result<Bytes, StoreError> {
        self.files.read(Position { part: PART, range })
    }
}
