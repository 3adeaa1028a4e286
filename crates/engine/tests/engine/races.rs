//! Sources that change hands: looked at while another viewer loads them, found while they are
//! waited for, lost after they were stored, and not what they were said to be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdl_engine::{Engine, EngineConfig, FetchConfig, Query, ReplayPolicy, StoreConfig};
use rdl_model::{Nanos, ProblemCode, TimeRange};
use serde_json::json;

use crate::backend::{declare, recording};
use crate::drive::{Message, Shape, Source};
use crate::faulty::{Answer, Faulty};
use crate::output;

async fn engine(backend: &Faulty, store: StoreConfig) -> Arc<Engine> {
    let endpoint = format!("http://{}/manifest", backend.address).parse().unwrap();
    let mut fetch = FetchConfig::new(endpoint);
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    fetch.retry_pause = Duration::from_millis(10);
    let mut config = EngineConfig::new(fetch);
    config.source_silence = Duration::from_secs(2);
    config.store = store;
    Engine::start(config).await.unwrap()
}

fn in_folder(folder: &Path) -> StoreConfig {
    StoreConfig { folder: Some(folder.to_owned()), ..StoreConfig::default() }
}

/// Ten messages a second, incompressible.
fn source(
    count: u64,
    topic: impl Fn(u64) -> String,
    message_bytes: u64,
    chunk_bytes: u64,
) -> Source {
    let noise = |at: u64| {
        (0..message_bytes)
            .map(move |byte| (byte.wrapping_mul(at + 31).wrapping_mul(at + 7) >> 3) as u8)
    };
    let message = |at: u64| Message {
        topic: topic(at),
        schema: None,
        metadata: Default::default(),
        log_time: 1_000_000_000 + at * 100_000_000,
        publish_time: at,
        sequence: at as u32,
        data: noise(at).collect(),
    };
    let chunk_bytes = Some(chunk_bytes);
    let shape = Shape { chunk_bytes, compression: None, first_id: 1, is_static: false };
    Source { messages: (0..count).map(message).collect(), shape }
}

