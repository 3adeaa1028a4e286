//! `check` against backends that others wrote, and what it leaves behind for scripts.

use std::process::{Output, Stdio};

use rdl_testkit::{
    Channel, FakeBackend, FileSpec, Message, Process, manifest_json, streamed_entry,
};
use serde_json::Value;

use crate::running::{BINARY, needed};

const TOKEN: &str = "secret-of-the-check";

/// Runs `check` with these arguments and this token in the environment.
async fn run(arguments: &[&str], token: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("check").args(arguments).env_clear().stdin(Stdio::null());
    if let Some(token) = token {
        command.env("REMOTE_DATA_LOADER_TOKEN", token);
    }
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn this_machine_is_asked_without_a_proxy() {
    let backend = backend().await;
    let url = format!("{}?recording=good", backend.manifest_endpoint());
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["check", &url]).env_clear().stdin(Stdio::null());
    // Nothing listens there.
    command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    let output = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[tokio::test]
async fn an_interrupted_check_prints_what_it_saw() {
    // A manifest endpoint that never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/manifest", listener.local_addr().unwrap());
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["check", &url]).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (kept, _) = listener.accept().await.unwrap();
    let pid = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().await.unwrap();
    drop(kept);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("0 passed, 0 failed"), "{stdout}");
    assert!(stdout.contains("the check was interrupted"), "{stdout}");
    assert!(stderr.starts_with("remote-data-loader: interrupted"), "{stderr}");
}

async fn report_on_the_sdk(build: &str) -> Value {
    let binary = needed("RDL_TEST_SDK_BACKENDS").unwrap().join(build);
    let backend = Process::start(&binary, &[TOKEN], &[]).await.unwrap();
    let url = format!("{}/manifest?recording=sdk", backend.url());
    let (status, stdout, stderr) = run(&["--json", "--expect-auth", &url], Some(TOKEN)).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(!stdout.contains(TOKEN));
    serde_json::from_str(&stdout).unwrap()
}

