//! The task that writes a load to the bucket.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_metrics::table;
use rdl_model::SourceKey;
use rdl_store::{
    AttemptName, BucketError, ClosedPart, Look, Pulse, Running, RunningEnd, RunningPart,
    RunningState, Sign, SourceFiles, StoreError, UploadError,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Sharing, in_time, noticing_slowness};
use super::{Claim, CompleteText, Progress, Step};

/// For how long in a row the bucket may be away before an attempt is given up.
const LONGEST_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// The shortest time within which the bucket has to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often whoever has followed an attempt to its end looks whether it is complete.
const LOOK_FOR_COMPLETION_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Publishing {
    progress: watch::Sender<Progress>,
    sharing: Sharing,
    key: SourceKey,
    files: Weak<SourceFiles>,
    claim: Claim,
    /// The attempt, once it is claimed.
    known: Arc<Mutex<Option<AttemptName>>>,
    running: Mutex<Running>,
    /// Held while `running.json` is written, so that what is newer comes last.
    writing: tokio::sync::Mutex<()>,
    /// Tells when `running` has something new.
    dirty: Notify,
    /// What is being written.
    under_way: TaskTracker,
}

/// Why an attempt ends before it is complete.
#[derive(Debug)]
enum GivenUp {
    /// The load was given up, or the process stops.
    Unwanted,
    /// Somebody else has claimed the source.
    Lost,
    /// What was to be written cannot be read any more.
    Unreadable(UploadError),
    /// The bucket was away for too long.
    Away(BucketError),
}

impl GivenUp {
    fn tell(&self, attempt: &AttemptName) {
        match self {
            Self::Unwanted => tracing::debug!(%attempt, "a load is released"),
            Self::Lost => {
                tracing::info!(%attempt, "another replica has the source; this one loads on for its own viewers");
            }
            Self::Unreadable(error) => {
                tracing::info!(%attempt, %error, "a load is not published any further");
            }
            Self::Away(error) => {
                tracing::warn!(%attempt, %error, "the bucket was away for too long; a load is not published");
            }
        }
    }
}

impl Publishing {
    pub(super) fn new(
        sharing: Sharing,
        key: SourceKey,
        files: Weak<SourceFiles>,
        claim: Claim,
        known: Arc<Mutex<Option<AttemptName>>>,
        progress: watch::Sender<Progress>,
    ) -> Publishing {
        Publishing {
            progress,
            sharing,
            key,
            files,
            claim,
            known,
            running: Mutex::new(Running::begun()),
            writing: tokio::sync::Mutex::default(),
            dirty: Notify::new(),
            under_way: TaskTracker::new(),
        }
    }

    pub(super) async fn run(
        self,
        steps: mpsc::UnboundedReceiver<Step>,
        unwanted: CancellationToken,
    ) {
        let stopping = &self.sharing.stopping;
        let claimed = tokio::select! {
            claimed = self.claimed() => claimed,
            () = unwanted.cancelled() => None,
            () = stopping.cancelled() => None,
        };
        let Some(attempt) = claimed else {
            if let Claim::Perhaps(attempt) = &self.claim {
                // Else others would wait for it until it is stale.
                let _ = in_time("give a claim up", self.sharing.bucket.give_up(attempt)).await;
            }
            return;
        };
        let ended = tokio::select! {
            ended = self.publish(&attempt, steps) => ended,
            lost = self.beat(&attempt) => Err(lost),
            () = unwanted.cancelled() => Err(GivenUp::Unwanted),
            () = stopping.cancelled() => Err(GivenUp::Unwanted),
        };
        // What was sent arrives, whether or not somebody waits for it; it must not come after the
        // attempt is removed.
        if !stopping.is_cancelled() {
            self.under_way.close();
            let _ = tokio::time::timeout(super::super::PATIENCE, self.under_way.wait()).await;
        }
        let bucket = &self.sharing.bucket;
        // The claim goes only now, when nobody looks whether it is still there.
        let Err(why) = ended else {
            tracing::debug!(%attempt, "a source is complete in the bucket");
            if let Err(error) = bucket.yield_to_others(&attempt).await {
                tracing::debug!(%attempt, %error, "another complete attempt may stay beside it");
            }
            self.sharing.supersede(&attempt).await;
            return;
        };
        why.tell(&attempt);
        // What is complete is not given up, and what may be is left alone.
        if !matches!(bucket.is_complete(&attempt).await, Ok(false)) {
            return;
        }
        // At once for those who follow; then out of the way.
        let mut running = self.running.lock().clone();
        running.state = RunningState::Released;
        running.counter += 1;
        let released = async {
            if !matches!(why, GivenUp::Lost) {
                bucket.put_running(&attempt, &running).await?;
            }
            if stopping.is_cancelled() {
                // Followers go on from what is there; who takes over clears it away.
                return Ok(());
            }
            bucket.give_up(&attempt).await
        };
        if let Err(error) = released.await {
            let error: BucketError = error;
            tracing::debug!(%attempt, %error, "what was published of a load stays until it is superseded");
        }
    }

