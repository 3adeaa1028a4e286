//! A data backend on loopback that serves made-up sources as they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rdl_engine::{Engine, EngineConfig, FetchConfig, ManifestParams, Recording, StoreConfig};
use serde_json::{Value, json};

use crate::drive::Source;

pub(crate) struct Backend {
    pub(crate) address: std::net::SocketAddr,
    state: Arc<Served>,
    server: tokio::task::JoinHandle<()>,
}

struct Served {
    manifest: Value,
    bodies: Vec<Vec<u8>>,
    downloads: AtomicUsize,
}

impl Backend {
    /// Serves these bodies; `manifest` names them `/s/0`, `/s/1`, …
    pub(crate) async fn start(manifest: Value, bodies: Vec<Vec<u8>>) -> Backend {
        let state = Arc::new(Served { manifest, bodies, downloads: AtomicUsize::new(0) });
        let router = Router::new()
            .route(
                "/manifest",
                get(async |State(state): State<Arc<Served>>| axum::Json(state.manifest.clone())),
            )
            .route("/s/{source}", get(serve))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Backend { address, state, server }
    }

    /// Serves these sources, declared as they are.
    pub(crate) async fn of(sources: &[Source]) -> Backend {
        let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
        let bodies = sources.iter().map(Source::mcap).collect();
        Backend::start(json!({ "name": "made up", "sources": declared }), bodies).await
    }

    /// How often a body was asked for.
    pub(crate) fn downloads(&self) -> usize {
        self.state.downloads.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self) -> EngineConfig {
        let endpoint = format!("http://{}/manifest", self.address).parse().unwrap();
        let mut fetch = FetchConfig::new(endpoint);
        fetch.allow_http_sources = true;
        fetch.use_system_proxy = false;
        EngineConfig::new(fetch)
    }

    /// An engine over this backend, with its disk store in `folder`.
    pub(crate) async fn engine(&self, folder: &std::path::Path) -> Arc<Engine> {
        self.engine_with(folder, |_| {}).await
    }

    /// The same with another configuration.
    pub(crate) async fn engine_with(
        &self,
        folder: &std::path::Path,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Arc<Engine> {
        let mut config = self.config();
        config.store =
            StoreConfig { folder: Some(folder.to_owned()), bucket: None, max_bytes: None };
        change(&mut config);
        Engine::start(config).await.unwrap()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) async fn recording(engine: &Arc<Engine>) -> Recording {
    engine.recording(&ManifestParams::default(), None).await.unwrap()
}

/// A source as its manifest entry.
pub(crate) fn declare((at, source): (usize, &Source)) -> Value {
    let url = format!("/s/{at}");
    if source.shape.is_static {
        return json!({ "url": url, "supportsRangeRequests": true });
    }
    let (start, end) = source.bounds().unwrap_or((0, 0));
    let mut topics: Vec<String> =
        source.messages.iter().map(|message| message.topic.clone()).collect();
    topics.sort();
    topics.dedup();
    let topics: Vec<Value> =
        topics.iter().map(|name| json!({ "name": name, "messageEncoding": "raw" })).collect();
    json!({
        "url": url,
        "topics": topics,
        "schemas": [],
        "startTime": time(start),
        "endTime": time(end),
    })
}

pub(crate) fn time(nanos: u64) -> String {
    rdl_model::Nanos(nanos).to_string()
}

async fn serve(
    State(state): State<Arc<Served>>,
    Path(source): Path<usize>,
    headers: HeaderMap,
) -> Response {
    let Some(body) = state.bodies.get(source) else { return StatusCode::NOT_FOUND.into_response() };
    state.downloads.fetch_add(1, Ordering::Relaxed);
    ranged(source, body, &headers)
}

/// The body of a source, or the range of it that is asked for.
pub(crate) fn ranged(source: usize, body: &[u8], headers: &HeaderMap) -> Response {
    let etag = [(header::ETAG, format!("\"{source}-{}\"", body.len()))];
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return (etag, body.to_vec()).into_response();
    };
    let total = body.len();
    let (start, end) = match range.split_once('-') {
        Some(("", suffix)) => (total.saturating_sub(suffix.parse().unwrap()), total),
        Some((start, end)) => {
            (start.parse().unwrap(), end.parse::<usize>().map_or(total, |end| end + 1).min(total))
        }
        None => return StatusCode::BAD_REQUEST.into_response(),
    };
    let range = [(header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", end - 1))];
    (StatusCode::PARTIAL_CONTENT, etag, range, body[start..end].to_vec()).into_response()
}
