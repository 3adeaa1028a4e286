//! Open chunks, shared by all responses that read them.
//!
//! A chunk that a merge takes apart is decompressed once for everyone who is at it. What the open
//! chunks take together is bounded: one that finds no room any more, when those that nobody reads
//! were let go, is *spilled*: its messages go to a scratch file in their order, and each response
//! reads them through small windows of its own ([`crate::response`]). So opening a chunk never
//! waits for memory.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rdl_mcap_io::{OpenChunk, SortedRun};
use rdl_metrics::table;
use rdl_store::{ScratchFile, StoreError};
use tokio::sync::Notify;

use crate::EngineError;

/// Chunks larger than this, uncompressed, are opened one at a time: until one is open it has no
/// place in the bound.
const LARGE_BYTES: u64 = 4 << 20;

/// The size of a common chunk with its table, in bytes.
const OFFERED_BYTES: u64 = 4 << 20;

/// Which chunk: the generation's own number, and its position there.
pub(crate) type ChunkId = (u64, u32);

/// The open chunks of the process.
pub(crate) struct OpenChunks {
    bound_bytes: u64,
    held: Mutex<Held>,
    large: Mutex<()>,
    /// Tells when a chunk that was offered is read.
    read: Notify,
}

#[derive(Default)]
struct Held {
    bytes: u64,
    /// Counts uses, so that the least recent one is known.
    uses: u64,
    slots: HashMap<ChunkId, Slot>,
}

/// A chunk that is open, or is being opened by whoever holds the inner lock.
struct Slot {
    open: Arc<Mutex<Option<Kept>>>,
    /// What it takes of the bound.
    bytes: u64,
    used: u64,
    /// When it is due, if it was only offered: in log time since its readers began. `None` when
    /// somebody has read it.
    due: Option<u64>,
}

impl Slot {
    /// Whether nobody reads it, waits at it, or opens it.
    fn is_unused(&self) -> bool {
        // Who does either of the latter has a clone, or the lock.
        Arc::strong_count(&self.open) == 1
            && self
                .open
                .try_lock()
                .is_some_and(|inside| inside.as_ref().is_none_or(Kept::is_unused))
    }
}

/// An open chunk. Cheap to clone; it stays open as long as somebody has a clone.
#[derive(Clone)]
pub(crate) enum Opened {
    /// In memory.
    Memory(Arc<OpenChunk>),
    /// In a scratch file.
    Spilled(Arc<Spilled>),
}

/// The messages of a chunk in a scratch file.
pub(crate) struct Spilled {
    pub(crate) run: SortedRun,
    pub(crate) file: ScratchFile,
}

/// An open chunk as it is kept here: one in memory stays until its room is needed, a spilled one
/// goes with its last reader.
enum Kept {
    Memory(Arc<OpenChunk>),
    Spilled(Weak<Spilled>),
}

impl Kept {
    fn of(opened: &Opened) -> Kept {
        match opened {
            Opened::Memory(chunk) => Self::Memory(chunk.clone()),
            Opened::Spilled(spilled) => Self::Spilled(Arc::downgrade(spilled)),
        }
    }

    fn open(&self) -> Option<Opened> {
        match self {
            Self::Memory(chunk) => Some(Opened::Memory(chunk.clone())),
            Self::Spilled(spilled) => spilled.upgrade().map(Opened::Spilled),
        }
    }

    fn is_unused(&self) -> bool {
        match self {
            Self::Memory(chunk) => Arc::strong_count(chunk) == 1,
            Self::Spilled(spilled) => spilled.strong_count() == 0,
        }
    }
}

impl OpenChunks {
    pub(crate) fn new(bound_bytes: u64) -> OpenChunks {
        OpenChunks {
            bound_bytes,
            held: Mutex::default(),
            large: Mutex::default(),
            read: Notify::new(),
        }
    }

    /// The chunk, opened with `open` unless it is open already; spilled with `spill` where there is
    /// no room for it. Blocks; whoever wants the same chunk waits for the first.
    pub(crate) fn get(
        &self,
        id: ChunkId,
        uncompressed_bytes: u64,
        open: impl FnOnce() -> Result<OpenChunk, EngineError>,
        spill: impl FnOnce(&OpenChunk) -> Result<Spilled, EngineError>,
    ) -> Result<Opened, EngineError> {
        let slot = self.slot(id, None);
        let known = self.held.lock().slots.get_mut(&id).and_then(|known| known.due.take());
        if known.is_some() {
            self.read.notify_waiters();
        }
        let mut inside = slot.lock();
        if let Some(opened) = inside.as_ref().and_then(Kept::open) {
            let tier = if matches!(opened, Opened::Memory(_)) { "memory" } else { "disk" };
            count_read(uncompressed_bytes, tier);
            return Ok(opened);
        }
        let opened = self.open(id, uncompressed_bytes, open, spill);
        match opened {
            Ok(opened) => {
                *inside = Some(Kept::of(&opened));
                Ok(opened)
            }
            Err(error) => {
                drop(inside);
                self.held.lock().remove(id);
                Err(error)
            }
        }
    }

    /// The chunk, if it is open in memory.
    pub(crate) fn find(&self, id: ChunkId) -> Option<Arc<OpenChunk>> {
        let slot = self.held.lock().slots.get(&id)?.open.clone();
        let inside = slot.try_lock()?;
        match &*inside {
            Some(Kept::Memory(chunk)) => {
                count_read(chunk_bytes(chunk), "memory");
                Some(chunk.clone())
            }
            _ => None,
        }
    }