    /// The attempt; one that has no claim yet gets it as soon as the bucket is there. `None` when
    /// somebody else has the source.
    async fn claimed(&self) -> Option<AttemptName> {
        match &self.claim {
            Claim::Sure(attempt) => return Some(attempt.clone()),
            Claim::After(leader) if !self.outlives(leader).await => return None,
            Claim::After(_) | Claim::Perhaps(_) | Claim::Later => {}
        }
        let since = Instant::now();
        let mut backoff = FIRST_BACKOFF;
        while since.elapsed() < LONGEST_OUTAGE {
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            match self.try_to_claim().await {
                Ok(Some(attempt)) => {
                    *self.known.lock() = Some(attempt.clone());
                    return Some(attempt);
                }
                Ok(None) => return None,
                Err(error) => tracing::debug!(%error, "cannot claim a source yet"),
            }
        }
        None
    }

    /// Claims the source, unless somebody else has it.
    async fn try_to_claim(&self) -> Result<Option<AttemptName>, BucketError> {
        let bucket = &self.sharing.bucket;
        let attempt = match &self.claim {
            Claim::Sure(attempt) | Claim::Perhaps(attempt) => attempt.clone(),
            Claim::Later | Claim::After(_) => match self.sharing.look(&self.key).await? {
                Some(Look::Free { epoch }) => bucket.new_attempt(&self.key, epoch),
                _ => return Ok(None),
            },
        };
        Ok(bucket.claim(&attempt).await?.then_some(attempt))
    }

    /// Waits until an attempt that has all of its parts is complete, or is dead before it was:
    /// whether that is so. Of one that somebody has removed there is nothing to inherit.
    async fn outlives(&self, leader: &AttemptName) -> bool {
        let bucket = &self.sharing.bucket;
        let mut pulse = Pulse::new(self.sharing.config.stale_age);
        let since = Instant::now();
        while since.elapsed() < LONGEST_OUTAGE {
            tokio::time::sleep(LOOK_FOR_COMPLETION_EVERY).await;
            let start = Instant::now();
            let running = match bucket.is_complete(leader).await {
                Ok(true) => return false,
                Ok(false) => bucket.running(leader).await,
                Err(error) => Err(error),
            };
            match running {
                Ok(None) => return false,
                Ok(Some(running)) => {
                    let sign = pulse.read(running.counter, start);
                    if running.state == RunningState::Released || sign == Sign::Dead {
                        self.sharing.avoid_dead(leader);
                        return true;
                    }
                }
                Err(error) => {
                    pulse.forget();
                    tracing::debug!(attempt = %leader, %error, "cannot see whether an attempt is complete");
                }
            }
        }
        false
    }

    /// Writes part after part, and completes the attempt.
    async fn publish(
        &self,
        attempt: &AttemptName,
        mut steps: mpsc::UnboundedReceiver<Step>,
    ) -> Result<(), GivenUp> {
        loop {
            match steps.recv().await {
                Some(Step::Mended) => self.running.lock().as_it_came = false,
                Some(Step::Part(part, closed)) => {
                    self.part(attempt, &part).await?;
                    table::BUCKET_UPLOAD_LAG.took(closed.elapsed());
                }
                Some(Step::Complete(end, text, _completing)) => {
                    return self.complete(attempt, end, text).await;
                }
                None => return Err(GivenUp::Unwanted),
            }
        }
    }

    async fn part(&self, attempt: &AttemptName, part: &ClosedPart) -> Result<(), GivenUp> {
        let what = format!("writing {} of {} bytes", part.name, part.bytes);
        let upload = || async {
            let turn = self.sharing.uploads.clone().acquire_owned().await;
            let (bucket, files) = (self.sharing.bucket.clone(), self.files.upgrade());
            let (attempt, part) = (attempt.clone(), part.clone());
            let put = self.to_its_end(async move {
                let _turn = turn;
                // A complete source may have had to make room.
                let files = files.ok_or(StoreError::Discarded { part: part.number })?;
                bucket.put_part(&attempt, &part, &files).await
            });
            noticing_slowness(self.sharing.config.slow_upload, &what, put).await
        };
        let checksums = persistently(upload, |error| match error {
            error if error.may_pass() => Ok(error),
            error => Err(GivenUp::Unreadable(error)),
        });
        let checksums = checksums.await?;
        let mut running = self.running.lock();
        let first_message =
            running.parts.last().map_or(0, |last| last.first_message + last.messages);
        running.parts.push(RunningPart {
            name: part.name.clone(),
            bytes: part.bytes,
            data_bytes: part.data_bytes,
            checksums,
            first_message,
            messages: part.messages,
        });
        drop(running);
        self.dirty.notify_one();
        self.progress.send_modify(|progress| progress.parts += 1);
        *self.sharing.uploaded_at.lock() = Instant::now();
        Ok(())
    }

