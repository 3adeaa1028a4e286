//! Viewers that leave before the end.

use std::sync::Arc;
use std::time::Duration;

use rdl_testkit::{Drive, FakeBackend, Fault, Observed, Viewer, get};
use rdl_testkit::{arrived, check_beginning};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::loader::{Loader, serve, within};

/// As many as have room in the default memory.
const VIEWERS: usize = 24;
/// Files that stay open when all is quiet: what the runtime keeps, and a connection that closes.
const SPARE_DESCRIPTORS: usize = 8;
/// Parts that one process keeps open to read them again, and one that is being written for each
/// source.
const MOST_PARTS: usize = 64 + 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_that_leave_leave_nothing_behind() {
    let backend = FakeBackend::start().await;
    let mut truths = Vec::new();
    for number in 0..4 {
        let drive = Drive { seed: number, messages: 100, payload_bytes: 8_000, ..Drive::default() };
        let recording = drive.generate();
        for (path, _) in serve(&backend, &format!("r{number}"), &recording) {
            backend.always(&path, Fault::Slow(64 << 10, Duration::from_millis(200)));
        }
        truths.push(Arc::new(recording.merged()));
    }
    let loader = Loader::start(&backend, &[("LOAD_LINGER_MS", "500")]).await;
    get(&loader.url("/liveness"), &[]).await.unwrap();
    let observed = loader.observed();
    let before = but_parts(observed).len();

    let mut viewers = JoinSet::new();
    for number in 0..VIEWERS {
        let truth = Arc::clone(&truths[number % truths.len()]);
        let recording = number % truths.len();
        let url = loader.stream(&format!("ds.recording=r{recording}&compression=none"));
        viewers.spawn(async move {
            let mut viewer = Viewer::open(&url).await.unwrap();
            // Each leaves at another time, all while their sources still load.
            let stay = Duration::from_millis(15 * number as u64);
            let _gone =
                tokio::time::timeout(stay, async { while viewer.read(16 << 10).await > 0 {} })
                    .await;
            let answer = viewer.so_far().unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            check_beginning(&arrived(&answer.body).unwrap(), &truth).unwrap();
        });
    }
    within(10, "viewers that leave", &loader, viewers.join_all()).await;
    let most = before + SPARE_DESCRIPTORS;
    let (patience, start) = (Duration::from_secs(6), Instant::now());
    loop {
        let now = but_parts(observed);
        if now.len() <= most {
            break;
        }
        assert!(start.elapsed() < patience, "{before} before, now {}: {now:?}", now.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    loader.becomes_idle(Duration::from_secs(4)).await;
}

/// What is open, less parts: the loader keeps a bounded number of those open to read them again.
fn but_parts(observed: Observed) -> Vec<String> {
    let (parts, others): (Vec<String>, Vec<String>) =
        observed.descriptors().unwrap().into_iter().partition(|file| file.contains("/part-"));
    assert!(parts.len() <= MOST_PARTS, "{parts:?}");
    others
}
