//! The reading side of a stored source.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::RwLock;
use rdl_mcap_io::Position;
use rdl_model::ByteRange;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::StoreError;
use crate::charge::{Charge, Holder};
use crate::complete::COMPLETE;
use crate::inventory;
use crate::kept::TOUCHED_EVERY;
use crate::space::Space;

/// The files of one attempt at a source; readable while they are written and while they move to
/// where complete sources are kept. Unless they moved there, they are removed when the last reader
/// lets go. Kept ones are never evicted while a reader holds them.
#[derive(Debug)]
pub struct SourceFiles {
    place: RwLock<Place>,
    /// What the files take as long as they are not kept.
    charge: Charge,
    /// Whose the open descriptors are.
    owner: u64,
    /// Parts below it are gone.
    first_part: AtomicU32,
    opened: Instant,
    /// When they were last read, and when that was last written down, in milliseconds after
    /// `opened`.
    read_ms: AtomicU64,
    touched_ms: AtomicU64,
}

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    kept: bool,
}

/// How the names of parts begin.
pub(crate) const PART_PREFIX: &str = "part-";

/// The name of a part's file, by its ordinal from 1.
pub(crate) fn part_name(part: u32) -> String {
    format!("{PART_PREFIX}{part:06}.mcap")
}

impl SourceFiles {
    /// Files that are being written.
    pub(crate) fn loading(folder: PathBuf, space: &Arc<Space>) -> SourceFiles {
        Self::at(Place { folder, kept: false }, Charge::new(space, Holder::Load))
    }

    /// Files of a complete source.
    pub(crate) fn kept(folder: PathBuf, space: &Arc<Space>) -> SourceFiles {
        Self::at(Place { folder, kept: true }, Charge::new(space, Holder::Other))
    }