async fn backend(sources: &[&Source], answers: Vec<Vec<Answer>>) -> Faulty {
    let declared: Vec<_> = sources.iter().copied().enumerate().map(declare).collect();
    let paths: Vec<String> = (0..sources.len()).map(|at| format!("/s/{at}")).collect();
    let answers: Vec<(&str, Vec<Answer>)> = paths.iter().map(String::as_str).zip(answers).collect();
    Faulty::start(json!({ "sources": declared }), &answers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookback_finds_what_another_viewers_load_has_brought() {
    let topic = |at| if at == 3 { "/latched".to_owned() } else { "/often".to_owned() };
    let source = source(400, topic, 20_000, 300 << 10);
    let body = source.mcap();
    let pause_at = body.len() * 9 / 10;
    let paused = Answer::Pauses(body, pause_at, Duration::from_millis(1500));
    let backend = backend(&[&source], vec![vec![paused]]).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let recording = recording(&engine).await;
    let first = tokio::spawn({
        let recording = recording.clone();
        async move { output::collect(&recording, Query::default()).await }
    });
    let start = source.messages[100].log_time + 1;
    while recording.sources().sources[0].loaded_until < Some(Nanos(start + 1_000_000_000)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let query = Query {
        times: TimeRange { start: Nanos(start), end: Nanos(start + 500_000_000) },
        has_start: true,
        replay: ReplayPolicy::LastPerChannel,
        ..Query::default()
    };
    let answer = output::collect(&recording, query.clone()).await.unwrap();
    let while_loading = output::messages(&answer);
    assert!(!first.is_finished(), "it was asked while the source was loading");
    assert_eq!(while_loading[0].topic, "/latched");
    first.await.unwrap().unwrap();
    let after = output::messages(&output::collect(&recording, query).await.unwrap());
    assert_eq!(while_loading, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookback_finds_what_another_viewer_has_loaded_meanwhile() {
    let quick = source(40, |_| "/quick".to_owned(), 100, 10 << 10);
    let slow = source(40, |_| "/slow".to_owned(), 100, 10 << 10);
    let paused = Answer::Pauses(slow.mcap(), 2_000, Duration::from_millis(1000));
    let answers = vec![vec![Answer::Whole(quick.mcap())], vec![paused]];
    let backend = backend(&[&quick, &slow], answers).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let recording = recording(&engine).await;
    let end = slow.messages[39].log_time;
    let newest = Query {
        times: TimeRange { start: Nanos(end + 1), end: Nanos::MAX },
        has_start: true,
        replay: ReplayPolicy::LastPerChannel,
        ..Query::default()
    };
    let in_range = Query {
        times: TimeRange { start: Nanos(1), end: Nanos(end) },
        replay: ReplayPolicy::LastPerChannelInRange,
        ..newest.clone()
    };
    let searching = [newest, in_range].map(|query| {
        let recording = recording.clone();
        tokio::spawn(async move { output::collect(&recording, query).await })
    });
    // The last of the manifest is loaded first.
    while backend.requests("/s/1") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let topics = Some(["/quick".to_owned()].into());
    let other = Query { topics, ..Query::default() };
    output::collect(&recording, other).await.unwrap();
    let finished = searching.iter().any(tokio::task::JoinHandle::is_finished);
    assert!(!finished, "the slow source is still loading");
    for search in searching {
        let found = output::messages(&search.await.unwrap().unwrap());
        let topics: Vec<&str> = found.iter().map(|message| message.topic.as_str()).collect();
        assert_eq!(topics, ["/quick", "/slow"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_found_in_the_bucket_is_served_whole() {
    let source = source(40, |_| "/a".to_owned(), 20_000, 300 << 10);
    let backend = backend(&[&source], vec![vec![Answer::Whole(source.mcap())]]).await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        let bucket = Some(folder.path().to_owned());
        let engine = engine(&backend, StoreConfig { bucket, ..StoreConfig::default() }).await;
        let recording = recording(&engine).await;
        let answer = output::collect(&recording, Query::default()).await.unwrap();
        assert_eq!(output::messages(&answer), source.messages);
        drop(recording);
        engine.shutdown().await;
    }
    assert_eq!(backend.requests("/s/0"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_source_that_cannot_be_read_is_loaded_again() {
    let source = source(40, |_| "/a".to_owned(), 20_000, 300 << 10);
    let backend = backend(&[&source], vec![vec![Answer::Whole(source.mcap())]]).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let asked = async || {
        let recording = recording(&engine).await;
        output::collect(&recording, Query::default()).await
    };
    asked().await.unwrap();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("part-") {
                std::fs::write(entry.path(), "no longer").unwrap();
            }
        }
    }
    // Whoever meets it may be cut off; the next one is not.
    let _ = asked().await;
    assert_eq!(output::messages(&asked().await.unwrap()), source.messages);
    assert_eq!(backend.requests("/s/0"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_body_that_differs_is_loaded_by_one_load() {
    let first = source(200, |_| "/a".to_owned(), 20_000, 300 << 10);
    let then = source(200, |_| "/b".to_owned(), 20_000, 300 << 10);
    let cut_at = first.mcap().len() / 2;
    let answers = vec![Answer::CutAfter(first.mcap(), cut_at), Answer::Whole(then.mcap())];
    let backend = backend(&[&first], vec![answers]).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let recording = recording(&engine).await;
    // Nothing leaves before the cut.
    let times = TimeRange { start: Nanos(18_000_000_000), end: Nanos::MAX };
    let query = Query { times, has_start: true, ..Query::default() };
    let answers = futures(4, || output::collect(&recording, query.clone())).await;
    for answer in answers {
        assert_eq!(output::messages(&answer.unwrap()).len(), 30);
    }
    assert_eq!(backend.requests("/s/0"), 3, "one that breaks, one that differs, one that is taken");
}

async fn futures<F: Future>(count: usize, future: impl Fn() -> F) -> Vec<F::Output> {
    futures::future::join_all((0..count).map(|_| future())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_is_not_where_its_summary_says_makes_the_file_a_streamed_one() {
    let source = source(300, |_| "/a".to_owned(), 20_000, 300 << 10);
    let mut shape = source.shape.clone();
    shape.is_static = true;
    let mut body = Source { shape, ..source.clone() }.mcap();
    // One chunk is said to lie an hour later.
    let summary = mcap::Summary::read(&body).unwrap().unwrap();
    let chunk = &summary.chunk_indexes[5];
    let (start, end) = (chunk.message_start_time, chunk.message_end_time);
    let claimed = [start.to_le_bytes(), end.to_le_bytes()].concat();
    let from = usize::try_from(mcap::read::footer(&body).unwrap().summary_start).unwrap();
    let at = from + body[from..].windows(16).position(|bytes| bytes == claimed).unwrap();
    let hour_nanos = 3_600_000_000_000;
    body[at..at + 8].copy_from_slice(&(start + hour_nanos).to_le_bytes());
    body[at + 8..at + 16].copy_from_slice(&(end + hour_nanos).to_le_bytes());
    // The summary's checksum counts as not computed.
    let crc_at = body.len() - 12;
    body[crc_at..crc_at + 4].fill(0);

    let manifest = json!({ "sources": [{ "url": "/f", "supportsRangeRequests": true }] });
    let backend = Faulty::start(manifest, &[("/f", vec![Answer::Ranges(body, "v1")])]).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let recording = recording(&engine).await;
    let all = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&all), source.messages);
    let problems = recording.sources().problems;
    assert!(problems.iter().any(|problem| problem.code == ProblemCode::LoadedAsStreamed));
    let times = TimeRange { start: Nanos(start), end: Nanos(end) };
    let query = Query { times, has_start: true, ..Query::default() };
    let some = output::messages(&output::collect(&recording, query).await.unwrap());
    assert!(!some.is_empty() && some.iter().all(|message| times.contains(Nanos(message.log_time))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookback_goes_on_without_a_source_that_fails_after_it_was_searched() {
    let mut failing = source(64, |at| format!("/a{}", at % 40), 300_000, 200 << 10);
    let mut slow = source(100, |_| "/b".to_owned(), 20_000, 100 << 10);
    failing.messages.iter_mut().for_each(|message| message.log_time += 5_000_000);
    slow.messages.iter_mut().for_each(|message| message.log_time += 1_000_000);
    let body = failing.mcap();
    let cut = Answer::CutAfter(body.clone(), body.len() * 95 / 100);
    let step = slow.mcap().len() / 20;
    let slowly = Answer::Slowly(slow.mcap(), step, Duration::from_millis(200));
    let backend = backend(&[&failing, &slow], vec![vec![cut], vec![slowly]]).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, in_folder(folder.path())).await;
    let recording = recording(&engine).await;
    let query = Query {
        times: TimeRange { start: Nanos(failing.messages[45].log_time), end: Nanos::MAX },
        has_start: true,
        partial: true,
        replay: ReplayPolicy::LastPerChannel,
        ..Query::default()
    };
    let answer = output::collect(&recording, query).await.unwrap();
    assert!(output::messages(&answer).iter().any(|message| message.topic == "/b"));
    let closing = output::metadata(&answer);
    assert!(format!("{closing:?}").contains("missing-1"), "{closing:?}");
}
