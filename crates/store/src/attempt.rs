//! The writing side of a stored source.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use rdl_mcap_io::{AttachmentRecord, ChannelRecord, Index, PartWriter, Position, StoredChunk};
use serde::{Deserialize, Serialize};

use crate::files::part_name;
use crate::{SourceFiles, StoreError, complete};

/// The first part closes at 1 MiB, so that whoever follows starts soon; each later one at twice
/// the size of the one before, up to 8 MiB.
const FIRST_PART_BYTES: u64 = 1 << 20;
const LARGEST_PART_BYTES: u64 = 8 << 20;

/// One try at storing one source: parts are appended, then it is completed or dropped.
///
/// What was appended can be read at once through [`Attempt::files`]. A dropped attempt goes away
/// with its last reader.
pub struct Attempt {
    files: Arc<SourceFiles>,
    folder: PathBuf,
    /// Where the folder moves when complete.
    kept: Option<PathBuf>,
    profile: String,
    open: Option<OpenPart>,
    closed: Vec<PartInfo>,
    part_bytes: u64,
}

struct OpenPart {
    writer: PartWriter,
    file: File,
    path: PathBuf,
    number: u32,
    bytes: u64,
}

/// A closed part, as `complete.json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartInfo {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Attempt {
    pub(crate) fn create(folder: PathBuf, kept: Option<PathBuf>) -> Result<Attempt, StoreError> {
        fs::create_dir_all(&folder).map_err(StoreError::io("create the folder", &folder))?;
        Ok(Attempt {
            files: Arc::new(SourceFiles::new(folder.clone(), false)),
            folder,
            kept,
            profile: String::new(),
            open: None,
            closed: Vec::new(),
            part_bytes: FIRST_PART_BYTES,
        })
    }

    /// The reading side.
    pub fn files(&self) -> Arc<SourceFiles> {
        self.files.clone()
    }

    /// Sets the profile that the headers of the parts from here on name.
    pub fn set_profile(&mut self, profile: &str) {
        profile.clone_into(&mut self.profile);
    }

    /// Appends a chunk. `channels` are all that it uses or records. Blocks.
    pub fn append_chunk(
        &mut self,
        chunk: &StoredChunk,
        channels: &[Arc<ChannelRecord>],
    ) -> Result<Position, StoreError> {
        let part = self.part()?;
        let range = part.writer.chunk(chunk, channels)?;
        let position = Position { part: part.number, range };
        part.write_out()?;
        if part.bytes >= self.part_bytes {
            self.close_part()?;
            self.part_bytes = (self.part_bytes * 2).min(LARGEST_PART_BYTES);
        }
        Ok(position)
    }

    /// Appends an attachment. Blocks.
    pub fn append_attachment(
        &mut self,
        attachment: &AttachmentRecord,
    ) -> Result<Position, StoreError> {
        let part = self.part()?;
        let range = part.writer.attachment(attachment);
        let position = Position { part: part.number, range };
        part.write_out()?;
        Ok(position)
    }

    /// Closes the open part, if any: from here on it is a whole MCAP file. Blocks.
    pub fn close_part(&mut self) -> Result<(), StoreError> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        part.writer.finish();
        part.write_out()?;
        if self.kept.is_some() {
            part.file.sync_data().map_err(StoreError::io("sync", &part.path))?;
        }
        self.closed.push(PartInfo { name: part_name(part.number), bytes: part.bytes });
        Ok(())
    }

    /// Closes the last part and, with a bucket folder, makes the attempt findable there, which is
    /// the last thing that happens. Blocks.
    pub fn complete(mut self, index: &Index) -> Result<(), StoreError> {
        self.close_part()?;
        let Some(kept) = self.kept.take() else { return Ok(()) };
        complete::write(&self.folder, &self.closed, index)?;
        if let Some(parent) = kept.parent() {
            fs::create_dir_all(parent).map_err(StoreError::io("create the folder", parent))?;
        }
        self.files.move_to(&kept)
    }

    fn part(&mut self) -> Result<&mut OpenPart, StoreError> {
        if self.open.is_none() {
            let number = u32::try_from(self.closed.len()).unwrap_or(u32::MAX - 1) + 1;
            let path = self.folder.join(part_name(number));
            let file = File::create_new(&path).map_err(StoreError::io("create", &path))?;
            let writer = PartWriter::new(&self.profile);
            self.open = Some(OpenPart { writer, file, path, number, bytes: 0 });
        }
        Ok(self.open.as_mut().expect("opened just above"))
    }
}

impl OpenPart {
    fn write_out(&mut self) -> Result<(), StoreError> {
        for bytes in self.writer.take_output() {
            self.file.write_all(&bytes).map_err(StoreError::io("write to", &self.path))?;
            self.bytes += bytes.len() as u64;
        }
        Ok(())
    }
}
