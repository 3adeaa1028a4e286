//! The writing side of a stored source.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{AttachmentRecord, ChannelRecord, Index, PartWriter, Position, StoredChunk};
use serde::{Deserialize, Serialize};

use crate::charge::{Charge, Running};
use crate::complete::{self, Written};
use crate::files::part_name;
use crate::space::Space;
use crate::{ClosedPart, SourceFiles, StoreError, inventory, used};

/// The first part closes at 1 MiB, so that whoever follows starts soon; each later one at twice
/// the size of the one before, up to 8 MiB.
const FIRST_PART_BYTES: u64 = 1 << 20;
const LARGEST_PART_BYTES: u64 = 8 << 20;

/// How many parts fit into the bound at least: several loads that discard part by part have to get
/// along on a small disk.
const LEAST_PARTS: u64 = 64;

/// One try at storing one source: parts are appended, then it is completed or dropped.
///
/// What was appended can be read at once through [`Attempt::files`]. A dropped attempt goes away
/// with its last reader.
///
/// After [`StoreError::Full`] nothing is half written, and the same call may be repeated with the
/// same arguments, as often as it takes: what was not written yet is written then, once. Parts may
/// be discarded in between.
pub struct Attempt {
    files: Arc<SourceFiles>,
    folder: PathBuf,
    name: String,
    kept: Option<Destination>,
    profile: String,
    open: Option<OpenPart>,
    /// All parts before the open one, the discarded ones too.
    closed: Vec<PartInfo>,
    /// How many of `closed` are discarded.
    discarded: usize,
    part_bytes: u64,
    largest_part_bytes: u64,
    /// Laid out in a part, and its position not given to the caller yet.
    owed: Option<(Owed, Position)>,
    is_sealed: bool,
    running: Option<Running>,
}

/// Where an attempt moves when it is complete.
pub(crate) struct Destination {
    pub(crate) folder: PathBuf,
    /// Whether it outlives this process there.
    pub(crate) durable: bool,
}

struct OpenPart {
    writer: PartWriter,
    file: File,
    path: PathBuf,
    number: u32,
    /// What is in the file.
    bytes: u64,
    /// What the writer gave and the file has not got yet.
    pending: Vec<Bytes>,
    messages: u64,
    /// What it had when it was closed, before its summary.
    data_bytes: Option<u64>,
}

/// What a call that ended with [`StoreError::Full`] was about.
enum Owed {
    Chunk(Bytes),
    Attachment(AttachmentRecord),
}

/// A closed part, as `complete.json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartInfo {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// How much of it lies before its data end record.
    #[serde(default)]
    pub(crate) data_bytes: u64,
    /// How many messages it has.
    #[serde(default)]
    pub(crate) messages: u64,
}

impl Attempt {
    pub(crate) fn create(
        space: &Arc<Space>,
        folder: PathBuf,
        name: &str,
        kept: Option<Destination>,
    ) -> Result<Attempt, StoreError> {
        space.on_disk(0, "create the folder", &folder, || fs::create_dir_all(&folder))?;
        let largest_part_bytes =
            LARGEST_PART_BYTES.min(space.usage().max_bytes / LEAST_PARTS).max(1);
        Ok(Attempt {
            files: Arc::new(SourceFiles::loading(folder.clone(), space)),
            folder,
            name: name.to_owned(),
            kept,
            profile: String::new(),
            open: None,
            closed: Vec::new(),
            discarded: 0,
            part_bytes: FIRST_PART_BYTES.min(largest_part_bytes),
            largest_part_bytes,
            owed: None,
            is_sealed: false,
            running: Some(Running::begin(space)),
        })
    }

    /// The reading side.
    pub fn files(&self) -> Arc<SourceFiles> {
        self.files.clone()
    }

    /// What it takes on the disk, in bytes; nothing once it is complete and kept.
    pub fn bytes(&self) -> u64 {
        self.files.charge().bytes()
    }