    async fn complete(
        &self,
        attempt: &AttemptName,
        end: RunningEnd,
        text: CompleteText,
    ) -> Result<(), GivenUp> {
        let text = self.text(text).await?;
        let parts: Vec<(String, u64)> = {
            let mut running = self.running.lock();
            running.end = Some(end);
            running.parts.iter().map(|part| (part.name.clone(), part.bytes)).collect()
        };
        persistently(|| self.write(attempt), passing).await?;
        let complete = || {
            let (bucket, attempt) = (self.sharing.bucket.clone(), attempt.clone());
            let (parts, text) = (parts.clone(), text.clone());
            self.to_its_end(async move { bucket.complete(&attempt, &parts, text).await })
        };
        let completed = persistently(complete, passing).await?;
        if completed { Ok(()) } else { Err(GivenUp::Lost) }
    }

    async fn text(&self, text: CompleteText) -> Result<Bytes, GivenUp> {
        let files = match text {
            CompleteText::Held { text, .. } => return Ok(text),
            CompleteText::Kept => self.files.upgrade(),
        };
        let gone = StoreError::Discarded { part: 1 };
        let read = move || files.map_or(Err(gone), |files| files.complete_text());
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        read.map_err(|error| GivenUp::Unreadable(error.into()))
    }

    /// Writes `running.json` as it is now.
    async fn write(&self, attempt: &AttemptName) -> Result<(), BucketError> {
        let _turn = self.writing.lock().await;
        let running = {
            let mut running = self.running.lock();
            running.counter += 1;
            running.clone()
        };
        let (bucket, attempt) = (self.sharing.bucket.clone(), attempt.clone());
        self.to_its_end(async move { bucket.put_running(&attempt, &running).await }).await
    }

    /// Carries on with a request when its future is dropped: nobody can take back what was sent.
    async fn to_its_end<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.under_way.spawn(request).await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Says how far the load is, and that it is alive, and looks who follows it, until the claim is
    /// lost.
    async fn beat(&self, attempt: &AttemptName) -> GivenUp {
        let config = &self.sharing.config;
        // Whoever waits for one answer for too long is taken for dead.
        let within = config.touch_interval.max(LEAST_PATIENCE);
        let (mut written, mut checked) = (Instant::now(), Instant::now());
        let mut marks = Vec::new();
        loop {
            tokio::select! {
                () = self.dirty.notified() => {}
                () = tokio::time::sleep_until(written + config.touch_interval) => {}
            }
            tokio::time::sleep_until(written + config.write_min_interval).await;
            let what = "writing running.json";
            let write = noticing_slowness(config.slow_update, what, self.write(attempt));
            if !matches!(tokio::time::timeout(within, write).await, Ok(Ok(()))) {
                tracing::debug!(%attempt, "cannot say how far a load is");
                self.dirty.notify_one();
                tokio::time::sleep(FIRST_BACKOFF).await;
            }
            written = Instant::now();
            if checked.elapsed() >= config.touch_interval {
                let claims = self.sharing.bucket.still_claims(attempt);
                if matches!(tokio::time::timeout(within, claims).await, Ok(Ok(false))) {
                    return GivenUp::Lost;
                }
                let followers = self.sharing.bucket.followers(attempt);
                if let Ok(Ok(found)) = tokio::time::timeout(within, followers).await
                    && found != marks
                {
                    if !found.is_empty() {
                        let now = Some(Instant::now());
                        self.progress.send_modify(|progress| progress.followed_at = now);
                    }
                    marks = found;
                }
                checked = Instant::now();
            }
        }
    }
}

fn passing(error: BucketError) -> Result<BucketError, GivenUp> {
    match error {
        error if error.may_pass() => Ok(error),
        error => Err(GivenUp::Away(error)),
    }
}

/// Tries until it succeeds, cannot succeed, or the bucket was away for too long. `sort` tells an
/// error that may pass from one that ends it.
async fn persistently<T, E: Into<UploadError>, F>(
    action: impl Fn() -> F,
    sort: impl Fn(E) -> Result<E, GivenUp>,
) -> Result<T, GivenUp>
where
    F: Future<Output = Result<T, E>>,
{
    let since = Instant::now();
    let mut backoff = FIRST_BACKOFF;
    loop {
        let error = match action().await {
            Ok(done) => return Ok(done),
            Err(error) => sort(error)?,
        };
        if since.elapsed() > LONGEST_OUTAGE {
            return Err(match error.into() {
                UploadError::Bucket(error) => GivenUp::Away(error),
                error @ UploadError::Disk(_) => GivenUp::Unreadable(error),
            });
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}
