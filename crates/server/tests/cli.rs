//! The command line of the real binary: exit status, messages, signals.

#![expect(clippy::unwrap_used, reason = "tests, and what they share")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ENDPOINT: (&str, &str) = ("MANIFEST_ENDPOINT", "https://data.example.com/manifest");
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, with these variables, and none that is not needed to run beside others.
fn loader(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remote-data-loader"));
    command.args(args).env_clear().env("PROMETHEUS_ADDRESS", "127.0.0.1:0");
    command.envs(environment.iter().copied());
    command
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = loader(args, environment).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// Ends the process with the test, whatever becomes of the test.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// `serve` on a free port; returns once it listens.
    fn start(folder: &Path, environment: &[(&str, &str)]) -> Service {
        let mut child = loader(&["serve", "--address=127.0.0.1:0"], environment)
            .env("REQUEST_CACHE_DISK_FOLDER", folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Service { child, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_wrong_value_ends_with_2_and_one_line_that_names_its_variable() {
    for (name, value) in [
        ("DISABLE_AUTH", "yes"),
        ("ALLOW_HTTP_SOURCES", "on"),
        ("MANIFEST_CACHE_TTL_MS", "60000"),
        ("ADDRESS", "here"),
        ("REQUEST_CACHE_STORAGE_PROVIDER", "floppy"),
        ("REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS", "20000"),
        ("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS", "0"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("RUST_LOG", "rdl=noisy"),
        ("COOKIE_ENCRYPTION_KEY", "hunter2"),
        ("OAUTH_TOKEN_URL", "http://idp.example.com/token"),
        ("MANIFEST_ENDPOINT", "http://data.example.com/manifest"),
    ] {
        let (status, text) = run(&["serve"], &[ENDPOINT, (name, value)]);
        assert_eq!(status, Some(2), "{name}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn health_says_in_one_line_whether_the_service_answers() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[ENDPOINT]);
    let address = service.address.to_string();
    // A proxy has no business between them.
    let environment = [("ADDRESS", address.as_str()), ("HTTP_PROXY", "http://127.0.0.1:9")];
    let asked = loader(&["health"], &environment).output().unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert_eq!(asked.status.code(), Some(0), "{said}");
    assert_eq!(said, format!("http://{address}/liveness answered 200 OK\n"));

    let elsewhere = format!("http://{address}/v1/nothing");
    let (status, text) = run(&["health", "--url", &elsewhere], &[]);
    assert_eq!(status, Some(1));
    assert_eq!(text, format!("remote-data-loader: {elsewhere} answered 404 Not Found\n"));

    drop(service);
    let (status, text) = run(&["health"], &[("ADDRESS", &address)]);
    assert_eq!(status, Some(1));
    let begins = format!("remote-data-loader: http://{address}/liveness: no answer: ");
    assert!(text.starts_with(&begins) && text.lines().count() == 1, "{text}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (status, text) =
        run(&["health"], &[("ADDRESS", &silent.local_addr().unwrap().to_string())]);
    assert!(status == Some(1) && text.contains("no answer within 3 s"), "{text}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let empty = ["DISABLE_AUTH", "MANIFEST_CACHE_TTL_MS", "ADDRESS", "CORS_ALLOWED_ORIGINS"];
    let empty = empty.iter().chain(&["REQUEST_CACHE_STORAGE_PROVIDER", "MANIFEST_ENDPOINT"]);
    let environment: Vec<(&str, &str)> = empty.map(|name| (*name, "")).collect();
    let (status, text) = run(&["serve"], &environment);
    assert_eq!(status, Some(2));
    assert!(text.contains("MANIFEST_ENDPOINT is not set"), "{text}");
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        &["export"][..],
        &["fly"],
        &["serve", "--fast"],
        &["export", "-o", "x", "-p", "no-value"],
        &["export", "-o", "x", "--start", "yesterday"],
        &["export", "-o", "x", "--start", "2", "--end", "1"],
        &["export", "-o", "x", "--replay-policy", "latest"],
        &["export", "-o", "x", "--compression", "gzip"],
        &["export", "-o", "x", "--loader", "here"],
    ] {
        assert_eq!(run(args, &[ENDPOINT]).0, Some(2), "{args:?}");
    }
}

#[test]
fn version_and_help_end_with_0_and_show_no_secret() {
    let secret = ("REMOTE_DATA_LOADER_TOKEN", "hunter2");
    for args in [&["--version"][..], &["--help"], &["export", "--help"], &["serve", "--help"]] {
        let output = loader(args, &[secret]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!String::from_utf8(output.stdout).unwrap().contains(secret.1), "{args:?}");
    }
    let version = loader(&["--version"], &[]).output().unwrap().stdout;
    let expected = format!("remote-data-loader {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version).unwrap(), expected);
}

#[test]
fn serves_until_sigterm_with_an_existing_deployments_variables() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ENDPOINT,
        ("SHUTDOWN_DELAY_MS", "100"),
        ("PROMETHEUS_METRICS_NAMESPACE", "rdl"),
        ("PROMETHEUS_METRICS_SUBSYSTEM", "loader"),
        ("REMOTE_DATA_LOADER_VERSION", "1.2.3"),
        ("REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS", "4000"),
        ("S3_COMPATIBLE_SERVICE_URL", "anything"),
        ("AZURE_CLIENT_SECRET", "anything"),
        ("COOKIE_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("OAUTH_CLIENT_ID", "loader"),
        ("OAUTH_CLIENT_SECRET", "hunter2"),
        ("OAUTH_AUTHORIZE_URL", "https://idp.example.com/authorize"),
        ("OAUTH_TOKEN_URL", "https://idp.example.com/token"),
        ("OAUTH_CALLBACK_URL", "https://loader.example.com/oauth/callback"),
        ("REQUEST_CACHE_STORAGE_PROVIDER", "in_memory"),
        ("REQUEST_CACHE_BUCKET_NAME", "bucket"),
    ];
    let mut service = Service::start(folder.path(), &environment);
    let taken = format!("--address={}", service.address);
    let (status, text) = run(&["serve", &taken, "--disable-auth"], &[ENDPOINT]);
    assert_eq!((status, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("ADDRESS"), "{text}");
    // With auth it is said what may not be meant so.
    let (_, text) = run(&["serve", &taken], &[ENDPOINT]);
    for named in ["COOKIE_ENCRYPTION_KEY", "AUTH_TOKEN_ORIGINS", "OAUTH_CLIENT_ID"] {
        assert!(text.contains(&format!("{named} is not set")), "{text}");
    }

    signal(&service.child, "TERM");
    let mut ended = None;
    wait_for("the service to end", || {
        ended = service.child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A data backend with one source that begins and never goes on.
fn stuck_backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            thread::spawn(move || {
                let mut line = String::new();
                BufReader::new(socket.try_clone().unwrap()).read_line(&mut line).unwrap();
                if line.starts_with("GET /manifest") {
                    let body = br#"{"sources": [{"url": "/data", "topics": [], "schemas": [],
                        "startTime": "2026-01-31T09:30:00Z", "endTime": "2026-01-31T09:31:00Z"}]}"#;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body));
                } else {
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n");
                }
                // Until the other side goes.
                let _ = socket.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let backend = stuck_backend();
    let (out, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let endpoint = format!("http://{backend}/manifest");
    let mut export = loader(&["export", "-p", "a=b", "-o", "out.mcap"], &[])
        .current_dir(out.path())
        .env("MANIFEST_ENDPOINT", endpoint)
        .env("ALLOW_HTTP_SOURCES", "true")
        .env("REQUEST_CACHE_DISK_FOLDER", disk.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let files = || std::fs::read_dir(out.path()).unwrap().count();
    wait_for("the export to begin", || files() > 0);
    signal(&export, "INT");
    assert_eq!(export.wait().unwrap().code(), Some(1));
    let mut text = String::new();
    export.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "remote-data-loader: interrupted; nothing was kept\n");
    assert_eq!(files(), 0);
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
}

#[test]
fn a_failed_export_leaves_what_was_there() {
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("out.mcap"), "before").unwrap();
    // Nobody listens at port 1.
    let (status, text) = {
        let output = loader(&["export", "--loader=http://127.0.0.1:1", "-o", "out.mcap"], &[])
            .current_dir(out.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!((status, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("cannot reach the loader"), "{text}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(out.path().join("out.mcap")).unwrap(), b"before");
}
