//! `/metrics`, on an address of its own: what [`rdl_metrics`] counts, as Prometheus reads it.
//!
//! Nothing is asked of a user there, so nothing that only a user may know stands there.

#[cfg(test)]
mod document;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::{Layer as _, PrefixLayer};
use rdl_engine::Engine;
use rdl_metrics::{Kind, Unit, table};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::lifecycle::Lifecycle;
use crate::settings::MetricsSettings;

/// What histograms of seconds tell apart: from what comes out of memory to what times out.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// How often what was measured is put into its buckets when nobody collects it: else it would grow.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Metrics that are counted, and served once there is an engine.
pub(crate) struct Metrics {
    listener: TcpListener,
    handle: PrometheusHandle,
}

/// The metrics as they are served, until this is dropped.
pub(crate) struct ServedMetrics {
    /// Where they are.
    pub(crate) address: SocketAddr,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Metrics {
    /// Listens where the settings say and counts from now on; `None` where they say not to.
    pub(crate) async fn start(settings: &MetricsSettings) -> anyhow::Result<Option<Metrics>> {
        let Some(address) = settings.prometheus_address.0 else { return Ok(None) };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen at {address} (PROMETHEUS_ADDRESS; off does without metrics)")
        })?;
        let handle = record(settings.prefix())?;
        let release = settings.remote_data_loader_version.clone().unwrap_or_default();
        table::BUILD_INFO.set(1, [env!("CARGO_PKG_VERSION").to_owned(), release]);
        Ok(Some(Metrics { listener, handle }))
    }

    /// Serves them. What goes with the engine does not stay for it.
    pub(crate) fn serve(
        self,
        engine: &Arc<Engine>,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<ServedMetrics> {
        let address = self.listener.local_addr().context("cannot tell the address")?;
        let handle = self.handle.clone();
        let upkeep = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(UPKEEP_EVERY);
            loop {
                ticks.tick().await;
                handle.run_upkeep();
            }
        });
        let state = Scraped {
            handle: self.handle,
            engine: Arc::downgrade(engine),
            lifecycle: lifecycle.clone(),
        };
        let router = Router::new().route("/metrics", get(scrape)).with_state(state);
        let serving = axum::serve(self.listener, router).into_future();
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "metrics are not served any more");
            }
        });
        let tasks = [AbortOnDropHandle::new(upkeep), AbortOnDropHandle::new(serving)];
        Ok(ServedMetrics { address, _tasks: tasks })
    }
}

/// Installs what keeps the numbers.
fn record(prefix: Option<String>) -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for definition in rdl_metrics::ALL {
        if definition.kind == Kind::Histogram && definition.unit == Unit::Seconds {
            let suffix = Matcher::Suffix(definition.name.to_owned());
            builder = builder.set_buckets_for_metric(suffix, &SECONDS)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    let installed = match prefix {
        Some(prefix) => {
            metrics::set_global_recorder(PrefixLayer::new(prefix).layer(recorder)).is_ok()
        }
        None => metrics::set_global_recorder(recorder).is_ok(),
    };
    anyhow::ensure!(installed, "metrics are recorded already");
    rdl_metrics::describe();
    Ok(handle)
}

/// What a scrape looks at.
#[derive(Clone)]
struct Scraped {
    handle: PrometheusHandle,
    engine: Weak<Engine>,
    lifecycle: Lifecycle,
}

async fn scrape(State(Scraped { handle, engine, lifecycle }): State<Scraped>) -> Response {
    let mut is_ready = false;
    if let Some(engine) = engine.upgrade() {
        is_ready = lifecycle.readiness(&engine).is_ok();
        engine.measure().await;
    }
    table::READY.now(u64::from(is_ready));
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, handle.render()).into_response()
}
