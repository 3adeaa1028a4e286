//! Loads that several replicas share through the bucket.
//!
//! Before a load asks the data backend, [`join`] looks what the bucket has: a complete source is
//! read from there; one that another replica loads is *followed* ([`Followed`]): its parts are the
//! body, in the place of the data endpoint's; else this replica claims the source, and
//! *publishes* what it loads behind the load ([`Publisher`]). When the replica that is followed
//! dies, the load goes on with whatever comes next, as after a broken connection: the messages
//! that it has are skipped, and a running hash over them is checked.
//!
//! Trouble with the bucket is never the load's: it goes on alone, and what it has is published when
//! the bucket is back.

mod follow;
mod publish;
#[cfg(test)]
mod simulation;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::SourceKey;
use rdl_store::{AttemptName, Bucket, BucketError, Look, RemoteSource};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::follow::{FollowEnded, Followed, FollowedPiece};
pub(crate) use self::publish::{Claim, CompleteText, Publisher};
pub(crate) use self::watch::BucketWatch;
use crate::SharingConfig;

/// How long a load waits for the bucket before it goes on alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a claim may be lost to others before the load goes on alone.
const MOST_CLAIMS: u32 = 8;

/// How many parts are sent at a time, of at most 8 MiB each.
const UPLOADS: usize = 2;

/// How many downloads are put into order at a time before they are taken in.
const SORTED_AT_A_TIME: usize = 4;

/// How many attempts are avoided; more than these are met again sometimes.
const MOST_AVOIDED: usize = 10_000;

/// For how long what the bucket does not give is not asked for again.
const AVOIDED_FOR: Duration = Duration::from_secs(5 * 60);

/// Why an attempt is avoided.
#[derive(Clone, Copy)]
enum Avoided {
    Dead,
    Damaged,
    Until(Instant),
}

/// The bucket, and how it is shared. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sharing {
    pub(crate) bucket: Bucket,
    pub(crate) config: Arc<SharingConfig>,
    /// How long an attempt that is followed may have nothing new.
    pub(crate) silence: Duration,
    /// Attempts that this replica does not follow, or does not read either.
    avoided: Arc<Mutex<HashMap<AttemptName, Avoided>>>,
    /// Turns to send a part: each takes memory.
    uploads: Arc<Semaphore>,
    /// When a part, of any load, was last written.
    uploaded_at: Arc<Mutex<Instant>>,
    /// Turns to clear away what others left.
    tidying: Arc<Semaphore>,
    /// Permits to put a download into order before it is taken in: each takes memory.
    pub(crate) sorting: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Those whose sources are complete here and not yet there.
    completing: TaskTracker,
    /// Cancelled when the engine shuts down.
    stopping: CancellationToken,
}

/// Where a load's data comes from.
pub(crate) enum Role {
    /// From the data backend. What is loaded is published.
    Leads(Claim),
    /// From the parts that another replica writes.
    Follows(AttemptName),
}

impl Role {
    /// Its name in metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Role::Leads(_) => "leads",
            Role::Follows(_) => "follows",
        }
    }
}

/// What there was for a load.
pub(crate) enum Joined {
    /// The source is complete.
    Complete(RemoteSource),
    /// It has to be loaded.
    Load(Role),
}

impl Joined {
    /// Where the source was found, as metrics tell it.
    pub(crate) fn found(&self) -> &'static str {
        match self {
            Joined::Complete(_) => "bucket",
            Joined::Load(Role::Follows(_)) => "followed",
            Joined::Load(Role::Leads(_)) => "nowhere",
        }
    }
}

