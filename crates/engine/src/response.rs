//! Answering a query: from the sources of a recording to the bytes of one MCAP stream.
//!
//! [`start`] spawns a task that owns the answer. The task waits (for sources to open, to load
//! further, for chunks to be fetched, for the viewer to take what is ready); everything that burns
//! CPU or reads files is in [`work::Work`], which it hands to a blocking thread and gets back.
//! [`participant::Participant`] is one source as this answer sees it.
//!
//! What it holds in memory was reserved whole before it began ([`crate::memory`]): the chunk that
//! is written, what is ready, what is on its way ([`pieces::Outlet`]), and windows on spilled
//! chunks. Under [`crate::pressure`] it lets go of the sources that it is done with.
//!
//! Invariants: nothing leaves before the first message, or its absence, is known; an answer that
//! cannot be finished ends with an error, never cleanly; a viewer that goes away stops the task at
//! the next thing it waits for.

mod answer;
mod closing;
mod explained;
mod lookback;
mod participant;
mod pieces;
mod upcoming;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdl_mcap_io::MetadataRecord;
use rdl_merge::Query;
use rdl_model::Nanos;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::Instrument as _;

pub(crate) use self::answer::Answer;
pub use self::answer::ResponseStream;
use self::closing::Missing;
use self::explained::Stages;
pub use self::explained::{ExplainedSource, Explanation, Reads, SourceUse, Stage, Tier};
use self::participant::{Participant, Synced};
use self::pieces::{Outlet, Unread, WINDOW_SLICES};
use self::upcoming::UpcomingChunks;
use self::work::{Need, Work};
use crate::EngineError;
use crate::cpu::Urgency;
use crate::memory::Reservation;
use crate::queue::MOST_NEEDED;
use crate::readers::Progress;
use crate::recording::Inner;
use crate::viewers::ViewerId;

/// A source that starts within this much log time of where the response waits is needed too.
const SOON_NANOS: u64 = 1_000_000_000;
/// How many of the sources that come next are looked for in the bucket while others are read.
const SOURCES_AHEAD: usize = 4;
/// How long a viewer waits for a chunk to fill up while a source gives nothing new.
const PATIENCE: Duration = Duration::from_millis(100);

/// Starts to answer; resolves when the first message, or its absence, is known. With `explain` the
/// answer tells at its end what it was made of.
pub(crate) async fn start(
    recording: Arc<Inner>,
    query: Arc<Query>,
    explain: bool,
) -> Result<Answer, EngineError> {
    let reservation = recording.shared.memory.reserve_response().await?;
    let (slices_in, slices) = mpsc::channel(WINDOW_SLICES);
    let (started_in, started) = oneshot::channel();
    let ended: Arc<AtomicBool> = Arc::default();
    let is_late: Arc<AtomicBool> = Arc::default();
    let explained: Arc<OnceLock<Explanation>> = Arc::default();
    let (viewer, progress) = (ViewerId::new(), Arc::<Progress>::default());
    let participants: Vec<Participant> = (0..recording.sources.len())
        .filter_map(|at| Participant::plan(&recording, &query, viewer, &progress, at))
        .collect();
    let answer = Answer {
        slices,
        sources: participants.iter().map(|source| (source.key(), source.name())).collect(),
        ended: ended.clone(),
        is_late: is_late.clone(),
        explained: explained.clone(),
    };
    let tasks = recording.shared.tasks.clone();
    let answering = async move {
        let stopping = recording.shared.stopping.clone();
        let gone = slices_in.clone();
        let share_bytes = usize::try_from(reservation.bytes() / 4).unwrap_or(usize::MAX);
        let outlet = Outlet::new(slices_in, progress.clone(), share_bytes);
        let mut response =
            Response::new(recording, query, reservation, participants, outlet, started_in);
        if let (true, Some(work)) = (explain, &mut response.work) {
            work.note();
        }
        let result = tokio::select! {
            result = response.run() => result,
            () = gone.closed() => return,
            () = progress.is_cut_off() => Err(EngineError::CutOff),
            () = stopping.cancelled() => Err(EngineError::ShuttingDown),
        };
        is_late.store(response.missing.iter().any(Missing::is_late), Ordering::Relaxed);
        if explain {
            let _ = explained.set(response.explain());
        }
        if let Err(error) = result {
            // The viewer may take its time to notice.
            match response.into_outlet() {
                (_, Some(started)) => {
                    let _ = started.send(Err(error));
                }
                (outlet, None) => {
                    tracing::warn!(%error, "a response is aborted");
                    outlet.fail(error).await;
                }
            }
        }
        ended.store(true, Ordering::Relaxed);
    };
    tasks.spawn(answering.instrument(tracing::debug_span!("answer")));
    started.await.unwrap_or(Err(EngineError::TaskDied))?;
    Ok(answer)
}

