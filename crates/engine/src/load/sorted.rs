//! A download whose messages are put into order before they are taken in.
//!
//! The parts of a load have the messages in order, and without what cannot be used. Whoever has
//! followed one to the point where its replica died, and goes on with the data endpoint's body,
//! finds the place again only if the two say the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_fetch::Download;
use rdl_mcap_io::{IntakeError, IntakeOptions, SortedBody};
use rdl_model::Problem;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::body::BodyError;
use super::work::intake_options;
use crate::EngineError;
use crate::cpu::Urgency;
use crate::shared::Shared;

/// The pieces of such a body. Dropping it ends the download.
pub(super) struct Sorted {
    pieces: mpsc::Receiver<Result<Bytes, BodyError>>,
    problems: oneshot::Receiver<Vec<Problem>>,
    _task: AbortOnDropHandle<()>,
    _permit: OwnedSemaphorePermit,
}

impl Sorted {
    pub(super) fn start(
        shared: Arc<Shared>,
        download: Download,
        permit: OwnedSemaphorePermit,
    ) -> Sorted {
        let (out, pieces) = mpsc::channel(1);
        let (problems_out, problems) = oneshot::channel();
        let options = intake_options(&shared);
        let sorting = Sorting { shared, download, out };
        let task = tokio::spawn(sorting.run(options, problems_out));
        Sorted { pieces, problems, _task: AbortOnDropHandle::new(task), _permit: permit }
    }

    /// The next bytes; `None` at the end. A dropped future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.pieces.recv().await.transpose()
    }

    /// What was wrong with the body; known at its end.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.try_recv().unwrap_or_default()
    }
}

struct Sorting {
    shared: Arc<Shared>,
    download: Download,
    out: mpsc::Sender<Result<Bytes, BodyError>>,
}

impl Sorting {
    async fn run(mut self, options: IntakeOptions, problems: oneshot::Sender<Vec<Problem>>) {
        match self.sort(SortedBody::new(options)).await {
            // That nobody waits for it any more ends the task from outside.
            Ok(sorted) => {
                let _ = problems.send(sorted.into_problems());
            }
            Err(error) => {
                let _ = self.out.send(Err(error)).await;
            }
        }
    }

    async fn sort(&mut self, mut sorted: SortedBody) -> Result<SortedBody, BodyError> {
        let silence = self.shared.config.source_silence;
        while let Some(bytes) = self.next(silence).await? {
            let push = move |sorted: &mut SortedBody| sorted.push(bytes);
            sorted = self.with(sorted, push).await?;
        }
        self.with(sorted, SortedBody::finish).await
    }

    async fn next(&mut self, silence: Duration) -> Result<Option<Bytes>, BodyError> {
        self.download.next(silence).await.map_err(BodyError::Fetch)
    }

    /// Runs `action` on a thread for such work, and gives out what comes of it.
    async fn with(
        &mut self,
        mut sorted: SortedBody,
        action: impl FnOnce(&mut SortedBody) -> Result<Vec<Bytes>, IntakeError> + Send + 'static,
    ) -> Result<SortedBody, BodyError> {
        let work = move || {
            let output = action(&mut sorted);
            (sorted, output)
        };
        let ran = self.shared.cpu.run(Urgency::Now, work).await;
        let (sorted, output) = ran.map_err(BodyError::Engine)?;
        self.download.pause();
        for piece in output.map_err(BodyError::Data)? {
            self.out.send(Ok(piece)).await.map_err(|_| BodyError::Engine(EngineError::TaskDied))?;
        }
        Ok(sorted)
    }
}
