//! Sources behind signed URLs, which run out while they are read, and whose signatures the manifest
//! endpoint gives anew each time it is asked.

mod by_s3;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use rdl_engine::{Engine, EngineConfig, EngineError, FileRequest, ManifestParams, Query, Token};
use rdl_model::{ByteRange, ErrorKind};
use serde_json::{Value, json};

use crate::backend::{declare, ranged, recording};
use crate::drive::Source;
use crate::output;
use crate::setting::{self, engine_at, noise, source};

/// What the backend does with a request for its one source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serve,
    /// The connection breaks after this many bytes.
    CutAfter(usize),
    Refuse(u16),
}

/// How the manifest endpoint names the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urls {
    SignedAnew,
    SignedAlike,
    Unsigned,
}

/// A request for the source.
struct Asked {
    /// How many were signed alike before it.
    before: usize,
    /// The number of the answer of the manifest endpoint that signed it.
    signature: usize,
    token: Option<String>,
}

/// A data backend with one source, whose URL is signed anew with each manifest.
struct Signing {
    address: SocketAddr,
    state: Arc<Signed>,
    server: tokio::task::JoinHandle<()>,
}

type Judge = Box<dyn Fn(&Asked) -> Verdict + Send + Sync>;

struct Signed {
    entry: Value,
    body: Vec<u8>,
    manifests: AtomicUsize,
    /// The signatures of the requests for the source.
    requests: Mutex<Vec<usize>>,
    judge: Judge,
    urls: Urls,
}

impl Signing {
    async fn start(
        source: &Source,
        judge: impl Fn(&Asked) -> Verdict + Send + Sync + 'static,
    ) -> Signing {
        Signing::start_with(source, Urls::SignedAnew, judge).await
    }

    async fn start_with(
        source: &Source,
        urls: Urls,
        judge: impl Fn(&Asked) -> Verdict + Send + Sync + 'static,
    ) -> Signing {
        let state = Arc::new(Signed {
            entry: declare((0, source)),
            body: source.mcap(),
            manifests: AtomicUsize::new(0),
            requests: Mutex::default(),
            judge: Box::new(judge),
            urls,
        });
        let router = Router::new()
            .route("/manifest", get(manifest))
            .route("/s/{source}", get(serve))
            .with_state(state.clone());
        let (address, server) = setting::serve(router).await;
        Signing { address, state, server }
    }

    async fn engine(&self) -> (Arc<Engine>, tempfile::TempDir) {
        engine_over(self.address, |_| {}).await
    }

