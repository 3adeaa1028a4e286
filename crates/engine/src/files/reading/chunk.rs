//! One chunk of a file, as the file has it.

use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{ChunkDescriptor, ChunkError, NewIds, chunk_without_messages, renumber_chunk};
use rdl_model::{ByteRange, ChunkRef};

use crate::EngineError;
use crate::cpu::Urgency;
use crate::files::laid::{FileSource, LaidFile};
use crate::files::numbering::Made;
use crate::files::sessions::OpenFile;
use crate::ranged::summary_lies;
use crate::shared::Shared;
use crate::source::{ChunkData, Place};
use crate::viewers::ViewerId;

/// A chunk and its message indexes, as long as was laid out.
pub(super) enum Chunk {
    /// As it is kept.
    Kept(ChunkData),
    /// Under new ids.
    Renumbered(Arc<Made>),
    /// Damaged in its source.
    Hole(Bytes),
}

impl Chunk {
    pub(super) async fn read(
        &self,
        shared: &Shared,
        part: ByteRange,
    ) -> Result<Bytes, EngineError> {
        let slice = |bytes: &Bytes| {
            let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            bytes.slice(offset(part.start)..offset(part.end))
        };
        match self {
            Self::Kept(data) => {
                let data = data.clone();
                Ok(shared.cpu.run(Urgency::Now, move || data.read(part)).await??)
            }
            Self::Renumbered(made) => Ok(slice(&made.bytes)),
            Self::Hole(bytes) => Ok(slice(bytes)),
        }
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
    let renumbered = (laid_file.version(), at);
    if !is_kept && let Some(made) = shared.files.renumbered.find(&renumbered) {
        return Ok(Chunk::Renumbered(made));
    }
    let data = match fetch(file, viewer, source, laid, at.chunk, upcoming).await? {
        Some(data) => data,
        None => {
            let laid = if is_kept { (**laid).clone() } else { rdl_mcap_io::renumbered(laid, ids) };
            let hole = chunk_without_messages(&laid);
            return hole.map(Chunk::Hole).ok_or_else(|| another(source, at.chunk));
        }
    };
    check(source, ids, laid, at.chunk, is_kept)?;
    if is_kept {
        return Ok(Chunk::Kept(data));
    }
    // Compressed, uncompressed, and under new ids.
    let takes_bytes = data.len() + 2 * laid.uncompressed_bytes;
    let memory = shared.files.renumbered.reserve(takes_bytes).await;
    let (ids, limits) = (ids.clone(), shared.config.limits());
    let made = shared.cpu.run(Urgency::Now, move || {
        let stored = data.read_all()?;
        Ok::<_, EngineError>(renumber_chunk(&stored, &ids, &limits))
    });
    let made = made.await??;
    let bytes = made.map_err(|error| lies(source, at.chunk, &error))?;
    let made = Arc::new(Made::new(bytes, memory));
    shared.files.renumbered.keep(renumbered, made.clone());
    Ok(Chunk::Renumbered(made))
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
    EngineError::Changed { source_name: source.source.name.clone() }
}
