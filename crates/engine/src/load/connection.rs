//! One connection of a load: bytes in, until they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use rdl_fetch::FetchError;
use rdl_mcap_io::IntakeError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::body::{Asked, Body, BodyError};
use super::turn::Turn;
use super::work::{LoadFault, LoadWork, Outcome};
use super::{pace, room};
use crate::EngineError;
use crate::cpu::Urgency;
use crate::shared::Shared;
use crate::sharing::{Claim, FollowEnded};
use crate::source::Source;
use crate::viewers::Crowd;

/// The first early flush, so that whoever follows starts soon, and the later ones.
const FIRST_FLUSH: Duration = Duration::from_millis(250);
const LATER_FLUSHES: Duration = Duration::from_secs(1);

/// How long a download waits for its turn to be put into order.
const SORTING_WAITS: Duration = Duration::from_secs(10);

/// How a connection ended.
pub(super) enum Ended {
    /// The body is whole and stored.
    Complete,
    /// It broke; asking again may help.
    Broken(Arc<str>),
    /// The token that was used is refused.
    Refused(EngineError),
    /// The body is not the one that was begun.
    Differs,
    /// Asking again cannot help.
    Failed(EngineError),
    /// Nobody waits for the source any more.
    Unwanted,
    /// The replica that was followed gives nothing any more: somebody has to take over.
    LeaderGone,
    /// The replica that is followed lives, and has nothing new.
    LeaderSilent,
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// What outlives a single connection: how far the body got, and who waits.
pub(super) struct Connection<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) source: &'a Arc<Source>,
    crowd: watch::Receiver<Crowd>,
    furthest_bytes: u64,
    /// Whether what was asked last was another replica's attempt.
    followed: bool,
    /// Whether what was taken so far has another order than the data endpoint's body: then that is
    /// sorted before it is taken.
    is_mended: bool,
    /// For how long it has waited for room on the disk or for memory, and not for the source.
    held_up: Duration,
}

