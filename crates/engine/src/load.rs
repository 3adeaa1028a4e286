//! Loading a source: one download, verified, re-chunked and stored, however many wait for it.
//!
//! [`run`] owns the download from its first request to the last byte, over every broken
//! connection. [`work::LoadWork`] is the part that burns CPU and writes files; it is handed to a
//! blocking thread with the bytes that came in and handed back. The load outlives its last viewer
//! by the linger time.
//!
//! Invariants: the generation is complete only after the last byte was verified and stored; what
//! was published is never taken back within a generation; a body that differs gets a new one.

mod arrived;
mod body;
mod connection;
mod pace;
mod published;
mod room;
mod sorted;
mod spool;
mod turn;
mod work;

use std::sync::Arc;
use std::time::Duration;

use rdl_metrics::{Held, table};
use rdl_model::{Nanos, SourceKey};
use rdl_store::RemoteSource;
use tokio::time::Instant;

use self::body::Asked;
use self::connection::{Connection, Ended};
use self::work::LoadWork;
use crate::EngineError;
use crate::shared::Shared;
use crate::sharing::{Claim, Joined, Role, Sharing};
use crate::source::{Generation, Source};

/// A source whose body differs this often from the one before it has failed. What differs is
/// noticed while it is skipped, so it is asked for again and taken from its first message.
pub(crate) const DIFFERENCES: u32 = 2;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How a body is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadMode {
    /// A static file: what ends early is a truncated file, whose intact part counts. A streamed
    /// body that ends early is a broken connection.
    pub(crate) truncated_is_final: bool,
    /// What the result is stored under.
    pub(crate) key: SourceKey,
    /// Whether the result may outlive the process.
    pub(crate) keep: bool,
    /// The declared start: nothing is expected before it.
    pub(crate) start: Nanos,
}

/// Loads `source` into `generation`, which the caller has marked as loading. Ends when the source
/// is complete, has failed, or nobody wants it any more.
pub(crate) async fn run(
    shared: Arc<Shared>,
    source: Arc<Source>,
    generation: Arc<Generation>,
    mode: LoadMode,
) {
    let stopping = shared.stopping.clone();
    let load = Load { shared, source: source.clone(), generation, mode };
    tokio::select! {
        () = load.run() => {}
        () = stopping.cancelled() => {
            let current = source.current();
            source.supersede(&current, EngineError::ShuttingDown);
            table::LOADS.count(["stopped"]);
        }
    }
}

struct Load {
    shared: Arc<Shared>,
    source: Arc<Source>,
    generation: Arc<Generation>,
    mode: LoadMode,
}