    fn manifests(&self) -> usize {
        self.state.manifests.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<usize> {
        self.state.requests.lock().clone()
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn manifest(State(state): State<Arc<Signed>>) -> axum::Json<Value> {
    let number = state.manifests.fetch_add(1, Ordering::SeqCst);
    let mut entry = state.entry.clone();
    let signed = |signature: usize| format!("/s/0?X-Amz-Date=1&X-Amz-Signature={signature}");
    match state.urls {
        Urls::SignedAnew => entry["url"] = json!(signed(number)),
        Urls::SignedAlike => entry["url"] = json!(signed(0)),
        Urls::Unsigned => {}
    }
    axum::Json(json!({ "name": "signed", "sources": [entry] }))
}

async fn serve(
    State(state): State<Arc<Signed>>,
    Path(source): Path<usize>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let signature = query.as_deref().and_then(|query| query.split_once("Signature="));
    let signature = signature.map_or(0, |(_, number)| number.parse().unwrap());
    let token = headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap().to_owned());
    let asked = {
        let mut requests = state.requests.lock();
        let before = requests.iter().filter(|known| **known == signature).count();
        requests.push(signature);
        Asked { before, signature, token }
    };
    match (state.judge)(&asked) {
        Verdict::Serve => ranged(source, &state.body, &headers),
        Verdict::Refuse(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Verdict::CutAfter(bytes) => {
            let piece = Bytes::copy_from_slice(&state.body[..bytes.min(state.body.len())]);
            let pieces = [Ok(piece), Err(std::io::Error::other("the connection breaks"))];
            // So that what comes before the break is on its way when it breaks.
            let pieces = futures::stream::iter(pieces).then(async |piece| {
                tokio::time::sleep(Duration::from_millis(30)).await;
                piece
            });
            Body::from_stream(pieces).into_response()
        }
    }
}

/// An engine with a small disk, so that no request brings much.
async fn engine_over(
    address: SocketAddr,
    change: impl FnOnce(&mut EngineConfig),
) -> (Arc<Engine>, tempfile::TempDir) {
    let small = |config: &mut EngineConfig| {
        config.store.max_bytes = Some(16 << 20);
        change(config);
    };
    engine_at(address, small).await
}

/// Chunks of 200 KB.
fn static_source(messages: u32) -> Source {
    let mut source = source(10);
    source.messages.truncate(messages as usize);
    for message in &mut source.messages {
        message.data = noise(message.sequence, 20_000);
    }
    source.shape.chunk_bytes = Some(200 << 10);
    source.shape.is_static = true;
    source
}

async fn ask(engine: &Arc<Engine>) -> Result<Vec<u8>, EngineError> {
    output::collect(&recording(engine).await, Query::default()).await
}

#[tokio::test]
async fn a_static_source_is_read_on_with_ever_new_urls() {
    let source = static_source(300);
    // Each URL is good for three requests.
    let backend = Signing::start(&source, |asked| match asked.before {
        0..3 => Verdict::Serve,
        _ => Verdict::Refuse(403),
    })
    .await;
    let (engine, _folder) = backend.engine().await;
    assert_eq!(output::messages(&ask(&engine).await.unwrap()), source.messages);
    let renewed = backend.manifests() - 1;
    assert!(renewed >= 2, "{renewed}");
    // Three that are answered and one that is not, of each but the last.
    assert!(backend.requests().len() > 4 * renewed, "{:?}", backend.requests());
}

#[tokio::test]
async fn a_streamed_source_is_loaded_on_with_ever_new_urls() {
    let source = source(1000);
    let step = source.mcap().len() / 5;
    // Each URL is good for one request, and each connection gets a little further. Google says 400.
    let backend = Signing::start(&source, move |asked| match (asked.before, asked.signature) {
        (0, at @ 0..4) => Verdict::CutAfter((at + 1) * step),
        (0, _) => Verdict::Serve,
        _ => Verdict::Refuse(400),
    })
    .await;
    let (engine, _folder) = backend.engine().await;
    assert_eq!(output::messages(&ask(&engine).await.unwrap()), source.messages);
    assert_eq!(backend.requests(), [0, 0, 1, 1, 2, 2, 3, 3, 4]);
}

#[tokio::test]
async fn a_source_that_refuses_ends_after_one_renewal() {
    for source in [source(100), static_source(20)] {
        for (status, kind) in [(403, ErrorKind::Forbidden), (400, ErrorKind::BadGateway)] {
            let backend = Signing::start(&source, move |_| Verdict::Refuse(status)).await;
            let (engine, _folder) = backend.engine().await;
            assert_eq!(ask(&engine).await.map(drop).unwrap_err().kind(), kind);
            let requests = backend.requests();
            assert_eq!((requests.first(), requests.last()), (Some(&0), Some(&1)), "{status}");
            assert_eq!(backend.manifests(), 2);
            // Whoever comes next is not told what another was told.
            assert_eq!(ask(&engine).await.map(drop).unwrap_err().kind(), kind);
            assert_eq!(backend.requests().last(), Some(&3), "{status}");
            // Nor is who asks again for the same recording.
            let recording = recording(&engine).await;
            for _ in 0..2 {
                let before = backend.requests().len();
                output::collect(&recording, Query::default()).await.map(drop).unwrap_err();
                assert!(backend.requests().len() > before);
            }
        }
    }
}

#[tokio::test]
async fn the_same_url_again_is_no_other() {
    for source in [source(100), static_source(20)] {
        let backend =
            Signing::start_with(&source, Urls::SignedAlike, |_| Verdict::Refuse(401)).await;
        let (engine, _folder) = backend.engine().await;
        assert_eq!(ask(&engine).await.map(drop).unwrap_err().kind(), ErrorKind::Unauthorized);
        assert_eq!((backend.requests(), backend.manifests()), (vec![0], 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_refused_at_once_go_on_with_one_renewal() {
    let source = static_source(300);
    let old = Arc::new(std::sync::Barrier::new(4));
    // What was signed first opens the file, and is refused to four at once.
    let backend = Signing::start(&source, move |asked| match (asked.signature, asked.before) {
        (0, 0..2) => Verdict::Serve,
        (0, _) => {
            // They wait for each other as long as a machine under load may take.
            tokio::task::block_in_place(|| old.wait());
            Verdict::Refuse(403)
        }
        _ => Verdict::Serve,
    })
    .await;
    let (engine, _folder) = backend.engine().await;
    let request = FileRequest {
        params: ManifestParams::default(),
        token: None,
        cut: None,
        version: None,
        kept_only: false,
    };
    let file = engine.open_file(&request, Duration::from_secs(30)).await.unwrap();
    assert_eq!(backend.requests(), [0, 0], "its end and its beginning");
    let quarter = file.bytes() / 5;
    let reads = (0..4).map(async |at| {
        let range = ByteRange::at(at * quarter + quarter / 2, 1000);
        let slices: Vec<Bytes> = file.read(range).await?.try_collect().await?;
        Ok::<_, EngineError>(slices.concat())
    });
    let read = futures::future::join_all(reads).await;
    assert!(read.iter().all(|read| read.as_ref().is_ok_and(|bytes| bytes.len() == 1000)));
    assert_eq!(backend.manifests(), 2);
}

#[tokio::test]
async fn a_refusal_is_its_owners_alone() {
    for source in [source(100), static_source(20)] {
        let backend =
            Signing::start_with(&source, Urls::Unsigned, |asked| match asked.token.as_deref() {
                Some("Bearer good") => Verdict::Serve,
                _ => Verdict::Refuse(403),
            })
            .await;
        let (engine, _folder) = backend.engine().await;
        let ask = async |token: &'static str| {
            let token = Some(Token::new(token));
            let recording = engine.recording(&ManifestParams::default(), token).await?;
            output::collect(&recording, Query::default()).await
        };
        assert_eq!(ask("bad").await.map(drop).unwrap_err().kind(), ErrorKind::Forbidden);
        let (bad, other, good) = futures::join!(ask("bad"), ask("other"), ask("good"));
        assert_eq!(output::messages(&good.unwrap()), source.messages);
        for refused in [bad, other].into_iter().filter_map(Result::err) {
            assert_eq!(refused.kind(), ErrorKind::Forbidden);
        }
        // What is here is served to whom the manifest grants it.
        assert_eq!(output::messages(&ask("bad").await.unwrap()), source.messages);
    }
}
