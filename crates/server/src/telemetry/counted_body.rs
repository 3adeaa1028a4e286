use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use rdl_metrics::table;
use tracing::Span;

use crate::lifecycle::UnderWay;

/// The body of an answer, of which metrics tell how much left and how it ended.
pub(super) struct CountedBody {
    pub(super) body: Body,
    pub(super) route: Arc<str>,
    pub(super) started: Instant,
    /// How long it was announced to be.
    pub(super) expected_bytes: Option<u64>,
    pub(super) sent_bytes: u64,
    /// How it ended, once it has.
    pub(super) ended: Option<&'static str>,
    /// The request lasts as long as its answer.
    pub(super) _span: Span,
    pub(super) _under_way: UnderWay,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                table::RESPONSE_BYTES.add(bytes, [self.route.clone()]);
                self.sent_bytes += bytes;
            }
            Some(Err(_)) => self.ended = Some("failed"),
            None => self.ended = Some("complete"),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        // A body whose length was announced is not asked for its end.
        let is_whole = self.body.is_end_stream() || Some(self.sent_bytes) == self.expected_bytes;
        let ended = self.ended.unwrap_or(if is_whole { "complete" } else { "left" });
        table::RESPONSE_TIME.record(self.started.elapsed(), [self.route.clone(), ended.into()]);
    }
}
