//! How far the responses that read a source have come.
//!
//! A source that is larger than the disk can only be loaded if its readers let go of its beginning.
//! Each response has one [`Progress`]; for every generation that it reads it registers a
//! [`Reading`], which says from which chunk on it still needs the data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a response gets on, as seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Since when it waits for its viewer to take something.
    waiting_since: Mutex<Option<Instant>>,
    cut_off: CancellationToken,
}

impl Progress {
    /// The viewer has to take something before the response goes on.
    pub(crate) fn waits_for_viewer(&self) {
        self.waiting_since.lock().get_or_insert_with(Instant::now);
    }

    /// The viewer has taken something.
    pub(crate) fn goes_on(&self) {
        *self.waiting_since.lock() = None;
    }

    /// Resolves when the response has to end because it keeps others from going on.
    pub(crate) async fn is_cut_off(&self) {
        self.cut_off.cancelled().await;
    }

    fn takes_nothing_since(&self) -> Duration {
        self.waiting_since.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The responses that read one generation.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Vec<Arc<Reader>>>);

#[derive(Debug)]
struct Reader {
    progress: Arc<Progress>,
    needs_from: AtomicU32,
    wants_more: AtomicBool,
}

/// One response that reads a generation, as long as this lives.
#[derive(Debug)]
pub(crate) struct Reading {
    readers: Arc<Readers>,
    reader: Arc<Reader>,
}

impl Readers {
    /// A response that needs every chunk so far.
    pub(crate) fn join(self: &Arc<Self>, progress: &Arc<Progress>) -> Reading {
        let (progress, needs_from) = (progress.clone(), AtomicU32::new(0));
        let reader = Arc::new(Reader { progress, needs_from, wants_more: AtomicBool::new(false) });
        self.0.lock().push(reader.clone());
        Reading { readers: self.clone(), reader }
    }

    /// Whether nobody reads.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// The first chunk that anybody still needs; the greatest number without readers.
    pub(crate) fn needed_from(&self) -> u32 {
        let list = self.0.lock();
        let needed = list.iter().map(|reader| reader.needs_from.load(Ordering::Acquire));
        needed.min().unwrap_or(u32::MAX)
    }

    /// Whether anybody can do nothing until there is more of the source, whatever there is.
    pub(crate) fn want_more(&self) -> bool {
        self.0.lock().iter().any(|reader| reader.wants_more.load(Ordering::Acquire))
    }

    /// Cuts off the responses that hold the source back and whose viewers have taken nothing for
    /// `patience`; how many.
    pub(crate) fn cut_off(&self, patience: Duration) -> usize {
        let needed_from = self.needed_from();
        let list = self.0.lock();
        let stalled = list.iter().filter(|reader| {
            reader.needs_from.load(Ordering::Acquire) == needed_from
                && reader.progress.takes_nothing_since() >= patience
        });
        stalled.map(|reader| reader.progress.cut_off.cancel()).count()
    }
}

impl Reading {
    /// The response needs no chunk below this one any more.
    pub(crate) fn needs_from(&self, chunk: u32) {
        self.reader.needs_from.fetch_max(chunk, Ordering::AcqRel);
    }

    /// The response can do nothing with what there is of the source until there is more.
    pub(crate) fn wants_more(&self, wants: bool) {
        self.reader.wants_more.store(wants, Ordering::Release);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.0.lock().retain(|reader| !Arc::ptr_eq(reader, &self.reader));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_slowest_reader_decides_and_is_cut_off_when_its_viewer_takes_nothing() {
        let readers: Arc<Readers> = Arc::default();
        assert!(readers.is_empty() && readers.needed_from() == u32::MAX);
        let (slow, fast): (Arc<Progress>, Arc<Progress>) = Default::default();
        let (slow_reads, fast_reads) = (readers.join(&slow), readers.join(&fast));
        fast_reads.needs_from(7);
        slow_reads.needs_from(3);
        slow_reads.needs_from(2);
        assert_eq!(readers.needed_from(), 3);

        let patience = Duration::from_secs(30);
        slow.waits_for_viewer();
        fast.waits_for_viewer();
        tokio::time::advance(patience / 2).await;
        slow.waits_for_viewer();
        assert_eq!(readers.cut_off(patience), 0);
        tokio::time::advance(patience / 2).await;
        assert_eq!(readers.cut_off(patience), 1, "the fast one holds nothing back");
        slow.is_cut_off().await;
        drop(slow_reads);
        assert_eq!(readers.needed_from(), 7);
        fast_reads.wants_more(true);
        assert!(readers.want_more());
        fast_reads.wants_more(false);
        assert!(!readers.want_more());
        fast.goes_on();
        assert_eq!(readers.cut_off(patience), 0);
        drop(fast_reads);
        assert!(readers.is_empty());
    }
}
