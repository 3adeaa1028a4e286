//! What `/metrics` says of a busy loader: compared with what it was asked, and checked by promtool,
//! which is Prometheus's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rdl_testkit::{Fault, get};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::drive::path;
use crate::fleet::{PATIENCE, QUERY, ask, recording, s3, s3_server, settled};
use crate::running::{Running, needed};

const PREFIX: &str = "remote_data_loader_";

/// The samples of a scrape, by name and labels as they are written.
struct Scrape {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(loader: &Running) -> Scrape {
        let answer = get(&address(loader).await, &[]).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        let text = answer.text();
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Scrape { samples: samples.collect(), text }
    }

    /// What all samples of this name come to whose labels hold all of `labels`.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let name = format!("{PREFIX}{name}");
        let of_name = |sample: &str| {
            sample.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let fits = |sample: &str| labels.iter().all(|label| sample.contains(label));
        let samples = self.samples.iter();
        samples.filter(|(sample, _)| of_name(sample) && fits(sample)).map(|(_, value)| value).sum()
    }
}

/// Where the loader says its metrics are; it prints that behind the line that it is waited for.
async fn address(loader: &Running) -> String {
    let started = Instant::now();
    loop {
        let printed = loader.process.printed();
        if let Some(url) = printed.lines().find_map(|line| line.strip_prefix("metrics: ")) {
            return url.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "{printed}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `promtool` with these arguments and this input; an error if it finds anything wrong.
async fn promtool(arguments: &[&str], input: &str) -> anyhow::Result<()> {
    let mut promtool = tokio::process::Command::new(needed("RDL_TEST_PROMTOOL")?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = promtool.stdin.take().context("it is piped")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = promtool.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_tells_what_a_busy_loader_did() {
    const SOURCES: usize = 6;
    let (backend, recording) = recording(SOURCES).await;
    let truth = recording.merged();
    let server = s3_server().await;
    let url = server.url();
    let mut environment = s3(&url);
    environment.push(("REMOTE_DATA_LOADER_VERSION", "2026-11"));
    backend.script(&path(0), [Fault::Status(503, None)]);
    let endpoint = backend.manifest_endpoint();
    let leader = Running::start(&endpoint, &environment).await;
    let follower = Running::start(&endpoint, &environment).await;
    let (first, second) = tokio::join!(ask(&leader, &truth), ask(&follower, &truth));
    first.unwrap();
    second.unwrap();
    settled(&environment, SOURCES).await;
    let late = Running::start(&endpoint, &environment).await;
    let whole = late.ask(QUERY, &[]).await;
    assert!(whole.complete);
    assert_eq!(late.ask("ds.recording=secretname", &[]).await.status, 404);
    let unknown = get(&format!("{}/v1/secretname", late.process.url()), &[]).await.unwrap();
    assert_eq!(unknown.status, 404);

    let messages = truth.len() as f64;
    let stream = r#"route="/v1/stream""#;
    for loader in [&leader, &follower, &late] {
        let scrape = Scrape::of(loader).await;
        promtool(&["check", "metrics"], &scrape.text).await.unwrap();
        let shown = &scrape.text;
        assert!(!shown.contains("secretname") && !shown.contains("topsecret"), "{shown}");
        assert!(!shown.contains("drive") && !shown.contains("source-1"), "{shown}");
        assert_eq!(scrape.sum("build_info", &[r#"release="2026-11""#]), 1.0, "{shown}");
        assert_eq!(scrape.sum("ready", &[]), 1.0, "{shown}");
        assert_eq!(scrape.sum("messages_sent_total", &[]), messages, "{shown}");
        assert_eq!(scrape.sum("http_requests_total", &[stream, r#"status="200""#]), 1.0, "{shown}");
        assert_eq!(scrape.sum("http_response_start_seconds_count", &[stream]).min(1.0), 1.0);
        let complete = [stream, r#"outcome="complete""#];
        assert!(scrape.sum("http_response_seconds_count", &complete) >= 1.0, "{shown}");
        assert_eq!(scrape.sum("http_responses_active", &[]), 0.0, "{shown}");
        assert_eq!(scrape.sum("loads_running", &[]), 0.0, "{shown}");
        assert_eq!(scrape.sum("bucket_overwrites_in_silence", &[]), 0.0, "{shown}");
        let pools = scrape.sum("memory_limit_bytes", &[]);
        assert!(pools > 0.0 && scrape.sum("memory_reserved_bytes", &[]) <= pools, "{shown}");
        let chunks = scrape.sum("chunks_sent_total", &[]);
        assert!(chunks > 0.0 && scrape.sum("chunk_reads_total", &[]) >= chunks, "{shown}");
    }

    let [leader, follower, late] =
        [Scrape::of(&leader).await, Scrape::of(&follower).await, Scrape::of(&late).await];
    let sources = SOURCES as f64;
    let both = |name: &str, labels: &[&str]| leader.sum(name, labels) + follower.sum(name, labels);
    let shown = format!("{}\n\n{}", leader.text, follower.text);
    // Each source was downloaded once, whoever did it, and is in the bucket once.
    let nowhere = both("source_lookups_total", &[r#"found="nowhere""#]);
    let shared = both("source_lookups_total", &[r#"found="followed""#])
        + both("source_lookups_total", &[r#"found="bucket""#]);
    assert_eq!((nowhere, shared), (sources, sources), "{shown}");
    assert!(both("loads_total", &[r#"outcome="complete""#]) >= sources, "{shown}");
    let mut bodies = 0.0;
    for source in 0..SOURCES {
        let url = format!("{}{}", backend.url(), path(source));
        bodies += get(&url, &[]).await.unwrap().body.len() as f64;
    }
    assert_eq!(both("backend_received_bytes_total", &[r#"what="body""#]), bodies, "{shown}");
    assert_eq!(both("backend_failures_total", &[r#"what="body""#]), 1.0, "{shown}");
    assert!(both("backend_retries_total", &[r#"what="body""#]) >= 1.0, "{shown}");
    assert!(both("bucket_upload_lag_seconds_count", &[]) >= sources, "{shown}");
    assert!(both("bucket_written_bytes_total", &[]) > bodies / 4.0, "{shown}");

    // Whoever comes later asks nobody but the bucket.
    let shown = &late.text;
    assert_eq!(late.sum("source_lookups_total", &[r#"found="bucket""#]), sources, "{shown}");
    assert_eq!(late.sum("backend_received_bytes_total", &[r#"what="body""#]), 0.0, "{shown}");
    assert!(late.sum("bucket_read_bytes_total", &[]) > 0.0, "{shown}");
    let bytes = late.sum("http_response_bytes_total", &[stream]);
    assert!(bytes >= whole.body.len() as f64, "{bytes} {}", whole.body.len());
    assert_eq!(late.sum("http_requests_total", &[r#"status="404""#, stream]), 1.0, "{shown}");
    assert_eq!(late.sum("http_requests_total", &[r#"route="unknown""#]), 1.0, "{shown}");
    assert_eq!(late.sum("manifest_requests_total", &[r#"outcome="not_found""#]), 1.0, "{shown}");
    assert!(late.sum("chunk_read_bytes_total", &[r#"tier="bucket""#]) > 0.0, "{shown}");
}

#[tokio::test]
async fn names_are_what_the_operator_says_and_no_metrics_are_served_where_they_are_off() {
    let own = [("PROMETHEUS_METRICS_NAMESPACE", "acme"), ("PROMETHEUS_METRICS_SUBSYSTEM", "mcap")];
    let loader = Running::start("http://127.0.0.1:9/manifest", &own).await;
    let scrape = Scrape::of(&loader).await;
    assert!(scrape.text.contains("\nacme_mcap_ready 1\n"), "{}", scrape.text);
    assert!(!scrape.text.contains(PREFIX), "{}", scrape.text);
    let bare = [("PROMETHEUS_METRICS_NAMESPACE", "none")];
    let loader = Running::start("http://127.0.0.1:9/manifest", &bare).await;
    assert!(Scrape::of(&loader).await.text.contains("\nready 1\n"));
    let off = [("PROMETHEUS_ADDRESS", "off")];
    let loader = Running::start("http://127.0.0.1:9/manifest", &off).await;
    assert!(!loader.process.printed().contains("metrics:"));
}

/// The names that a document with queries uses, without what the queries put behind them.
fn names_in(text: &str, names: &mut BTreeSet<String>) {
    for rest in text.split(PREFIX).skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        let base =
            ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        names.insert(base.unwrap_or(name).to_owned());
    }
}

#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_exist() {
    let documented = std::fs::read_to_string(deploy("../docs/METRICS.md")).unwrap();
    let known: BTreeSet<&str> =
        documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(known.contains("messages_sent_total"));

    let dashboard = std::fs::read_to_string(deploy("grafana/remote-data-loader.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 20);
    let rules = std::fs::read_to_string(deploy("prometheus/rules.yaml")).unwrap();
    let mut used = BTreeSet::new();
    names_in(&dashboard, &mut used);
    names_in(&rules, &mut used);
    let unknown: Vec<_> = used.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(used.len() > 30 && unknown.is_empty(), "{unknown:?}");

    let file = |name: &str| deploy(name).to_str().unwrap().to_owned();
    promtool(&["check", "rules", "--lint-fatal", &file("prometheus/rules.yaml")], "")
        .await
        .unwrap();
    promtool(&["test", "rules", &file("prometheus/rules_test.yaml")], "").await.unwrap();
}