    fn at(place: Place, charge: Charge) -> SourceFiles {
        SourceFiles {
            place: RwLock::new(place),
            owner: charge.space().descriptors.new_owner(),
            charge,
            first_part: AtomicU32::new(0),
            opened: Instant::now(),
            read_ms: AtomicU64::new(0),
            touched_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn charge(&self) -> &Charge {
        &self.charge
    }

    /// Reads bytes that were appended before; any piece of a chunk may be asked for. Blocks.
    /// [`StoreError::Discarded`] and [`StoreError::Gone`] tell why they are not there any more.
    pub fn read(&self, position: Position) -> Result<Bytes, StoreError> {
        let file = self.open(position.part)?;
        let failed = |error| self.read_error(position.part, error);
        let Ok(len) = usize::try_from(position.range.len()) else {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        };
        let bytes = read_exactly(&file, position.range.start, len).map_err(failed)?;
        self.note_read();
        Ok(bytes)
    }

    /// The same where it does not block: the file is open and the bytes are in memory.
    pub fn read_at_once(&self, position: Position) -> Option<Bytes> {
        let now = self.now_ms();
        if position.part < self.first_part.load(Ordering::Acquire) || self.is_to_touch(now) {
            return None;
        }
        let file = self.charge.space().descriptors.get(self.owner, position.part)?;
        let bytes = read_cached(&file, position.range)?;
        self.read_ms.store(now, Ordering::Relaxed);
        Some(bytes)
    }

    /// Fills `buffer` with the bytes at `offset` of a part. Blocks. Errors as in
    /// [`SourceFiles::read`].
    pub fn read_into(&self, part: u32, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let file = self.open(part)?;
        file.read_exact_at(buffer, offset).map_err(|error| self.read_error(part, error))?;
        self.note_read();
        Ok(())
    }

    fn read_error(&self, part: u32, error: io::Error) -> StoreError {
        StoreError::io("read", &self.place.read().folder.join(part_name(part)))(error)
    }

    fn open(&self, part: u32) -> Result<Arc<File>, StoreError> {
        let is_discarded = || part < self.first_part.load(Ordering::Acquire);
        if is_discarded() {
            return Err(StoreError::Discarded { part });
        }
        let descriptors = &self.charge.space().descriptors;
        if let Some(file) = descriptors.get(self.owner, part) {
            return Ok(file);
        }
        // The lock keeps the folder where it is while the file is opened.
        let place = self.place.read();
        let path = place.folder.join(part_name(part));
        let opened = File::open(&path);
        drop(place);
        let file = match opened {
            Ok(file) => Arc::new(file),
            Err(_) if is_discarded() => return Err(StoreError::Discarded { part }),
            Err(error) => return Err(StoreError::reading("open", &path)(error)),
        };
        descriptors.put(self.owner, part, &file);
        if is_discarded() {
            // It was discarded after it was opened: nobody else would close it.
            descriptors.close_before(self.owner, part + 1);
        }
        Ok(file)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note_read(&self) {
        let now = self.now_ms();
        self.read_ms.store(now, Ordering::Relaxed);
        let touched = self.touched_ms.load(Ordering::Relaxed);
        if !self.is_to_touch(now) {
            return;
        }
        let is_first = self
            .touched_ms
            .compare_exchange(touched, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if is_first {
            self.touch();
        }
    }

    fn is_to_touch(&self, now_ms: u64) -> bool {
        let touched = self.touched_ms.load(Ordering::Relaxed);
        u128::from(now_ms.saturating_sub(touched)) >= TOUCHED_EVERY.as_millis()
    }

    /// Writes down that a kept source is used now.
    pub(crate) fn touch(&self) {
        let place = self.place.read();
        if place.kept {
            self.charge.space().kept.touch(&place.folder);
        }
    }

    /// Where they lie, if they are kept.
    pub(crate) fn kept_folder(&self) -> Option<PathBuf> {
        let place = self.place.read();
        place.kept.then(|| place.folder.clone())
    }

    /// The text of the `complete.json` that they are kept with. Blocks.
    pub fn complete_text(&self) -> Result<Bytes, StoreError> {
        let place = self.place.read();
        let path = place.folder.join(COMPLETE);
        fs::read(&path).map(Bytes::from).map_err(StoreError::io("read", &path))
    }

    /// Gives up the parts before `part`, which the caller removes.
    pub(crate) fn discard_before(&self, part: u32) {
        self.first_part.fetch_max(part, Ordering::AcqRel);
        self.charge.space().descriptors.close_before(self.owner, part);
    }

    /// Moves the whole folder to where it is kept. After an error it is where it was.
    pub(crate) fn move_to(self: &Arc<Self>, kept: &Path) -> Result<(), StoreError> {
        let space = self.charge.space();
        let old = self.place.read().folder.clone();
        let moved = space.on_disk(0, "move a source to", kept, || {
            match space.keep(&self.charge, || self.arrive(&old, kept)) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
                kept => kept.map(|()| true),
            }
        })?;
        if moved {
            return Ok(());
        }
        // While both are there both count.
        let both = Charge::new(space, Holder::Other);
        both.grow(self.charge.bytes())?;
        let parent = kept.parent().unwrap_or(kept);
        let copy =
            space.on_disk(self.charge.bytes(), "copy to", parent, || copy_folder(&old, parent))?;
        space.on_disk(0, "move a source to", kept, || {
            space.keep(&self.charge, || self.arrive(copy.path(), kept))
        })?;
        // It has its name now.
        let _ = copy.keep();
        space.descriptors.close_all(self.owner);
        if let Err(error) = fs::remove_dir_all(&old) {
            tracing::warn!(folder = %old.display(), %error, "cannot remove a copied source");
        }
        Ok(())
    }

    /// Renames `from` to `kept`; readers find the files there from then on.
    fn arrive(self: &Arc<Self>, from: &Path, kept: &Path) -> io::Result<()> {
        let mut place = self.place.write();
        rename_into(from, kept)?;
        *place = Place { folder: kept.to_owned(), kept: true };
        drop(place);
        self.charge.space().kept.arrived(kept, self);
        Ok(())
    }
}

impl Drop for SourceFiles {
    fn drop(&mut self) {
        self.charge.space().descriptors.close_all(self.owner);
        let place = self.place.get_mut();
        if place.kept {
            let read = *self.read_ms.get_mut();
            if read > *self.touched_ms.get_mut() {
                self.charge.space().kept.touch(&place.folder);
            }
            self.charge.space().note_unread();
            return;
        }
        if let Err(error) = inventory::unless_gone(fs::remove_dir_all(&place.folder)) {
            tracing::warn!(folder = %place.folder.display(), %error, "cannot remove a source");
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
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    };
    read_exactly(file, offset, len).map_err(failed)
}

/// The folder of a key goes with its last attempt, perhaps just now; then it is made again.
fn rename_into(from: &Path, to: &Path) -> io::Result<()> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        tries += 1;
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => {}
            renamed => return renamed,
        }
    }
}

/// Copies under a temporary name in `parent`, so that a half-copied source is never found.
fn copy_folder(from: &Path, parent: &Path) -> io::Result<tempfile::TempDir> {
    fs::create_dir_all(parent)?;
    let copy = tempfile::Builder::new().prefix(".copying-").tempdir_in(parent)?;
    let mut complete = None;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() == COMPLETE {
            complete = Some(entry);
        } else {
            copy_durably(&entry.path(), &copy.path().join(entry.file_name()))?;
        }
    }
    if let Some(entry) = complete {
        copy_durably(&entry.path(), &copy.path().join(COMPLETE))?;
    }
    Ok(copy)
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Reads `len` bytes at `offset` into memory that is not written to before.
fn read_exactly(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset.saturating_add(bytes.len() as u64);
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(len);
    Ok(bytes.into())
}

/// Reads a range if all of it is in the system's memory.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached(file: &File, range: ByteRange) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut bytes = vec![0; usize::try_from(range.len()).ok()?];
    let mut into = [io::IoSliceMut::new(&mut bytes)];
    let read = preadv2(file, &mut into, range.start, ReadWriteFlags::NOWAIT);
    (read.ok()? == bytes.len()).then(|| bytes.into())
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached(_: &File, _: ByteRange) -> Option<Bytes> {
    None
}