struct Response {
    recording: Arc<Inner>,
    query: Arc<Query>,
    participants: Vec<Participant>,
    /// `None` while a blocking thread has it.
    work: Option<Work>,
    /// For all that it holds in memory, but for open chunks.
    reservation: Reservation,
    /// Since when it finds no room on the disk.
    no_room_since: Option<Instant>,
    missing: Vec<Missing>,
    /// The metadata records of sources that the response is done with.
    metadata: BTreeSet<MetadataRecord>,
    pressed: watch::Receiver<u64>,
    stages: Stages,
    outlet: Outlet,
    started: Option<oneshot::Sender<Result<(), EngineError>>>,
}

impl Response {
    fn new(
        recording: Arc<Inner>,
        query: Arc<Query>,
        reservation: Reservation,
        participants: Vec<Participant>,
        outlet: Outlet,
        started: oneshot::Sender<Result<(), EngineError>>,
    ) -> Response {
        Response {
            work: Some(Work::new(recording.shared.clone(), query.clone(), reservation.bytes())),
            pressed: recording.shared.pressure.calls(),
            recording,
            query,
            participants,
            reservation,
            no_room_since: None,
            missing: Vec::new(),
            metadata: BTreeSet::new(),
            stages: Stages::new(),
            outlet,
            started: Some(started),
        }
    }

    /// Answers from the first message to the footer.
    async fn run(&mut self) -> Result<(), EngineError> {
        let (stage, span) = self.stages.begin(Stage::Lookback);
        lookback::search(self).instrument(span).await?;
        self.stages.end(&stage);
        self.enter()?;
        loop {
            if self.recording.shared.pressure.is_on() {
                self.let_go()?;
            }
            let (stage, span) = self.stages.begin(Stage::Merge);
            let need = self.with_work(Work::advance).instrument(span).await?;
            self.stages.end(&stage);
            let (stage, span) = self.stages.begin(match &need {
                Need::Send | Need::Turn | Need::End => Stage::Send,
                Need::Chunks { .. } => Stage::Reads,
                Need::Room(_) => Stage::Room,
                Need::Source(_) => Stage::Sources,
            });
            if !self.meet(need).instrument(span).await? {
                break;
            }
            self.stages.end(&stage);
        }
        self.close().await
    }

    /// Does what the work needs; `false` when that is nothing any more.
    async fn meet(&mut self, need: Need) -> Result<bool, EngineError> {
        match need {
            Need::Send => {
                self.read_ahead()?;
                self.send().await?;
            }
            Need::Turn => {}
            Need::Chunks { source, chunks } => {
                self.read(source, &chunks)?;
                self.read_ahead()?;
                self.verify(source, &chunks).await?;
            }
            Need::Room(full) => self.wait_for_room(full).await?,
            Need::Source(source) => self.progress(source).await?,
            Need::End => return Ok(false),
        }
        Ok(true)
    }

    /// Hands the sources to the merge, and lets go of those that were only looked back to: others
    /// may need their room.
    fn enter(&mut self) -> Result<(), EngineError> {
        let times = self.query.merged_times();
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        for participant in &mut self.participants {
            let enters = times.is_some_and(|times| participant.enter(times, work));
            if !enters && !self.query.attachments {
                closing::remember(participant, &self.query, &mut self.metadata, &mut self.missing);
                participant.let_go();
                work.forget_source(participant.at);
            }
        }
        Ok(())
    }

