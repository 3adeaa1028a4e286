//! One connection of a load: bytes in, until they end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use rdl_fetch::{Access, Download, FetchError};
use rdl_mcap_io::IntakeError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::work::{LoadFault, LoadWork};
use crate::EngineError;
use crate::shared::Shared;
use crate::source::Source;
use crate::viewers::Crowd;

/// What is handed to a blocking thread at a time, at most.
const BATCH_BYTES: usize = 1 << 20;
/// The first early flush, so that whoever follows starts soon, and the later ones.
const FIRST_FLUSH: Duration = Duration::from_millis(250);
const LATER_FLUSHES: Duration = Duration::from_secs(1);

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
}

/// What outlives a single connection: how far the body got, and who waits.
pub(super) struct Connection<'a> {
    shared: &'a Arc<Shared>,
    source: &'a Arc<Source>,
    crowd: watch::Receiver<Crowd>,
    furthest_bytes: u64,
}

impl<'a> Connection<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, source: &'a Arc<Source>) -> Self {
        let crowd = source.viewers.crowd();
        Connection { shared, source, crowd, furthest_bytes: 0 }
    }

    /// The furthest point of the body that any connection reached.
    pub(super) fn furthest_bytes(&self) -> u64 {
        self.furthest_bytes
    }

    /// Resolves with `true` when there was no viewer for the linger time, with `false` as soon as
    /// there is one.
    pub(super) async fn nobody_comes(&mut self) -> bool {
        let linger = self.shared.config.load_linger;
        let somebody = self.crowd.wait_for(|crowd| crowd.viewers > 0);
        tokio::time::timeout(linger, somebody).await.is_err()
    }

    /// Asks once and takes what comes. `work` is `None` afterwards only if its thread died.
    pub(super) async fn run(
        &mut self,
        access: &Access,
        work: &mut Option<LoadWork>,
    ) -> Result<Ended, EngineError> {
        let silence = self.shared.config.source_silence;
        let mut download = match Download::open(&self.shared.http, access).await {
            Ok(download) => download,
            Err(error) => return Ok(self.fetch_failed(error)),
        };
        let mut ticks = interval_at(Instant::now() + FIRST_FLUSH, LATER_FLUSHES);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut here_bytes = 0;
        let mut crowd = self.crowd.clone();
        let mut lonely_since = (crowd.borrow_and_update().viewers == 0).then(Instant::now);
        loop {
            let linger = self.shared.config.load_linger;
            let give_up = lonely_since.map(|since| since + linger);
            let piece = tokio::select! {
                biased;
                _ = crowd.changed() => {
                    let nobody = crowd.borrow_and_update().viewers == 0;
                    lonely_since = if nobody { lonely_since.or(Some(Instant::now())) } else { None };
                    continue;
                }
                () = sleep_until(give_up) => return Ok(Ended::Unwanted),
                _ = ticks.tick() => {
                    match self.with(work, LoadWork::flush_early).await? {
                        Ok(()) => continue,
                        Err(fault) => return Ok(self.fault(fault)),
                    }
                }
                piece = download.next(silence) => piece,
            };
            let last = match piece {
                Ok(Some(bytes)) => {
                    let (batch, last) = gather(bytes, &mut download, silence);
                    here_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
                    self.furthest_bytes = self.furthest_bytes.max(here_bytes);
                    if let Err(fault) = self.with(work, move |work| work.take(batch)).await? {
                        return Ok(self.fault(fault));
                    }
                    last
                }
                Ok(None) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            match last {
                None => {}
                Some(Err(error)) => return Ok(self.fetch_failed(error)),
                Some(Ok(())) => return self.body_ended(work).await,
            }
        }
    }

    async fn body_ended(&self, work: &mut Option<LoadWork>) -> Result<Ended, EngineError> {
        let Some(mut taken) = work.take() else { return Err(EngineError::TaskDied) };
        let (left, result) = self
            .shared
            .cpu
            .run(move || match taken.finish() {
                Ok(()) => (None, taken.complete()),
                Err(fault) => (Some(taken), Err(fault)),
            })
            .await?;
        *work = left;
        Ok(match result {
            Ok(()) => Ended::Complete,
            Err(fault) => self.fault(fault),
        })
    }

    /// Runs `action` on a blocking thread.
    async fn with(
        &self,
        work: &mut Option<LoadWork>,
        action: impl FnOnce(&mut LoadWork) -> Result<(), LoadFault> + Send + 'static,
    ) -> Result<Result<(), LoadFault>, EngineError> {
        let Some(mut taken) = work.take() else { return Err(EngineError::TaskDied) };
        let (taken, result) = self
            .shared
            .cpu
            .run(move || {
                let result = action(&mut taken);
                (taken, result)
            })
            .await?;
        *work = Some(taken);
        Ok(result)
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

/// Takes what has already arrived as well, up to a batch. The second value tells how the body
/// ended, if it did.
fn gather(
    first: Bytes,
    download: &mut Download,
    silence: Duration,
) -> (Vec<Bytes>, Option<Result<(), FetchError>>) {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < BATCH_BYTES {
        match download.next(silence).now_or_never() {
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
