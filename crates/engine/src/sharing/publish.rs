//! Writing what a load has to the bucket, behind it.

mod publishing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::SourceKey;
use rdl_store::{AttemptName, ClosedPart, RunningEnd, SourceFiles};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::publishing::Publishing;
use super::Sharing;

/// What lets a replica publish a source. One that is not used is to be [released](Sharing::release).
pub(crate) enum Claim {
    /// The source is claimed.
    Sure(AttemptName),
    /// The bucket did not say whether it is.
    Perhaps(AttemptName),
    /// It is to be claimed when the bucket is there, unless somebody else has it.
    Later,
    /// It is to be claimed if the attempt that was followed to its end is never completed.
    After(AttemptName),
}

/// The way from a load to the task that writes its parts to the bucket. Dropped before
/// [`Publisher::complete`], the attempt is given up, and others may claim the source at once.
pub(crate) struct Publisher {
    steps: mpsc::UnboundedSender<Step>,
    sharing: Sharing,
    /// The attempt, once it is claimed.
    attempt: Arc<Mutex<Option<AttemptName>>>,
    told_parts: u32,
    /// Since when there is a part that is not in the bucket.
    waits_since: Instant,
    progress: watch::Receiver<Progress>,
    /// Cancelled when nobody wants the attempt any more.
    unwanted: CancellationToken,
    /// Whether it was told of everything.
    is_complete: bool,
}

/// Nobody here follows what is given up here: it may be another body than that which comes next.
impl Drop for Publisher {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        self.unwanted.cancel();
        if let Some(attempt) = self.attempt.lock().as_ref() {
            self.sharing.avoid_dead(attempt);
        }
    }
}

/// What the bucket says of an attempt.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// How many parts lie there.
    parts: u32,
    /// When a follower's mark last changed.
    followed_at: Option<Instant>,
}

/// Where the text of `complete.json` is until it is needed.
pub(crate) enum CompleteText {
    /// With the files, which may go before all of it is written: as those of any source that nobody
    /// reads.
    Kept,
    /// Here, and the files with it until all parts are written: the source is kept nowhere else.
    Held { text: Bytes, _files: Arc<SourceFiles> },
}

enum Step {
    /// Not as it came, from here on.
    Mended,
    /// A part, and when it was closed.
    Part(ClosedPart, Instant),
    /// The last one.
    Complete(RunningEnd, CompleteText, TaskTrackerToken),
}

impl Publisher {
    /// Begins to publish what lies in `files`.
    pub(crate) fn start(
        sharing: &Sharing,
        key: SourceKey,
        claim: Claim,
        files: &Arc<SourceFiles>,
    ) -> Publisher {
        let (steps_in, steps) = mpsc::unbounded_channel();
        let attempt = Arc::new(Mutex::new(match &claim {
            Claim::Sure(attempt) => Some(attempt.clone()),
            _ => None,
        }));
        let (progress_in, progress) = watch::channel(Progress::default());
        let unwanted = CancellationToken::new();
        let task = Publishing::new(
            sharing.clone(),
            key,
            // Once the source is complete, somebody else decides how long it stays.
            Arc::downgrade(files),
            claim,
            attempt.clone(),
            progress_in,
        );
        sharing.tasks.spawn(task.run(steps, unwanted.clone()));
        Publisher {
            steps: steps_in,
            sharing: sharing.clone(),
            attempt,
            told_parts: 0,
            waits_since: Instant::now(),
            progress,
            unwanted,
            is_complete: false,
        }
    }

    /// A part is closed.
    pub(crate) fn part(&mut self, part: ClosedPart) {
        if self.told_parts == self.progress.borrow().parts {
            self.waits_since = Instant::now();
        }
        self.told_parts += 1;
        // Whoever publishes may have given up.
        let _ = self.steps.send(Step::Part(part, Instant::now()));
    }

    /// From the next part on the messages are not those of the body as they came: something is in
    /// another order, or left out.
    pub(crate) fn mended(&self) {
        let _ = self.steps.send(Step::Mended);
    }

    /// Every part was told of; this is what there is besides.
    pub(crate) fn complete(mut self, end: RunningEnd, text: CompleteText) {
        self.is_complete = true;
        let _ = self.steps.send(Step::Complete(end, text, self.sharing.completing.token()));
    }

    /// The first part, from 1, that has to stay on the disk for it; `None` when it is over, or the
    /// bucket has taken nothing, of any load, for as long as a source may be silent.
    pub(crate) fn needs_from(&self) -> Option<u32> {
        let parts = self.progress.borrow().parts;
        let silence = self.sharing.silence;
        let is_stuck = parts < self.told_parts
            && self.waits_since.elapsed() >= silence
            && self.sharing.uploaded_at.lock().elapsed() >= silence;
        (!self.steps.is_closed() && !is_stuck).then_some(parts + 1)
    }

    /// Whether other replicas have said lately that they follow the load.
    pub(crate) fn is_followed(&self) -> bool {
        let followed_at = self.progress.borrow().followed_at;
        followed_at.is_some_and(|at| at.elapsed() < self.followers_linger())
    }

    /// For how long a follower counts that has said nothing since.
    pub(crate) fn followers_linger(&self) -> Duration {
        3 * self.sharing.config.touch_interval
    }
}
