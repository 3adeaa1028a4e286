//! What each fault of a source ends in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rdl_engine::{
    Engine, EngineConfig, EngineError, FetchConfig, ManifestParams, Query, SourceStatus,
    StoreConfig, Token,
};
use rdl_model::{ErrorKind, ProblemCode};
use serde_json::{Value, json};

use crate::backend::{declare, recording};
use crate::drive::{Message, Shape, Source};
use crate::faulty::{Answer, Faulty};
use crate::output;

/// A source of many chunks, one message a millisecond.
fn source(topic: &str, messages: u32, bytes: usize) -> Source {
    Source {
        messages: (0..messages)
            .map(|at| Message {
                topic: topic.into(),
                schema: Some(("S".into(), vec![7; 30])),
                metadata: Default::default(),
                log_time: 1_000_000_000 + u64::from(at) * 1_000_000,
                publish_time: u64::from(at),
                sequence: at,
                data: (0..bytes).map(|byte| (byte as u32).wrapping_mul(at + 31) as u8).collect(),
            })
            .collect(),
        shape: Shape {
            chunk_bytes: Some(8 << 10),
            compression: None,
            first_id: 1,
            is_static: false,
        },
    }
}

fn manifest(sources: &[Source]) -> Value {
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    json!({ "sources": declared })
}

async fn engine(
    backend: &Faulty,
    folder: &Path,
    change: impl FnOnce(&mut EngineConfig),
) -> Arc<Engine> {
    let endpoint = format!("http://{}/manifest", backend.address).parse().unwrap();
    let mut fetch = FetchConfig::new(endpoint);
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    fetch.retry_pause = Duration::from_millis(10);
    fetch.range_retry_for = Duration::from_millis(300);
    let mut config = EngineConfig::new(fetch);
    config.store = StoreConfig { folder: Some(folder.to_owned()), bucket: None, max_bytes: None };
    change(&mut config);
    Engine::start(config).await.unwrap()
}

/// Serves one source with these answers and asks for everything.
async fn ask(
    source: &Source,
    answers: Vec<Answer>,
    change: impl FnOnce(&mut EngineConfig),
) -> (Result<Vec<u8>, EngineError>, Faulty, Arc<Engine>) {
    let folder = tempfile::tempdir().unwrap();
    let sources = std::slice::from_ref(source);
    let backend = Faulty::start(manifest(sources), &[("/s/0", answers)]).await;
    let engine = engine(&backend, folder.path(), change).await;
    let recording = recording(&engine).await;
    let answer = output::collect(&recording, Query::default()).await;
    (answer, backend, engine)
}

fn impatient(config: &mut EngineConfig) {
    config.source_silence = Duration::from_millis(400);
}

fn problems(engine_recording: &rdl_engine::Recording) -> Vec<ProblemCode> {
    engine_recording.sources().problems.iter().map(|problem| problem.code).collect()
}

