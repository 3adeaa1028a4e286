//! Spans, sent to whoever collects traces by OTLP over HTTP.
//!
//! The trace of a request goes on where its `traceparent` says (W3C Trace Context), and in the
//! requests that the loader sends because of it. How often is sampled, how spans are batched and
//! what else a collector is told is OpenTelemetry's own to read from the environment.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::TraceSettings;

/// How long a collector may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What there is to see of a request; nothing of how it is written to a socket.
const SEEN: [&str; 3] = ["remote_data_loader", "rdl_engine", "rdl_fetch"];

static IS_ON: OnceLock<()> = OnceLock::new();

/// What sends spans away, and what makes them; `None` where nobody collects any.
pub(super) fn layer<S>(
    settings: &TraceSettings,
) -> anyhow::Result<Option<(SdkTracerProvider, impl Layer<S> + Send + Sync + use<S>)>>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let Some(endpoint) = settings.endpoint() else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_http_client(Collector::new()?)
        .build()
        .context("cannot export traces (OTEL_EXPORTER_OTLP_ENDPOINT)")?;
    let resource = Resource::builder().with_service_name(settings.otel_service_name.clone());
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("remote-data-loader"))
        .with_filter(Targets::new().with_targets(SEEN.map(|room| (room, LevelFilter::DEBUG))));
    let _ = IS_ON.set(());
    Ok(Some((provider, layer)))
}

/// Makes the span of a request what traces expect of one: a part of the trace that its headers name.
pub(super) fn adopt(span: &Span, route: &str, request: &Request) {
    if IS_ON.get().is_none() {
        return;
    }
    span.record("otel.name", format!("{} {route}", request.method()));
    span.record("otel.kind", "server");
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    // Fails only where the span is not collected.
    let _ = span.set_parent(context);
    span.set_attribute("http.request.method", request.method().to_string());
    span.set_attribute("http.route", route.to_owned());
}

/// Tells the trace of a request how it was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    if IS_ON.get().is_none() {
        return;
    }
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

/// Names the trace of the current span in the headers of a request.
pub(crate) fn inject(headers: &mut HeaderMap) {
    if IS_ON.get().is_some() {
        let context = Span::current().context();
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// The way to a collector. The exporter has a thread of its own, which nothing else runs on.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn new() -> anyhow::Result<Collector> {
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Collector { client, runtime })
    }

    async fn send(&self, request: http::Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpError> {
        self.runtime.block_on(self.send(request))
    }
}
