//! Viewers that read slowly, or not at all, beside others.

use std::sync::Arc;
use std::time::Duration;

use rdl_testkit::{Drive, FakeBackend, Fault, Viewer, arrived, check_all, check_beginning, decode};
use tokio::task::JoinSet;

use crate::loader::{Loader, serve, within};

/// Without compression, a message can be read as soon as it has arrived.
const QUERY: &str = "ds.recording=long&compression=none";
/// Sent in forty pieces with this pause, in milliseconds: about two seconds.
const PAUSE_MS: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_viewers_hold_up_nobody() {
    let drive =
        Drive { windows: 1, groups: 1, messages: 1_300, payload_bytes: 40_000, ..Drive::default() };
    let recording = drive.generate();
    let truth = Arc::new(recording.merged());
    let backend = FakeBackend::start().await;
    let (path, file) = serve(&backend, "long", &recording).remove(0);
    assert!(file.len() > 35 << 20, "{} bytes", file.len());
    backend.always(&path, Fault::Slow(1 << 20, Duration::from_millis(PAUSE_MS)));
    let loader = Loader::start(&backend, &[]).await;

    let (mut slow, mut fast) = (JoinSet::new(), JoinSet::new());
    for number in 0..12 {
        let url = loader.stream(QUERY);
        match number {
            0 => {
                slow.spawn(async move { Viewer::open_narrow(&url).await.unwrap() });
            }
            1..=6 => {
                slow.spawn(async move {
                    let mut viewer = Viewer::open_narrow(&url).await.unwrap();
                    for _ in 0..5 {
                        viewer.read_slowly(10 << 10, Duration::from_secs(5)).await;
                        let answer = viewer.so_far().unwrap();
                        if arrived(&answer.body).is_ok_and(|messages| !messages.is_empty()) {
                            break;
                        }
                    }
                    viewer
                });
            }
            _ => {
                fast.spawn(async move { Viewer::open(&url).await.unwrap().rest().await.unwrap() });
            }
        }
    }
    let whole = within(30, "five fast viewers", &loader, fast.join_all()).await;
    assert_eq!(whole.len(), 5);
    decode(&whole[0].body).unwrap();
    for answer in &whole {
        assert!(answer.complete, "broke off at {}: {}", answer.body.len(), loader.printed());
        check_all(&arrived(&answer.body).unwrap(), &truth).unwrap();
    }

    let viewers = within(30, "the slow viewers", &loader, slow.join_all()).await;
    let mut read = 0;
    for viewer in &viewers {
        assert!(!viewer.ended(), "a slow viewer was dropped: {}", loader.printed());
        let answer = viewer.so_far().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let messages = arrived(&answer.body).unwrap();
        check_beginning(&messages, &truth).unwrap();
        read += usize::from(!messages.is_empty());
    }
    assert!(read >= 6, "only {read} slow viewers have a message");
    drop(viewers);
    loader.becomes_idle(Duration::from_secs(5)).await;
    assert_eq!(backend.count(&path), 1, "it was loaded once");
}