impl Sharing {
    pub(crate) fn new(
        bucket: Bucket,
        config: SharingConfig,
        silence: Duration,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Sharing {
        Sharing {
            bucket,
            config: Arc::new(config),
            silence,
            avoided: Arc::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            uploaded_at: Arc::new(Mutex::new(Instant::now())),
            tidying: Arc::new(Semaphore::new(1)),
            sorting: Arc::new(Semaphore::new(SORTED_AT_A_TIME)),
            tasks,
            completing: TaskTracker::new(),
            stopping,
        }
    }

    /// Resolves when every source that is complete here is in the bucket, or was given up.
    pub(crate) async fn published(&self) {
        self.completing.close();
        self.completing.wait().await;
    }

    /// This replica does not follow the attempt any more: it is dead, or given up. Complete, it is
    /// as good as any.
    pub(crate) fn avoid_dead(&self, attempt: &AttemptName) {
        self.avoid_as(attempt, Avoided::Dead);
    }

    /// This replica neither follows nor reads the attempt any more: it is not whole.
    pub(crate) fn avoid(&self, attempt: &AttemptName) {
        self.avoid_as(attempt, Avoided::Damaged);
    }

    /// This replica does not read the attempt for a while: the bucket does not give it.
    pub(crate) fn avoid_for_now(&self, attempt: &AttemptName) {
        self.avoid_as(attempt, Avoided::Until(Instant::now() + AVOIDED_FOR));
    }

    fn avoid_as(&self, attempt: &AttemptName, why: Avoided) {
        let mut avoided = self.avoided.lock();
        if avoided.len() >= MOST_AVOIDED {
            avoided.clear();
        }
        avoided.insert(attempt.clone(), why);
    }

    /// The source, if it is complete in the bucket. That the bucket cannot tell is a miss.
    pub(crate) async fn find_complete(&self, key: &SourceKey) -> Option<RemoteSource> {
        match self.look(key).await {
            Ok(Some(Look::Complete(found))) => Some(*found),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "cannot look into the bucket");
                None
            }
        }
    }

    /// What a version of a virtual file consists of.
    pub(crate) async fn file_contents(&self, version: &str) -> Result<Option<Bytes>, BucketError> {
        in_time("look for a file", self.bucket.file_contents(version)).await
    }

    /// Writes down what a version of a virtual file consists of.
    pub(crate) async fn put_file_contents(
        &self,
        version: &str,
        text: Bytes,
    ) -> Result<(), BucketError> {
        in_time("describe a file", self.bucket.put_file_contents(version, text)).await
    }

    /// Finds out who loads the source; if nobody does, this replica from now on.
    pub(crate) async fn join(&self, key: &SourceKey) -> Joined {
        match self.try_join(key).await {
            Ok(joined) => joined,
            Err(error) => {
                tracing::warn!(%error, "a source is loaded without the bucket");
                Joined::Load(Role::Leads(Claim::Later))
            }
        }
    }

    async fn try_join(&self, key: &SourceKey) -> Result<Joined, BucketError> {
        for _ in 0..MOST_CLAIMS {
            let epoch = match self.look(key).await? {
                Some(Look::Complete(found)) => return Ok(Joined::Complete(*found)),
                Some(Look::Claimed(attempt)) => return Ok(Joined::Load(Role::Follows(attempt))),
                Some(Look::Free { epoch }) => epoch,
                Some(Look::Foreign) | None => break,
            };
            if let Some(claim) = self.claim(self.bucket.new_attempt(key, epoch)).await {
                return Ok(Joined::Load(Role::Leads(claim)));
            }
        }
        Ok(Joined::Load(Role::Leads(Claim::Later)))
    }

    /// After the attempt that was followed has died: finds out who has succeeded it, or claims the
    /// next epoch. A source that is complete meanwhile is followed to its end, as a load has begun.
    pub(crate) async fn succeed(&self, dead: &AttemptName) -> Role {
        self.avoid_dead(dead);
        match self.join(&dead.key).await {
            // That one is complete, and its `running.json` does not say so.
            Joined::Complete(found) if found.parts.attempt() == dead => Role::Leads(Claim::Later),
            Joined::Complete(found) => Role::Follows(found.parts.attempt().clone()),
            Joined::Load(role) => role,
        }
    }

    /// What there is of a source; `None` where there is a complete one that is not to be read, beside
    /// which nothing can be completed.
    async fn look(&self, key: &SourceKey) -> Result<Option<Look>, BucketError> {
        let look = in_time("look for a source", self.bucket.look(key)).await?;
        Ok(match look {
            Look::Complete(found) => {
                if !found.is_tidy {
                    self.tidy(found.parts.attempt());
                }
                let is_readable = match self.avoided(found.parts.attempt()) {
                    None | Some(Avoided::Dead) => true,
                    Some(Avoided::Damaged) => false,
                    Some(Avoided::Until(end)) => Instant::now() >= end,
                };
                is_readable.then_some(Look::Complete(found))
            }
            // What is left of it is in nobody's way.
            Look::Claimed(attempt) if self.avoided(&attempt).is_some() => {
                Some(Look::Free { epoch: attempt.epoch.saturating_add(1) })
            }
            Look::Foreign => None,
            look => Some(look),
        })
    }

    fn avoided(&self, attempt: &AttemptName) -> Option<Avoided> {
        self.avoided.lock().get(attempt).copied()
    }

    /// Takes back a claim that is not used after all.
    pub(crate) fn release(&self, claim: Claim) {
        let (Claim::Sure(attempt) | Claim::Perhaps(attempt)) = claim else { return };
        let sharing = self.clone();
        self.tasks.spawn(async move {
            let _ = in_time("release a source", sharing.bucket.give_up(&attempt)).await;
        });
    }

    /// Whoever completed the attempt did not get round to removing what it supersedes.
    fn tidy(&self, complete: &AttemptName) {
        // Whoever comes next finds it too.
        let Ok(turn) = self.tidying.clone().try_acquire_owned() else { return };
        let (sharing, complete) = (self.clone(), complete.clone());
        self.tasks.spawn(async move {
            sharing.supersede(&complete).await;
            drop(turn);
        });
    }

    /// Removes what a complete attempt supersedes. What stays is removed by whoever finds it.
    async fn supersede(&self, complete: &AttemptName) {
        let removed = tokio::select! {
            removed = self.bucket.supersede(complete) => removed,
            () = self.stopping.cancelled() => return,
        };
        if let Err(error) = removed {
            tracing::debug!(attempt = %complete, %error, "what the attempt supersedes stays for now");
        }
    }

    /// A claim that the bucket did not answer may be one: nobody else writes under its name.
    async fn claim(&self, attempt: AttemptName) -> Option<Claim> {
        match in_time("claim a source", self.bucket.claim(&attempt)).await {
            Ok(true) => Some(Claim::Sure(attempt)),
            Ok(false) => None,
            Err(error) => {
                tracing::debug!(%attempt, %error, "cannot tell whether a source is claimed");
                Some(Claim::Perhaps(attempt))
            }
        }
    }
}

async fn in_time<T>(
    action: &'static str,
    asked: impl Future<Output = Result<T, BucketError>>,
) -> Result<T, BucketError> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| Err(BucketError::timed_out(action, PATIENCE)))
}

/// Runs something, and warns when it takes longer than it should: once, while it does.
async fn noticing_slowness<T>(after: Duration, what: &str, action: impl Future<Output = T>) -> T {
    tokio::pin!(action);
    tokio::select! {
        done = &mut action => return done,
        () = tokio::time::sleep(after) => {}
    }
    tracing::warn!(what, threshold_ms = after.as_millis(), "the bucket is slow");
    action.await
}