    /// What they take together, in bytes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.lock().bytes
    }

    /// Whether a chunk that is due then would be kept if it were offered now.
    pub(crate) fn has_room(&self, due: u64) -> bool {
        let held = self.held.lock();
        let sooner = held.slots.values().filter(|slot| slot.due.is_some_and(|other| other <= due));
        sooner.map(|slot| slot.bytes).sum::<u64>() + OFFERED_BYTES <= self.bound_bytes / 2
    }

    /// Resolves when the next chunk that was offered is read.
    pub(crate) fn next_is_read(&self) -> impl Future<Output = ()> {
        self.read.notified()
    }

    /// Keeps a chunk that somebody has open and nobody reads yet, if there is room for it beside
    /// those that are read and those that were offered before and are due sooner.
    pub(crate) fn offer(&self, id: ChunkId, due: u64, open: impl FnOnce() -> Option<OpenChunk>) {
        if !self.held.lock().make_room_for_offer(due, self.bound_bytes) {
            return;
        }
        let Some(chunk) = open() else { return };
        let slot = self.slot(id, Some(due));
        let Some(mut inside) = slot.try_lock() else { return };
        if inside.is_none() && self.held.lock().charge(id, chunk_bytes(&chunk), self.bound_bytes) {
            *inside = Some(Kept::Memory(Arc::new(chunk)));
        }
    }

    /// The slot of a chunk; a new one has this `due`.
    fn slot(&self, id: ChunkId, due: Option<u64>) -> Arc<Mutex<Option<Kept>>> {
        let mut held = self.held.lock();
        held.uses += 1;
        let used = held.uses;
        let slot = held.slots.entry(id).or_insert_with(|| Slot {
            open: Arc::default(),
            bytes: 0,
            used,
            due,
        });
        slot.used = used;
        slot.open.clone()
    }

    fn open(
        &self,
        id: ChunkId,
        uncompressed_bytes: u64,
        open: impl FnOnce() -> Result<OpenChunk, EngineError>,
        spill: impl FnOnce(&OpenChunk) -> Result<Spilled, EngineError>,
    ) -> Result<Opened, EngineError> {
        let _large = (uncompressed_bytes > LARGE_BYTES).then(|| self.large.lock());
        let chunk = open()?;
        if self.held.lock().charge(id, chunk_bytes(&chunk), self.bound_bytes) {
            return Ok(Opened::Memory(Arc::new(chunk)));
        }
        let spilled = spill(&chunk)?;
        table::SPILLS.one();
        table::SPILLED_BYTES.more(chunk_bytes(&chunk));
        Ok(Opened::Spilled(Arc::new(spilled)))
    }
}

impl Spilled {
    /// Writes the messages of a chunk to a scratch file. Blocks.
    pub(crate) fn write(chunk: &OpenChunk, file: ScratchFile) -> Result<Spilled, StoreError> {
        let mut failed = None;
        let run = chunk.spill(&mut |bytes| {
            file.append(bytes).map(drop).map_err(|error| {
                failed = Some(error);
                std::io::Error::other("the scratch file failed")
            })
        });
        match (run, failed) {
            (_, Some(error)) => Err(error),
            (Ok(run), None) => Ok(Spilled { run, file }),
            (Err(error), None) => {
                Err(StoreError::Part(rdl_mcap_io::OutputError::Codec(error.to_string())))
            }
        }
    }
}

impl Held {
    /// Makes room for a chunk that is being opened, by letting go of those that nobody reads, the
    /// least recently used first; whether there is room.
    fn charge(&mut self, id: ChunkId, bytes: u64, bound_bytes: u64) -> bool {
        if self.bytes + bytes > bound_bytes {
            self.let_go((self.bytes + bytes).saturating_sub(bound_bytes));
        }
        if self.bytes + bytes > bound_bytes {
            return false;
        }
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        slot.bytes = bytes;
        self.bytes += bytes;
        true
    }

    /// Whether one more chunk of a common size finds room among those that were only offered, when
    /// others that are due later went.
    fn make_room_for_offer(&mut self, due: u64, bound_bytes: u64) -> bool {
        let offered = self.slots.values().filter(|slot| slot.due.is_some());
        let mut offered_bytes: u64 = offered.map(|slot| slot.bytes).sum();
        while offered_bytes + OFFERED_BYTES > bound_bytes / 2 {
            let unread = self.slots.iter().filter(|(_, slot)| slot.is_unused());
            let last = unread.filter_map(|(id, slot)| Some((slot.due?, *id, slot.bytes))).max();
            match last {
                Some((last_due, id, bytes)) if last_due > due => {
                    offered_bytes -= bytes;
                    self.remove(id);
                }
                _ => return false,
            }
        }
        true
    }

    fn let_go(&mut self, wanted_bytes: u64) {
        let mut unused: Vec<((bool, u64), ChunkId, u64)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_unused())
            // What was read goes before what is about to be, and of that the last first.
            .map(|(id, slot)| {
                let order = slot.due.map_or(slot.used, |due| u64::MAX - due);
                ((slot.due.is_some(), order), *id, slot.bytes)
            })
            .collect();
        unused.sort_unstable();
        let mut freed = 0;
        for (_, id, bytes) in unused {
            if freed >= wanted_bytes {
                break;
            }
            freed += bytes;
            self.remove(id);
        }
    }

    fn remove(&mut self, id: ChunkId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.bytes -= slot.bytes;
        }
    }
}

/// A chunk that is open already is read.
fn count_read(bytes: u64, tier: &'static str) {
    table::CHUNK_READS.count([tier]);
    table::CHUNK_READ_BYTES.add(bytes, [tier]);
}

fn chunk_bytes(chunk: &OpenChunk) -> u64 {
    chunk.memory_bytes() as u64
}

#[cfg(test)]
mod tests;