    /// Brings the source on: opens it, or waits until it has something new.
    async fn progress(&mut self, source: u32) -> Result<(), EngineError> {
        let mut patience = Some(Instant::now() + PATIENCE);
        loop {
            let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
            let participant = participant_of(&mut self.participants, source)?;
            participant.need(&self.recording);
            let synced = participant.sync(&self.recording, work);
            self.open_upcoming(source)?;
            match synced {
                Ok(Synced::Changed) => return Ok(()),
                Ok(Synced::Unchanged) => {}
                Err(error) => return self.source_failed(source, error),
            }
            if self.recording.shared.pressure.is_on() {
                self.let_go()?;
            }
            let participant = participant_of(&mut self.participants, source)?;
            let changed = async {
                tokio::select! {
                    () = participant.changed() => {}
                    _ = self.pressed.changed() => {}
                }
            };
            match patience {
                None => changed.await,
                Some(until) => {
                    if tokio::time::timeout_at(until, changed).await.is_err() {
                        // The viewer shall see what there is while this source is slow.
                        patience = None;
                        self.with_work(Work::flush).await?;
                        self.send().await?;
                    }
                }
            }
        }
    }

    /// While `source` holds the response back: opens those that hold it back as well, or soon
    /// will, and some of those that come after them.
    fn open_upcoming(&mut self, source: u32) -> Result<(), EngineError> {
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        let upcoming = work.next_unopened(MOST_NEEDED);
        let held_back_by = participant_of(&mut self.participants, source)?;
        let soon = Nanos(held_back_by.reached().0.saturating_add(SOON_NANOS));
        let mut ahead = self.recording.shared.config.max_concurrent_loads;
        let (times, mut overlap) = (held_back_by.declared_times(), false);
        for source in upcoming {
            let participant = participant_of(&mut self.participants, source)?;
            if participant.starts_by(soon) {
                participant.need(&self.recording);
                if participant.lies_over(times) {
                    participant.take_apart();
                    overlap = true;
                }
                if participant.is_complete() {
                    // What fails here is met again, and dealt with, when the merge reaches it.
                    let _ = participant.sync(&self.recording, work);
                }
            } else if ahead > 0 {
                participant.open(&self.recording);
                ahead -= usize::from(participant.is_loading());
            } else {
                break;
            }
        }
        if overlap {
            participant_of(&mut self.participants, source)?.take_apart();
        }
        Ok(())
    }

    /// Lets go of the sources that the response is done with, and tells the others from which
    /// chunk on it needs them.
    fn let_go(&mut self) -> Result<(), EngineError> {
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        let needed = work.needed_chunks();
        let last = !self.query.attachments;
        for participant in &mut self.participants {
            let needed = needed.get(&participant.at).copied();
            participant.needs_from(needed);
            if last && needed.is_none() && participant.is_used_up() {
                closing::remember(participant, &self.query, &mut self.metadata, &mut self.missing);
                participant.let_go();
                work.forget_source(participant.at);
            }
        }
        Ok(())
    }

    /// Starts to read the first of these chunks, where it lies in the bucket, and what one request
    /// reads with it.
    fn read(&mut self, source: u32, chunks: &[u32]) -> Result<(), EngineError> {
        let shared = &self.recording.shared;
        if shared.sharing.is_some() {
            let first = UpcomingChunks { chunks: chunks.to_vec(), near: 1 };
            participant_of(&mut self.participants, source)?.read_ahead(shared, &first);
        }
        Ok(())
    }

    /// The bucket may be far away: what comes next is on its way while the viewer takes what is
    /// there. On a disk that is too small it would only push out what is needed sooner.
    fn read_ahead(&mut self) -> Result<(), EngineError> {
        let shared = &self.recording.shared;
        if shared.sharing.is_none() || shared.pressure.is_on() {
            return Ok(());
        }
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        let mut upcoming = work.upcoming();
        if !upcoming.is_enough() {
            for source in work.next_unopened(SOURCES_AHEAD) {
                let participant = participant_of(&mut self.participants, source)?;
                participant.open(&self.recording);
                if participant.is_complete() {
                    // What fails here is met again, and dealt with, when the merge reaches it.
                    let _ = participant.sync(&self.recording, work);
                }
            }
            upcoming = work.upcoming();
        }
        for (source, chunks) in upcoming.into_sources() {
            participant_of(&mut self.participants, source)?.read_ahead(shared, &chunks);
        }
        Ok(())
    }

    /// Fetches and verifies chunks of a static source; the first is needed now.
    async fn verify(&mut self, source: u32, chunks: &[u32]) -> Result<(), EngineError> {
        let participant = participant_of(&mut self.participants, source)?;
        // What is lost has to be loaded on somebody's behalf.
        participant.open(&self.recording);
        let fetched = participant.verify(&self.recording.shared, chunks).await;
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        match fetched {
            Ok(()) => {
                self.no_room_since = None;
                participant.replace_claims(work);
                Ok(())
            }
            Err(error) if error.is_full() => self.wait_for_room(error).await,
            Err(error) => self.source_failed(source, error),
        }
    }

