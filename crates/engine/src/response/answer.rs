//! The bytes of an answer on their way to whoever asked: [`Answer`] as they come, and
//! [`ResponseStream`] as long as the caller is granted what they are made of.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use rdl_model::SourceKey;
use tokio::sync::mpsc;

use super::Explanation;
use crate::EngineError;
use crate::standing::Standing;

/// The bytes of an answer. An error is the last item; whoever sends the bytes on must then abort.
/// Nothing comes when the caller's token is not granted the sources any more.
pub struct ResponseStream(Pin<Box<dyn Stream<Item = Result<Bytes, EngineError>> + Send>>);

impl ResponseStream {
    /// Resolves when it is known that the first piece may leave.
    pub(crate) async fn new(
        answer: Answer,
        mut standing: Standing,
    ) -> Result<ResponseStream, EngineError> {
        standing.hold(|granted| answer.is_granted(granted)).await?;
        let pieces =
            futures::stream::try_unfold((answer, standing), async |(mut answer, mut standing)| {
                let Some(piece) = answer.next().await.transpose()? else { return Ok(None) };
                standing.hold(|granted| answer.is_granted(granted)).await?;
                Ok(Some((piece, (answer, standing))))
            });
        Ok(ResponseStream(Box::pin(pieces)))
    }
}

impl Stream for ResponseStream {
    type Item = Result<Bytes, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// The bytes of an answer, whoever gets them.
pub(crate) struct Answer {
    pub(super) slices: mpsc::Receiver<Result<Bytes, EngineError>>,
    /// The sources that it may be made of.
    pub(super) sources: Vec<(SourceKey, Arc<str>)>,
    /// Set before the last slice was sent on: without it an end is none.
    pub(super) ended: Arc<AtomicBool>,
    pub(super) is_late: Arc<AtomicBool>,
    pub(super) explained: Arc<OnceLock<Explanation>>,
}

impl Answer {
    /// Whether the answer lacks messages that came too late to be put in order; told at its end.
    pub(crate) fn lacks_late_messages(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }

    /// What it was made of; told at its end, to whoever asked for that.
    pub(crate) fn explanation(&self) -> Option<Explanation> {
        self.explained.get().cloned()
    }

    /// Whether these are all the sources that it may be made of.
    pub(crate) fn is_granted(&self, granted: &HashSet<SourceKey>) -> Result<(), EngineError> {
        match self.sources.iter().find(|(key, _)| !granted.contains(key)) {
            None => Ok(()),
            Some((_, name)) => Err(EngineError::Withdrawn { source_name: name.clone() }),
        }
    }
}

impl Stream for Answer {
    type Item = Result<Bytes, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.slices.poll_recv(context) {
            Poll::Ready(None) if !self.ended.swap(true, Ordering::Relaxed) => {
                Poll::Ready(Some(Err(EngineError::TaskDied)))
            }
            polled => polled,
        }
    }
}
