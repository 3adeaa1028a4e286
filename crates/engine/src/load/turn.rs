//! The memory of a load, had in turns.
//!
//! A load that holds next to nothing between two pieces of its body (a slow one, one that waits)
//! needs no turn. Any other takes its turn with a share of the memory for what comes in, and gives
//! it back within [`QUANTUM`] when others wait: it then lets go of what it has as chunks, and puts
//! the unfinished rest on disk ([`super::work::LoadWork::shed`]). So hundreds of loads go on side
//! by side in the memory of a few.

use std::time::Duration;

use tokio::time::Instant;

use crate::memory::{Pool, Reservation};

/// What a load may hold without a turn, in bytes.
const ALLOWANCE_BYTES: u64 = 64 << 10;
/// What a load needs for records, and for what it has not taken yet, in bytes; larger records need
/// more.
const USUAL_RECORD_BYTES: u64 = 4 << 20;
/// How long a turn lasts when others wait.
const QUANTUM: Duration = Duration::from_millis(250);
/// How often whoever has a turn looks whether others wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The turn of one load.
pub(super) struct Turn<'a> {
    pool: &'a Pool,
    base_bytes: u64,
    held: Option<Reservation>,
    since: Instant,
}

impl<'a> Turn<'a> {
    /// The turns of a load whose sort buffer and chunk take `buffer_bytes`.
    pub(super) fn new(pool: &'a Pool, buffer_bytes: u64) -> Turn<'a> {
        // Half of a small pool is enough for a load that goes on chunk by chunk.
        let base_bytes = (buffer_bytes + USUAL_RECORD_BYTES).min(pool.total_bytes() / 2);
        Turn { pool, base_bytes, held: None, since: Instant::now() }
    }

    /// Whether what the load has now, and a record of `incoming_bytes` besides, fit the turn; if
    /// not, [`Turn::shrink`] and then [`Turn::take`].
    pub(super) fn covers(&self, incoming_bytes: u64) -> bool {
        let needed = self.needed_bytes(incoming_bytes);
        self.held.as_ref().is_some_and(|held| held.bytes() >= needed)
    }

    /// Waits for a turn with room for a record of `incoming_bytes`. The load must hold no more
    /// than its allowance.
    pub(super) async fn take(&mut self, incoming_bytes: u64) {
        self.held = None;
        self.held = Some(self.pool.reserve(self.needed_bytes(incoming_bytes)).await);
        self.since = Instant::now();
    }

    /// Ends the turn if the load, which holds this much now, needs none.
    pub(super) fn settle(&mut self, held_bytes: u64) {
        if held_bytes <= ALLOWANCE_BYTES {
            self.held = None;
        }
    }

    /// Ends the turn of a load that cannot go on for now and holds this much.
    pub(super) fn shrink(&mut self, held_bytes: u64) {
        self.settle(held_bytes);
        if let Some(held) = &mut self.held {
            held.shrink(held_bytes);
            self.since = Instant::now();
        }
    }

    /// Whether the turn is over because others wait.
    pub(super) fn is_over(&self) -> bool {
        self.held.is_some() && self.pool.is_contended() && self.since.elapsed() >= QUANTUM
    }

    /// Whether others wait for their turn.
    pub(super) fn is_wanted(&self) -> bool {
        self.pool.is_contended()
    }

    /// Resolves when the turn is over; never while there is none.
    pub(super) async fn over(&self) {
        if self.held.is_none() {
            return std::future::pending().await;
        }
        while !self.is_over() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn needed_bytes(&self, incoming_bytes: u64) -> u64 {
        let beyond = incoming_bytes.saturating_sub(USUAL_RECORD_BYTES);
        self.base_bytes.saturating_add(beyond).min(self.pool.total_bytes())
    }
}
