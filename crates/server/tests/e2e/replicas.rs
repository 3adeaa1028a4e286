//! Several loaders over one object store: moto's S3, Azurite, and a fake of Google Cloud Storage's
//! XML API (which is no evidence about the real service).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rdl_testkit::servers::{AzureServer, GcsServer, S3Server, TcpProxy};
use rdl_testkit::{
    Drive, FakeBackend, Fault, FileSpec, Message, Recording, arrived, check_all, manifest_json,
    streamed_entry,
};
use serde_json::Value;

use crate::drive::path;
use crate::running::{BINARY, Running};

const QUERY: &str = "ds.recording=drive";
const BUCKET: &str = "recordings";
const PATIENCE: Duration = Duration::from_secs(30);

/// Short times, so that a replica that died is missed soon.
const PACE: [(&str, &str); 4] = [
    ("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS", "2000"),
    ("REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS", "400"),
    ("REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS", "200"),
    ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "20000"),
];

/// A recording of so many streamed sources, and its backend.
async fn recording(sources: usize) -> (FakeBackend, Recording) {
    let drive = Drive { windows: sources / 2, payload_bytes: 2_000, ..Drive::default() };
    let recording = drive.generate();
    let backend = FakeBackend::start().await;
    let mut entries = Vec::new();
    for (number, messages) in recording.sources.iter().enumerate() {
        backend.streamed(&path(number), Bytes::from(FileSpec::default().write(messages)));
        entries.push(streamed_entry(Some(&format!("source-{number}")), &path(number), messages));
    }
    backend.recording("drive", &manifest_json(Some("a drive"), &entries));
    (backend, recording)
}

/// Each source takes some seconds.
fn slowly(backend: &FakeBackend, sources: usize) {
    for source in 0..sources {
        backend.always(&path(source), Fault::Slow(8 << 10, Duration::from_millis(100)));
    }
}

/// How to reach a bucket on this S3.
fn s3(url: &str) -> Vec<(&str, &str)> {
    let mut environment = vec![
        ("REQUEST_CACHE_STORAGE_PROVIDER", "s3_compatible"),
        ("REQUEST_CACHE_BUCKET_NAME", BUCKET),
        ("REQUEST_CACHE_PREFIX", "team/a"),
        ("S3_COMPATIBLE_SERVICE_URL", url),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", "key"),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", "topsecret"),
    ];
    environment.extend(PACE);
    environment
}

async fn s3_server() -> S3Server {
    let server = S3Server::start().await.unwrap();
    server.create_bucket(BUCKET).await.unwrap();
    server
}

/// Asks for everything, and compares it; an error tells what was wrong.
async fn ask(loader: &Running, truth: &[Message]) -> anyhow::Result<()> {
    let answer = loader.ask(QUERY, &[]).await;
    let printed = || format!("{}\n{}", answer.text(), loader.process.printed());
    anyhow::ensure!(answer.status == 200 && answer.complete, "{}: {}", answer.status, printed());
    check_all(&arrived(&answer.body)?, truth)
}