#[tokio::test]
async fn a_connection_cut_anywhere_is_resumed() {
    let source = source("/a", 40, 900);
    let body = source.mcap();
    for cut in [0, 5, 9, 200, 3_000, 20_000, body.len() / 2, body.len() - 9, body.len() - 1] {
        for broken in [Answer::CutAfter(body.clone(), cut), Answer::EndsAfter(body.clone(), cut)] {
            let answers = vec![broken, Answer::Whole(body.clone())];
            let (answer, backend, _) = ask(&source, answers, |_| {}).await;
            let bytes = answer.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!(output::messages(&bytes), source.messages, "cut at {cut}");
            assert_eq!(backend.requests("/s/0"), 2, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_short_stall_and_a_burst_of_errors_are_waited_out() {
    let source = source("/a", 40, 900);
    let body = source.mcap();
    let answers = vec![
        Answer::Status(503),
        Answer::Status(500),
        Answer::Status(502),
        Answer::Pauses(body.clone(), body.len() / 2, Duration::from_millis(300)),
    ];
    let (answer, _, _) = ask(&source, answers, |_| {}).await;
    assert_eq!(output::messages(&answer.unwrap()), source.messages);
}

#[tokio::test]
async fn a_silent_source_is_a_gateway_timeout() {
    let source = source("/a", 40, 900);
    let answers = vec![Answer::Pauses(source.mcap(), 100, Duration::from_secs(30))];
    let (answer, _, _) = ask(&source, answers, impatient).await;
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GatewayTimeout, "{error}");
    assert!(error.to_string().contains("/s/0"), "{error}");
}

/// Breaking is no silence of the connection: 502, not 504.
#[tokio::test]
async fn a_source_that_breaks_at_the_same_place_is_a_bad_gateway() {
    let source = source("/a", 40, 900);
    let body = source.mcap();
    let (answer, backend, _) = ask(&source, vec![Answer::CutAfter(body, 5_000)], impatient).await;
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
    assert!(error.to_string().contains("/s/0"), "{error}");
    assert!(backend.requests("/s/0") > 1);
}

/// After the first message has left only an abort is possible.
#[tokio::test]
async fn a_source_that_fails_in_the_middle_aborts_the_answer() {
    let source = source("/a", 8_000, 900);
    let body = source.mcap();
    let answers = vec![Answer::CutAfter(body.clone(), body.len() - 100)];
    let folder = tempfile::tempdir().unwrap();
    let backend =
        Faulty::start(manifest(std::slice::from_ref(&source)), &[("/s/0", answers)]).await;
    let engine = engine(&backend, folder.path(), impatient).await;
    let mut stream = recording(&engine).await.stream(Query::default()).await.unwrap();
    let mut last = None;
    while let Some(piece) = stream.next().await {
        assert!(last.is_none_or(|ok: bool| ok), "nothing comes after an error");
        last = Some(piece.is_ok());
    }
    assert_eq!(last, Some(false));
}

#[tokio::test]
async fn a_body_that_differs_starts_over() {
    let (first, second) = (source("/a", 40, 900), source("/a", 40, 901));
    let answers = vec![
        Answer::CutAfter(first.mcap(), 20_000),
        Answer::Whole(second.mcap()),
        Answer::Whole(second.mcap()),
    ];
    let (answer, _, _) = ask(&second, answers, |_| {}).await;
    assert_eq!(output::messages(&answer.unwrap()), second.messages);
}

#[tokio::test]
async fn a_source_that_is_different_every_time_fails() {
    let bodies: Vec<Answer> = (0..8)
        .map(|at| {
            let body = source("/a", 40, 900 + at).mcap();
            Answer::CutAfter(body, 20_000)
        })
        .collect();
    let (answer, _, _) = ask(&source("/a", 40, 900), bodies, |_| {}).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, EngineError::NotRepeatable { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::BadGateway);
}

#[tokio::test]
async fn a_bit_flip_under_a_crc_costs_one_chunk_and_is_named() {
    let source = source("/a", 40, 900);
    let mut body = source.mcap();
    let at = body.len() / 2;
    body[at] ^= 4;
    let (answer, _backend, engine) = ask(&source, vec![Answer::Whole(body)], |_| {}).await;
    let bytes = answer.unwrap();
    let got = output::messages(&bytes);
    assert!(got.len() < source.messages.len() && got.len() > source.messages.len() / 2);
    assert!(got.iter().all(|message| source.messages.contains(message)));
    let closing = output::metadata(&bytes);
    assert_eq!(closing[0].name, "remote-data-loader");
    let missing: Value = serde_json::from_str(&closing[0].metadata["missing-1"]).unwrap();
    assert_eq!(missing["code"], "damaged-chunk");
    let recording = recording(&engine).await;
    assert!(problems(&recording).contains(&ProblemCode::DamagedChunk));
}

#[tokio::test]
async fn a_forged_length_is_a_bad_gateway() {
    let source = source("/a", 40, 900);
    let mut body = source.mcap();
    // The first record after the magic is the header; its length is made enormous.
    body[9..17].copy_from_slice(&u64::MAX.to_le_bytes());
    let (answer, _, _) = ask(&source, vec![Answer::Whole(body)], impatient).await;
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
}

#[tokio::test]
async fn partial_leaves_a_failed_source_out_and_names_it() {
    let sources = [source("/a", 40, 900), source("/b", 40, 900)];
    let folder = tempfile::tempdir().unwrap();
    let answers =
        [("/s/0", vec![Answer::Whole(sources[0].mcap())]), ("/s/1", vec![Answer::Status(404)])];
    let backend = Faulty::start(manifest(&sources), &answers).await;
    let engine = engine(&backend, folder.path(), |_| {}).await;
    let recording = recording(&engine).await;

    let error = output::collect(&recording, Query::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
    assert!(error.to_string().contains("/s/1"), "{error}");

    let partial = Query { partial: true, ..Query::default() };
    let bytes = output::collect(&recording, partial).await.unwrap();
    assert_eq!(output::messages(&bytes), sources[0].messages);
    let closing = output::metadata(&bytes);
    assert!(closing[0].metadata["missing-1"].contains("source-failed"));
    let failed = &recording.sources().sources[1];
    assert_eq!(failed.status, SourceStatus::Failed);
}

/// A refusal belongs to the token that got it; whose token is good is served.
#[tokio::test]
async fn a_refused_token_fails_only_its_owner() {
    let source = source("/a", 40, 900);
    let folder = tempfile::tempdir().unwrap();
    let answers = [("/s/0", vec![Answer::OnlyFor("good", source.mcap())])];
    let backend = Faulty::start(manifest(std::slice::from_ref(&source)), &answers).await;
    let engine = engine(&backend, folder.path(), |_| {}).await;
    let ask = async |token: &'static str| {
        let token = Some(Token::new(token));
        let recording = engine.recording(&ManifestParams::default(), token).await.unwrap();
        output::collect(&recording, Query::default()).await
    };
    let error = ask("bad").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert_eq!(output::messages(&ask("good").await.unwrap()), source.messages);
    // What is loaded is served to whom the manifest grants it.
    assert_eq!(output::messages(&ask("bad").await.unwrap()), source.messages);
}

#[tokio::test]
async fn a_response_follows_a_load_that_still_runs() {
    let source = source("/a", 4_000, 2_000);
    let folder = tempfile::tempdir().unwrap();
    let body = source.mcap();
    let pause = Duration::from_millis(40);
    let answers = [("/s/0", vec![Answer::Slowly(body.clone(), body.len() / 50, pause)])];
    let backend = Faulty::start(manifest(std::slice::from_ref(&source)), &answers).await;
    let engine = engine(&backend, folder.path(), |_| {}).await;
    let recording = recording(&engine).await;
    let mut stream = recording.stream(Query::default()).await.unwrap();
    let mut bytes = stream.next().await.unwrap().unwrap().to_vec();
    let status = recording.sources().sources[0].status;
    assert_eq!(status, SourceStatus::Loading, "the first bytes come before the last are loaded");
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(output::messages(&bytes), source.messages);
    assert_eq!(backend.requests("/s/0"), 1);
}

#[tokio::test]
async fn a_load_outlives_its_last_viewer_by_the_linger_time() {
    let source = source("/a", 40, 900);
    let folder = tempfile::tempdir().unwrap();
    let answers = [("/s/0", vec![Answer::Pauses(source.mcap(), 3_000, Duration::from_secs(20))])];
    let backend = Faulty::start(manifest(std::slice::from_ref(&source)), &answers).await;
    let linger = Duration::from_millis(300);
    let engine = engine(&backend, folder.path(), |config| config.load_linger = linger).await;
    let recording = recording(&engine).await;
    let asking = recording.stream(Query::default());
    assert!(tokio::time::timeout(Duration::from_millis(150), asking).await.is_err());
    assert_eq!(recording.sources().sources[0].status, SourceStatus::Loading);
    tokio::time::timeout(Duration::from_secs(5), async {
        while recording.sources().sources[0].status == SourceStatus::Loading {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the load stops");
    assert_eq!(recording.sources().sources[0].status, SourceStatus::Pending);
}

/// More disorder than the sort buffer mends: named in the answer that has passed it, in its place
/// in the next.
#[tokio::test]
async fn late_messages_are_counted_and_come_in_the_next_answer() {
    let mut source = source("/a", 9_000, 1_000);
    let early = Message { log_time: 1_000_000_500, ..source.messages[0].clone() };
    source.messages.push(early);
    let body = source.mcap();
    let pause = Duration::from_millis(300);
    let answers = vec![Answer::Pauses(body.clone(), body.len() - 8_000, pause)];
    let folder = tempfile::tempdir().unwrap();
    let backend =
        Faulty::start(manifest(std::slice::from_ref(&source)), &[("/s/0", answers)]).await;
    let engine = engine(&backend, folder.path(), |_| {}).await;
    let recording = recording(&engine).await;
    let first = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&first).len(), source.messages.len() - 1);
    let closing = output::metadata(&first);
    let missing: Value = serde_json::from_str(&closing[0].metadata["missing-1"]).unwrap();
    assert_eq!((&missing["code"], &missing["count"]), (&json!("late-messages"), &json!(1)));

    let second = output::collect(&recording, Query::default()).await.unwrap();
    let mut expected = source.messages.clone();
    expected.sort_by_key(|message| message.log_time);
    assert_eq!(output::messages(&second), expected);
    assert_eq!(output::metadata(&second), []);
    assert!(problems(&recording).contains(&ProblemCode::LateMessages));
}
