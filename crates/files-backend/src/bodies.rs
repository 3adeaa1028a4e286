//! What the bodies that are sent keep in memory: a piece each, which is smaller where there are many.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Trouble;

/// What they keep together, in bytes.
const MAX_BYTES: u64 = 256 << 20;
/// So many are sent at once: more than a loader opens that holds on to all of them, as it does when
/// it merges them.
const MAX_BODIES: usize = 512;
/// How long one more waits.
const WITHIN: Duration = Duration::from_secs(5);

/// The room for all of them.
pub(crate) struct Bodies {
    free: Arc<Semaphore>,
    most_bytes: u64,
}

/// The room of one, until it is dropped.
pub(crate) struct Room {
    _turn: OwnedSemaphorePermit,
    free: Arc<Semaphore>,
    most_bytes: u64,
}

impl Bodies {
    /// Pieces are at most so long.
    pub(crate) fn new(most_bytes: u64) -> Bodies {
        Bodies { free: Arc::new(Semaphore::new(MAX_BODIES)), most_bytes }
    }

    /// # Errors
    ///
    /// [`Trouble::Busy`] where there is none for a while.
    pub(crate) async fn room(&self) -> Result<Room, Trouble> {
        let turn = tokio::time::timeout(WITHIN, self.free.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Trouble::Busy)?.map_err(|_| Trouble::Stopped)?;
        Ok(Room { _turn: turn, free: self.free.clone(), most_bytes: self.most_bytes })
    }
}

impl Room {
    /// How long its next piece may be, in bytes.
    pub(crate) fn piece_bytes(&self) -> u64 {
        let bodies = MAX_BODIES - self.free.available_permits();
        (MAX_BYTES / bodies.max(1) as u64).min(self.most_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_shrink_with_their_number_and_what_is_too_many_waits() {
        let bodies = Bodies::new(4 << 20);
        let mut rooms = vec![bodies.room().await.unwrap()];
        assert_eq!(rooms[0].piece_bytes(), 4 << 20);
        while rooms.len() < MAX_BODIES {
            rooms.push(bodies.room().await.unwrap());
            assert!(rooms[0].piece_bytes() * rooms.len() as u64 <= MAX_BYTES);
        }
        assert_eq!(rooms[0].piece_bytes(), 512 << 10);
        assert!(futures::FutureExt::now_or_never(bodies.room()).is_none());
        rooms.pop();
        assert!(bodies.room().await.is_ok());
    }
}