    /// The parts that are closed, less the first `known` of them.
    pub fn closed_parts(&self, known: usize) -> impl Iterator<Item = ClosedPart> + '_ {
        let parts = self.closed.iter().enumerate().skip(known);
        parts.map(|(at, part)| ClosedPart {
            number: u32::try_from(at).unwrap_or(u32::MAX - 1) + 1,
            name: part.name.clone(),
            bytes: part.bytes,
            data_bytes: part.data_bytes,
            messages: part.messages,
        })
    }

    /// The text of `complete.json` for the bucket; fails while a part is open.
    pub fn complete_text(&self, index: &Index) -> Result<Bytes, StoreError> {
        let failed = StoreError::io("complete", &self.folder);
        if self.open.is_some() {
            return Err(failed(std::io::Error::other("its last part could not be closed")));
        }
        let written = Written { name: &self.name, parts: &self.closed, index };
        complete::to_json(&written).map(Into::into).map_err(|error| failed(error.into()))
    }

    /// The ordinal of the part that the next chunk goes into.
    pub fn part_of_next(&self) -> u32 {
        match &self.open {
            Some(open) if !self.is_due(open) => open.number,
            Some(open) => open.number + 1,
            None => self.next_number(),
        }
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
        let is_same = |owed: &Owed| {
            matches!(owed, Owed::Chunk(bytes)
                if bytes.len() == chunk.bytes.len() && bytes.as_ptr() == chunk.bytes.as_ptr())
        };
        if let Some(position) = self.settle(is_same)? {
            return Ok(position);
        }
        let part = self.part()?;
        let range = part.writer.chunk(chunk, channels)?;
        part.messages += chunk.descriptor.message_count;
        let position = Position { part: part.number, range };
        self.write_owed(Owed::Chunk(chunk.bytes.clone()), position)
    }

    /// Appends an attachment. Blocks.
    pub fn append_attachment(
        &mut self,
        attachment: &AttachmentRecord,
    ) -> Result<Position, StoreError> {
        let is_same = |owed: &Owed| matches!(owed, Owed::Attachment(owed) if owed == attachment);
        if let Some(position) = self.settle(is_same)? {
            return Ok(position);
        }
        let part = self.part()?;
        let range = part.writer.attachment(attachment);
        let position = Position { part: part.number, range };
        self.write_owed(Owed::Attachment(attachment.clone()), position)
    }

    /// Closes the open part, if any: from here on it is a whole MCAP file. Blocks.
    pub fn close_part(&mut self) -> Result<(), StoreError> {
        let Some(part) = &mut self.open else { return Ok(()) };
        // The data end record is the first thing that closing writes.
        let data_bytes = part.writer.bytes_written();
        part.data_bytes.get_or_insert(data_bytes);
        part.writer.finish();
        part.write_out(self.files.charge())?;
        if self.kept.as_ref().is_some_and(|kept| kept.durable) {
            let space = self.files.charge().space();
            space.on_disk(0, "sync", &part.path, || part.file.sync_data())?;
        }
        self.put_away();
        Ok(())
    }

    /// Closes the last part and makes the attempt findable among the complete sources, which is
    /// the last thing that happens. One that may not be kept, or of which parts were discarded,
    /// stays for its readers only. A second call does nothing. Blocks.
    pub fn complete(&mut self, index: &Index) -> Result<(), StoreError> {
        self.close_part()?;
        if self.discarded > 0 {
            self.kept = None;
        }
        if let Some(kept) = &self.kept {
            if !self.is_sealed {
                let written = Written { name: &self.name, parts: &self.closed, index };
                complete::write(&self.folder, &written, kept.durable, self.files.charge())?;
                let space = self.files.charge().space();
                space.on_disk(0, "create a file in", &self.folder, || used::begin(&self.folder))?;
                self.is_sealed = true;
            }
            self.files.move_to(&kept.folder)?;
            self.kept = None;
        }
        self.running = None;
        Ok(())
    }

    /// Gives up all parts before `part`, the open one too, and says how many bytes that freed.
    /// Reading them ends in [`StoreError::Discarded`] from here on, and the attempt will not be
    /// found when it is complete. Blocks. After an error it may be called again.
    pub fn discard_before(&mut self, part: u32) -> Result<u64, StoreError> {
        if self.is_sealed {
            return Ok(0);
        }
        if self.open.as_ref().is_some_and(|open| open.number < part) {
            self.put_away();
        }
        let first = part.min(self.next_number());
        if self.owed.as_ref().is_some_and(|(_, position)| position.part < first) {
            self.owed = None;
        }
        self.files.discard_before(first);
        let mut freed = 0;
        while self.discarded + 1 < first as usize {
            let Some(closed) = self.closed.get(self.discarded) else { break };
            let path = self.folder.join(&closed.name);
            inventory::unless_gone(fs::remove_file(&path))
                .map_err(StoreError::io("remove", &path))?;
            self.files.charge().shrink(closed.bytes);
            freed += closed.bytes;
            self.discarded += 1;
        }
        Ok(freed)
    }

    /// Writes what a full disk held up. The position, if that was the same call as this.
    fn settle(
        &mut self,
        is_same: impl FnOnce(&Owed) -> bool,
    ) -> Result<Option<Position>, StoreError> {
        let Some((owed, position)) = &self.owed else { return Ok(None) };
        let found = is_same(owed).then_some(*position);
        if let Some(part) = &mut self.open {
            part.write_out(self.files.charge())?;
        }
        self.owed = None;
        Ok(found)
    }

    fn write_owed(&mut self, owed: Owed, position: Position) -> Result<Position, StoreError> {
        self.owed = Some((owed, position));
        if let Some(part) = &mut self.open {
            part.write_out(self.files.charge())?;
        }
        self.owed = None;
        Ok(position)
    }

    /// The part that takes what comes next; a full one is closed only here, where nothing is lost
    /// when its summary does not fit.
    fn part(&mut self) -> Result<&mut OpenPart, StoreError> {
        if self.open.as_ref().is_some_and(|open| self.is_due(open)) {
            self.close_part()?;
            self.part_bytes = (self.part_bytes * 2).min(self.largest_part_bytes);
        }
        if self.open.is_none() {
            let number = self.next_number();
            let path = self.folder.join(part_name(number));
            let space = self.files.charge().space();
            let file = space.on_disk(0, "create", &path, || File::create_new(&path))?;
            let writer = PartWriter::new(&self.profile);
            let pending = Vec::new();
            let (messages, data_bytes) = (0, None);
            let part =
                OpenPart { writer, file, path, number, bytes: 0, pending, messages, data_bytes };
            self.open = Some(part);
        }
        Ok(self.open.as_mut().expect("opened just above"))
    }

    fn is_due(&self, open: &OpenPart) -> bool {
        open.bytes >= self.part_bytes
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.closed.len()).unwrap_or(u32::MAX - 1) + 1
    }

    fn put_away(&mut self) {
        if let Some(part) = self.open.take() {
            let OpenPart { number, bytes, messages, data_bytes, .. } = part;
            let (name, data_bytes) = (part_name(number), data_bytes.unwrap_or(bytes));
            self.closed.push(PartInfo { name, bytes, data_bytes, messages });
        }
    }
}

impl OpenPart {
    /// Writes all that is pending, or nothing of it.
    fn write_out(&mut self, charge: &Charge) -> Result<(), StoreError> {
        self.pending.extend(self.writer.take_output());
        let bytes: u64 = self.pending.iter().map(|piece| piece.len() as u64).sum();
        if bytes == 0 {
            return Ok(());
        }
        charge.write(bytes, &self.path, || {
            write_pieces(&self.file, self.bytes, &self.pending).inspect_err(|_| {
                // What cannot be cut off is written over by the next try.
                let _ = self.file.set_len(self.bytes);
            })
        })?;
        self.bytes += bytes;
        self.pending.clear();
        Ok(())
    }
}

fn write_pieces(file: &File, mut offset: u64, pieces: &[Bytes]) -> std::io::Result<()> {
    for piece in pieces {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}
