//! What a response will read soon. The bucket may be far away: that is on its way before it is
//! needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_model::{ChunkRef, TimeRange};

use crate::ranged::COALESCE_BYTES;
use crate::shared::Shared;
use crate::source::{Generation, Phase, Source, State};

/// How far ahead of the merge chunks are read, in bytes as they are stored: what comes in while one
/// answer is on its way.
const AHEAD_BYTES: u64 = 64 << 20;
/// How far at most where chunks are small.
const MOST_CHUNKS: usize = 1024;

/// Chunks in the order in which they are needed.
#[derive(Debug, Default)]
pub(super) struct Upcoming {
    bytes: u64,
    count: usize,
    sources: BTreeMap<u32, UpcomingChunks>,
}

/// Those of one source.
#[derive(Debug, Default)]
pub(super) struct UpcomingChunks {
    pub(super) chunks: Vec<u32>,
    /// So many of them are near. The others come along where one request reads them too, so that
    /// there are not as many requests as chunks.
    pub(super) near: usize,
}

impl Upcoming {
    /// Adds the one that comes next, with its size as it is stored.
    pub(super) fn push(&mut self, at: ChunkRef, bytes: u64) {
        let source = self.sources.entry(at.source).or_default();
        source.chunks.push(at.chunk);
        if self.bytes < AHEAD_BYTES {
            source.near = source.chunks.len();
        }
        self.bytes += bytes;
        self.count += 1;
    }

    /// Whether what is known of it reaches as far as it should.
    pub(super) fn is_enough(&self) -> bool {
        self.bytes >= AHEAD_BYTES + COALESCE_BYTES || self.count >= MOST_CHUNKS
    }

    /// By source.
    pub(super) fn into_sources(self) -> BTreeMap<u32, UpcomingChunks> {
        self.sources
    }
}

impl UpcomingChunks {
    /// Chunks that are all needed soon.
    pub(super) fn all(chunks: Vec<u32>) -> UpcomingChunks {
        UpcomingChunks { near: chunks.len(), chunks }
    }

    /// Where a merge of these times begins: as much as one request reads.
    fn first(state: &State, times: TimeRange) -> UpcomingChunks {
        let mut within: Vec<_> = (0..)
            .zip(&state.chunks)
            .map(|(number, chunk)| (chunk.descriptor.times, number, &chunk.descriptor))
            .filter(|(of_chunk, _, _)| of_chunk.overlaps(times))
            .collect();
        within.sort_unstable_by_key(|(of_chunk, number, _)| (of_chunk.start, *number));
        let mut bytes = 0;
        let near = within.iter().take_while(|(_, _, descriptor)| {
            let is_near = bytes < COALESCE_BYTES;
            bytes += descriptor.stored_bytes();
            is_near
        });
        UpcomingChunks { chunks: near.map(|(_, number, _)| *number).collect(), near: 1 }
    }

    /// Starts to read them, where that lies in the bucket.
    pub(super) fn read(
        &self,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
    ) {
        let ranged = generation.state().ranged.clone();
        if let Some(ranged) = ranged.filter(|ranged| ranged.is_in_bucket()) {
            ranged.read_ahead(shared, source, generation, &self.chunks, self.near);
        }
    }
}

/// Starts to read where a merge of these times begins, as soon as it is known that the bucket has
/// the source.
pub(super) async fn read_first(shared: Arc<Shared>, source: Arc<Source>, times: TimeRange) {
    loop {
        let generation = source.current();
        let mut watch = generation.watch();
        let first = {
            let state = generation.state();
            match state.phase {
                Phase::Complete => Some(UpcomingChunks::first(&state, times)),
                Phase::Failed { .. } => return,
                Phase::Pending | Phase::Loading { .. } | Phase::Superseded(_) => None,
            }
        };
        if let Some(first) = first {
            return first.read(&shared, &source, &generation);
        }
        if watch.changed().await.is_err() {
            return;
        }
    }
}
