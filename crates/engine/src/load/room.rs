//! A load's room on the disk.
//!
//! Half of the disk store is for whoever comes first. Beyond that a load goes on only as long as it
//! has less than its share of the other half, or its readers have nothing left of it, so that
//! sources that are needed together get on together; one that reads ahead stops earlier. A load that has to wait, or finds no room at all,
//! makes some: it lets the process let go of what nobody reads, and discards those of its own parts
//! that every reader has passed. A response whose viewer takes nothing meanwhile is cut off after
//! the time that a source may be silent, and after twice that time the load fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Ended};
use super::work::LoadWork;
use crate::EngineError;
use crate::shared::Shared;
use crate::source::Source;

/// How often a load that waits for room looks again.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Whether the load may not go on for now.
pub(super) fn has_to_wait(shared: &Shared, source: &Source, work: Option<&LoadWork>) -> bool {
    let Some(work) = work else { return false };
    let usage = shared.store.usage();
    let half = usage.max_bytes / 2;
    if source.viewers.crowd_now().needed == 0 {
        return usage.running_bytes > half / 2 || shared.pressure.is_on();
    }
    let share = half / shared.queue.needed_count().max(1) as u64;
    usage.running_bytes > half && work.stored_bytes() > share && work.has_unread()
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