impl Load {
    async fn run(mut self) {
        match self.find_stored().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => return self.fail(error),
        }
        let Some(_place) = self.shared.queue.admit(&self.source.viewers).await else {
            table::LOADS.count(["stopped"]);
            self.leave();
            return;
        };
        let mut differences = 0;
        loop {
            let joined = self.join().await;
            table::SOURCE_LOOKUPS.count([joined.found()]);
            let role = match joined {
                Joined::Load(role) => role,
                Joined::Complete(found) => return self.fill_from_bucket(found),
            };
            match self.one_body(role).await {
                Ok(BodyEnded::Complete) => {
                    table::LOADS.count(["complete"]);
                    for problem in &self.generation.state().problems {
                        table::PROBLEMS.add(problem.count, [problem.code.as_str()]);
                    }
                    return;
                }
                Ok(BodyEnded::Unwanted) => {
                    table::LOADS.count(["stopped"]);
                    tracing::info!(source = %self.source.name, "nobody waits for this source any more; its load stops");
                    self.leave();
                    return;
                }
                Ok(BodyEnded::Refused) => {
                    table::LOADS.count(["refused"]);
                    self.leave();
                    return;
                }
                Ok(BodyEnded::Differs) if differences + 1 < DIFFERENCES => {
                    differences += 1;
                    tracing::warn!(source = %self.source.name, "the data endpoint gave different data this time; starting over");
                    let changed = EngineError::Changed { source_name: self.source.name.clone() };
                    self.generation =
                        self.source.start_over(&self.generation, self.mode.start, changed);
                    if !self.source.is_current(&self.generation) {
                        return;
                    }
                }
                Ok(BodyEnded::Differs) => {
                    let source_name = self.source.name.clone();
                    return self.fail(EngineError::NotRepeatable { source_name });
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Leaves an empty generation behind; whoever has read of the old one cannot go on.
    fn leave(&self) {
        let changed = EngineError::Changed { source_name: self.source.name.clone() };
        self.source.supersede(&self.generation, changed);
    }

    fn fail(&self, error: EngineError) {
        tracing::warn!(source = %self.source.name, %error, "a source failed");
        table::LOADS.count(["failed"]);
        self.generation.fail(error);
    }

    /// Whether an earlier load left the source complete.
    async fn find_stored(&self) -> Result<bool, EngineError> {
        if !self.mode.keep {
            return Ok(false);
        }
        let key = self.mode.key;
        let found = self.shared.store(move |store| store.find(&key)).await?;
        if let Some(found) = found {
            table::SOURCE_LOOKUPS.count(["disk"]);
            self.generation.fill(found.index, found.files);
            return Ok(true);
        }
        let Some(sharing) = &self.shared.sharing else { return Ok(false) };
        let Some(found) = sharing.find_complete(&key).await else { return Ok(false) };
        table::SOURCE_LOOKUPS.count(["bucket"]);
        self.fill_from_bucket(found);
        Ok(true)
    }

    fn fill_from_bucket(&self, found: RemoteSource) {
        if let Some(sharing) = &self.shared.sharing {
            let limits = self.shared.config.limits();
            self.generation.fill_from_bucket(found, sharing, limits, true);
        }
    }

    /// The bucket, if the result is to go there.
    fn sharing(&self) -> Option<&Sharing> {
        self.shared.sharing.as_ref().filter(|_| self.mode.keep)
    }

    /// Where the data comes from. Without a bucket, from the data backend.
    async fn join(&self) -> Joined {
        match self.sharing() {
            Some(sharing) => sharing.join(&self.mode.key).await,
            None => Joined::Load(Role::Leads(Claim::Later)),
        }
    }

    /// Has what `work` loads published, if it is this replica's to load.
    fn publish(&self, role: &mut Role, work: &mut LoadWork) {
        let (Some(sharing), Role::Leads(claim)) = (self.sharing(), role) else { return };
        if !work.is_published() {
            work.publish_to(sharing, self.mode.key, std::mem::replace(claim, Claim::Later));
        }
    }

    /// Takes one body to its end, over broken connections, and over replicas that die while they
    /// are followed.
    async fn one_body(&self, mut role: Role) -> Result<BodyEnded, EngineError> {
        let begun = LoadWork::begin(&self.shared, &self.source, &self.generation, self.mode).await;
        if let (Err(_), Role::Leads(claim), Some(sharing)) = (&begun, &mut role, self.sharing()) {
            sharing.release(std::mem::replace(claim, Claim::Later));
        }
        let mut work = Some(begun?);
        let mut running = table::LOADS_RUNNING.hold([role.as_str()]);
        let mut connection = Connection::new(&self.shared, &self.source);
        let mut backoff = FIRST_BACKOFF;
        let mut last_progress = Instant::now();
        loop {
            if let Some(work) = &mut work {
                self.publish(&mut role, work);
            }
            let viewer = self.source.viewers.pick();
            let asked = match (&role, &viewer, self.sharing()) {
                (Role::Follows(attempt), _, Some(sharing)) => {
                    Some(Ok(Asked::Attempt(sharing, attempt.clone())))
                }
                (_, Some(viewer), _) => Some(Err(viewer)),
                (_, None, _) => None,
            };
            let Some(asked) = asked else {
                // Everyone was refused, or nobody is left: wait for somebody new, or give up.
                if self.source.viewers.crowd_now().viewers > 0 {
                    return Ok(BodyEnded::Refused);
                }
                if connection.nobody_comes(&mut work).await {
                    return Ok(BodyEnded::Unwanted);
                }
                // That nobody was there does not count as silence.
                last_progress = Instant::now();
                backoff = FIRST_BACKOFF;
                continue;
            };
            let furthest = connection.furthest_bytes();
            let ended = match asked {
                Ok(attempt) => connection.run(attempt, &mut work).await,
                Err((access, viewer)) => {
                    connection.run(Asked::Backend(viewer, access), &mut work).await
                }
            };
            // A backend may well hang up on a load that keeps it waiting: that is not silence.
            last_progress += connection.take_held_up();
            if connection.furthest_bytes() > furthest {
                last_progress = Instant::now();
                backoff = FIRST_BACKOFF;
            }
            match ended {
                Ended::Complete => return Ok(BodyEnded::Complete),
                Ended::Unwanted => return Ok(BodyEnded::Unwanted),
                Ended::Differs => return Ok(BodyEnded::Differs),
                Ended::Failed(error) => return Err(error),
                Ended::Refused(error) => {
                    if let Some((access, viewer)) = &viewer {
                        viewer.renew(access, &error).await;
                    }
                }
                Ended::LeaderSilent => {
                    // Perhaps the data backend has something for us; else its silence counts.
                    role = Role::Leads(Claim::Later);
                    goes_on_as(&role, &mut running);
                    last_progress = Instant::now();
                }
                Ended::LeaderGone => {
                    if let (Role::Follows(attempt), Some(sharing)) = (&role, self.sharing()) {
                        tracing::info!(source = %self.source.name, %attempt, "the replica that loaded a source gives nothing any more");
                        role = sharing.succeed(attempt).await;
                        goes_on_as(&role, &mut running);
                    }
                    last_progress = Instant::now();
                }
                Ended::Broken(last) => {
                    if last_progress.elapsed() >= self.shared.config.source_silence {
                        let source_name = self.source.name.clone();
                        return Err(EngineError::KeepsBreaking { source_name, last });
                    }
                    tracing::debug!(source = %self.source.name, %last, "the connection broke; asking again");
                    table::BACKEND_RETRIES.count(["body"]);
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
            if let Some(work) = &mut work {
                work.restart();
            }
        }
    }
}

/// What was followed so far gives nothing any more.
fn goes_on_as(role: &Role, running: &mut Held) {
    if matches!(role, Role::Leads(_)) {
        table::LOADS_TAKEN_OVER.one();
    }
    *running = table::LOADS_RUNNING.hold([role.as_str()]);
}

enum BodyEnded {
    Complete,
    /// Nobody waits for it any more.
    Unwanted,
    /// Every viewer's own token was refused; each of them knows.
    Refused,
    /// This body is not the one that was begun.
    Differs,
}
