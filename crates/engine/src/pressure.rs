//! Whether the disk store is short of room.
//!
//! A load that finds no room presses: what nobody reads is let go, and every response says what it
//! still needs and lets go of the rest.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long after the last call for room responses go on saying what they need.
const LASTS: Duration = Duration::from_secs(5);

/// How long such a call is urgent.
const URGENCY_LASTS: Duration = Duration::from_millis(250);

/// How often somebody who finds no room on the disk looks again.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_millis(50);

/// The calls for room of one process.
#[derive(Debug)]
pub(crate) struct Pressure {
    last: Mutex<Option<Instant>>,
    /// When a load that somebody needs last found no room at all.
    urgent: Mutex<Option<Instant>>,
    /// When a load last discarded what its readers had passed.
    relieved: Mutex<Option<Instant>>,
    calls: watch::Sender<u64>,
}

impl Pressure {
    pub(crate) fn new() -> Pressure {
        let (last, urgent, relieved) = Default::default();
        Pressure { last, urgent, relieved, calls: watch::Sender::new(0) }
    }

    /// Somebody needs room.
    pub(crate) fn press(&self) {
        *self.last.lock() = Some(Instant::now());
        self.calls.send_modify(|calls| *calls += 1);
    }

    /// Somebody who is needed finds no room at all.
    pub(crate) fn press_urgently(&self) {
        *self.urgent.lock() = Some(Instant::now());
        self.press();
    }

    /// Whether somebody who is needed finds no room at all.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.lock().is_some_and(|last| last.elapsed() < URGENCY_LASTS)
    }

    /// There is room again, for readers get on.
    pub(crate) fn relieve(&self) {
        *self.relieved.lock() = Some(Instant::now());
    }

    /// For how long nobody has made room, since `start` at most.
    pub(crate) fn lasts_since(&self, start: Instant) -> Duration {
        self.relieved.lock().map_or(start, |last| last.max(start)).elapsed()
    }

    /// Presses, and lets a moment pass before whoever finds no room looks again; `false`, and at once,
    /// when nobody has made any for longer than `patience`, since `start` at most.
    pub(crate) async fn wait_for_room(&self, start: Instant, patience: Duration) -> bool {
        if self.lasts_since(start) > patience {
            return false;
        }
        self.press();
        tokio::time::sleep(LOOK_FOR_ROOM_EVERY).await;
        true
    }

    /// Whether somebody needed room lately.
    pub(crate) fn is_on(&self) -> bool {
        self.last.lock().is_some_and(|last| last.elapsed() < LASTS)
    }

    /// Changes with every call for room.
    pub(crate) fn calls(&self) -> watch::Receiver<u64> {
        self.calls.subscribe()
    }
}
