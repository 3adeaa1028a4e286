//! Answering a query: from the sources of a recording to the bytes of one MCAP stream.
//!
//! [`start`] spawns a task that owns the answer. The task waits (for sources to open, to load
//! further, for chunks to be fetched, for the viewer to take what is ready); everything that burns
//! CPU or reads files is in [`work::Work`], which it hands to a blocking thread and gets back.
//! [`participant::Participant`] is one source as this answer sees it.
//!
//! Invariants: nothing leaves before the first message, or its absence, is known; an answer that
//! cannot be finished ends with an error, never cleanly; a viewer that goes away stops the task at
//! the next thing it waits for; at most [`WINDOW`] pieces wait for the viewer.

mod closing;
mod lookback;
mod participant;
mod work;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use rdl_merge::Query;
use rdl_model::Nanos;
use tokio::sync::{mpsc, oneshot};

use self::closing::Missing;
use self::participant::{Participant, Synced};
use self::work::{Need, Work};
use crate::EngineError;
use crate::memory::Reservation;
use crate::queue::MOST_NEEDED;
use crate::recording::Inner;
use crate::viewers::ViewerId;

/// How many pieces, of about a chunk each, may wait for the viewer.
const WINDOW: usize = 4;
/// A source that starts within this much log time of where the response waits is needed too.
const SOON_NANOS: u64 = 1_000_000_000;
/// How long a viewer waits for a chunk to fill up while a source gives nothing new.
const PATIENCE: Duration = Duration::from_millis(100);

/// The bytes of an answer. An error is the last item; whoever sends the bytes on must then abort.
pub struct ResponseStream {
    pieces: mpsc::Receiver<Result<Bytes, EngineError>>,
}

impl Stream for ResponseStream {
    type Item = Result<Bytes, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(context)
    }
}

/// Starts to answer; resolves when the first message, or its absence, is known.
pub(crate) async fn start(
    recording: Arc<Inner>,
    query: Arc<Query>,
) -> Result<ResponseStream, EngineError> {
    let reservation = recording.shared.memory.reserve_response().await?;
    let (pieces_in, pieces) = mpsc::channel(WINDOW);
    let (started_in, started) = oneshot::channel();
    let tasks = recording.shared.tasks.clone();
    tasks.spawn(async move {
        let stopping = recording.shared.stopping.clone();
        let gone = pieces_in.clone();
        let mut response = Response::new(recording, query, reservation, pieces_in, started_in);
        let ended = tokio::select! {
            ended = response.run() => ended,
            () = gone.closed() => return,
            () = stopping.cancelled() => Err(EngineError::ShuttingDown),
        };
        if let Err(error) = ended {
            response.fail(error).await;
        }
    });
    started.await.unwrap_or(Err(EngineError::TaskDied))?;
    Ok(ResponseStream { pieces })
}

struct Response {
    recording: Arc<Inner>,
    query: Arc<Query>,
    participants: Vec<Participant>,
    /// `None` while a blocking thread has it.
    work: Option<Work>,
    /// For all that it holds in memory, but for open chunks.
    reservation: Reservation,
    missing: Vec<Missing>,
    pieces: mpsc::Sender<Result<Bytes, EngineError>>,
    started: Option<oneshot::Sender<Result<(), EngineError>>>,
}

impl Response {
    fn new(
        recording: Arc<Inner>,
        query: Arc<Query>,
        reservation: Reservation,
        pieces: mpsc::Sender<Result<Bytes, EngineError>>,
        started: oneshot::Sender<Result<(), EngineError>>,
    ) -> Response {
        let viewer = ViewerId::new();
        let participants = (0..recording.sources.len())
            .filter_map(|at| Participant::plan(&recording, &query, viewer, at))
            .collect();
        Response {
            work: Some(Work::new(query.clone(), &recording.shared.config)),
            recording,
            query,
            participants,
            reservation,
            missing: Vec::new(),
            pieces,
            started: Some(started),
        }
    }

