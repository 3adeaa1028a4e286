//! The example backends of the kit, in every language: under `check`, and through the loader.
//!
//! All of them serve the same recording from a store of their own, so that one digest tells
//! whether each is right.

use std::path::{Path, PathBuf};
use std::process::Output;

use rdl_testkit::{Process, get};
use serde_json::Value;
use tokio::process::Command;

use crate::running::{BINARY, Running, needed, validate};

const TOKEN: &str = "secret-of-the-kit";

#[tokio::test]
async fn rust_over_sqlite() {
    is_right(&rust_example("sqlite"), &[], "drives.db").await;
}

#[tokio::test]
async fn rust_over_parquet() {
    is_right(&rust_example("parquet"), &[], "drives").await;
}

#[tokio::test]
async fn python_with_fastapi_over_sqlite() {
    let script = python_example("fastapi_sqlite.py");
    is_right(&needed("RDL_TEST_KIT_PYTHON").unwrap(), &[&script], "drives.db").await;
}

#[tokio::test]
async fn python_with_its_own_server_over_csv() {
    let script = python_example("http_server_csv.py");
    is_right(&needed("RDL_TEST_KIT_PYTHON").unwrap(), &[&script], "drives").await;
}

#[tokio::test]
async fn cpp_with_httplib_over_csv() {
    let binary = needed("RDL_TEST_KIT_CPP").unwrap().join("csv_httplib");
    is_right(&binary, &[], "drives").await;
}

/// Examples are built with the tests.
fn rust_example(name: &str) -> PathBuf {
    Path::new(BINARY).with_file_name("examples").join(name)
}

fn python_example(name: &str) -> String {
    format!("{}/../../sdk/python/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

async fn is_right(program: &Path, arguments: &[&str], store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let expected = make_signals(folder.path()).await;
    let store = folder.path().join(store);
    let mut all = arguments.to_vec();
    all.extend([store.to_str().unwrap(), "--address", "127.0.0.1:0", "--token", TOKEN]);
    let backend = Process::start(program, &all, &[]).await.unwrap();
    let endpoint = format!("{}/manifest", backend.url());

    let checked = check(&format!("{endpoint}?recording=first-drive")).await;
    let report = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{report}{}", backend.printed());

    let loader = Running::start(&endpoint, &[("DISABLE_AUTH", "false")]).await;
    let bearer = format!("Bearer {TOKEN}");
    let token = [("authorization", bearer.as_str())];
    let answer = loader.ask("ds.recording=first-drive", &token).await;
    let printed = || format!("{}\n{}", loader.process.printed(), backend.printed());
    assert!(answer.status == 200 && answer.complete, "{}", printed());
    let found = validate(&answer.body).await.unwrap();
    assert_eq!(found["messages"], expected["messages"]);
    assert_eq!(found["digest"], expected["digest"]);
    let url = format!("{}/v1/recording?ds.recording=first-drive", loader.process.url());
    let described = get(&url, &token).await.unwrap().json().unwrap();
    assert_eq!(described["problems"], Value::Array(Vec::new()));

    for (recording, status) in [("other-drive", 404), ("../drives/first-drive", 404)] {
        let answer = loader.ask(&format!("ds.recording={recording}"), &token).await;
        assert_eq!(answer.status, status, "{recording}: {}", answer.text());
        assert!(answer.header("x-foxglove-error-message").is_some(), "{recording}");
    }
    assert_eq!(loader.ask("ds.recording=first-drive", &[]).await.status, 401);
    assert!(!backend.printed().contains(TOKEN), "no token is in a log");
}

async fn make_signals(folder: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/make_signals.py");
    let python = needed("RDL_TEST_PYTHON").unwrap();
    let output = Command::new(python).arg(script).arg(folder).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn check(manifest: &str) -> Output {
    let command = ["check", manifest, "--token", TOKEN, "--expect-auth"];
    Command::new(BINARY).args(command).output().await.unwrap()
}