    /// Lets go of what it can, and waits a moment before it tries again.
    async fn wait_for_room(&mut self, full: EngineError) -> Result<(), EngineError> {
        // What is ready holds chunks on the disk until it is sent.
        self.with_work(Work::flush).await?;
        self.send().await?;
        self.let_go()?;
        let shared = self.recording.shared.clone();
        let since = *self.no_room_since.get_or_insert_with(Instant::now);
        match shared.pressure.wait_for_room(since, 2 * shared.config.source_silence).await {
            true => Ok(()),
            false => Err(full),
        }
    }

    /// Without `partial` the answer fails with its source.
    fn source_failed(&mut self, source: u32, error: EngineError) -> Result<(), EngineError> {
        // Before anything has left, a source that changed can be served from its beginning.
        let starts_again = matches!(error, EngineError::Changed { .. }) && self.started.is_some();
        if !self.query.partial || starts_again {
            return Err(error);
        }
        let name = participant_of(&mut self.participants, source)?.leave();
        tracing::info!(source = %name, %error, "a response goes on without this source");
        self.missing.push(Missing::source(&name, &error));
        if let Some(work) = &mut self.work {
            work.leave_out(source);
        }
        Ok(())
    }

    /// Everything after the last message.
    async fn close(&mut self) -> Result<(), EngineError> {
        if let Some(why) = self.participants.iter().find_map(Participant::superseded) {
            return Err(why);
        }
        let attachments = closing::attachments(self).await?;
        let metadata = closing::metadata(self);
        self.with_work(move |work| work.finish(&metadata, &attachments)).await?;
        self.send().await
    }

    /// Sends what is ready. From here on the headers may leave, if a message is known.
    async fn send(&mut self) -> Result<(), EngineError> {
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        if !work.may_leave() {
            return Ok(());
        }
        let pieces = work.take_output()?;
        if let Some(started) = self.started.take() {
            self.stages.first_message();
            // A viewer that went away is noticed at the first piece.
            let _ = started.send(Ok(()));
        }
        for piece in pieces {
            if let Err(Unread { chunk, error }) =
                self.outlet.send(&self.recording.shared, piece).await
            {
                let participant = participant_of(&mut self.participants, chunk.source)?;
                let source_name = participant.name();
                let what = error.to_string().into();
                let error = EngineError::StoredChunk { source_name, position: chunk.source, what };
                return Err(self.lost(error).await);
            }
        }
        Ok(())
    }

    /// What was stored of a source cannot be read any more: whoever comes next loads it again.
    /// Before anything has left, this response does.
    async fn lost(&mut self, error: EngineError) -> EngineError {
        let EngineError::StoredChunk { position, source_name, .. } = &error else { return error };
        let Ok(participant) = participant_of(&mut self.participants, *position) else {
            return error;
        };
        tracing::warn!(%error, "a stored source is lost");
        participant.lose(&self.recording.shared).await;
        match self.started {
            Some(_) => EngineError::Changed { source_name: source_name.clone() },
            None => error,
        }
    }

    /// Gives back all that it holds but the way to the viewer.
    fn into_outlet(self) -> (Outlet, Option<oneshot::Sender<Result<(), EngineError>>>) {
        (self.outlet, self.started)
    }

    /// Runs `action` on a blocking thread.
    async fn with_work<T: Send + 'static>(
        &mut self,
        action: impl FnOnce(&mut Work) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let mut work = self.work.take().ok_or(EngineError::TaskDied)?;
        let (work, result) = self
            .recording
            .shared
            .cpu
            .run(Urgency::Now, move || {
                let result = action(&mut work);
                (work, result)
            })
            .await?;
        self.work = Some(work);
        match result {
            Err(error) => Err(self.lost(error).await),
            result => result,
        }
    }
}

fn participant_of(
    participants: &mut [Participant],
    source: u32,
) -> Result<&mut Participant, EngineError> {
    participants
        .iter_mut()
        .find(|participant| participant.at == source)
        .ok_or(EngineError::TaskDied)
}
