//! The viewer, as somebody uses it in Chromium: `tests/node/view*.mjs` plays it.

mod demo;
pub(crate) mod handing_on;
mod looks;
mod odd;
mod panels;
mod playing;
mod spans;
mod troubles;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rdl_testkit::{Channel, Message, Process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::running::{BINARY, needed};

const START: u64 = 1_769_851_800_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// The demo, as `make demo` starts it.
async fn demo() -> Process {
    Process::start(Path::new(BINARY), &["demo"], &[("ADDRESS", "127.0.0.1:0")]).await.unwrap()
}

/// What a script of `tests/node` saw.
pub(crate) async fn seen_by(
    script: &str,
    arguments: &[String],
    environment: &[(&str, &str)],
) -> Value {
    let nothing = async |what: &str| panic!("nobody knows how to {what}");
    seen_by_asking(script, arguments, environment, nothing).await
}

/// The same of a script that asks for what has to happen meanwhile.
async fn seen_by_asking(
    script: &str,
    arguments: &[String],
    environment: &[(&str, &str)],
    mut act: impl AsyncFnMut(&str),
) -> Value {
    needed("RDL_TEST_NODE_MODULES").unwrap();
    needed("RDL_TEST_CHROMIUM").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node").join(script);
    let mut command = Command::new("node");
    command.arg(script).args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut script = command.spawn().unwrap();
    let (mut answers, mut errors) = (script.stdin.take().unwrap(), script.stderr.take().unwrap());
    let said = tokio::spawn(async move {
        let mut said = String::new();
        errors.read_to_string(&mut said).await.map(|_| said)
    });
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut seen = Value::Null;
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(what) = line.strip_prefix("? ") {
            act(what).await;
            answers.write_all(b"done\n").await.unwrap();
        } else {
            seen = serde_json::from_str(&line).unwrap();
        }
    }
    let said = said.await.unwrap().unwrap();
    assert!(script.wait().await.unwrap().success(), "{said}");
    assert_eq!(seen["errors"], json!([]), "the page has no errors and keeps to its policy");
    seen
}

/// Messages of one topic, `every` nanoseconds: `{"n": 0}` and so on.
fn counted(topic: &str, from: u64, every: u64, count: u32) -> Vec<Message> {
    let channel = Arc::new(Channel::json(topic));
    let message = |n: u32| Message {
        channel: Arc::clone(&channel),
        log_time: from + u64::from(n) * every,
        publish_time: from + u64::from(n) * every,
        sequence: n,
        data: format!(r#"{{"n": {n:6}, "rest": "{}"}}"#, "-".repeat(900)).into_bytes(),
    };
    (0..count).map(message).collect()
}
