//! What can be seen of the process from outside: the log on standard error, what each request
//! leaves there and in metrics, and traces for whoever collects them.
//!
//! A request is known by its id and its matched route, never by its path or query string: those
//! name recordings and may hold secrets.

mod counted_body;
mod request;
mod request_id;
mod traces;

use std::io::IsTerminal as _;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

pub(crate) use self::request::log_request;
pub(crate) use self::request_id::{REQUEST_ID, RequestId};
pub(crate) use self::traces::inject;
use crate::settings::{LogFormat, LogSettings, TraceSettings};

/// How long what is left of traces may take to leave at the end.
const FLUSHED_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Traces that are exported until this is dropped, which blocks.
#[must_use]
pub(crate) struct Exporting(Option<SdkTracerProvider>);

/// Starts the log. `quiet` is what is logged where the settings say nothing.
pub(crate) fn start(settings: &LogSettings, quiet: &str) {
    // Fails only where a test has started one.
    let _ = tracing_subscriber::registry().with(log(settings, quiet)).try_init();
}

/// Starts the log, and traces where somebody collects them.
pub(crate) fn start_with_traces(
    settings: &LogSettings,
    quiet: &str,
    traces: &TraceSettings,
) -> anyhow::Result<Exporting> {
    let registry = tracing_subscriber::registry();
    let Some((provider, layer)) = traces::layer(traces)? else {
        let _ = registry.with(log(settings, quiet)).try_init();
        return Ok(Exporting(None));
    };
    let _ = registry.with(log(settings, quiet)).with(layer).try_init();
    Ok(Exporting(Some(provider)))
}

fn log<S>(settings: &LogSettings, quiet: &str) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = EnvFilter::new(settings.rust_log.as_deref().unwrap_or(quiet));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => log.with_filter(filter).boxed(),
        LogFormat::Json => log.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(FLUSHED_WITHIN)
        {
            tracing::warn!(%error, "some traces did not arrive");
        }
    }
}
