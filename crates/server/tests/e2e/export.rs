//! `export`, straight from a data backend and from a running loader.

use std::path::Path;
use std::process::Output;

use rdl_testkit::{Fault, Message, decode, get};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::drive::{drive, path};
use crate::running::{BINARY, Running, validate_file};

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

fn sorted(mut messages: Vec<Message>) -> Vec<Message> {
    let key = |message: &Message| {
        (message.log_time, message.channel.topic.clone(), message.sequence, message.data.clone())
    };
    messages.sort_by_cached_key(key);
    messages
}

/// A proxy that carries so many bytes of answers over each connection, and hangs up.
async fn hangs_up_after(url: &str, bytes: u64) -> (String, tokio::task::JoinHandle<()>) {
    let upstream = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let carrying = tokio::spawn(async move {
        while let Ok((mut viewer, _)) = listener.accept().await {
            let upstream = upstream.clone();
            tokio::spawn(async move {
                let mut loader = TcpStream::connect(upstream).await.unwrap();
                let (from_loader, mut to_loader) = loader.split();
                let (mut from_viewer, mut to_viewer) = viewer.split();
                let mut answers = from_loader.take(bytes);
                tokio::select! {
                    _ = tokio::io::copy(&mut from_viewer, &mut to_loader) => {}
                    _ = tokio::io::copy(&mut answers, &mut to_viewer) => {}
                }
            });
        }
    });
    (format!("http://{address}"), carrying)
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
        validate_file(&bytes).await.unwrap();
        let (found, expected) = (decode(&bytes).unwrap(), recording.merged());
        // A loader gives the file, in which chunks lie as they are; no cut is made for it.
        if way == "--manifest-endpoint" {
            found.check_order().unwrap();
        }
        assert!(sorted(found.messages) == sorted(expected), "{way}");
        assert_eq!(files(folder.path()), 1, "nothing but the file is left");
        if way == "--loader" {
            let link = loader.describe("ds.recording=drive").await["links"]["file"].clone();
            let file = get(&format!("{url}{}", link.as_str().unwrap()), &[]).await.unwrap();
            assert!(file.body == bytes);
        }
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

#[tokio::test]
async fn a_download_is_taken_up_where_it_broke_off() {
    let (backend, recording, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let (proxy, carrying) = hangs_up_after(&loader.process.url(), 300_000).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mcap");
    let target = path.to_str().unwrap();
    for selection in [&[][..], &["--topic", "/group0/topic1", "--attachments"]] {
        let arguments = ["--loader", &proxy, "-p", "recording=drive", "-o", target];
        let output = export(&[&arguments[..], selection].concat()).await;
        assert!(output.status.success(), "{}", said(&output));
        let bytes = std::fs::read(&path).unwrap();
        validate_file(&bytes).await.unwrap();
        let found = decode(&bytes).unwrap().messages;
        let expected = match selection {
            [] => recording.merged(),
            _ => recording.selected(&["/group0/topic1"], 0, u64::MAX),
        };
        assert!(selection.is_empty() == (bytes.len() > 300_000), "{} bytes", bytes.len());
        assert!(sorted(found) == sorted(expected));
    }
    carrying.abort();
}

#[tokio::test]
async fn a_link_to_a_cut_is_printed_instead() {
    let (backend, recording, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let url = loader.process.url();
    let output =
        export(&["--loader", &url, "-p", "recording=drive", "--topic", "/group0/topic1", "--cut"])
            .await;
    assert!(output.status.success(), "{}", said(&output));
    let link = String::from_utf8(output.stdout).unwrap();
    assert_eq!(link.lines().count(), 1, "{link}");
    assert!(link.starts_with(&format!("{url}/v1/files/")) && link.ends_with("/a_drive.mcap\n"));
    let answer = get(link.trim(), &[]).await.unwrap();
    let found = decode(&answer.body).unwrap();
    found.check_order().unwrap();
    assert!(found.messages == recording.selected(&["/group0/topic1"], 0, u64::MAX));
    // Nobody but a loader can give a link.
    let output = export(&["--manifest-endpoint", "http://127.0.0.1:1", "--cut"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// Where there can be no file there is a stream.
#[tokio::test]
async fn what_is_too_large_for_a_file_is_streamed() {
    let (backend, recording, _) = drive().await;
    let small = [("REQUEST_CACHE_MAX_BYTES", "600000"), ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "500")];
    let loader = Running::start(&backend.manifest_endpoint(), &small).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mcap");
    let (url, target) = (loader.process.url(), path.to_str().unwrap());
    let arguments = ["--loader", &url, "-p", "recording=drive", "--attachments", "-o", target];
    let output = export(&arguments).await;
    assert!(output.status.success(), "{}", said(&output));
    let found = decode(&std::fs::read(path).unwrap()).unwrap();
    found.check_order().unwrap();
    assert!(found.messages == recording.merged());
}
