//! A load's room on the disk.
//!
//! An eighth of the disk store is for whoever comes first. Beyond that a load goes on only as long
//! as it has less than its share of a quarter, or its readers have nothing left of it, or one of
//! them can do nothing without more of it (a lookback), so that sources that are needed together
//! get on together; one that reads ahead stops. What is left over
//! is for what each may be beyond its share. A load that has to wait, or finds no room at all,
//! makes some: it lets the process let go of what nobody reads, loads that read ahead included, and
//! discards those of its own parts that every reader has passed. A response whose viewer takes nothing meanwhile is cut off after
//! the time that a source may be silent, and after twice that time the load fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Ended};
use super::work::LoadWork;
use crate::EngineError;
use crate::shared::Shared;
use crate::source::Source;

/// What is handed to a thread at a time, at most, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// In how many batches the disk store is filled, at least.
const MOST_BATCHES: u64 = 64;
/// How often a load that waits for room looks again.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Whether the load may not go on for now.
pub(super) fn has_to_wait(shared: &Shared, source: &Source, work: Option<&LoadWork>) -> bool {
    let Some(work) = work else { return false };
    let usage = shared.store.usage();
    let is_ahead = source.viewers.crowd_now().needed == 0;
    if is_ahead && shared.pressure.is_on() {
        return true;
    }
    if usage.running_bytes <= usage.room_bytes / 8 {
        return false;
    }
    let share = usage.room_bytes / 4 / shared.queue.needed_count().max(1) as u64;
    is_ahead || (work.stored_bytes() > share && work.has_unread() && !work.readers().want_more())
}

/// Whether the load should let go of everything and begin again when it is needed: somebody who is
/// needed finds no room, and nobody reads this one.
pub(super) fn has_to_yield(connection: &Connection<'_>, work: Option<&LoadWork>) -> bool {
    connection.source.viewers.crowd_now().needed == 0
        && connection.shared.pressure.is_urgent()
        && work.is_some_and(|work| work.readers().is_empty())
}

/// How much of a body is taken at a time, in bytes: on a small disk a load must not be far beyond
/// its share before it stops.
pub(super) fn batch_bytes(shared: &Shared) -> usize {
    let most = shared.store.max_bytes() / MOST_BATCHES;
    usize::try_from(most).unwrap_or(usize::MAX).min(BATCH_BYTES)
}

/// Makes room by letting go of what nobody needs; whether there was any.
pub(super) async fn make_some(
    connection: &mut Connection<'_>,
    work: &mut Option<LoadWork>,
) -> Result<bool, Ended> {
    let shared: Arc<Shared> = connection.shared.clone();
    let source = connection.source.clone();
    // Those who wait for a part of their own are done with, and nobody else, hear of it.
    shared.pressure.press();
    connection.once(work, move |work| Ok(work.discard(&source)?)).await
}

/// A wait for room.
pub(super) struct Waiting {
    since: Instant,
}

impl Waiting {
    pub(super) fn new() -> Waiting {
        Waiting { since: Instant::now() }
    }

    /// Waits until there may be room for `bytes`.
    pub(super) async fn for_room(
        &mut self,
        connection: &mut Connection<'_>,
        work: &mut Option<LoadWork>,
        bytes: u64,
    ) -> Result<(), Ended> {
        let shared: Arc<Shared> = connection.shared.clone();
        let room = shared.clone();
        tokio::task::spawn_blocking(move || room.make_room(bytes))
            .await
            .map_err(|_| EngineError::TaskDied)?;
        if make_some(connection, work).await? {
            self.since = Instant::now();
            return Ok(());
        }
        if has_to_yield(connection, work.as_ref()) {
            return Err(Ended::Unwanted);
        }
        if connection.source.viewers.crowd_now().needed > 0 {
            shared.pressure.press_urgently();
        }
        let readers = work.as_ref().ok_or(EngineError::TaskDied)?.readers();
        if readers.is_empty() && connection.source.viewers.crowd_now().viewers == 0 {
            return Err(Ended::Unwanted);
        }
        let patience = shared.config.source_silence;
        if readers.cut_off(patience) > 0 {
            tracing::warn!(source = %connection.source.name, "cut off a response that kept a source from being loaded");
        }
        if self.since.elapsed() > 2 * patience {
            let source_name = connection.source.name.clone();
            return Err(EngineError::NoRoom { source_name }.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }
}
