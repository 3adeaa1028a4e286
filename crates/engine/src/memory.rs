//! The memory of the process, shared out before it is used.
//!
//! [`Memory`] divides the configured limit into pools that cannot starve each other: half for the
//! responses, a quarter for what comes in (loads and range requests), a quarter for open chunks
//! (see [`crate::open_chunks`]). A [`Reservation`] is taken whole, by a task that holds none, and
//! given back when dropped.
//!
//! Invariants: the pools together never hold more than the limit; no task waits for memory while
//! it holds some, so that nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdl_metrics::table;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::EngineError;

/// Semaphores count in units of this.
const UNIT_BYTES: u64 = 1 << 10;
/// What a response gets: the more is free, the more, since larger buffers make larger chunks.
const LEAST_RESPONSE_BYTES: u64 = 2 << 20;
const MOST_RESPONSE_BYTES: u64 = 8 << 20;
const SHARE_OF_FREE: u64 = 12;
/// How long a response waits for its memory before it is refused.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(2);

/// All pools of a process.
pub(crate) struct Memory {
    responses: Pool,
    ingest: Pool,
    open_chunks_bytes: u64,
}

impl Memory {
    /// Shares out `limit_bytes`.
    pub(crate) fn new(limit_bytes: u64) -> Memory {
        Memory {
            responses: Pool::new(limit_bytes / 2),
            ingest: Pool::new(limit_bytes / 4),
            open_chunks_bytes: limit_bytes / 4,
        }
    }

    /// For what comes in.
    pub(crate) fn ingest(&self) -> &Pool {
        &self.ingest
    }

    /// What open chunks may take together.
    pub(crate) fn open_chunks_bytes(&self) -> u64 {
        self.open_chunks_bytes
    }

    /// What the indexes of sources that nobody uses may take together, beside the limit.
    pub(crate) fn idle_indexes_bytes(&self) -> usize {
        usize::try_from(self.open_chunks_bytes / 4).unwrap_or(usize::MAX)
    }

    /// What a response needs that reads one slice of a file at a time. Waits a moment where all is
    /// taken, then says so.
    pub(crate) async fn reserve_slice(&self, bytes: u64) -> Result<Reservation, EngineError> {
        let waiting = self.responses.reserve(bytes);
        let reserved = tokio::time::timeout(ADMISSION_PATIENCE, waiting).await;
        reserved.map_err(|_| refused())
    }

    /// Everything that a response will need. Waits a moment where all of it is taken, then says so.
    pub(crate) async fn reserve_response(&self) -> Result<Reservation, EngineError> {
        let share = self.responses.free_bytes() / SHARE_OF_FREE;
        let bytes = share.clamp(LEAST_RESPONSE_BYTES, MOST_RESPONSE_BYTES);
        if let Some(reservation) = self.responses.try_reserve(bytes) {
            return Ok(reservation);
        }
        let waiting = self.responses.reserve(LEAST_RESPONSE_BYTES);
        match tokio::time::timeout(ADMISSION_PATIENCE, waiting).await {
            Ok(reservation) => Ok(reservation),
            Err(_) => Err(refused()),
        }
    }

    /// Tells metrics how much of each pool is reserved.
    pub(crate) fn measure(&self, open_chunks_bytes: u64) {
        for (name, pool) in [("responses", &self.responses), ("incoming", &self.ingest)] {
            table::MEMORY_LIMIT.set(pool.total_bytes(), [name]);
            table::MEMORY_RESERVED.set(pool.total_bytes() - pool.free_bytes(), [name]);
        }
        table::MEMORY_LIMIT.set(self.open_chunks_bytes, ["open_chunks"]);
        table::MEMORY_RESERVED.set(open_chunks_bytes, ["open_chunks"]);
    }
}

fn refused() -> EngineError {
    table::MEMORY_REFUSED.one();
    EngineError::MemorySpent
}

/// One share of the memory.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    units: Arc<Semaphore>,
    total_units: u32,
    waiting: Arc<AtomicUsize>,
}

impl Pool {
    fn new(bytes: u64) -> Pool {
        let total_units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Pool {
            units: Arc::new(Semaphore::new(total_units as usize)),
            total_units,
            waiting: Arc::default(),
        }
    }

    /// Waits for `bytes`, or for the whole pool where they are more. First come, first served.
    pub(crate) async fn reserve(&self, bytes: u64) -> Reservation {
        let units = self.units_of(bytes);
        let _waiting = Waiting::new(&self.waiting);
        let permit = self.units.clone().acquire_many_owned(units).await;
        Reservation {
            permit: permit.expect("the semaphore is never closed"),
            bytes: u64::from(units) * UNIT_BYTES,
        }
    }

    /// Takes `bytes`, or the whole pool where they are more, if they are free and nobody waits.
    pub(crate) fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let units = self.units_of(bytes);
        let permit = self.units.clone().try_acquire_many_owned(units).ok()?;
        Some(Reservation { permit, bytes: u64::from(units) * UNIT_BYTES })
    }

    /// How much nobody holds.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.units.available_permits() as u64 * UNIT_BYTES
    }

    /// All of it.
    pub(crate) fn total_bytes(&self) -> u64 {
        u64::from(self.total_units) * UNIT_BYTES
    }

    /// Whether somebody waits for some of it.
    pub(crate) fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn units_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.total_units)
    }
}

/// Memory that its holder may use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
    bytes: u64,
}

impl Reservation {
    /// How much it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back all but about `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let kept = bytes.div_ceil(UNIT_BYTES).max(1);
        let spare = (self.bytes / UNIT_BYTES).saturating_sub(kept);
        if spare > 0 && self.permit.split(usize::try_from(spare).unwrap_or(0)).is_some() {
            self.bytes = kept * UNIT_BYTES;
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn responses_get_less_as_memory_runs_out_and_are_refused_at_its_end() {
        let memory = Memory::new(160 << 20);
        let mut held: Vec<Reservation> = Vec::new();
        let refused = loop {
            match memory.reserve_response().await {
                Ok(reservation) => held.push(reservation),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, EngineError::MemorySpent));
        assert!(held.is_sorted_by(|a, b| a.bytes() >= b.bytes()), "later ones get no more");
        assert!(held.iter().all(|held| held.bytes() >= LEAST_RESPONSE_BYTES));
        assert!(held.iter().map(Reservation::bytes).sum::<u64>() <= 80 << 20);
        assert!(held.len() >= 16, "{} responses fit", held.len());
        held.pop();
        assert!(memory.reserve_response().await.is_ok(), "what is given back is had again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_pool_gets_all_of_it_in_its_turn() {
        let memory = Memory::new(4 << 20);
        let pool = memory.ingest().clone();
        let small = pool.reserve(1024).await;
        let large = tokio::spawn({
            let pool = pool.clone();
            async move { pool.reserve(1 << 40).await.bytes() }
        });
        tokio::task::yield_now().await;
        assert!(pool.is_contended());
        assert!(pool.try_reserve(1024).is_none(), "those who wait come first");
        drop(small);
        assert_eq!(large.await.unwrap(), 1 << 20);
        assert!(!pool.is_contended());
        assert_eq!(pool.free_bytes(), pool.total_bytes());
        let mut held = pool.reserve(512 << 10).await;
        held.shrink(128 << 10);
        held.shrink(256 << 10);
        assert_eq!(held.bytes(), 128 << 10);
        assert_eq!(pool.free_bytes(), pool.total_bytes() - (128 << 10));
        drop(held);
        assert_eq!(pool.free_bytes(), pool.total_bytes());
    }
}
