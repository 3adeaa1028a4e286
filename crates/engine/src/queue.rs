//! Which loads may run.
//!
//! A source that holds back a waiting response is *needed*: its load starts at once, up to
//! [`MOST_NEEDED`]. Every other load reads ahead of its viewers; [`LoadQueue`] lets a configured
//! number of those run, and gives each free place to the viewer that has the fewest, so that one
//! with hundreds of sources does not keep another waiting. A load changes from one kind to the
//! other as its viewers come, go and reach it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::viewers::{Crowd, ViewerId, Viewers};

/// How many needed loads run at a time; also how many sources a response opens at once.
pub(crate) const MOST_NEEDED: usize = 256;

/// How often a load that waits looks whether it may run, whatever it is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every load of the process that runs or waits to.
pub(crate) struct LoadQueue {
    max_ahead: usize,
    places: Mutex<Places>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Places {
    next: u64,
    waiting: BTreeMap<u64, Arc<Viewers>>,
    running: BTreeMap<u64, Arc<Viewers>>,
}

/// A load that may run, as long as this lives.
pub(crate) struct Place {
    queue: Arc<LoadQueue>,
    number: u64,
}

impl LoadQueue {
    pub(crate) fn new(max_ahead: usize) -> Arc<LoadQueue> {
        Arc::new(LoadQueue { max_ahead, places: Mutex::default(), changed: watch::Sender::new(0) })
    }

    /// Waits until a load with these viewers may run; `None` once it has none.
    pub(crate) async fn admit(self: &Arc<Self>, viewers: &Arc<Viewers>) -> Option<Place> {
        let mut crowd = viewers.crowd();
        let mut changed = self.changed.subscribe();
        let waiting = WaitingPlace::new(self, viewers);
        loop {
            crowd.mark_unchanged();
            changed.mark_unchanged();
            if crowd.borrow().viewers == 0 {
                return None;
            }
            if self.places.lock().start(waiting.number, self.max_ahead) {
                // What keeps others waiting may be another now.
                self.touch();
                return Some(Place { queue: self.clone(), number: waiting.number });
            }
            tokio::select! {
                _ = crowd.changed() => {}
                _ = changed.changed() => {}
                // A viewer that leaves a running load may make room, and tells nobody.
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// How many loads run that are needed.
    pub(crate) fn needed_count(&self) -> usize {
        let places = self.places.lock();
        places.running.values().filter(|viewers| viewers.crowd_now().needed > 0).count()
    }

    /// How many loads run.
    pub(crate) fn running_count(&self) -> usize {
        self.places.lock().running.len()
    }

    /// How many loads wait for their turn.
    pub(crate) fn waiting_count(&self) -> usize {
        self.places.lock().waiting.len()
    }

    /// Somebody's need has changed: those who wait look again.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

impl Places {
    /// Lets this waiting load run, if it may.
    fn start(&mut self, number: u64, max_ahead: usize) -> bool {
        let Some(viewers) = self.waiting.get(&number) else { return false };
        let is_needed = viewers.crowd_now().needed > 0;
        let running = |needed: bool| {
            let same = |viewers: &&Arc<Viewers>| (viewers.crowd_now().needed > 0) == needed;
            self.running.values().filter(same).count()
        };
        let may = if is_needed {
            running(true) < MOST_NEEDED
        } else {
            running(false) < max_ahead && self.next_ahead() == Some(number)
        };
        if may && let Some(viewers) = self.waiting.remove(&number) {
            self.running.insert(number, viewers);
        }
        may
    }

    /// The load that takes the next place ahead: of the viewer that has the fewest, the one that
    /// waits longest.
    fn next_ahead(&self) -> Option<u64> {
        let mut has: BTreeMap<ViewerId, usize> = BTreeMap::new();
        for viewers in self.running.values() {
            if let (Crowd { needed: 0, .. }, Some(first)) = (viewers.crowd_now(), viewers.first()) {
                *has.entry(first).or_default() += 1;
            }
        }
        let waiting = self.waiting.iter().filter_map(|(number, viewers)| {
            let first = viewers.first()?;
            let is_ahead = viewers.crowd_now().needed == 0;
            is_ahead.then(|| (has.get(&first).copied().unwrap_or(0), *number))
        });
        waiting.min().map(|(_, number)| number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.places.lock().running.remove(&self.number);
        self.queue.touch();
    }
}

/// Leaves the queue when dropped, unless it was let in.
struct WaitingPlace<'a> {
    queue: &'a LoadQueue,
    number: u64,
}

impl<'a> WaitingPlace<'a> {
    fn new(queue: &'a LoadQueue, viewers: &Arc<Viewers>) -> WaitingPlace<'a> {
        let mut places = queue.places.lock();
        let number = places.next;
        places.next += 1;
        places.waiting.insert(number, viewers.clone());
        WaitingPlace { queue, number }
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        if self.queue.places.lock().waiting.remove(&self.number).is_some() {
            self.queue.touch();
        }
    }
}

#[cfg(test)]
mod tests;