fn with(report: &Value, outcome: &str) -> Vec<String> {
    let rules = report["rules"].as_array().unwrap().iter();
    let named = rules.filter(|rule| rule["outcome"] == outcome);
    named.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_backend_of_the_sdk_breaks_no_rule() {
    let (plain, zstd) = tokio::join!(report_on_the_sdk("plain"), report_on_the_sdk("zstd"));
    for report in [plain, zstd] {
        assert_eq!(with(&report, "fail"), [""; 0], "{report}");
        assert_eq!(with(&report, "advice"), ["https", "canonical-ids"], "{report}");
        let passed = with(&report, "pass");
        for rule in ["auth-manifest", "auth-data", "error-message", "same-data-twice"] {
            assert!(passed.iter().any(|name| name == rule), "{rule}: {report}");
        }
        assert_eq!(report["summary"]["sources"], 240);
        assert_eq!(report["summary"]["messages"], 4 * 60 * 20);
    }
}

async fn backend() -> FakeBackend {
    let backend = FakeBackend::start().await;
    let channel = std::sync::Arc::new(Channel::json("/a"));
    let of = |number: u64| Message {
        channel: channel.clone(),
        log_time: 1_769_851_800_000_000_000 + number,
        publish_time: 0,
        sequence: 0,
        data: b"{}".to_vec(),
    };
    let messages: Vec<Message> = (0..100).map(of).collect();
    let entry = streamed_entry(Some("a"), "/data/a", &messages);
    backend.recording("good", &manifest_json(None, &[entry]));
    backend.streamed("/data/a", FileSpec::default().write(&messages));
    let other = streamed_entry(Some("b"), "/data/b", &messages);
    backend.recording("bad", &manifest_json(None, &[other]));
    backend.streamed("/data/b", b"<html></html>".to_vec());
    backend
}

#[tokio::test]
async fn the_exit_status_says_whether_a_rule_fails() {
    let backend = backend().await;
    let good = format!("{}?recording=good", backend.manifest_endpoint());
    let bad = format!("{}?recording=bad", backend.manifest_endpoint());

    let (status, stdout, stderr) = run(&[&good], None).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.trim_end().lines().last().unwrap().contains(" passed, 0 failed"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "no colours where there is no terminal");

    let (status, stdout, stderr) = run(&[&good, &bad], None).await;
    assert_eq!(status, Some(1), "{stdout}");
    let line = "remote-data-loader: source-is-mcap fails: the body begins with an HTML page";
    assert!(stderr.starts_with(line) && stderr.lines().count() == 1, "{stderr}");
    assert!(stdout.contains("manifest 2"), "{stdout}");
}

#[tokio::test]
async fn what_a_user_meets_first_is_one_clear_line() {
    let (status, stdout, stderr) = run(&["http://127.0.0.1:1/manifest?secret=x"], None).await;
    assert_eq!(status, Some(1));
    assert_eq!(
        stderr,
        "remote-data-loader: manifest-answers fails: http://127.0.0.1:1/manifest: the connection \
         was refused: nothing listens there\n"
    );
    assert!(stdout.contains("0 passed, 1 failed"), "{stdout}");
    assert!(!stdout.contains("secret"), "{stdout}");

    let backend = backend().await;
    backend.require_token(TOKEN);
    let url = format!("{}?recording=good", backend.manifest_endpoint());
    let (status, _, stderr) = run(&[&url], None).await;
    assert_eq!(status, Some(1));
    assert!(stderr.contains("answered 401") && stderr.contains("--token"), "{stderr}");
    assert_eq!(run(&[&url, "--expect-auth"], Some(TOKEN)).await.0, Some(0));

    for wrong in ["data.example.com/manifest?secret=x", "ftp://h/secret", "http://"] {
        let (status, stdout, stderr) = run(&[wrong], None).await;
        assert_eq!((status, stdout.as_str()), (Some(2), ""));
        assert!(stderr.starts_with("remote-data-loader: MANIFEST_URL accepts"), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
    assert_eq!(run(&[], None).await.0, Some(2));
}

/// The commands of the guide, but for the address, and the shape of the report that it shows.
#[tokio::test]
async fn the_guide_to_checking_works() {
    let guide = include_str!("../../../../docs/guides/check-a-backend.md");
    let backend = backend().await;
    backend.require_token(TOKEN);
    let good = format!("'{}?recording=good'", backend.manifest_endpoint());
    let folder = tempfile::tempdir().unwrap();
    let binaries = std::path::Path::new(BINARY).parent().unwrap().to_str().unwrap();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    let run = async |line: &str| {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", line]).current_dir(folder.path()).env("PATH", &path);
        let output = shell.env("REMOTE_DATA_LOADER_TOKEN", TOKEN).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let steps: Vec<&str> =
        guide.lines().filter_map(|line| line.trim().strip_prefix("- run: ")).collect();
    let [_backend, check, select] = steps[..] else { panic!("{steps:?}") };
    let first = guide.lines().find(|line| line.starts_with("remote-data-loader check ")).unwrap();
    let named = |line: &str, shown: &str| {
        assert!(line.contains(shown), "{line}");
        line.replace(shown, &good)
    };
    let shown = "'https://data.example.com/manifest?recording=first-recording'";
    assert!(run(&named(first, shown)).await.contains("log-time-order"));
    run(&named(check, "'http://127.0.0.1:8081/manifest?recording=test'")).await;
    assert!(run(select).await.lines().any(|line| line.starts_with("advice\thttps\t")));

    let report = std::fs::read(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let shown = guide.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let rule = |report: &Value, name: &str| -> Value {
        let rules = report["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["name"] == name).unwrap().clone()
    };
    let (order, https) = (rule(&shown, "log-time-order"), rule(&report, "https"));
    assert_eq!(keys(&shown), keys(&report));
    assert_eq!(keys(&shown["manifests"][0]), keys(&report["manifests"][0]));
    assert_eq!(keys(&shown["summary"]), keys(&report["summary"]));
    assert_eq!(keys(&order), keys(&https));
    assert_eq!(keys(&order["findings"][0]), keys(&https["findings"][0]));
    assert_eq!(order["expected"], rule(&report, "log-time-order")["expected"]);
}
