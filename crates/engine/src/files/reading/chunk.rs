//! One chunk of a file, as the file has it.

use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{
    ChunkDescriptor, ChunkError, NewIds, chunk_without_messages, renumber_chunk, renumbered,
};
use rdl_model::{ByteRange, ChunkRef};

use crate::EngineError;
use crate::cpu::Urgency;
use crate::files::laid::{FileSource, LaidFile};
use crate::files::made_chunks::Made;
use crate::files::sessions::OpenFile;
use crate::ranged::summary_lies;
use crate::shared::Shared;
use crate::source::{ChunkData, Place};
use crate::viewers::ViewerId;

/// So much is read without a thread for it, where it is in memory: it takes no longer than to have
/// another thread do it, and it is still in the processor's caches when it is sent.
const AT_ONCE_BYTES: u64 = 128 << 10;

/// A chunk and its message indexes, as long as was laid out.
pub(super) enum Chunk {
    /// As it is kept.
    Kept(ChunkData),
    /// Under new ids, or damaged in its source.
    Made(Arc<Made>),
}

impl Chunk {
    pub(super) async fn read(
        &self,
        shared: &Shared,
        part: ByteRange,
    ) -> Result<Bytes, EngineError> {
        let at_once = ByteRange::at(part.start, AT_ONCE_BYTES.min(part.len()));
        let here = match self {
            Self::Kept(data) => data.read_at_once(at_once),
            Self::Made(made) => made.read_at_once(at_once),
        };
        if let Some(bytes) = here {
            return Ok(bytes);
        }
        let read = match self {
            Self::Kept(data) => {
                let data = data.clone();
                shared.cpu.run(Urgency::Now, move || data.read(part)).await?
            }
            Self::Made(made) => {
                let made = made.clone();
                shared.cpu.run(Urgency::Now, move || made.read(part)).await?
            }
        };
        Ok(read?)
    }
}

/// Makes sure that a chunk is here. `upcoming` are those of its source that are needed, this one
/// first.
pub(super) async fn open(
    file: &OpenFile,
    laid_file: &LaidFile,
    viewer: ViewerId,
    at: ChunkRef,
    is_kept: bool,
    upcoming: &[u32],
) -> Result<Chunk, EngineError> {
    let shared = file.shared();
    let (source, ids, laid) = laid_file.chunk(at);
    let name = (laid_file.version(), at);
    if let Some(made) = shared.files.made_chunks.find(&name) {
        return Ok(Chunk::Made(made));
    }
    let data = fetch(file, viewer, source, laid, at.chunk, upcoming).await?;
    if data.is_some() {
        check(source, ids, laid, at.chunk, is_kept)?;
    }
    let made = match (data, is_kept) {
        (Some(data), true) => return Ok(Chunk::Kept(data)),
        (Some(data), false) => {
            // Compressed, uncompressed, and under new ids.
            let takes_bytes = data.len() + 2 * laid.uncompressed_bytes;
            let (ids, limits) = (ids.clone(), shared.config.limits());
            let make = move || Ok(renumber_chunk(&data.read_all()?, &ids, &limits));
            make_chunk(shared, takes_bytes, make).await?
        }
        (None, _) => {
            // Its records and their frame, and the chunk of them.
            let takes_bytes = 2 * (laid.stored_bytes() + laid.uncompressed_bytes);
            let laid = if is_kept { (**laid).clone() } else { renumbered(laid, ids) };
            let no_room = ChunkError::Lies("it is smaller than any chunk".into());
            let make = move || Ok(chunk_without_messages(&laid).ok_or(no_room));
            make_chunk(shared, takes_bytes, make).await?
        }
    };
    let made = Arc::new(made.map_err(|error| lies(source, at.chunk, &error))?);
    shared.files.made_chunks.keep(name, made.clone());
    Ok(Chunk::Made(made))
}

/// Makes a chunk in so much memory, and puts it on the disk.
async fn make_chunk(
    shared: &Arc<Shared>,
    takes_bytes: u64,
    make: impl FnOnce() -> Result<Result<Bytes, ChunkError>, EngineError> + Send + 'static,
) -> Result<Result<Made, ChunkError>, EngineError> {
    let _memory = shared.memory.ingest().reserve(takes_bytes).await;
    let here = shared.clone();
    let made = move || {
        let bytes = match make()? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let file = here.store.scratch()?;
        here.with_room(bytes.len() as u64, || file.append(&bytes))?;
        Ok(Ok(Made::new(file)))
    };
    shared.cpu.run(Urgency::Now, made).await?
}

/// Where the chunk lies here; `None` where it is damaged in its source.
async fn fetch(
    file: &OpenFile,
    viewer: ViewerId,
    source: &FileSource,
    laid: &ChunkDescriptor,
    chunk: u32,
    upcoming: &[u32],
) -> Result<Option<ChunkData>, EngineError> {
    loop {
        if let Some(data) = source.generation.chunk_data(chunk) {
            return Ok(Some(data));
        }
        let (place, ranged) = {
            let state = source.generation.state();
            let place = state.chunks.get(chunk as usize).map(|chunk| chunk.place.clone());
            (place, state.ranged.clone())
        };
        match (place, ranged) {
            (Some(Place::Damaged), _) => return Ok(None),
            (Some(Place::Empty), _) if laid.message_count == 0 => return Ok(None),
            (Some(Place::Claimed(_) | Place::LetGo(_)), Some(ranged)) => {
                let interest = file.recording().interest_in(&source.source, viewer);
                let viewer = interest.as_ref().map(crate::viewers::Interest::viewer);
                let (shared, generation) = (file.shared(), &source.generation);
                ranged.verify(shared, &source.source, generation, viewer, upcoming).await?;
            }
            _ => return Err(another(source, chunk)),
        }
    }
}

/// Whether what was found is what was laid out.
fn check(
    source: &FileSource,
    ids: &NewIds,
    laid: &ChunkDescriptor,
    chunk: u32,
    is_kept: bool,
) -> Result<(), EngineError> {
    let found = source.generation.descriptor(chunk).ok_or(EngineError::TaskDied)?;
    if !source.are_claims && std::ptr::eq(&*found, laid) {
        return Ok(());
    }
    let uses = |descriptor: &ChunkDescriptor| {
        descriptor.channels.iter().map(|used| (used.id, used.count)).collect::<Vec<_>>()
    };
    let is_same = found.record_bytes == laid.record_bytes
        && found.index_bytes == laid.index_bytes
        && found.uncompressed_bytes == laid.uncompressed_bytes
        && uses(&found) == uses(laid)
        && (source.are_claims || (found.crc, found.compression) == (laid.crc, laid.compression))
        && (!is_kept || ids.keep_definitions(&found));
    if is_same { Ok(()) } else { Err(another(source, chunk)) }
}

/// The chunk is not what was laid out: where that was claimed by a summary, the summary lies.
fn another(source: &FileSource, chunk: u32) -> EngineError {
    let what = "its size, or how many messages of which channel it has, is another".to_owned();
    lies(source, chunk, &ChunkError::Lies(what))
}

fn lies(source: &FileSource, chunk: u32, error: &ChunkError) -> EngineError {
    if source.are_claims {
        return summary_lies(&source.source, &source.generation, chunk, error);
    }
    // It was made again, and is not the same to the byte. Streams go on with it; the next file is
    // made of another body.
    let changed = EngineError::Changed { source_name: source.source.name.clone() };
    match source.source.is_current(&source.generation) {
        true => source.source.retire(&source.generation),
        false => source.source.supersede(&source.generation, changed.clone()),
    }
    changed
}
