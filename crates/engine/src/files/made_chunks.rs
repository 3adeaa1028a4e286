//! Chunks that are not as their sources have them, on the disk for as long as somebody reads them, and
//! a while longer: those under new ids, and what stands in the place of damaged ones.
//!
//! On the disk, since a reader may take any time: memory that it held would be missing for loads.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::{ByteRange, ChunkRef};
use rdl_store::{ScratchFile, StoreError};

use super::version::FileVersion;

/// How much of what was made last is kept, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// Which chunk of which file.
pub(super) type MadeChunk = (FileVersion, ChunkRef);

/// A chunk that was made for a file.
pub(super) struct Made(ScratchFile);

impl Made {
    /// A file that holds it and nothing else.
    pub(super) fn new(file: ScratchFile) -> Made {
        Made(file)
    }

    /// Reads a part of it where that does not block.
    pub(super) fn read_at_once(&self, part: ByteRange) -> Option<Bytes> {
        self.0.read_at_once(part)
    }

    /// Reads a part of it. Blocks.
    pub(super) fn read(&self, part: ByteRange) -> Result<Bytes, StoreError> {
        self.0.read(part)
    }
}

/// Those that were made last.
#[derive(Default)]
pub(super) struct MadeChunks {
    /// The one that was used last comes last.
    kept: Mutex<VecDeque<(MadeChunk, Arc<Made>)>>,
}

impl MadeChunks {
    pub(super) fn find(&self, chunk: &MadeChunk) -> Option<Arc<Made>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| known == chunk)?;
        let found = kept.remove(at)?;
        let made = found.1.clone();
        kept.push_back(found);
        Some(made)
    }

    pub(super) fn keep(&self, chunk: MadeChunk, made: Arc<Made>) {
        let mut kept = self.kept.lock();
        kept.retain(|(known, _)| *known != chunk);
        kept.push_back((chunk, made));
        while kept.iter().map(|(_, made)| made.0.bytes()).sum::<u64>() > MOST_BYTES {
            kept.pop_front();
        }
    }

    /// Lets go of all that nobody reads.
    pub(super) fn clear(&self) {
        let gone = std::mem::take(&mut *self.kept.lock());
        drop(gone);
    }
}