    /// Answers from the first message to the footer.
    async fn run(&mut self) -> Result<(), EngineError> {
        let latched = lookback::search(self).await?;
        self.with_work(move |work| work.latch(&latched)).await?;
        if let Some(times) = self.query.merged_times() {
            let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
            for participant in &self.participants {
                participant.enter(times, work);
            }
            self.take_complete()?;
        }
        loop {
            match self.with_work(Work::advance).await? {
                Need::Send => self.send().await?,
                Need::Chunks { source, chunks } => self.verify(source, &chunks).await?,
                Need::Source(source) => self.progress(source).await?,
                Need::End => break,
            }
        }
        self.close().await
    }

    /// Sources that are known whole need no waiting for.
    fn take_complete(&mut self) -> Result<(), EngineError> {
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        for participant in self.participants.iter_mut().filter(|source| source.is_complete()) {
            // What fails here is met again, and dealt with, when the merge reaches it.
            let _ = participant.sync(&self.recording, work);
        }
        Ok(())
    }

    /// Brings the source on: opens it, or waits until it has something new.
    async fn progress(&mut self, source: u32) -> Result<(), EngineError> {
        let mut patience = Some(tokio::time::Instant::now() + PATIENCE);
        loop {
            let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
            let participant = participant_of(&mut self.participants, source)?;
            match participant.sync(&self.recording, work) {
                Ok(Synced::Changed) => return Ok(()),
                Ok(Synced::Unchanged) => {}
                Err(error) => return self.source_failed(source, error),
            }
            self.open_upcoming(source)?;
            let participant = participant_of(&mut self.participants, source)?;
            let changed = participant.changed();
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
        let work = self.work.as_ref().ok_or(EngineError::TaskDied)?;
        let upcoming = work.next_unopened(MOST_NEEDED);
        let held_back_by = participant_of(&mut self.participants, source)?;
        held_back_by.need(&self.recording);
        let soon = Nanos(held_back_by.reached().0.saturating_add(SOON_NANOS));
        let mut ahead = self.recording.shared.config.max_concurrent_loads;
        for source in upcoming {
            let participant = participant_of(&mut self.participants, source)?;
            if participant.declared_times().start <= soon {
                participant.need(&self.recording);
            } else if ahead > 0 {
                participant.open(&self.recording);
                ahead -= usize::from(participant.is_loading());
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Fetches and verifies chunks of a static source; the first is needed now.
    async fn verify(&mut self, source: u32, chunks: &[u32]) -> Result<(), EngineError> {
        let participant = participant_of(&mut self.participants, source)?;
        let fetched = participant.verify(&self.recording.shared, chunks).await;
        let work = self.work.as_mut().ok_or(EngineError::TaskDied)?;
        match fetched {
            Ok(()) => {
                participant.replace_claims(work);
                Ok(())
            }
            Err(error) => self.source_failed(source, error),
        }
    }

    /// Without `partial` the answer fails with its source.
    fn source_failed(&mut self, source: u32, error: EngineError) -> Result<(), EngineError> {
        if !self.query.partial {
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
        let pieces = work.take_output();
        if let Some(started) = self.started.take() {
            // A viewer that went away is noticed at the first piece.
            let _ = started.send(Ok(()));
        }
        for piece in pieces {
            if self.pieces.send(Ok(piece)).await.is_err() {
                // Nobody listens: the task is stopped from outside.
                return std::future::pending().await;
            }
        }
        Ok(())
    }

    async fn fail(&mut self, error: EngineError) {
        match self.started.take() {
            Some(started) => {
                let _ = started.send(Err(error));
            }
            None => {
                tracing::warn!(%error, "a response is aborted");
                let _ = self.pieces.send(Err(error)).await;
            }
        }
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
            .run(move || {
                let result = action(&mut work);
                (work, result)
            })
            .await?;
        self.work = Some(work);
        result
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
