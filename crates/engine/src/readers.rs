//! How far the responses that read a source have come.
//!
//! A source that is larger than the disk can only be loaded if its readers let go of its beginning.
//! Each response has one [`Progress`]; for every generation that it reads it registers a
//! [`Reading`], which says from which chunk on it still needs the data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A viewer that takes what is ready within this time keeps up with its response.
const AT_ONCE: Duration = Duration::from_millis(10);

/// How a response gets on, as seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Since when it waits for its viewer to take something.
    waiting_since: Mutex<Option<Instant>>,
    /// Whether it waits for a source.
    waits_for_source: AtomicBool,
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

    /// Whether it computes, or its viewer takes what it makes at once.
    fn is_busy(&self) -> bool {
        !self.waits_for_source.load(Ordering::Acquire) && self.takes_nothing_since() < AT_ONCE
    }

    fn takes_nothing_since(&self) -> Duration {
        self.waiting_since.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The responses that read one generation.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    list: Mutex<Vec<Arc<Reader>>>,
    waiting: Notify,
}

#[derive(Debug)]
struct Reader {
    progress: Arc<Progress>,
    needs_from: AtomicU32,
    /// Whether it cannot go on before there is more.
    waits: AtomicBool,
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
        let reader = Arc::new(Reader {
            progress: progress.clone(),
            needs_from: AtomicU32::new(0),
            waits: AtomicBool::new(false),
        });
        self.list.lock().push(reader.clone());
        Reading { readers: self.clone(), reader }
    }

    /// Whether nobody reads.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    /// How many read.
    pub(crate) fn count(&self) -> usize {
        self.list.lock().len()
    }

    /// The first chunk that anybody still needs; the greatest number without readers.
    pub(crate) fn needed_from(&self) -> u32 {
        let list = self.list.lock();
        let needed = list.iter().map(|reader| reader.needs_from.load(Ordering::Acquire));
        needed.min().unwrap_or(u32::MAX)
    }

    /// Whether anybody cannot go on before there is more.
    pub(crate) fn wait(&self) -> bool {
        self.list.lock().iter().any(|reader| reader.waits.load(Ordering::Acquire))
    }

    /// Whether nobody has to wait, and somebody computes as fast as it can.
    pub(crate) fn are_busy(&self) -> bool {
        let list = self.list.lock();
        !list.iter().any(|reader| reader.waits.load(Ordering::Acquire))
            && list.iter().any(|reader| reader.progress.is_busy())
    }

    /// Resolves when somebody begins to wait.
    pub(crate) async fn begins_to_wait(&self) {
        self.waiting.notified().await;
    }

    /// There is more. Those for whom it is not enough wait again.
    pub(crate) fn go_on(&self) {
        self.list.lock().iter().for_each(|reader| reader.waits.store(false, Ordering::Release));
    }

    /// Cuts off the responses that hold the source back and whose viewers have taken nothing for
    /// `patience`; how many.
    pub(crate) fn cut_off(&self, patience: Duration) -> usize {
        let needed_from = self.needed_from();
        let list = self.list.lock();
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

    /// The response cannot go on before there is more, as long as this lives.
    pub(crate) fn wait(&self) -> Wait<'_> {
        self.reader.waits.store(true, Ordering::Release);
        self.reader.progress.waits_for_source.store(true, Ordering::Release);
        self.readers.waiting.notify_one();
        Wait(&self.reader)
    }
}

/// A response that waits for more.
pub(crate) struct Wait<'a>(&'a Reader);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.waits.store(false, Ordering::Release);
        self.0.progress.waits_for_source.store(false, Ordering::Release);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.list.lock().retain(|reader| !Arc::ptr_eq(reader, &self.reader));
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
        let waits = fast_reads.wait();
        readers.begins_to_wait().await;
        assert!(readers.wait());
        readers.go_on();
        assert!(!readers.wait());
        assert!(!readers.are_busy(), "one waits for its viewer, one for the source");
        drop(waits);
        assert!(!readers.are_busy());
        drop(fast_reads.wait());
        assert!(!readers.wait());
        fast.goes_on();
        assert!(readers.are_busy());
        assert_eq!(readers.cut_off(patience), 0);
        drop(fast_reads);
        assert!(readers.is_empty());
    }
}
