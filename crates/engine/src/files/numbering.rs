//! Chunks under new ids, for as long as somebody reads them, and a while longer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::ChunkRef;

use super::version::FileVersion;
use crate::memory::{Pool, Reservation};

/// What part of the memory for what comes in chunks under new ids may take together, when nobody
/// reads them.
const PART_OF_POOL: u64 = 4;

/// Which chunk of which file.
pub(super) type RenumberedChunk = (FileVersion, ChunkRef);

/// A chunk under new ids, in memory.
pub(super) struct Made {
    pub(super) bytes: Bytes,
    memory: Reservation,
}

impl Made {
    pub(super) fn new(bytes: Bytes, mut memory: Reservation) -> Made {
        memory.shrink(bytes.len() as u64);
        Made { bytes, memory }
    }
}

/// Those that were made last.
pub(super) struct Renumbered {
    pool: Pool,
    /// The one that was used last comes last.
    kept: Mutex<VecDeque<(RenumberedChunk, Arc<Made>)>>,
}

impl Renumbered {
    pub(super) fn new(pool: Pool) -> Renumbered {
        Renumbered { pool, kept: Mutex::default() }
    }

    pub(super) fn find(&self, chunk: &RenumberedChunk) -> Option<Arc<Made>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| known == chunk)?;
        let found = kept.remove(at)?;
        let made = found.1.clone();
        kept.push_back(found);
        Some(made)
    }

    /// Memory to make one; the kept ones go where there is none.
    pub(super) async fn reserve(&self, bytes: u64) -> Reservation {
        if let Some(memory) = self.pool.try_reserve(bytes) {
            return memory;
        }
        self.kept.lock().clear();
        self.pool.reserve(bytes).await
    }

    pub(super) fn keep(&self, chunk: RenumberedChunk, made: Arc<Made>) {
        if self.pool.is_contended() {
            return;
        }
        let mut kept = self.kept.lock();
        kept.retain(|(known, _)| *known != chunk);
        kept.push_back((chunk, made));
        let bytes = |kept: &VecDeque<(RenumberedChunk, Arc<Made>)>| {
            kept.iter().map(|(_, made)| made.memory.bytes()).sum::<u64>()
        };
        while kept.len() > 1 && bytes(&kept) > self.pool.total_bytes() / PART_OF_POOL {
            kept.pop_front();
        }
    }

    /// Others need the memory.
    pub(super) fn tidy(&self) {
        if self.pool.is_contended() {
            self.kept.lock().clear();
        }
    }
}
