//! `export`, straight from a data backend and from a running loader.

use std::path::Path;
use std::process::Output;

use rdl_testkit::{Fault, decode};

use crate::drive::{drive, path};
use crate::running::{BINARY, Running, validate};

async fn export(arguments: &[&str]) -> Output {
    tokio::process::Command::new(BINARY)
        .arg("export")
        .args(arguments)
        .env_clear()
        .env("ALLOW_HTTP_SOURCES", "true")
        .output()
        .await
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn both_ways_write_the_whole_recording() {
    let (backend, recording, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let url = loader.process.url();
    let endpoint = backend.manifest_endpoint();
    for (way, from) in [("--manifest-endpoint", endpoint.as_str()), ("--loader", url.as_str())] {
        let path = folder.path().join("out.mcap");
        let target = path.to_str().unwrap();
        let output = export(&[way, from, "-p", "recording=drive", "-o", target]).await;
        assert!(output.status.success(), "{way}: {}", said(&output));
        let bytes = std::fs::read(&path).unwrap();
        validate(&bytes).await.unwrap();
        assert!(decode(&bytes).unwrap().messages == recording.merged(), "{way}");
        assert_eq!(files(folder.path()), 1, "nothing but the file is left");
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_part_is_what_was_asked_for() {
    let (backend, recording, _) = drive().await;
    let merged = recording.merged();
    let (first, last) = (merged[merged.len() / 4].log_time, merged[merged.len() / 2].log_time);
    let topic = merged[0].channel.topic.clone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.mcap");
    let output = export(&[
        "--manifest-endpoint",
        &backend.manifest_endpoint(),
        "-p",
        "recording=drive",
        "--start",
        &first.to_string(),
        "--end",
        &last.to_string(),
        "--topic",
        &topic,
        "-o",
        path.to_str().unwrap(),
    ])
    .await;
    assert!(output.status.success(), "{}", said(&output));
    let got = decode(&std::fs::read(path).unwrap()).unwrap().messages;
    assert!(!got.is_empty());
    assert!(got == recording.selected(&[&topic], first, last));
}

#[tokio::test]
async fn a_failed_export_leaves_no_file_and_says_why() {
    let (backend, _, _) = drive().await;
    backend.always(&path(0), Fault::Status(404, None));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mcap");
    let endpoint = backend.manifest_endpoint();
    let arguments = ["--manifest-endpoint", &endpoint, "-p", "recording=drive", "-o"];
    let output = export(&[&arguments[..], &[path.to_str().unwrap()]].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("source-0"), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1, "one line: {}", said(&output));
    assert_eq!(files(folder.path()), 0);
}
