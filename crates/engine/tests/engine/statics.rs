//! Static sources: read by ranges, and loaded whole where that cannot serve.

use std::sync::Arc;
use std::time::Duration;

use rdl_engine::{Engine, EngineConfig, FetchConfig, Query, Recording, SourceStatus, StoreConfig};
use rdl_model::{ErrorKind, Nanos, ProblemCode, TimeRange};
use serde_json::json;

use crate::backend::recording;
use crate::drive::{Message, Shape, Source};
use crate::faulty::{Answer, Faulty};
use crate::output;

/// Chunks of about 200 KB, 100 messages a second.
fn file(messages: u64) -> Source {
    Source {
        messages: (0..messages)
            .map(|at| Message {
                topic: if at % 10 == 0 { "/rare" } else { "/often" }.into(),
                schema: None,
                metadata: Default::default(),
                log_time: at * 10_000_000,
                publish_time: at,
                sequence: at as u32,
                data: (0..5_000_u64).map(|byte| (byte * (at + 3)) as u8).collect(),
            })
            .collect(),
        shape: Shape {
            chunk_bytes: Some(200 << 10),
            compression: None,
            first_id: 1,
            is_static: true,
        },
    }
}

async fn serve(answers: Vec<Answer>) -> (Served, Arc<Engine>, Recording) {
    serve_with(answers, |_| {}).await
}

/// A backend, and the folder of the engine that asks it.
struct Served {
    backend: Faulty,
    _folder: tempfile::TempDir,
}

impl Served {
    fn requests(&self, path: &str) -> usize {
        self.backend.requests(path)
    }
}

async fn serve_with(
    answers: Vec<Answer>,
    change: impl FnOnce(&mut EngineConfig),
) -> (Served, Arc<Engine>, Recording) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = json!({ "sources": [{ "url": "/f", "supportsRangeRequests": true }] });
    let backend = Faulty::start(manifest, &[("/f", answers)]).await;
    let endpoint = format!("http://{}/manifest", backend.address).parse().unwrap();
    let mut fetch = FetchConfig::new(endpoint);
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    fetch.retry_pause = Duration::from_millis(10);
    let mut config = EngineConfig::new(fetch);
    config.store =
        StoreConfig { folder: Some(folder.path().to_owned()), bucket: None, max_bytes: None };
    change(&mut config);
    let engine = Engine::start(config).await.unwrap();
    let recording = recording(&engine).await;
    (Served { backend, _folder: folder }, engine, recording)
}

fn codes(recording: &Recording) -> Vec<ProblemCode> {
    recording.sources().problems.iter().map(|problem| problem.code).collect()
}

#[tokio::test]
async fn a_part_of_a_file_is_read_by_a_few_ranges_once() {
    let file = file(2_000);
    let (backend, _engine, recording) = serve(vec![Answer::Ranges(file.mcap(), "v1")]).await;
    let info = recording.describe().await.unwrap();
    assert_eq!(info.sources[0].status, SourceStatus::Indexed);
    let indexed = backend.requests("/f");
    assert!(indexed <= 2, "{indexed} requests to index");

    let times = TimeRange { start: Nanos(5_000_000_000), end: Nanos(5_999_999_999) };
    let query = Query { times, has_start: true, ..Query::default() };
    let expected: Vec<Message> = file
        .messages
        .iter()
        .filter(|message| times.contains(Nanos(message.log_time)))
        .cloned()
        .collect();
    let bytes = output::collect(&recording, query.clone()).await.unwrap();
    assert_eq!(output::messages(&bytes), expected);
    let read = backend.requests("/f") - indexed;
    assert!((1..=2).contains(&read), "{read} requests for half a megabyte");

    let again = output::collect(&recording, query).await.unwrap();
    assert_eq!(output::messages(&again), expected);
    assert_eq!(backend.requests("/f") - indexed, read, "verified chunks are kept");
    assert!(codes(&recording).is_empty());
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_whole() {
    let file = file(300);
    let (_backend, _engine, recording) = serve(vec![Answer::Whole(file.mcap())]).await;
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), file.messages);
    assert_eq!(codes(&recording), [ProblemCode::LoadedAsStreamed]);
}

