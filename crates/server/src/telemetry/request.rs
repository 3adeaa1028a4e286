use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Version};
use rdl_metrics::table;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::counted_body::CountedBody;
use super::request_id::{REQUEST_ID, RequestId};
use super::traces;
use crate::lifecycle::Lifecycle;
use crate::problem::{self, Cause};

/// Puts a span around a request, and logs how it was answered. The time is up to the headers.
pub(crate) async fn log_request(
    State(lifecycle): State<Lifecycle>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let route: Arc<str> = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().into(),
        None => "unknown".into(),
    };
    let id = RequestId::of(&request);
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        %route,
        request_id = id.as_str(),
        // Only for traces.
        otel.name = Empty,
        otel.kind = Empty,
    );
    traces::adopt(&span, &route, &request);
    let under_way = lifecycle.begin(&route);
    let version = request.version();
    request.extensions_mut().insert(id.clone());
    let mut response =
        problem::with_request_id(next.run(request).instrument(span.clone()).await, &id);
    if let Some(id) = id.header() {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if lifecycle.draining.is_cancelled() && version < Version::HTTP_2 {
        // Whoever keeps this connection would send the next request to where nobody listens.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    table::RESPONSE_START.record(started.elapsed(), [route.clone()]);
    table::REQUESTS.count([route.clone(), response.status().as_str().into()]);
    traces::answered(&span, response.status());
    span.in_scope(|| log_answer(&response, started));
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
            _span: span,
            _under_way: under_way,
        })
    })
}

fn log_answer(response: &Response, started: Instant) {
    let status = response.status().as_u16();
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let cause = response.extensions().get::<Cause>().map(|cause| cause.0.as_str());
    match cause {
        Some(cause) if status >= 500 => tracing::warn!(status, elapsed_ms, cause, "answered"),
        Some(cause) => tracing::info!(status, elapsed_ms, cause, "answered"),
        None => tracing::info!(status, elapsed_ms, "answered"),
    }
}
