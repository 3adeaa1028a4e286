//! Programs of others read the virtual file by its URL, and see just the recording's messages.
//!
//! Each is run as its users run it: the MCAP readers of Python and of JavaScript, daft, a browser and
//! curl. What they found is compared with our own merge of what the sources were made of.

mod curl;
mod javascript;
mod leaving;
mod python;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use mcap::Compression::{Lz4, Zstd};
use rdl_testkit::{
    Drive, FakeBackend, FileSpec, Message, Recording, decode, get, manifest_json, send,
    static_entry, streamed_entry,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::running::Running;

/// A loader in front of two recordings, each of which it serves as one file, and a part of one.
struct Library {
    _loader: Running,
    backend: FakeBackend,
    streamed: RemoteFile,
    files: RemoteFile,
    cut: RemoteFile,
}

/// A recording by its URL.
struct RemoteFile {
    url: String,
    recording: Recording,
    /// All of it, as one plain request gives it.
    whole: Bytes,
}

impl Library {
    async fn open() -> Library {
        Library::of(8_000).await
    }

    /// The recordings `streamed` and `files`, with payloads of at most this size. Two of three groups
    /// of topics have the same ids, so that in one file one of them has to get others.
    async fn of(payload_bytes: usize) -> Library {
        let drive =
            Drive { windows: 2, groups: 3, messages: 160, payload_bytes, ..Drive::default() };
        let recording = drive.generate();
        let backend = FakeBackend::start().await;
        for name in ["streamed", "files"] {
            let mut entries = Vec::new();
            for (number, messages) in recording.sources.iter().enumerate() {
                let is_static = name == "files";
                let (first_id, compression) = match number % drive.groups {
                    0 => (1, Some(Lz4)),
                    1 => (100, Some(Zstd)),
                    // What is not compressed in the file of `files` has got other ids.
                    _ => (1, is_static.then_some(Lz4)),
                };
                let chunk_bytes = Some(400_000);
                let attachments = vec![("notes".to_owned(), b"wet".repeat(10_000))];
                let spec = FileSpec {
                    first_id,
                    compression,
                    chunk_bytes,
                    attachments,
                    ..Default::default()
                };
                let path = format!("/{name}/{number}.mcap");
                if is_static {
                    backend.static_file(&path, spec.write(messages));
                    entries.push(static_entry(&path));
                } else {
                    backend.streamed(&path, spec.write(messages));
                    entries.push(streamed_entry(Some(&format!("{number}")), &path, messages));
                }
            }
            backend.recording(name, &manifest_json(Some("A drive, rainy"), &entries));
        }
        let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
        let file = loader.describe("ds.recording=files").await["links"]["file"].clone();
        let files = RemoteFile::at(&loader, &file, recording.clone()).await;
        let asked = json!({"manifestParams": {"recording": "streamed"}});
        let streamed = RemoteFile::linked(&loader, &asked, recording.clone()).await;
        let merged = recording.merged();
        let (from, to) = (merged[merged.len() / 4].log_time, merged[merged.len() / 5 * 4].log_time);
        let topics = ["/group1/topic0", "/group0/topic1"];
        let part = Recording { sources: vec![recording.selected(&topics, from, to)] };
        let params = asked["manifestParams"].clone();
        let asked = json!({"manifestParams": params, "topics": topics, "start": from, "end": to});
        let cut = RemoteFile::linked(&loader, &asked, part).await;
        let compressions = BTreeSet::from_iter(decode(&files.whole).unwrap().compressions);
        let expected = ["", "lz4", "zstd"].map(str::to_owned).into();
        assert_eq!(compressions, expected, "chunks as they came, and under other ids");
        Library { _loader: loader, backend, streamed, files, cut }
    }

    fn all(&self) -> [&RemoteFile; 3] {
        [&self.streamed, &self.files, &self.cut]
    }

    /// Runs a reader on all files and checks what it gave as `all`, `window` and `topic`; the rest
    /// is up to the caller.
    async fn read_by(&self, program: &Path, arguments: &[&str]) -> Vec<(&RemoteFile, Value)> {
        let mut command = Command::new(program);
        command.args(arguments);
        for file in self.all() {
            let (from, to, topic) = file.selection();
            command.args([&file.url, &from.to_string(), &to.to_string(), &topic]);
        }
        let seen: Vec<Value> = serde_json::from_slice(&run(&mut command).await).unwrap();
        assert_eq!(seen.len(), self.all().len());
        let read: Vec<_> = self.all().into_iter().zip(seen).collect();
        read.iter().for_each(|(file, seen)| file.check(seen));
        read
    }
}

impl RemoteFile {
    /// What `POST /v1/links` leads to.
    async fn linked(loader: &Running, asked: &Value, recording: Recording) -> RemoteFile {
        let url = format!("{}/v1/links", loader.process.url());
        let json = [("content-type", "application/json")];
        let answer = send("POST", &url, &json, asked.to_string().as_bytes()).await.unwrap();
        RemoteFile::at(loader, &answer.json().unwrap()["file"], recording).await
    }

    async fn at(loader: &Running, path: &Value, recording: Recording) -> RemoteFile {
        let url = format!("{}{}", loader.process.url(), path.as_str().unwrap());
        assert!(url.ends_with("/A_drive__rainy.mcap"), "{url}");
        let answer = get(&url, &[]).await.unwrap();
        assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
        let whole = Bytes::from(answer.body);
        RemoteFile { url, recording, whole }
    }

    /// A window of time, with both ends, and a topic, for the second and third question.
    fn selection(&self) -> (u64, u64, String) {
        let merged = self.recording.merged();
        let (from, to) = (merged[merged.len() / 3].log_time, merged[merged.len() / 2].log_time);
        (from, to, "/group1/topic0".to_owned())
    }

    fn check(&self, seen: &Value) {
        let (from, to, topic) = self.selection();
        assert_same(&seen["all"], &self.recording.merged());
        assert_same(&seen["window"], &self.recording.selected(&[], from, to));
        assert_same(&seen["topic"], &self.recording.selected(&[&topic], 0, u64::MAX));
    }
}

/// Runs a program to its end, which has to be a good one; what it printed.
async fn run(command: &mut Command) -> Vec<u8> {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// The same messages in the same order of time; of one time, a reader gives them in any order.
fn assert_same(seen: &Value, expected: &[Message]) {
    assert!(!expected.is_empty());
    let mut seen: Vec<&str> =
        seen.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let mut lines: Vec<String> = expected.iter().map(line).collect();
    let time = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    assert!(
        seen.iter().map(|seen| time(seen)).eq(lines.iter().map(|line| time(line))),
        "{} messages of other times than the {} expected",
        seen.len(),
        lines.len(),
    );
    seen.sort_unstable();
    lines.sort_unstable();
    let differs = seen.iter().zip(&lines).find(|(seen, expected)| **seen != expected.as_str());
    assert!(differs.is_none(), "{differs:?}");
}

fn line(message: &Message) -> String {
    let Message { channel, log_time, publish_time, sequence, data } = message;
    let digest = Sha256::digest(data);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{log_time} {publish_time} {sequence} {} {hex}", channel.topic)
}