#[tokio::test]
async fn the_intact_part_of_a_truncated_file_is_served_and_the_loss_named() {
    let file = file(300);
    let body = file.mcap();
    let cut = body[..body.len() * 2 / 3].to_vec();
    let (_backend, _engine, recording) = serve(vec![Answer::Ranges(cut, "v1")]).await;
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    let got = output::messages(&bytes);
    assert!(got.len() > 100 && got.len() < 250, "{}", got.len());
    assert_eq!(got[..], file.messages[..got.len()]);
    assert!(codes(&recording).contains(&ProblemCode::TruncatedFile));
    assert!(output::metadata(&bytes)[0].metadata["missing-1"].contains("truncated-file"));
}

#[tokio::test]
async fn a_damaged_chunk_is_left_out_named_and_not_fetched_again() {
    let file = file(300);
    let mut body = file.mcap();
    let at = body.len() / 2;
    body[at] ^= 1;
    let (backend, _engine, recording) = serve(vec![Answer::Ranges(body, "v1")]).await;
    for _ in 0..2 {
        let bytes = output::collect(&recording, Query::default()).await.unwrap();
        let got = output::messages(&bytes);
        assert!(got.len() < 300 && got.len() > 200, "{}", got.len());
        assert!(output::metadata(&bytes)[0].metadata["missing-1"].contains("damaged-chunk"));
    }
    assert_eq!(codes(&recording), [ProblemCode::DamagedChunk]);
    let requests = backend.requests("/f");
    output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(backend.requests("/f"), requests);
}

#[tokio::test]
async fn a_file_that_changes_is_indexed_anew() {
    let (before, after) = (file(300), file(301));
    let answers = vec![
        Answer::Ranges(before.mcap(), "v1"),
        Answer::Ranges(before.mcap(), "v1"),
        Answer::Ranges(after.mcap(), "v2"),
    ];
    let (_backend, _engine, recording) = serve(answers).await;
    recording.describe().await.unwrap();
    // The change is met at the first chunk, before anything has left: the new file is served.
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), after.messages);
}

#[tokio::test]
async fn an_unchanged_file_keeps_its_chunks_when_its_validator_is_checked_again() {
    let file = file(300);
    let answers = vec![Answer::Ranges(file.mcap(), "v1")];
    let soon = |config: &mut EngineConfig| config.static_revalidate = Duration::ZERO;
    let (backend, _engine, recording) = serve_with(answers, soon).await;
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), file.messages);
    let requests = backend.requests("/f");
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), file.messages);
    assert_eq!(backend.requests("/f"), requests + 1, "one tail request, no chunk");
}

/// The summary names another topic for the channel than the chunks do.
#[tokio::test]
async fn a_summary_that_lies_makes_the_file_a_streamed_one() {
    let file = file(300);
    let mut body = file.mcap();
    let summary = mcap::Summary::read(&body).unwrap().unwrap();
    let from = body.len() - 2_000;
    let at =
        from + body[from..].windows(6).position(|window| window == b"/often").expect("it is there");
    assert!(summary.channels.len() == 2);
    body[at + 1] = b'O';
    // A wrong checksum would be noticed first: zero means that nobody computed one.
    let crc = body.len() - 8 - 4;
    body[crc..crc + 4].fill(0);
    let (_backend, _engine, recording) = serve(vec![Answer::Ranges(body, "v1")]).await;
    let bytes = output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), file.messages);
    assert!(codes(&recording).contains(&ProblemCode::LoadedAsStreamed));
}

#[tokio::test]
async fn a_static_source_that_is_not_there_is_a_bad_gateway() {
    let (_backend, _engine, recording) = serve(vec![Answer::Status(404)]).await;
    let error = output::collect(&recording, Query::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
    assert!(error.to_string().contains("/f"), "{error}");
}