impl<'a> Connection<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, source: &'a Arc<Source>) -> Self {
        let crowd = source.viewers.crowd();
        Connection {
            shared,
            source,
            crowd,
            furthest_bytes: 0,
            followed: false,
            is_mended: false,
            held_up: Duration::ZERO,
        }
    }

    /// The furthest point of the body that any connection reached.
    pub(super) fn furthest_bytes(&self) -> u64 {
        self.furthest_bytes
    }

    /// For how long the load itself has kept the source waiting since this was last asked.
    pub(super) fn take_held_up(&mut self) -> Duration {
        std::mem::take(&mut self.held_up)
    }

    /// Resolves with `true` when there was no viewer for the linger time, here or at other replicas,
    /// with `false` as soon as there is one here. A process that drains waits for none.
    pub(super) async fn nobody_comes(&mut self, work: &mut Option<LoadWork>) -> bool {
        loop {
            let linger = self.linger(work.as_ref());
            let draining = self.shared.draining.clone();
            let somebody = self.crowd.wait_for(|crowd| crowd.viewers > 0);
            tokio::select! {
                biased;
                waited = tokio::time::timeout(linger, somebody) => {
                    if waited.is_ok() {
                        return false;
                    }
                }
                () = draining.cancelled() => {}
            }
            if !self.is_read_elsewhere(work.as_ref()) {
                return true;
            }
        }
    }

    /// Whether somebody follows who cannot take over yet.
    fn is_read_elsewhere(&self, work: Option<&LoadWork>) -> bool {
        !self.shared.draining.is_cancelled() && work.is_some_and(LoadWork::is_followed)
    }

    /// For how long it goes on without a viewer. Followers say that they are there only now and
    /// then.
    fn linger(&self, work: Option<&LoadWork>) -> Duration {
        if self.shared.draining.is_cancelled() {
            return Duration::ZERO;
        }
        let followers = work.map_or(Duration::ZERO, LoadWork::followers_linger);
        self.shared.config.load_linger.max(followers)
    }

    /// Asks once and takes what comes, until that ends in one way or the other. `work` is `None`
    /// afterwards only when the body is complete, or its thread died.
    pub(super) async fn run(&mut self, asked: Asked<'_>, work: &mut Option<LoadWork>) -> Ended {
        let follows = matches!(asked, Asked::Attempt(..));
        if std::mem::replace(&mut self.followed, follows) != follows {
            // The same messages take another number of bytes there.
            self.furthest_bytes = 0;
        }
        match self.take_body(asked, work).await {
            Ok(never) => match never {},
            // What cannot be taken in says something of the copy, and not of the source.
            Err(Ended::Broken(_) | Ended::Failed(EngineError::Data { .. })) if follows => {
                Ended::LeaderGone
            }
            Err(ended) => ended,
        }
    }

    async fn take_body(
        &mut self,
        asked: Asked<'_>,
        work: &mut Option<LoadWork>,
    ) -> Result<Infallible, Ended> {
        let shared = self.shared.clone();
        let silence = shared.config.source_silence;
        let asked = self.sorted_if_mended(asked).await;
        let body = Body::open(&shared.http, asked).await;
        let mut body = body.map_err(|error| self.fetch_failed(error))?;
        let mut ticks = interval_at(Instant::now() + FIRST_FLUSH, LATER_FLUSHES);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut here_bytes = 0;
        let mut crowd = self.crowd.clone();
        let mut loneliness = Loneliness::default();
        let batch_bytes = room::batch_bytes(&shared);
        let buffer_bytes = work.as_ref().map_or(0, LoadWork::buffer_bytes);
        let mut turn = Turn::new(shared.memory.ingest(), buffer_bytes);
        loop {
            loneliness.look(&crowd.borrow_and_update());
            if loneliness.lasts(self.linger(work.as_ref())) {
                if !self.is_read_elsewhere(work.as_ref()) {
                    return Err(Ended::Unwanted);
                }
                loneliness = Loneliness::default();
                continue;
            }
            if room::has_to_wait(&shared, self.source, work.as_ref()) {
                self.shed(work, &mut turn).await?;
                body.pause();
                let start = Instant::now();
                room::wait_for_share(self, work).await?;
                self.held_up += start.elapsed();
                continue;
            }
            let give_up = loneliness.since.map(|since| since + self.linger(work.as_ref()));
            let piece = tokio::select! {
                biased;
                _ = crowd.changed() => continue,
                () = sleep_until(give_up) => continue,
                () = shared.draining.cancelled(), if loneliness.since.is_some() => continue,
                _ = ticks.tick() => {
                    self.with(work, &mut turn, LoadWork::flush_early).await?;
                    continue;
                }
                () = turn.over() => {
                    self.shed(work, &mut turn).await?;
                    continue;
                }
                piece = body.next(silence) => piece,
            };
            if body.is_mended() {
                self.is_mended = true;
                if let Some(work) = work {
                    work.takes_mended();
                }
            }
            let Some(bytes) = piece.map_err(|error| self.body_failed(error))? else {
                return Err(self.body_ended(&mut body, work, &mut turn).await);
            };
            if !turn.covers(incoming_bytes(work)) {
                let start = Instant::now();
                turn.take(incoming_bytes(work)).await;
                self.held_up += start.elapsed();
            }
            let (batch, last) = gather(bytes, &mut body, silence, batch_bytes);
            here_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            self.furthest_bytes = self.furthest_bytes.max(here_bytes);
            let held = work.as_mut().ok_or(EngineError::TaskDied)?;
            if held.hold(batch, batch_bytes) {
                if let Some(due) = held.next_is_due_after() {
                    let (start, readers) = (Instant::now(), held.readers());
                    pace::give_way(&shared.open_chunks, due, &readers, &turn).await;
                    self.held_up += start.elapsed();
                }
                self.with(work, &mut turn, LoadWork::take).await?;
                if body.take_part_end() {
                    // In order already, and as late as its viewers should notice.
                    self.with(work, &mut turn, LoadWork::let_go).await?;
                }
            }
            match last {
                None => {}
                Some(Err(error)) => return Err(self.body_failed(error)),
                Some(Ok(())) => return Err(self.body_ended(&mut body, work, &mut turn).await),
            }
            if !turn.covers(incoming_bytes(work)) {
                self.shed(work, &mut turn).await?;
                let start = Instant::now();
                turn.take(incoming_bytes(work)).await;
                self.held_up += start.elapsed();
            }
            turn.settle(memory_bytes(work));
            body.pause();
        }
    }

    /// What continues a body that another replica has put into order has to be put into order too.
    /// Where too many are for too long, it begins again.
    async fn sorted_if_mended<'b>(&self, asked: Asked<'b>) -> Asked<'b> {
        let (true, Asked::Backend(viewer, access), Some(sharing)) =
            (self.is_mended, &asked, &self.shared.sharing)
        else {
            return asked;
        };
        let permit = sharing.sorting.clone().acquire_owned();
        match tokio::time::timeout(SORTING_WAITS, permit).await {
            Ok(Ok(permit)) => Asked::BackendSorted(self.shared.clone(), viewer, access, permit),
            _ => asked,
        }
    }

    /// Gives back the turn and all memory but the allowance, and what found no room on the disk.
    async fn shed(
        &mut self,
        work: &mut Option<LoadWork>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.with(work, turn, LoadWork::shed).await?;
        turn.shrink(memory_bytes(work));
        Ok(())
    }

    async fn body_ended(
        &mut self,
        body: &mut Body,
        work: &mut Option<LoadWork>,
        turn: &mut Turn<'_>,
    ) -> Ended {
        if let Some(work) = work {
            work.adopt_problems(body.take_problems());
        }
        for action in [LoadWork::go_on, LoadWork::finish] {
            if let Err(ended) = self.with(work, turn, action).await {
                return ended;
            }
        }
        let Some(mut taken) = work.take() else { return EngineError::TaskDied.into() };
        if let (Some(attempt), Some(sharing)) = (body.followed(), &self.shared.sharing) {
            taken.publish_to(sharing, attempt.key, Claim::After(attempt.clone()));
        }
        match self.shared.cpu.run(urgency(&taken), move || taken.complete()).await {
            Ok(()) => Ended::Complete,
            Err(error) => error.into(),
        }
    }

    /// Runs `action` on a blocking thread, and goes on with what it leaves over as soon as there
    /// is room on the disk, or memory.
    async fn with(
        &mut self,
        work: &mut Option<LoadWork>,
        turn: &mut Turn<'_>,
        action: impl FnOnce(&mut LoadWork) -> Result<Outcome, LoadFault> + Send + 'static,
    ) -> Result<(), Ended> {
        let mut outcome = self.once(work, action).await?;
        let mut waiting = room::Waiting::new();
        loop {
            let start = Instant::now();
            outcome = match outcome {
                Outcome::Done => return Ok(()),
                Outcome::NoRoom { bytes } => {
                    turn.shrink(memory_bytes(work));
                    waiting.for_room(self, work, bytes).await?;
                    self.held_up += start.elapsed();
                    self.once(work, LoadWork::go_on).await?
                }
                Outcome::NoMemory { bytes } => {
                    if !turn.covers(bytes) {
                        // What finds no room is held on to.
                        self.once(work, LoadWork::shed).await?;
                        turn.take(bytes).await;
                        self.held_up += start.elapsed();
                    }
                    self.go_on_with(work, bytes).await?
                }
            };
        }
    }

    /// Goes on with a large record that may take this much memory.
    async fn go_on_with(&self, work: &mut Option<LoadWork>, bytes: u64) -> Result<Outcome, Ended> {
        let go_on = move |work: &mut LoadWork| {
            work.grant(bytes);
            let outcome = work.go_on();
            work.grant(0);
            outcome
        };
        self.once(work, go_on).await
    }

    /// Runs `action` on a blocking thread.
    pub(super) async fn once<T: Send + 'static>(
        &self,
        work: &mut Option<LoadWork>,
        action: impl FnOnce(&mut LoadWork) -> Result<T, LoadFault> + Send + 'static,
    ) -> Result<T, Ended> {
        let mut taken = work.take().ok_or(EngineError::TaskDied)?;
        let (taken, result) = self
            .shared
            .cpu
            .run(urgency(&taken), move || {
                let result = action(&mut taken);
                (taken, result)
            })
            .await?;
        *work = Some(taken);
        result.map_err(|fault| self.fault(fault))
    }

    fn body_failed(&self, error: BodyError) -> Ended {
        let source_name = self.source.name.clone();
        match error {
            BodyError::Fetch(error) => self.fetch_failed(error),
            BodyError::Data(error) => self.fault(error.into()),
            BodyError::Engine(error) => Ended::Failed(error),
            BodyError::Follow(FollowEnded::Dead) => Ended::LeaderGone,
            BodyError::Follow(FollowEnded::Away(what)) => {
                tracing::warn!(source = %source_name, what, "the bucket cannot be reached; loading without it");
                Ended::LeaderSilent
            }
            BodyError::Follow(FollowEnded::Silent) => {
                tracing::warn!(source = %source_name, "the replica that loads a source has had nothing new for too long; loading without it");
                Ended::LeaderSilent
            }
        }
    }

    fn fetch_failed(&self, error: FetchError) -> Ended {
        let source_name = self.source.name.clone();
        if error.is_retryable() && !error.is_timeout() {
            return Ended::Broken(error.to_string().into());
        }
        let refused = error.is_refusal();
        let error = EngineError::Fetch { source_name, error: Arc::new(error) };
        if refused { Ended::Refused(error) } else { Ended::Failed(error) }
    }

    fn fault(&self, fault: LoadFault) -> Ended {
        match fault {
            LoadFault::Engine(error) => Ended::Failed(error),
            LoadFault::Data(IntakeError::NotRepeatable) => Ended::Differs,
            LoadFault::Data(error) if error.is_retryable() => {
                Ended::Broken(error.to_string().into())
            }
            LoadFault::Data(error) => Ended::Failed(EngineError::Data {
                source_name: self.source.name.clone(),
                error: Arc::new(error),
            }),
        }
    }
}

