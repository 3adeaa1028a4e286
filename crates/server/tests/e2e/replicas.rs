//! Several loaders over one object store: versitygw's S3, moto's, Azurite, and a fake of Google
//! Cloud Storage's XML API (which is no evidence about the real service).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdl_testkit::servers::{AzureServer, GcsServer, HttpProxy, S3Server, TcpProxy, VersityServer};

use crate::drive::path;
use crate::fleet::{
    BUCKET, PACE, PATIENCE, QUERY, ask, counts, listed, pause, recording, s3, s3_server, settled,
    slow_recording,
};
use crate::running::{BINARY, Running};

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
    let printed = loaders.iter().map(|loader| loader.process.printed());
    assert_eq!(
        counts(&backend, SOURCES),
        [1; SOURCES],
        "{}",
        printed.collect::<Vec<_>>().join("\n\n")
    );
    settled(&environment, SOURCES).await;
    // Whoever comes later needs no backend, and says so of the secret to nobody.
    let late = Running::start(&backend.manifest_endpoint(), &environment).await;
    ask(&late, &truth).await.unwrap();
    assert_eq!(counts(&backend, SOURCES), [1; SOURCES]);
    for loader in loaders.iter().chain([&late]) {
        assert!(!loader.process.printed().contains("topsecret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_slow_is_named_once_for_each_time() {
    const SOURCES: usize = 2;
    let (backend, truth) = slow_recording(SOURCES, 8 << 10).await;
    let server = s3_server().await;
    let line = TcpProxy::start(&server.url()).await.unwrap();
    let url = line.url();
    let mut environment = s3(&url);
    environment.retain(|(name, _)| !PACE.iter().any(|(pace, _)| pace == name));
    environment.extend([
        ("REQUEST_CACHE_SLOW_PART_LIST_UPDATE_THRESHOLD_MS", "201"),
        ("REQUEST_CACHE_SLOW_PART_UPLOAD_THRESHOLD_MS", "202"),
        ("REQUEST_CACHE_SLOW_BYTES_THRESHOLD_MS", "203"),
    ]);
    let leader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let follower = Running::start(&backend.manifest_endpoint(), &environment).await;
    let said = |loader: &Running, what: &str| loader.process.printed().matches(what).count();
    line.set_latency_ms(125);
    let follow = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        ask(&follower, &truth).await
    };
    let (first, second) = tokio::join!(ask(&leader, &truth), follow);
    first.unwrap();
    second.unwrap();
    assert_eq!(counts(&backend, SOURCES), [1; SOURCES]);
    let printed = format!("{}\n{}", leader.process.printed(), follower.process.printed());
    assert!(said(&leader, "threshold_ms=201") > 0, "{printed}");
    assert!(said(&follower, "threshold_ms=203") > 0, "{printed}");
    // Once for each part of each source, although each takes several times as long.
    assert!(said(&leader, "threshold_ms=202") > 0, "{printed}");
    for number in 1..100 {
        let part = format!("writing part-{number:06}.mcap");
        assert!(said(&leader, &part) <= SOURCES, "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_go_on_when_the_replica_that_loads_is_killed() {
    const SOURCES: usize = 4;
    let (backend, truth) = slow_recording(SOURCES, 8 << 10).await;
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
    let (backend, truth) = slow_recording(SOURCES, 8 << 10).await;
    let server = s3_server().await;
    let url = server.url();
    let environment = s3(&url);
    let sleeper = Running::start(&backend.manifest_endpoint(), &environment).await;
    let other = Running::start(&backend.manifest_endpoint(), &environment).await;
    let asleep = pause(&sleeper.process, Duration::from_millis(1200), Duration::from_secs(6));
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
    let (backend, truth) = slow_recording(SOURCES, 8 << 10).await;
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
        pause(&server.process, Duration::ZERO, Duration::from_secs(3)).await;
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
        assert_eq!(counts(&backend, 4), [1; 4], "{}", environment[0].1);
    }
}

/// The least that ignores conditions: moto, from which they are kept. It is a stand-in for a store
/// of that kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_in_silence_is_named_and_does_no_harm() {
    const SOURCES: usize = 4;
    let (backend, truth) = slow_recording(SOURCES, 32 << 10).await;
    let server = S3Server::start().await.unwrap();
    server.create_bucket(BUCKET).await.unwrap();
    let proxy = HttpProxy::start(&server.url()).await.unwrap();
    proxy.drop_conditions();
    let url = proxy.url();
    let environment = s3(&url);
    let mut loaders = Vec::new();
    for _ in 0..3 {
        let loader = Running::start(&backend.manifest_endpoint(), &environment).await;
        let said = loader.process.printed();
        let warning = "the store creates objects that exist already; a source may be loaded by \
                       more than one replica";
        let line = said.lines().find(|line| line.contains(warning));
        assert!(line.is_some_and(|line| line.contains(BUCKET)), "{said}");
        loaders.push(loader);
    }
    let viewers = (0..6).map(|viewer| ask(&loaders[viewer % 3], &truth));
    for answer in futures::future::join_all(viewers).await {
        answer.unwrap();
    }
    let asked = counts(&backend, SOURCES);
    assert!(asked.iter().all(|count| (1..=3).contains(count)), "{asked:?}");
    // There may be others, but one is complete of each, and whoever comes later uses that.
    let started = Instant::now();
    loop {
        let list = listed(&environment).await;
        let complete = list.as_array().unwrap().iter().filter(|one| one["state"] == "complete");
        let ids: HashSet<&str> = complete.filter_map(|one| one["id"].as_str()).collect();
        if ids.len() == SOURCES {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "sources are missing: {list:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let asked = counts(&backend, SOURCES);
    for _ in 0..2 {
        let late = Running::start(&backend.manifest_endpoint(), &environment).await;
        ask(&late, &truth).await.unwrap();
    }
    assert_eq!(counts(&backend, SOURCES), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_or_refuses_stops_the_start_by_name() {
    let server = VersityServer::start().await.unwrap();
    let url = server.url();
    let advice = format!("there is no bucket {BUCKET}: create it, or correct");
    stops_the_start(&s3(&url), ["NoSuchBucket", &advice]).await;
    server.create_bucket(BUCKET).unwrap();
    let mut environment = s3(&url);
    environment.retain(|(name, _)| *name != "S3_COMPATIBLE_SECRET_ACCESS_KEY");
    environment.push(("S3_COMPATIBLE_SECRET_ACCESS_KEY", "topsecret, but another"));
    let advice = format!(
        "the bucket {BUCKET} refuses these credentials: correct S3_COMPATIBLE_ACCESS_KEY_ID, \
         S3_COMPATIBLE_SECRET_ACCESS_KEY"
    );
    stops_the_start(&environment, ["SignatureDoesNotMatch", &advice]).await;
}

/// A loader with this environment ends and says these, but no secret.
async fn stops_the_start(environment: &[(&str, &str)], says: [&str; 2]) {
    let command = tokio::process::Command::new(BINARY)
        .arg("serve")
        .env_clear()
        .env("MANIFEST_ENDPOINT", "https://data.example.com/manifest")
        .envs([("ADDRESS", "127.0.0.1:0"), ("PROMETHEUS_ADDRESS", "127.0.0.1:0")])
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, command).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(says.iter().all(|what| said.contains(what)), "{said}");
    assert!(!said.contains("topsecret"), "{said}");
}
