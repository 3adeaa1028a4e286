//! What goes away, and what is found while it goes.

use std::sync::Arc;

use futures::future::try_join_all;
use futures::join;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use rdl_model::ByteRange;
use rdl_store::{AttemptName, Bucket, Look};
use rdl_testkit::FlakyStore;

use super::sources::{Local, Seen, look};
use super::stores::stores;
use crate::sample::key;

#[tokio::test]
async fn nothing_stays_of_what_is_removed_or_given_up() {
    let local = Local::of("a", &[1_000, 2_000, 3_000]);
    for store in stores().await {
        let (bucket, other) = (store.bucket(), store.bucket());
        let attempt = AttemptName::new(key("a"), 1);
        assert!(bucket.claim(&attempt).await.unwrap());
        local.put_parts(&bucket, &attempt).await;
        other.mark_follower(&attempt, 7).await.unwrap();
        assert_eq!(bucket.followers(&attempt).await.unwrap().len(), 1, "{}", store.name());
        bucket.give_up(&attempt).await.unwrap();
        assert_eq!(store.names().await, [""; 0], "{}", store.name());
        assert!(matches!(look(&other, "a").await, Seen::Free(_)), "{}", store.name());
        bucket.give_up(&attempt).await.unwrap();

        let attempt = local.put(&bucket, "a", 1).await;
        bucket.supersede(&attempt).await.unwrap();
        let kept = local.put(&bucket, "b", 1).await;
        bucket.supersede(&kept).await.unwrap();
        let entries = other.list().await.unwrap();
        let entry = entries.iter().find(|entry| entry.attempt == attempt).unwrap();
        other.remove(&entry.attempt).await.unwrap();
        let names = store.names().await;
        let folder = format!("team/a/v1/sources/{}/{kept}/", key("b"));
        assert_eq!(names.len(), 5, "{}: {names:?}", store.name());
        assert!(names.iter().all(|name| name.starts_with(&folder)), "{names:?}");
        assert_eq!(look(&bucket, "a").await, Seen::Free(1), "{}", store.name());
    }
}

#[tokio::test]
async fn nothing_stays_of_what_two_remove_at_once() {
    for store in stores().await {
        let (one, other) = (store.bucket(), store.bucket());
        // The connections are there already when the race begins.
        for round in 0..10 {
            let attempt = AttemptName::new(key("a"), 1);
            let folder = format!("team/a/v1/sources/{}/{attempt}", key("a"));
            let puts = (0..40).map(async |number| {
                let part = Path::from(format!("{folder}/part-{number:06}.mcap"));
                store.plain.put(&part, PutPayload::from_static(b"x")).await
            });
            try_join_all(puts).await.unwrap();
            let (first, second) = join!(one.remove(&attempt), other.remove(&attempt));
            first.unwrap();
            second.unwrap();
            let left = store.names().await.len();
            assert_eq!(left, 0, "{}, round {round}", store.name());
        }
    }
}

/// A source is found whole or not at all, wherever its removal was interrupted.
#[tokio::test]
async fn what_is_left_of_an_interrupted_removal_is_not_found() {
    let local = Local::of("a", &[1_000, 2_000, 3_000, 4_000]);
    let bytes: u64 = local.parts.iter().map(|part| part.bytes).sum();
    let (mut found, mut only_remains) = (0, 0);
    for seed in 0..200 {
        let store = FlakyStore::new();
        let faulty = Bucket::over(Arc::new(store.clone()), "memory", "a");
        let bucket = Bucket::over(Arc::new(store.another()), "memory", "a");
        let attempt = local.put(&bucket, "a", 1).await;
        // It is listed before `complete.json`, and yet goes after it.
        let early = Path::from(format!("a/v1/sources/{}/{attempt}/a", key("a")));
        store.put(&early, PutPayload::from_static(b"x")).await.unwrap();
        let before = store.names().await;
        store.set_failing(400, seed);
        let removed = faulty.remove(&attempt).await;
        // From now on the one who removes is away for good.
        store.set_away(true);
        let names = store.names().await;
        match bucket.look(&key("a")).await.unwrap() {
            Look::Complete(source) => {
                found += 1;
                assert!(removed.is_err(), "seed {seed}");
                assert_eq!(names, before, "seed {seed}");
                let read = source.parts.read(ByteRange::at(0, bytes)).await.unwrap();
                assert_eq!(read.len() as u64, bytes, "seed {seed}: {names:?}");
            }
            _ => {
                let remains = names.iter().any(|name| name.contains("/part-"));
                only_remains += u32::from(remains);
                assert!(removed.is_err() || !remains, "seed {seed}: {names:?}");
                bucket.give_up(&attempt).await.unwrap();
                assert_eq!(store.names().await, [""; 0], "seed {seed}");
            }
        }
    }
    assert!(found > 0 && only_remains > 0, "both were met: {found}, {only_remains}");
}