/// Since when nobody watches a load here.
#[derive(Default)]
struct Loneliness {
    since: Option<Instant>,
}

impl Loneliness {
    fn look(&mut self, crowd: &Crowd) {
        self.since = match crowd.viewers {
            0 => self.since.or(Some(Instant::now())),
            _ => None,
        };
    }

    fn lasts(&self, linger: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= linger)
    }
}

fn urgency(work: &LoadWork) -> Urgency {
    if work.is_waited_for() { Urgency::Now } else { Urgency::Later }
}

/// What the load holds in memory.
fn memory_bytes(work: &Option<LoadWork>) -> u64 {
    work.as_ref().map_or(0, LoadWork::memory_bytes)
}

/// What the record that is arriving will take in memory.
fn incoming_bytes(work: &mut Option<LoadWork>) -> u64 {
    work.as_mut().map_or(0, LoadWork::incoming_bytes)
}

/// Takes what has already arrived as well, up to a batch. The second value tells how the body
/// ended, if it did.
fn gather(
    first: Bytes,
    body: &mut Body,
    silence: Duration,
    batch_bytes: usize,
) -> (Vec<Bytes>, Option<Result<(), BodyError>>) {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < batch_bytes {
        match body.next(silence).now_or_never() {
            None => break,
            Some(Ok(Some(piece))) => {
                bytes += piece.len();
                batch.push(piece);
            }
            Some(Ok(None)) => return (batch, Some(Ok(()))),
            Some(Err(error)) => return (batch, Some(Err(error))),
        }
    }
    (batch, None)
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
