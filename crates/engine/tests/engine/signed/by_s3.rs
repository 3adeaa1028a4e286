//! The same against a server that checks signatures and when they run out.

use std::time::Instant;

use axum::http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::signer::Signer as _;
use object_store::{ObjectStoreExt as _, PutPayload};
use rdl_testkit::servers::{TcpProxy, VersityServer};

use super::*;

/// How long a URL is good; its date is written in whole seconds, which takes up to one of them.
const LIVES: Duration = Duration::from_secs(3);

const NAME: &str = "a.mcap";

/// An S3 server with one source in it, and a manifest endpoint that signs its URL.
struct S3 {
    server: VersityServer,
    proxy: TcpProxy,
    manifests: SocketAddr,
    signed: Arc<Mutex<Vec<Instant>>>,
    serving: tokio::task::JoinHandle<()>,
}

/// The bucket at this address, which is part of what is signed.
fn bucket(endpoint: String) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region("us-east-1")
        .with_bucket_name("sources")
        .with_access_key_id(VersityServer::ACCESS_KEY)
        .with_secret_access_key(VersityServer::SECRET_KEY)
        .with_allow_http(true)
        .build()
        .unwrap()
}

impl S3 {
    async fn with(source: &Source) -> S3 {
        // object_store uses its client, which needs to know of TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = VersityServer::start().await.unwrap();
        server.create_bucket("sources").unwrap();
        let body = PutPayload::from(source.mcap());
        bucket(server.url()).put(&ObjectPath::from(NAME), body).await.unwrap();
        let proxy = TcpProxy::start(&server.url()).await.unwrap();
        let signed: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let (signer, times) = (Arc::new(bucket(proxy.url())), signed.clone());
        let entry = declare((0, source));
        let manifest = async move || {
            times.lock().push(Instant::now());
            let path = ObjectPath::from(NAME);
            let url = signer.signed_url(Method::GET, &path, LIVES).await.unwrap();
            let mut entry = entry.clone();
            entry["url"] = json!(url);
            axum::Json(json!({ "name": "signed", "sources": [entry] }))
        };
        let router = Router::new().route("/manifest", get(manifest));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let manifests = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        S3 { server, proxy, manifests, signed, serving }
    }

    /// That the server heeds how long a URL is good.
    async fn assert_that_urls_run_out(&self) {
        let signer = bucket(self.server.url());
        let path = ObjectPath::from(NAME);
        let url = signer.signed_url(Method::GET, &path, Duration::from_secs(1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let late = rdl_testkit::get(url.as_str(), &[]).await.unwrap();
        assert_eq!(late.status, 403, "{}", late.text());
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_source_is_read_for_longer_than_its_urls_live() {
    let source = static_source(600);
    let s3 = S3::with(&source).await;
    s3.assert_that_urls_run_out().await;
    let small = |config: &mut EngineConfig| config.memory_limit_bytes = 16 << 20;
    let (engine, _folder) = engine_over(s3.manifests, small).await;
    let recording = recording(&engine).await;
    let mut stream = recording.stream(Query::default()).await.unwrap();
    let started = Instant::now();
    let total_bytes = source.mcap().len();
    let mut answer = Vec::new();
    while let Some(piece) = stream.next().await {
        answer.extend_from_slice(&piece.unwrap());
        // Evenly over more than two lives of a URL.
        let due = LIVES.mul_f64(2.3 * answer.len() as f64 / total_bytes as f64);
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
    }
    assert_eq!(output::messages(&answer), source.messages);
    assert!(s3.signed.lock().len() >= 3, "{:?}", s3.signed.lock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_source_whose_connection_breaks_after_its_url_has_run_out_is_complete() {
    let source = source(12_000);
    let s3 = S3::with(&source).await;
    // So slow that four megabytes come in a second.
    s3.proxy.set_latency_ms(1000);
    let (engine, _folder) = engine_over(s3.manifests, |_| {}).await;
    let recording = recording(&engine).await;
    let asking = tokio::spawn({
        let recording = recording.clone();
        async move { output::collect(&recording, Query::default()).await }
    });
    while recording.sources().sources[0].loaded_until.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let signed = *s3.signed.lock().last().unwrap();
    let over = signed + LIVES + Duration::from_millis(100);
    tokio::time::sleep(over.saturating_duration_since(Instant::now())).await;
    assert!(!asking.is_finished(), "it is cut in the middle");
    s3.proxy.cut().await;
    s3.proxy.set_latency_ms(0);
    s3.proxy.pass().unwrap();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(output::messages(&answer), source.messages);
    assert!(s3.signed.lock().len() >= 2);
}
