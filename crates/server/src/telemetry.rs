//! The log, on standard error, and the line that each request leaves there.
//!
//! A request is known by its matched route, never by its path or query string: those name
//! recordings and may hold secrets.

use std::io::IsTerminal as _;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

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
pub(crate) async fn log_request(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        route = route.as_deref().unwrap_or("unknown"),
    );
    async move {
        let started = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let cause = response.extensions().get::<Cause>().map(|cause| cause.0.as_str());
        match cause {
            Some(cause) if status >= 500 => tracing::warn!(status, elapsed_ms, cause, "answered"),
            Some(cause) => tracing::info!(status, elapsed_ms, cause, "answered"),
            None => tracing::info!(status, elapsed_ms, "answered"),
        }
        response
    }
    .instrument(span)
    .await
}
