//! A loader, like sources in recordings of their own, and a small recording beside them.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdl_testkit::{
    Drive, FakeBackend, Fault, FileSpec, HttpAnswer, Message, Observed, OneChunk, Process,
    Recording, decode, get, manifest_json, streamed_entry,
};
use serde_json::Value;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_remote-data-loader");
/// What the container has.
const MEMORY_BYTES: u64 = 250 << 20;
/// After it something hangs.
const PATIENCE: Duration = Duration::from_secs(50);
/// The silence that the loader bears, in milliseconds.
const SILENCE: (&str, &str) = ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "2000");

/// How a question about one source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every message, and nothing that is said to be missing.
    Right,
    /// A whole answer that names what it left out.
    Named,
    /// 502, naming the source.
    Refused,
}

/// So many viewers ask for as many sources with this body; all outcomes are among `allowed`.
///
/// `declared` is what the manifest says of each, and what a right answer holds.
pub(crate) async fn ask_at_once(
    what: &str,
    at_once: usize,
    declared: &OneChunk,
    body: impl Into<Bytes>,
    fault: Option<Fault>,
    allowed: &[Outcome],
) {
    ask_at_once_for("", what, at_once, declared, body, fault, allowed).await;
}

/// The same, with these parameters in each question.
pub(crate) async fn ask_at_once_for(
    parameters: &str,
    what: &str,
    at_once: usize,
    declared: &OneChunk,
    body: impl Into<Bytes>,
    fault: Option<Fault>,
    allowed: &[Outcome],
) {
    let backend = FakeBackend::start().await;
    let body = body.into();
    let ends = [declared.message(0), declared.message(declared.messages - 1)];
    for number in 0..at_once {
        let path = format!("/huge/{number}");
        backend.streamed(&path, body.clone());
        if let Some(fault) = &fault {
            backend.always(&path, fault.clone());
        }
        let entry = streamed_entry(Some(&source(number)), &path, &ends);
        backend.recording(&source(number), &manifest_json(None, &[entry]));
    }
    let small = small_recording(&backend);
    let folder = tempfile::tempdir().unwrap();
    let environment = [("REQUEST_CACHE_DISK_FOLDER", folder.path().to_str().unwrap()), SILENCE];
    let endpoint = backend.manifest_endpoint();
    let loader = Process::start_loader(Path::new(BINARY), &endpoint, &environment).await.unwrap();
    let url = loader.url();

    let started = Instant::now();
    let questions = async {
        let asked = (0..at_once).map(|number| ask(&url, source(number) + parameters));
        tokio::join!(futures::future::join_all(asked), beside(&url, &small))
    };
    let answered = tokio::time::timeout(PATIENCE, questions).await;
    let observed = Observed::of(loader.id().expect("the loader runs"));
    let (_, peak) = observed.resident_bytes().unwrap();
    let (answers, neighbours) = answered.unwrap_or_else(|_| {
        panic!("{what}: no end within {PATIENCE:?}, peak {} MiB\n{}", peak >> 20, loader.printed())
    });
    let took = started.elapsed();
    let outcomes: Vec<Outcome> = answers
        .into_iter()
        .enumerate()
        .map(|(number, answer)| judge(&format!("{what}: {}", source(number)), declared, &answer))
        .collect();
    println!("{what}: {outcomes:?} in {took:.1?}, peak {} MiB, {neighbours} beside", peak >> 20);
    let unexpected = outcomes.iter().any(|outcome| !allowed.contains(outcome));
    assert!(!unexpected, "{what}: {outcomes:?}, may be {allowed:?}\n{}", loader.printed());
    assert!(peak < MEMORY_BYTES, "{what}: the loader took {} MiB at its peak", peak >> 20);
    // What they left behind does not stand in the way of others.
    let answer = ask(&url, "small".to_owned()).await;
    assert!(is_small(&answer, &small), "{what}: afterwards {} {}", answer.status, answer.text());
}

fn source(number: usize) -> String {
    format!("huge-{number}")
}

fn small_recording(backend: &FakeBackend) -> Vec<Message> {
    let Recording { sources } = Drive::default().generate();
    let entries: Vec<Value> = sources
        .iter()
        .enumerate()
        .map(|(number, messages)| {
            let path = format!("/small/{number}");
            backend.streamed(&path, FileSpec::default().write(messages));
            streamed_entry(Some(&format!("small-{number}")), &path, messages)
        })
        .collect();
    backend.recording("small", &manifest_json(None, &entries));
    Recording { sources }.merged()
}

/// The recording of this name, with what parameters follow it; a 503 is asked again when it says.
async fn ask(url: &str, recording: String) -> HttpAnswer {
    loop {
        let answer = get(&format!("{url}/v1/stream?ds.recording={recording}"), &[]).await.unwrap();
        if answer.status != 503 {
            return answer;
        }
        let seconds = answer.header("retry-after").expect("a 503 says when to come again");
        tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
    }
}

/// Asks for the small recording and for the health of the loader a few times; how often.
async fn beside(url: &str, expected: &[Message]) -> usize {
    const TIMES: usize = 5;
    for _ in 0..TIMES {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let liveness = get(&format!("{url}/liveness"), &[]).await.unwrap();
        assert_eq!(liveness.status, 200, "{}", liveness.text());
        let answer = ask(url, "small".to_owned()).await;
        assert!(is_small(&answer, expected), "beside: {} {}", answer.status, answer.text());
    }
    TIMES
}

fn is_small(answer: &HttpAnswer, expected: &[Message]) -> bool {
    answer.status == 200
        && answer.complete
        && decode(&answer.body).is_ok_and(|decoded| decoded.messages == expected)
}

/// What became of it; anything but the three outcomes fails the test.
fn judge(what: &str, declared: &OneChunk, answer: &HttpAnswer) -> Outcome {
    if answer.status == 502 {
        let problem = answer.json().unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("huge-"), "{what}: the source is not named: {problem}");
        return Outcome::Refused;
    }
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert!(answer.complete, "{what}: the answer broke off");
    let decoded = decode(&answer.body).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    decoded.check_order().unwrap();
    let closing = decoded.metadata.iter().find(|(name, _)| name == "remote-data-loader");
    if let Some((_, missing)) = closing {
        assert!(missing.contains_key("missing-1"), "{what}: {missing:?}");
        let mut truth = declared.messages();
        let held = decoded.messages.iter().all(|message| truth.any(|other| other == *message));
        assert!(held, "{what}: an answer that leaves something out has other messages");
        return Outcome::Named;
    }
    let right = decoded.messages.iter().cloned().eq(declared.messages());
    assert!(
        right,
        "{what}: {} messages of {} came, or others",
        decoded.messages.len(),
        declared.messages,
    );
    Outcome::Right
}
