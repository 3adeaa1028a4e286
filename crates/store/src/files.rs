//! The reading side of a stored source.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use parking_lot::RwLock;
use rdl_mcap_io::Position;

use crate::StoreError;

/// The files of one attempt at a source; readable while they are written and while they move into
/// the bucket folder. Unless they moved there, they are removed when the last reader lets go.
#[derive(Debug)]
pub struct SourceFiles {
    place: RwLock<Place>,
}

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    keep: bool,
}

/// The name of a part's file, by its ordinal from 1.
pub(crate) fn part_name(part: u32) -> String {
    format!("part-{part:06}.mcap")
}

impl SourceFiles {
    pub(crate) fn new(folder: PathBuf, keep: bool) -> SourceFiles {
        SourceFiles { place: RwLock::new(Place { folder, keep }) }
    }

    /// Reads bytes that were appended before. Blocks.
    pub fn read(&self, position: Position) -> Result<Bytes, StoreError> {
        // Opened for every read: thousands of sources must not hold a descriptor each. The lock
        // keeps the folder where it is while the file is opened.
        let place = self.place.read();
        let path = place.folder.join(part_name(position.part));
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        drop(place);
        read_range(&file, &path, position.range.start, position.range.len())
    }

    /// Moves the whole folder to where it is kept.
    pub(crate) fn move_to(&self, kept: &Path) -> Result<(), StoreError> {
        let mut place = self.place.write();
        match fs::rename(&place.folder, kept) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                copy_folder(&place.folder, kept)?;
            }
            Err(error) => return Err(StoreError::io("move a source to", kept)(error)),
        }
        *place = Place { folder: kept.to_owned(), keep: true };
        Ok(())
    }
}

impl Drop for SourceFiles {
    fn drop(&mut self) {
        let place = self.place.get_mut();
        if place.keep {
            return;
        }
        match fs::remove_dir_all(&place.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %place.folder.display(), %error, "cannot remove a source");
            }
            _ => {}
        }
    }
}

/// Reads `len` bytes at `offset`; what is not there is an error, never a short answer.
pub(crate) fn read_range(
    file: &File,
    path: &Path,
    offset: u64,
    len: u64,
) -> Result<Bytes, StoreError> {
    let failed = StoreError::io("read", path);
    let Ok(len) = usize::try_from(len) else {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    };
    let mut bytes = BytesMut::zeroed(len);
    file.read_exact_at(&mut bytes, offset).map_err(failed)?;
    Ok(bytes.freeze())
}

/// Copies under a temporary name first, so that a half-copied source is never found.
fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    let parent = to.parent().unwrap_or(to);
    let copy = tempfile::Builder::new()
        .prefix(".copying-")
        .tempdir_in(parent)
        .map_err(StoreError::io("create a folder in", parent))?;
    for entry in fs::read_dir(from).map_err(StoreError::io("list", from))? {
        let entry = entry.map_err(StoreError::io("list", from))?;
        let target = copy.path().join(entry.file_name());
        fs::copy(entry.path(), &target).map_err(StoreError::io("copy to", &target))?;
    }
    fs::rename(copy.keep(), to).map_err(StoreError::io("move a source to", to))?;
    if let Err(error) = fs::remove_dir_all(from) {
        tracing::warn!(folder = %from.display(), %error, "cannot remove a copied source");
    }
    Ok(())
}
