//! `cache list` and `cache purge` over what a running loader stored.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

use rdl_testkit::Fault;
use serde_json::{Value, json};

use crate::drive::{drive, path};
use crate::running::{BINARY, Running};

const QUERY: &str = "ds.recording=drive";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(20);

/// `cache` with these arguments over the bucket in this folder.
async fn cache(bucket: &Path, arguments: &[&str]) -> Output {
    tokio::process::Command::new(BINARY)
        .arg("cache")
        .args(arguments)
        .env_clear()
        .env("REQUEST_CACHE_STORAGE_PROVIDER", "local")
        .env("REQUEST_CACHE_BUCKET_NAME", bucket)
        .output()
        .await
        .unwrap()
}

async fn cache_json(bucket: &Path, arguments: &[&str]) -> Value {
    let output = cache(bucket, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> =
        list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Makes the only source of a key look as if it had been completed and used so long ago.
fn age(bucket: &Path, key: &str, age: Duration) {
    let folder = bucket.join("v1/sources").join(key);
    let attempt = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    for name in ["complete.json", "used"] {
        let file = std::fs::File::options().write(true).open(attempt.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

/// A loader that keeps everything in this bucket folder.
async fn loader(endpoint: &str, bucket: &Path) -> Running {
    let environment = [
        ("REQUEST_CACHE_STORAGE_PROVIDER", "local"),
        ("REQUEST_CACHE_BUCKET_NAME", bucket.to_str().unwrap()),
        ("REQUEST_CACHE_DISK_FOLDER", ""),
    ];
    Running::start(endpoint, &environment).await
}

/// `cache list --json` as soon as so many sources are in this state.
async fn listed(bucket: &Path, state: &str, count: usize) -> Value {
    let started = Instant::now();
    loop {
        let list = cache_json(bucket, &["list", "--json"]).await;
        let entries = list.as_array().unwrap();
        if entries.iter().filter(|entry| entry["state"] == state).count() == count {
            return list;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {count} {state}: {list:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let length = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() }
    };
    std::fs::read_dir(folder).unwrap().map(|entry| length(entry.unwrap())).sum()
}

#[tokio::test]
async fn what_was_loaded_is_listed_and_purged() {
    let (backend, recording, _) = drive().await;
    let bucket = tempfile::tempdir().unwrap();
    let bucket = bucket.path();
    let loader = loader(&backend.manifest_endpoint(), bucket).await;
    assert_eq!(cache_json(bucket, &["list", "--json"]).await, json!([]));
    assert_eq!(loader.ask(QUERY, &[]).await.status, 200);

    let list = listed(bucket, "complete", 4).await;
    assert_eq!(ids(&list), ["source-0", "source-1", "source-2", "source-3"]);
    let entries = list.as_array().unwrap();
    let bytes: u64 = entries.iter().map(|entry| entry["bytes"].as_u64().unwrap()).sum();
    assert_eq!(bytes, bytes_below(&bucket.join("v1")));
    for entry in entries {
        assert!(entry["parts"].as_u64().unwrap() >= 1, "{entry}");
        for time in ["completedAt", "usedAt"] {
            let time: rdl_model::Nanos = entry[time].as_str().unwrap().parse().unwrap();
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert!(now.as_nanos() - u128::from(time.0) < 60_000_000_000, "{entry}");
        }
    }
    let table = printed(&cache(bucket, &["list"]).await);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID        STATE ") && lines[0].ends_with("LAST USE"), "{table}");
    assert!(lines[1..5].iter().all(|line| line.starts_with("source-")), "{table}");
    assert!(lines[..5].iter().all(|line| line.len() == lines[0].len()), "{table}");
    assert!(lines[5].starts_with("4 sources, "), "{table}");

    // What was just used stays unless everything has to go.
    let purged = cache_json(bucket, &["purge", "--source", "source-1", "--json"]).await;
    assert_eq!((ids(&purged["removed"]), ids(&purged["kept"])), (vec![], vec!["source-1"]));

    let key = |id: &str| {
        let entry = entries.iter().find(|entry| entry["id"] == id).unwrap();
        entry["key"].as_str().unwrap().to_owned()
    };
    age(bucket, &key("source-0"), DAY * 8);
    age(bucket, &key("source-2"), DAY * 6);
    let old = ["purge", "--older-than", "7d"];
    let dry = cache(bucket, &[&old[..], &["--dry-run"]].concat()).await;
    assert!(printed(&dry).starts_with("would remove source-0 (complete, "), "{}", printed(&dry));
    assert_eq!(listed(bucket, "complete", 4).await.as_array().unwrap().len(), 4);
    let purged = cache_json(bucket, &[&old[..], &["--json"]].concat()).await;
    assert_eq!(ids(&purged["removed"]), ["source-0"]);
    assert_eq!(purged["bytes"], purged["removed"][0]["bytes"]);
    let by_key = key("source-2");
    let output = cache(bucket, &["purge", "--source", &by_key, "--source", "unknown"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let text = printed(&output);
    assert!(
        text.starts_with("removed source-2 (complete, ") && text.contains("\nfreed "),
        "{text}"
    );
    assert_eq!(ids(&listed(bucket, "complete", 2).await), ["source-1", "source-3"]);

    let purged = cache_json(bucket, &["purge", "--all", "--json"]).await;
    assert_eq!(ids(&purged["removed"]), ["source-1", "source-3"]);
    assert_eq!(cache_json(bucket, &["list", "--json"]).await, json!([]));
    assert_eq!(bytes_below(&bucket.join("v1")), 0);

    drop(loader);
    let again = self::loader(&backend.manifest_endpoint(), bucket).await;
    let answer = again.ask(QUERY, &[]).await;
    assert!(answer.complete);
    assert!(rdl_testkit::decode(&answer.body).unwrap().messages == recording.merged());
    assert_eq!(backend.count(&path(0)), 2, "it was loaded once more");
}

#[tokio::test]
async fn a_recording_is_purged_by_its_parameters() {
    let (backend, _, _) = drive().await;
    let bucket = tempfile::tempdir().unwrap();
    let bucket = bucket.path();
    let loader = loader(&backend.manifest_endpoint(), bucket).await;
    assert_eq!(loader.ask(QUERY, &[]).await.status, 200);
    let list = listed(bucket, "complete", 4).await;
    let keys: Vec<&str> =
        list.as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    for key in &keys[1..] {
        age(bucket, key, DAY * 8);
    }
    let endpoint = backend.manifest_endpoint();
    let of = async |endpoint: &str| {
        let endpoint = format!("--manifest-endpoint={endpoint}");
        let arguments = ["purge", "-p", "recording=drive", "--json", "--allow-http-sources"];
        cache_json(bucket, &[&arguments[..], &[&endpoint]].concat()).await
    };
    // A source belongs to the endpoint that named it.
    let other = of(&format!("{endpoint}?other=1")).await;
    assert_eq!((&other["removed"], &other["kept"]), (&json!([]), &json!([])));
    let purged = of(&endpoint).await;
    assert_eq!(purged["removed"].as_array().unwrap().len(), 3, "{purged:#}");
    assert_eq!(purged["kept"][0]["key"], keys[0], "it was just used");
    assert_eq!(listed(bucket, "complete", 1).await[0]["key"], keys[0]);
}

#[tokio::test]
async fn what_is_being_loaded_stays_until_its_process_is_dead() {
    let (backend, _, files) = drive().await;
    let half = files[0].len() as u64 / 2;
    backend.always(&path(0), Fault::StallAfter(half, PATIENCE * 10));
    let bucket = tempfile::tempdir().unwrap();
    let bucket = bucket.path();
    let mut loader = loader(&backend.manifest_endpoint(), bucket).await;
    let events = format!("{}/v1/events?{QUERY}&prefetch=true", loader.process.url());
    let asking = tokio::spawn(async move { rdl_testkit::get(&events, &[]).await });
    // The others are there by then.
    listed(bucket, "complete", files.len() - 1).await;
    let list = listed(bucket, "incomplete", 1).await;
    let loading = list.as_array().unwrap().iter().find(|entry| entry["state"] == "incomplete");
    assert_eq!(loading.unwrap()["completedAt"], Value::Null);
    let kept = cache_json(bucket, &["purge", "--all", "--json"]).await;
    assert_eq!(kept["kept"].as_array().unwrap().len(), 1, "{kept:#}");
    listed(bucket, "incomplete", 1).await;

    loader.process.kill().await.unwrap();
    asking.abort();
    let purged = cache_json(bucket, &["purge", "--all", "--json"]).await;
    assert!(purged["removed"].as_array().unwrap().iter().any(|gone| gone["state"] == "incomplete"));
    assert_eq!(cache_json(bucket, &["list", "--json"]).await, json!([]));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let bucket = tempfile::tempdir().unwrap();
    let missing = bucket.path().join("missing");
    for (bucket, arguments, status, says) in [
        (
            bucket.path(),
            &["purge"][..],
            2,
            "--source <id>, --param <name>=<value>, --older-than <age>, or --all",
        ),
        (bucket.path(), &["purge", "-p", "recording"], 2, "name=value"),
        (bucket.path(), &["purge", "-p", "recording=a"], 2, "MANIFEST_ENDPOINT is not set"),
        (bucket.path(), &["purge", "--older-than", "soon"], 2, "90s, 30m, 12h or 7d"),
        (&missing, &["list"], 1, "missing"),
        (&missing, &["purge", "--all"], 1, "missing"),
    ] {
        let output = cache(bucket, arguments).await;
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
    }
    let both = cache(bucket.path(), &["purge", "--all", "--source", "a"]).await;
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
    let alone = cache(bucket.path(), &[]).await;
    assert_eq!(alone.status.code(), Some(2));
    for provider in ["", "in_memory"] {
        let output = tokio::process::Command::new(BINARY)
            .args(["cache", "list"])
            .env_clear()
            .env("REQUEST_CACHE_STORAGE_PROVIDER", provider)
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("REQUEST_CACHE_STORAGE_PROVIDER"), "{}", said(&output));
        assert!(said(&output).contains("REQUEST_CACHE_BUCKET_NAME"), "{}", said(&output));
    }
}
