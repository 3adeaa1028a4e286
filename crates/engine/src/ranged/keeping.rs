//! What was fetched of static sources, for as long as there is room for it.
//!
//! The chunks of one range request lie in one scratch file. When the disk store is full, those
//! that were read longest ago are let go: their descriptors stay, and the bytes are fetched again
//! when somebody needs them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::ByteRange;
use rdl_store::{ScratchFile, StoreError};

use crate::source::{Generation, Place};

/// Every group of chunks that the process has fetched and still has.
#[derive(Debug, Default)]
pub(crate) struct FetchedGroups {
    uses: Arc<AtomicU64>,
    groups: Mutex<Vec<Weak<FetchedGroup>>>,
}

/// The chunks that came with one request.
#[derive(Debug)]
pub(crate) struct FetchedGroup {
    file: ScratchFile,
    generation: Weak<Generation>,
    used: AtomicU64,
    uses: Arc<AtomicU64>,
}

/// A chunk of a static source that is here.
#[derive(Clone, Debug)]
pub(crate) struct FetchedChunk {
    group: Arc<FetchedGroup>,
    /// Where in the group's file.
    range: ByteRange,
    /// Where in the static file: to fetch it again.
    record: ByteRange,
}

impl FetchedGroups {
    /// A group of `generation`'s chunks, to be filled.
    pub(crate) fn add(&self, file: ScratchFile, generation: &Arc<Generation>) -> Arc<FetchedGroup> {
        let used = AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed));
        let generation = Arc::downgrade(generation);
        let group = Arc::new(FetchedGroup { file, generation, used, uses: self.uses.clone() });
        let mut groups = self.groups.lock();
        if groups.len() == groups.capacity() {
            groups.retain(|group| group.strong_count() > 0);
        }
        groups.push(Arc::downgrade(&group));
        group
    }

    /// Lets go of at least `bytes`, if nobody reads that many: what was read longest ago first.
    pub(crate) fn let_go(&self, bytes: u64) {
        let mut groups: Vec<Arc<FetchedGroup>> =
            self.groups.lock().iter().filter_map(Weak::upgrade).collect();
        groups.sort_by_key(|group| group.used.load(Ordering::Relaxed));
        let mut freed = 0;
        for group in groups {
            if freed >= bytes {
                break;
            }
            freed += group.let_go();
        }
    }
}

impl FetchedGroup {
    /// Appends a verified chunk that lies at `record` in the static file. Blocks.
    pub(crate) fn keep(
        self: &Arc<Self>,
        bytes: &[u8],
        record: ByteRange,
    ) -> Result<FetchedChunk, StoreError> {
        let range = self.file.append(bytes)?;
        Ok(FetchedChunk { group: self.clone(), range, record })
    }

    /// Forgets where its chunks lie, unless somebody reads one; how many bytes that frees.
    fn let_go(self: &Arc<Self>) -> u64 {
        let Some(generation) = self.generation.upgrade() else { return 0 };
        let mut state = generation.state();
        let is_ours = |place: &Place| match place {
            Place::Fetched(chunk) => Arc::ptr_eq(&chunk.group, self),
            _ => false,
        };
        let ours = state.chunks.iter().filter(|chunk| is_ours(&chunk.place)).count();
        // Ours is one more. Whoever reads a chunk, or still fetches, has another.
        if Arc::strong_count(self) > ours + 1 {
            return 0;
        }
        let mut bytes = 0;
        for chunk in &mut state.chunks {
            if is_ours(&chunk.place)
                && let Place::Fetched(fetched) = &chunk.place
            {
                bytes += fetched.range.len();
                chunk.place = Place::LetGo(fetched.record);
            }
        }
        bytes
    }
}

impl FetchedChunk {
    /// Its size as it is kept, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.range.len()
    }

    /// Reads a part of it. Blocks.
    pub(crate) fn read(&self, part: ByteRange) -> Result<Bytes, StoreError> {
        self.note_use();
        self.group.file.read(ByteRange::at(self.range.start + part.start, part.len()))
    }

    /// Reads a part of it where that does not block.
    pub(crate) fn read_at_once(&self, part: ByteRange) -> Option<Bytes> {
        self.note_use();
        let range = ByteRange::at(self.range.start + part.start, part.len());
        self.group.file.read_at_once(range)
    }

    /// Reads the part at `offset` that fills the buffer. Blocks.
    pub(crate) fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.note_use();
        self.group.file.read_into(self.range.start + offset, buffer)
    }

    fn note_use(&self) {
        let now = self.group.uses.fetch_add(1, Ordering::Relaxed);
        self.group.used.store(now, Ordering::Relaxed);
    }
}
