//! The bytes of a range of a file, slice by slice.
//!
//! Each slice leaves only while the manifest endpoint grants the reader every source of the file.
//! Nothing is read before it is asked for, so that a reader who leaves costs no more than the slice
//! that was on its way. A chunk that is not here is fetched whole, and with it those of its source
//! that the range needs next and that one request reads.

mod chunk;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use rdl_merge::PieceKind;
use rdl_model::{ByteRange, ChunkRef};
use rdl_store::PartRead;
use tokio::time::Instant;

use self::chunk::Chunk;
use super::laid::LaidFile;
use super::sessions::OpenFile;
use super::virtual_file::VirtualFile;
use crate::EngineError;
use crate::cpu::Urgency;
use crate::memory::Reservation;
use crate::ranged::COALESCE_BYTES;
use crate::shared::Shared;
use crate::source::{AttachmentPlace, Generation, Source};
use crate::standing::Standing;
use crate::viewers::{Viewer, ViewerId};

/// What is read at a time, at most.
const SLICE_BYTES: u64 = 512 << 10;
/// What is on its way from the bucket ahead of what is read.
const AHEAD_BYTES: u64 = 32 << 20;
/// Many viewers ask for a whole file, look at the headers and leave: so long it waits after the
/// first chunk to see whether this one does.
const SECOND_THOUGHTS: Duration = Duration::from_millis(20);

/// The bytes of a range of a file. An error is the last item; whoever sends the bytes on must then
/// abort. Dropping it stops the work.
pub struct FileBody(Pin<Box<dyn Stream<Item = Result<Bytes, EngineError>> + Send>>);

impl Stream for FileBody {
    type Item = Result<Bytes, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// What is left of a range.
struct Reader {
    file: OpenFile,
    standing: Standing,
    viewer: ViewerId,
    at: u64,
    end: u64,
    /// The chunk that was read from last.
    open: Option<(ChunkRef, Chunk)>,
    /// What comes of a cut that lies in the bucket.
    incoming: Option<PartRead>,
    /// Whether the reader may still think better of it; then what it has got so far.
    hesitates: Option<u32>,
    _memory: Reservation,
}

/// Begins to read; resolves when the first bytes are here. Of a reader who asked for no range it is
/// not known whether it wants the whole.
pub(super) async fn read(
    file: OpenFile,
    range: ByteRange,
    is_whole: bool,
) -> Result<FileBody, EngineError> {
    let memory = file.shared().memory.reserve_slice(SLICE_BYTES).await?;
    let end = range.end.min(file.bytes());
    let mut reader = Reader {
        standing: file.recording().standing(),
        file,
        viewer: ViewerId::new(),
        at: range.start.min(end),
        end,
        open: None,
        incoming: None,
        hesitates: is_whole.then_some(0),
        _memory: memory,
    };
    let first = reader.next().await?;
    let rest = futures::stream::try_unfold(reader, async |mut reader| {
        let next = reader.next().await?;
        Ok(next.map(|bytes| (bytes, reader)))
    });
    Ok(FileBody(Box::pin(futures::stream::iter(first.map(Ok)).chain(rest))))
}

impl Reader {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        if self.at >= self.end {
            return Ok(None);
        }
        if let Some(chunks) = self.hesitates
            && chunks > 0
        {
            tokio::time::sleep(SECOND_THOUGHTS).await;
            self.hesitates = None;
        }
        match self.slice_when_there_is_room().await {
            Ok(bytes) if bytes.is_empty() => Err(EngineError::TaskDied),
            Ok(bytes) => {
                let file = &self.file;
                self.standing.hold(|granted| file.is_granted(granted)).await?;
                self.at += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) => Err(self.file.failed(error)),
        }
    }

    /// A small disk may be full of what is still on its way to the bucket.
    async fn slice_when_there_is_room(&mut self) -> Result<Bytes, EngineError> {
        let since = Instant::now();
        loop {
            let read = self.slice().await;
            let Err(full) = read.as_ref() else { return read };
            let shared = self.file.shared();
            if !full.is_full()
                || !shared.pressure.wait_for_room(since, shared.config.source_silence).await
            {
                return read;
            }
        }
    }

    async fn slice(&mut self) -> Result<Bytes, EngineError> {
        let file = self.file.file().clone();
        match &*file {
            VirtualFile::Laid(laid) => self.slice_of_recording(laid).await,
            VirtualFile::Cut(cut) => {
                if let Some(slices) = &mut self.hesitates {
                    *slices += 1;
                }
                let range = ByteRange::at(self.at, SLICE_BYTES.min(self.end - self.at));
                cut.read(self.file.shared(), &mut self.incoming, range, self.end).await
            }
        }
    }