/// `cache list --json` with this environment.
async fn listed(environment: &[(&str, &str)]) -> Value {
    let output = tokio::process::Command::new(BINARY)
        .args(["cache", "list", "--json"])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until the bucket holds one complete attempt for each source, and nothing else.
async fn settled(environment: &[(&str, &str)], sources: usize) {
    let started = Instant::now();
    loop {
        let list = listed(environment).await;
        let entries = list.as_array().unwrap();
        let mut ids: Vec<&str> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let all_complete = entries.iter().all(|entry| entry["state"] == "complete");
        if all_complete && entries.len() == sources && ids.len() == sources {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "the bucket does not settle: {list:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_four_viewers_of_three_replicas_share_each_download() {
    const SOURCES: usize = 20;
    let (backend, recording) = recording(SOURCES).await;
    let truth = recording.merged();
    let server = s3_server().await;
    let url = server.url();
    let mut environment = s3(&url);
    // Nobody dies here; a busy machine makes nobody late.
    environment.retain(|(name, _)| !PACE.iter().any(|(pace, _)| pace == name));
    let mut loaders = Vec::new();
    for _ in 0..3 {
        loaders.push(Running::start(&backend.manifest_endpoint(), &environment).await);
    }
    let viewers = (0..24).map(|viewer| ask(&loaders[viewer % 3], &truth));
    for answer in futures::future::join_all(viewers).await {
        answer.unwrap();
    }
    let counts: Vec<usize> = (0..SOURCES).map(|source| backend.count(&path(source))).collect();
    let printed = loaders.iter().map(|loader| loader.process.printed());
    assert_eq!(counts, [1; SOURCES], "{}", printed.collect::<Vec<_>>().join("\n\n"));
    settled(&environment, SOURCES).await;
    // Whoever comes later needs no backend, and says so of the secret to nobody.
    let late = Running::start(&backend.manifest_endpoint(), &environment).await;
    ask(&late, &truth).await.unwrap();
    assert_eq!((0..SOURCES).map(|source| backend.count(&path(source))).sum::<usize>(), SOURCES);
    for loader in loaders.iter().chain([&late]) {
        assert!(!loader.process.printed().contains("topsecret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_go_on_when_the_replica_that_loads_is_killed() {
    const SOURCES: usize = 4;
    let (backend, recording) = recording(SOURCES).await;
    slowly(&backend, SOURCES);
    let truth = recording.merged();
    let server = s3_server().await;
    let url = server.url();
    let environment = s3(&url);
    let mut leader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let others = [
        Running::start(&backend.manifest_endpoint(), &environment).await,
        Running::start(&backend.manifest_endpoint(), &environment).await,
    ];
    let all = async {
        let leading = leader.ask(QUERY, &[]);
        let killed = tokio::time::timeout(Duration::from_millis(1500), leading).await;
        assert!(killed.is_err(), "the sources are not slow enough");
        leader.process.kill().await.unwrap();
    };
    let follow = async |loader| {
        tokio::time::sleep(Duration::from_millis(700)).await;
        ask(loader, &truth).await
    };
    let ((), first, second) = tokio::join!(all, follow(&others[0]), follow(&others[1]));
    first.unwrap();
    second.unwrap();
    for source in 0..SOURCES {
        let count = backend.count(&path(source));
        assert!((1..=2).contains(&count), "source {source} was asked for {count} times");
    }
    settled(&environment, SOURCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_slept_past_its_time_does_no_harm() {
    const SOURCES: usize = 4;
    let (backend, recording) = recording(SOURCES).await;
    slowly(&backend, SOURCES);
    let truth = recording.merged();
    let server = s3_server().await;
    let url = server.url();
    let environment = s3(&url);
    let sleeper = Running::start(&backend.manifest_endpoint(), &environment).await;
    let other = Running::start(&backend.manifest_endpoint(), &environment).await;
    let asleep = async {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        sleeper.process.freeze().unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        sleeper.process.thaw().unwrap();
    };
    let follow = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        ask(&other, &truth).await
    };
    let (first, second, ()) = tokio::join!(ask(&sleeper, &truth), follow, asleep);
    first.unwrap();
    second.unwrap();
    settled(&environment, SOURCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_for_a_while_breaks_no_answer() {
    const SOURCES: usize = 4;
    let (backend, recording) = recording(SOURCES).await;
    slowly(&backend, SOURCES);
    let truth = recording.merged();
    let server = s3_server().await;
    let proxy = TcpProxy::start(&server.url()).await.unwrap();
    let (through, direct) = (proxy.url(), server.url());
    let cut_off = Running::start(&backend.manifest_endpoint(), &s3(&through)).await;
    let other = Running::start(&backend.manifest_endpoint(), &s3(&direct)).await;
    let weather = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        proxy.cut().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        proxy.pass().unwrap();
        server.process.freeze().unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.process.thaw().unwrap();
    };
    let (first, second, ()) = tokio::join!(ask(&cut_off, &truth), ask(&other, &truth), weather);
    first.unwrap();
    second.unwrap();
    // Once more, from whatever the bucket has by now.
    ask(&other, &truth).await.unwrap();
    settled(&s3(&direct), SOURCES).await;
    drop(other);
    let late = Running::start(&backend.manifest_endpoint(), &s3(&direct)).await;
    ask(&late, &truth).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_and_google_cloud_keep_what_was_loaded() {
    let azure = AzureServer::start().await.unwrap();
    azure.create_container(BUCKET).await.unwrap();
    let google = GcsServer::start().await.unwrap();
    google.create_bucket(BUCKET).await.unwrap();
    let (service, credentials) = (azure.service_url(), google.credentials_path());
    let environments = [
        vec![
            ("REQUEST_CACHE_STORAGE_PROVIDER", "azure"),
            ("STORAGE_AZURE_STORAGE_ACCOUNT_NAME", AzureServer::ACCOUNT),
            ("STORAGE_AZURE_SERVICE_URL", &service),
            ("AZURE_STORAGE_ACCOUNT_KEY", AzureServer::KEY),
        ],
        vec![
            ("REQUEST_CACHE_STORAGE_PROVIDER", "google_cloud"),
            ("GOOGLE_APPLICATION_CREDENTIALS", credentials.to_str().unwrap()),
        ],
    ];
    for mut environment in environments {
        environment.push(("REQUEST_CACHE_BUCKET_NAME", BUCKET));
        environment.extend(PACE);
        let (backend, recording) = recording(4).await;
        let truth = recording.merged();
        let first = Running::start(&backend.manifest_endpoint(), &environment).await;
        ask(&first, &truth).await.unwrap();
        settled(&environment, 4).await;
        let second = Running::start(&backend.manifest_endpoint(), &environment).await;
        let described = second.describe(QUERY).await;
        let sources = described["sources"].as_array().unwrap();
        assert!(sources.iter().all(|source| source["state"] == "cached"), "{described}");
        ask(&second, &truth).await.unwrap();
        let counts: Vec<usize> = (0..4).map(|source| backend.count(&path(source))).collect();
        assert_eq!(counts, [1; 4], "{}", environment[0].1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_stops_the_start_by_name() {
    let server = S3Server::start().await.unwrap();
    let url = server.url();
    let mut environment = s3(&url);
    environment.extend([
        ("MANIFEST_ENDPOINT", "https://data.example.com/manifest"),
        ("ADDRESS", "127.0.0.1:0"),
        ("PROMETHEUS_ADDRESS", "127.0.0.1:0"),
    ]);
    let command = tokio::process::Command::new(BINARY)
        .arg("serve")
        .env_clear()
        .envs(environment)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, command).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    let advice = format!("there is no bucket {BUCKET}: create it, or correct");
    assert!(said.contains("NoSuchBucket") && said.contains(&advice), "{said}");
    assert!(!said.contains("topsecret"), "{said}");
}
