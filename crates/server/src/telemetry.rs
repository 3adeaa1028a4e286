//! The log, on standard error: the line that each request leaves there, and what metrics tell of it.
//!
//! A request is known by its matched route, never by its path or query string: those name
//! recordings and may hold secrets.

use std::io::IsTerminal as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use rdl_metrics::{Held, table};
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

use crate::lifecycle::{Lifecycle, UnderWay};
use crate::problem::Cause;
use crate::settings::{LogFormat, LogSettings};

/// Starts the log. `quiet` is what is logged where the settings say nothing.
pub(crate) fn start(settings: &LogSettings, quiet: &str) {
    let filter = EnvFilter::new(settings.rust_log.as_deref().unwrap_or(quiet));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only where a test has started one.
    let _ = match settings.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Puts a span around a request, and logs how it was answered. The time is up to the headers.
pub(crate) async fn log_request(
    State(lifecycle): State<Lifecycle>,
    request: Request,
    next: Next,
) -> Response {
    let route: Arc<str> = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().into(),
        None => "unknown".into(),
    };
    let span = tracing::info_span!("request", method = %request.method(), %route);
    async move {
        let started = Instant::now();
        let active = (table::RESPONSES_ACTIVE.hold([route.clone()]), lifecycle.begin(&route));
        let version = request.version();
        let mut response = next.run(request).await;
        if lifecycle.draining.is_cancelled() && version < Version::HTTP_2 {
            // Whoever keeps this connection would send the next request to where nobody listens.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        table::RESPONSE_START.record(started.elapsed(), [route.clone()]);
        table::REQUESTS.count([route.clone(), response.status().as_str().into()]);
        let status = response.status().as_u16();
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let cause = response.extensions().get::<Cause>().map(|cause| cause.0.as_str());
        match cause {
            Some(cause) if status >= 500 => tracing::warn!(status, elapsed_ms, cause, "answered"),
            Some(cause) => tracing::info!(status, elapsed_ms, cause, "answered"),
            None => tracing::info!(status, elapsed_ms, "answered"),
        }
        let length = response.headers().get(CONTENT_LENGTH);
        let expected_bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| {
            Body::new(CountedBody {
                body,
                route,
                started,
                expected_bytes,
                sent_bytes: 0,
                ended: None,
                _active: active,
            })
        })
    }
    .instrument(span)
    .await
}

/// The body of an answer, of which metrics tell how much left and how it ended.
struct CountedBody {
    body: Body,
    route: Arc<str>,
    started: Instant,
    /// How long it was announced to be.
    expected_bytes: Option<u64>,
    sent_bytes: u64,
    /// How it ended, once it has.
    ended: Option<&'static str>,
    _active: (Held, UnderWay),
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
