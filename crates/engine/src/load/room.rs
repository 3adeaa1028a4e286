//! A load's room on the disk.
//!
//! An eighth of the disk store is for whoever comes first. Beyond that a load goes on only as long
//! as it has less than its share of a quarter, or holds a response back at this moment, so that
//! sources that are needed together get on together; one that reads ahead stops. Half is for what
//! each may be beyond its share: a record that came is taken in whole. The last quarter is for
//! loads that hold a response back, chunk by chunk, for without them nobody gets on.
//!
//! A load that has to wait, or finds no room at all, makes some: it lets the process let go of what
//! nobody reads, loads that read ahead included, and discards those of its own parts that every
//! reader has passed. A response whose viewer takes nothing meanwhile is cut off after the time
//! that a source may be silent. When nobody has made room for twice that time, the load fails.

use std::sync::Arc;
use std::time::Duration;

use rdl_store::Usage;
use tokio::time::Instant;

use super::connection::{Connection, Ended};
use super::work::LoadWork;
use crate::EngineError;
use crate::readers::Readers;
use crate::shared::Shared;
use crate::source::Source;

/// What is handed to a thread at a time, at most, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// In how many batches the disk store is filled, at least.
const MOST_BATCHES: u64 = 64;
/// How often a load that waits for room looks again, at least.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Waits between two batches until the load may go on. It holds next to no memory meanwhile.
pub(super) async fn wait_for_share(
    connection: &mut Connection<'_>,
    work: &mut Option<LoadWork>,
) -> Result<(), Ended> {
    let is_ahead = work.as_ref().is_some_and(|work| is_ahead(connection.source, work));
    if !is_ahead {
        connection.shared.pressure.press();
    }
    make_some(connection, work).await?;
    if has_to_yield(connection, work.as_ref()) {
        return Err(Ended::Unwanted);
    }
    let readers = work.as_ref().ok_or(EngineError::TaskDied)?.readers();
    if readers.count() > 1 {
        cut_off_stalled(connection, &readers);
    }
    pause(&readers).await;
    Ok(())
}

/// Until it is worth looking again.
async fn pause(readers: &Readers) {
    let _ = tokio::time::timeout(LOOK_EVERY, readers.begins_to_wait()).await;
}

/// Whether the load may not go on for now.
pub(super) fn has_to_wait(shared: &Shared, source: &Source, work: Option<&LoadWork>) -> bool {
    let Some(work) = work else { return false };
    let usage = shared.store.usage();
    let is_ahead = is_ahead(source, work);
    if is_ahead && shared.pressure.is_on() {
        return true;
    }
    if usage.running_bytes <= usage.room_bytes / 8 {
        return false;
    }
    let share = usage.room_bytes / 4 / shared.queue.needed_count().max(1) as u64;
    is_ahead || ((work.stored_bytes() > share || is_tight(&usage)) && !work.is_waited_for())
}

/// Whether nobody needs the load yet, here or at another replica.
fn is_ahead(source: &Source, work: &LoadWork) -> bool {
    source.viewers.crowd_now().needed == 0 && !work.is_followed()
}

/// Whether what is left is for those loads alone that hold a response back at this moment: without
/// them nobody gets on.
pub(super) fn is_tight(usage: &Usage) -> bool {
    usage.running_bytes > usage.room_bytes / 4 * 3
}

/// Whether the load should let go of everything and begin again when it is needed: somebody who is
/// needed finds no room, and nobody reads this one.
fn has_to_yield(connection: &Connection<'_>, work: Option<&LoadWork>) -> bool {
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
async fn make_some(
    connection: &mut Connection<'_>,
    work: &mut Option<LoadWork>,
) -> Result<bool, Ended> {
    let shared: Arc<Shared> = connection.shared.clone();
    let source = connection.source.clone();
    let made = connection.once(work, move |work| Ok(work.discard(&source)?)).await?;
    if made {
        shared.pressure.relieve();
    }
    Ok(made)
}

/// Cuts off the responses whose viewers take nothing while others wait for the same source.
fn cut_off_stalled(connection: &Connection<'_>, readers: &Readers) {
    if readers.cut_off(connection.shared.config.source_silence) > 0 {
        tracing::warn!(source = %connection.source.name, "cut off a response that kept a source from being loaded");
    }
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
        // Those who wait for a part of their own are done with, and nobody else, hear of it.
        shared.pressure.press();
        if make_some(connection, work).await? {
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
        cut_off_stalled(connection, &readers);
        if shared.pressure.lasts_since(self.since) > 2 * shared.config.source_silence {
            let source_name = connection.source.name.clone();
            return Err(EngineError::NoRoom { source_name }.into());
        }
        pause(&readers).await;
        Ok(())
    }
}
