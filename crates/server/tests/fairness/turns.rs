//! Whose source loads when, and what is asked of the data backend for viewers that leave.

use std::time::Duration;

use rdl_testkit::{Drive, FakeBackend, Fault, Recording, Viewer, arrived};
use tokio::time::Instant;

use crate::loader::{Loader, serve, within};

const SOURCES: usize = 64;
const AHEAD: usize = 4;

/// Sources of one second each, one after the other. A few fill what lies between the loader and a
/// viewer, so that what is asked of the backend follows what the viewer reads.
fn consecutive(seed: u64, sources: usize) -> Recording {
    Drive {
        seed,
        windows: sources,
        duration_nanos: sources as u64 * 1_000_000_000,
        groups: 1,
        messages: 50,
        payload_bytes: 12_000,
        ..Drive::default()
    }
    .generate()
}

/// A backend with the recording `many`, and a loader in front of it. The first source comes at
/// once; each other one takes so long.
async fn many(takes: Duration) -> (FakeBackend, Loader, Vec<String>) {
    let backend = FakeBackend::start().await;
    let mut paths = Vec::new();
    for (path, file) in serve(&backend, "many", &consecutive(1, SOURCES)) {
        let half = file.len() as u64 / 2;
        if !paths.is_empty() {
            backend.always(&path, Fault::StallAfter(half, takes));
        }
        paths.push(path);
    }
    let ahead = AHEAD.to_string();
    let loader = Loader::start(&backend, &[("MAX_CONCURRENT_LOADS", &ahead)]).await;
    (backend, loader, paths)
}

/// Reads until a whole message is there.
async fn first_message(url: &str) -> Viewer {
    let mut viewer = Viewer::open_narrow(url).await.unwrap();
    loop {
        let answer = viewer.so_far().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        if !arrived(&answer.body).unwrap().is_empty() {
            return viewer;
        }
        assert!(viewer.read(4 << 10).await > 0, "the answer ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_lets_others_in() {
    let takes = Duration::from_millis(300);
    let (backend, loader, _) = many(takes).await;
    let other = serve(&backend, "other", &consecutive(2, 1)).remove(0).0;
    backend.always(&other, Fault::StallAfter(100, takes));
    let long = loader.stream("ds.recording=many");
    let long = tokio::spawn(async move { Viewer::open(&long).await.unwrap().rest().await });
    tokio::time::sleep(Duration::from_secs(1)).await;

    let start = Instant::now();
    let url = loader.stream("ds.recording=other&compression=none");
    let viewer = within(10, "the other viewer's message", &loader, first_message(&url)).await;
    let waited = start.elapsed();
    assert!(waited < Duration::from_millis(1_500), "{waited:?}: {}", loader.printed());
    assert!(!long.is_finished(), "the long answer still is on its way");
    drop(viewer);
    long.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_early_asked_for_little() {
    // So long that none of those after the first ends before the test has looked.
    let takes = Duration::from_secs(5);
    let (backend, loader, paths) = many(takes).await;
    let url = loader.stream("ds.recording=many");
    let viewer = within(10, "the first message", &loader, first_message(&url)).await;
    drop(viewer);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let before = backend.requests().len();
    let asked: Vec<usize> =
        (0..SOURCES).filter(|number| backend.count(&paths[*number]) > 0).collect();
    // The first, those ahead, and the two that begin within a second of where the answer stands.
    assert!(asked.len() <= 1 + AHEAD + 2, "{asked:?}");
    assert!(asked.contains(&0), "{asked:?}");
    loader.becomes_idle(Duration::from_secs(4)).await;
    assert_eq!(backend.requests().len(), before, "nothing is asked for nobody");
}
