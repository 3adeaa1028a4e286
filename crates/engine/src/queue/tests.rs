use std::time::Duration;

use rdl_fetch::{Access, FetchConfig, HttpClient, ManifestClient, ManifestParams};
use rdl_model::SourceKeyHasher;
use url::Url;

use super::*;
use crate::viewers::{Grant, Held, Interest};

/// A source with one viewer, `id`, and its load in the queue.
struct Waiting {
    interest: Interest,
    load: tokio::task::JoinHandle<Option<Place>>,
}

fn wait_for(queue: &Arc<LoadQueue>, id: ViewerId) -> Waiting {
    let viewers = Viewers::new();
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    let config = Arc::new(FetchConfig::new(url.clone()));
    let http = HttpClient::new(config.clone()).unwrap();
    let grant = Arc::new(Grant {
        manifests: Arc::new(ManifestClient::new(config, http)),
        endpoint: url.clone(),
        params: ManifestParams::default(),
        token: None,
    });
    let key = SourceKeyHasher::new().finish();
    let interest = viewers.join(id, Held::new(key, Access { url, token: None }, grant));
    let queue = queue.clone();
    let load = tokio::spawn(async move { queue.admit(&viewers).await });
    Waiting { interest, load }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn started(waiting: &[Waiting]) -> Vec<bool> {
    waiting.iter().map(|waiting| waiting.load.is_finished()).collect()
}

#[tokio::test(start_paused = true)]
async fn loads_ahead_take_turns_between_viewers() {
    let queue = LoadQueue::new(2);
    let (busy, other) = (ViewerId::new(), ViewerId::new());
    let mut waiting: Vec<Waiting> = Vec::new();
    for id in [busy, busy, busy, busy, other] {
        waiting.push(wait_for(&queue, id));
        settle().await;
    }
    assert_eq!(started(&waiting), [true, true, false, false, false]);
    let first = waiting.remove(0);
    drop(first.load.await.unwrap());
    settle().await;
    assert_eq!(started(&waiting), [true, false, false, true], "the other viewer had none");
}

#[tokio::test(start_paused = true)]
async fn what_is_needed_starts_at_once() {
    let queue = LoadQueue::new(1);
    let viewer = ViewerId::new();
    let ahead = [wait_for(&queue, viewer), wait_for(&queue, viewer), wait_for(&queue, viewer)];
    settle().await;
    assert_eq!(started(&ahead), [true, false, false]);
    assert!(ahead[2].interest.need());
    queue.touch();
    settle().await;
    assert_eq!(started(&ahead), [true, false, true]);
    // One that ran ahead and is reached makes room for the next.
    assert!(ahead[0].interest.need());
    queue.touch();
    settle().await;
    assert_eq!(started(&ahead), [true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_waits_for_any_more_does_not_start() {
    let queue = LoadQueue::new(1);
    let viewer = ViewerId::new();
    let running = wait_for(&queue, viewer);
    settle().await;
    let left = wait_for(&queue, viewer);
    let stays = wait_for(&queue, viewer);
    settle().await;
    drop(left.interest);
    assert!(left.load.await.unwrap().is_none());
    drop(running.load.await.unwrap());
    settle().await;
    assert!(stays.load.is_finished());
}

#[tokio::test(start_paused = true)]
async fn needed_loads_have_a_bound_too() {
    let queue = LoadQueue::new(1);
    let mut waiting: Vec<Waiting> = Vec::new();
    for _ in 0..MOST_NEEDED + 1 {
        waiting.push(wait_for(&queue, ViewerId::new()));
        waiting.last().unwrap().interest.need();
    }
    queue.touch();
    settle().await;
    assert_eq!(started(&waiting).iter().filter(|started| **started).count(), MOST_NEEDED);
}
