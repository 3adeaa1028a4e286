//! Viewers that hold all the memory there is.

use std::time::Duration;

use rdl_testkit::{Drive, FakeBackend, Viewer, check_all, decode, get};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::loader::{Loader, serve, within};

const QUERY: &str = "ds.recording=wide";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spent_memory_refuses_and_comes_back() {
    let drive =
        Drive { windows: 1, groups: 2, messages: 300, payload_bytes: 30_000, ..Drive::default() };
    let recording = drive.generate();
    let truth = recording.merged();
    let backend = FakeBackend::start().await;
    serve(&backend, "wide", &recording);
    let loader = Loader::start(&backend, &[("MEMORY_LIMIT_BYTES", "16777216")]).await;
    // So that what is refused below is refused for want of memory, and not while sources load.
    let first = get(&loader.stream(QUERY), &[]).await.unwrap();
    assert!(first.status == 200 && first.complete, "{}", loader.printed());

    let mut opening = JoinSet::new();
    for _ in 0..20 {
        let url = loader.stream(QUERY);
        opening.spawn(async move { Viewer::open_narrow(&url).await.unwrap() });
    }
    let stalled = within(15, "heads for 20 viewers", &loader, opening.join_all()).await;
    let answered = stalled.iter().filter(|viewer| viewer.so_far().unwrap().status == 200).count();
    assert!(answered > 0, "{}", loader.printed());

    let refused = within(5, "a refusal", &loader, get(&loader.stream(QUERY), &[])).await.unwrap();
    assert_eq!(refused.status, 503, "beside {answered} stalled viewers: {}", loader.printed());
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.json().unwrap();
    assert_eq!(problem["status"], 503, "{problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    for path in ["/liveness", "/readiness"] {
        let answer = within(2, path, &loader, get(&loader.url(path), &[])).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    drop(stalled);
    let again = async {
        loop {
            let answer = get(&loader.stream(QUERY), &[]).await.unwrap();
            if answer.status == 200 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let start = Instant::now();
    let answer = within(8, "an answer after the stalled viewers left", &loader, again).await;
    assert!(answer.complete, "{}", loader.printed());
    check_all(&decode(&answer.body).unwrap().messages, &truth).unwrap();
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
