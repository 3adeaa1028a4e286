//! Keeping a load and the responses that read it close together.
//!
//! A chunk that a response takes apart soon after it was taken in is still open, and need not be
//! read and decompressed again ([`crate::open_chunks`]). A load that runs ahead of a response that
//! computes as fast as it can gains nothing by it: both want the same cores. So it gives way, for a
//! moment each time; never to a response that waits, for its viewer or for a source.

use std::time::Duration;

use tokio::time::Instant;

use super::turn::Turn;
use crate::open_chunks::OpenChunks;
use crate::readers::Readers;

/// For how long a load gives way at a time: with batches of a megabyte, one that nobody catches up
/// with still takes twenty megabytes a second.
const MOST: Duration = Duration::from_millis(50);

/// Waits while what comes next, which is `due` then, would find no room among the open chunks, and
/// one of the load's readers is about to make some.
pub(super) async fn give_way(
    open_chunks: &OpenChunks,
    due: u64,
    readers: &Readers,
    turn: &Turn<'_>,
) {
    let end = Instant::now() + MOST;
    loop {
        let read = open_chunks.next_is_read();
        if open_chunks.has_room(due) || !readers.are_busy() || turn.is_wanted() {
            return;
        }
        tokio::select! {
            () = read => {}
            () = readers.begins_to_wait() => return,
            () = tokio::time::sleep_until(end) => return,
        }
    }
}