    async fn slice_of_recording(&mut self, laid: &LaidFile) -> Result<Bytes, EngineError> {
        let rest = ByteRange { start: self.at, end: self.end };
        let found = laid.layout.pieces_of(rest).next();
        let (kind, piece) = found.ok_or(EngineError::TaskDied)?;
        let start = self.at - piece.start;
        let len = SLICE_BYTES.min(piece.end.min(self.end) - self.at);
        let part = ByteRange::at(start, len);
        match kind {
            PieceKind::Own(at) => {
                let own = laid.own.clone();
                let range = ByteRange::at(at + start, len);
                let read = move || own.read(range);
                Ok(self.file.shared().cpu.run(Urgency::Now, read).await??)
            }
            PieceKind::Attachment { source, attachment } => {
                let source = &laid.sources[source as usize];
                let place = source.attachments[attachment as usize].place;
                let interest = self.file.recording().interest_in(&source.source, self.viewer);
                let viewer = interest.as_ref().map(|interest| &**interest.viewer());
                let (generation, source) = (&source.generation, &source.source);
                attachment_bytes(self.file.shared(), source, generation, viewer, place, part).await
            }
            PieceKind::Chunk(at) | PieceKind::Renumbered(at) => {
                if let Some(chunks) = &mut self.hesitates {
                    *chunks += 1;
                }
                let is_open = self.open.as_ref().is_some_and(|(open, _)| *open == at);
                if !is_open {
                    self.open = None;
                    self.read_ahead(laid, at);
                    let is_kept = matches!(kind, PieceKind::Chunk(_));
                    let upcoming = self.upcoming(laid, at);
                    let (file, viewer) = (&self.file, self.viewer);
                    let chunk = chunk::open(file, laid, viewer, at, is_kept, &upcoming).await?;
                    self.open = Some((at, chunk));
                }
                let Some((_, chunk)) = &self.open else { return Err(EngineError::TaskDied) };
                chunk.read(self.file.shared(), part).await
            }
        }
    }

    /// This chunk, and those of its source that the range needs after it.
    fn upcoming(&self, laid: &LaidFile, at: ChunkRef) -> Vec<u32> {
        if self.hesitates.is_some() {
            return vec![at.chunk];
        }
        let rest = ByteRange { start: self.at, end: self.end.min(self.at + COALESCE_BYTES) };
        chunks_of(laid, rest).remove(&at.source).unwrap_or_else(|| vec![at.chunk])
    }

    /// The bucket may be far away: what comes next is on its way while the reader takes what is
    /// there. What lies in a static file is fetched when it is needed.
    fn read_ahead(&self, laid: &LaidFile, at: ChunkRef) {
        let shared = self.file.shared();
        if self.hesitates.is_some() || shared.sharing.is_none() {
            return;
        }
        let rest = ByteRange { start: self.at, end: self.end.min(self.at + AHEAD_BYTES) };
        for (source, mut chunks) in chunks_of(laid, rest) {
            let source = &laid.sources[source as usize];
            let ranged = source.generation.state().ranged.clone();
            let Some(ranged) = ranged.filter(|ranged| ranged.is_in_bucket()) else { continue };
            // The one that is needed now has its own request.
            chunks.retain(|chunk| *chunk != at.chunk);
            let count = chunks.len();
            ranged.read_ahead(shared, &source.source, &source.generation, &chunks, count);
        }
    }
}

/// The chunks that a range needs, by source.
fn chunks_of(laid: &LaidFile, range: ByteRange) -> BTreeMap<u32, Vec<u32>> {
    let mut chunks: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (kind, _) in laid.layout.pieces_of(range) {
        if let PieceKind::Chunk(at) | PieceKind::Renumbered(at) = kind {
            chunks.entry(at.source).or_default().push(at.chunk);
        }
    }
    chunks
}

/// A part of an attachment record.
pub(super) async fn attachment_bytes(
    shared: &Shared,
    source: &Source,
    generation: &Generation,
    viewer: Option<&Viewer>,
    place: AttachmentPlace,
    part: ByteRange,
) -> Result<Bytes, EngineError> {
    let (files, ranged) = {
        let state = generation.state();
        (state.files.clone(), state.ranged.clone())
    };
    match (place, files, ranged) {
        (AttachmentPlace::Stored(position), Some(files), _) => {
            let range = ByteRange::at(position.range.start + part.start, part.len());
            let read = move || files.read(rdl_mcap_io::Position { range, ..position });
            Ok(shared.cpu.run(Urgency::Now, read).await??)
        }
        (AttachmentPlace::File(record), _, Some(ranged)) => {
            let range = ByteRange::at(record.start + part.start, part.len());
            match ranged.read(source, viewer, range).await {
                Err(EngineError::DamagedCopy { .. }) => Err(ranged.lose(source).await),
                read => read,
            }
        }
        _ => Err(EngineError::TaskDied),
    }
}

impl OpenFile {
    /// Reads a range. Resolves when the first bytes are here; what fails before that is an error
    /// here, what fails after it an error item of the body.
    pub async fn read(&self, range: ByteRange) -> Result<FileBody, EngineError> {
        read(self.clone(), range, false).await
    }

    /// The same for all of it, for a reader of whom it is not known whether it wants more than to
    /// look at the headers.
    pub async fn read_whole(&self) -> Result<FileBody, EngineError> {
        read(self.clone(), ByteRange { start: 0, end: self.bytes() }, true).await
    }
}
