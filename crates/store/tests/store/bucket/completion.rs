//! When an attempt may become visible as complete.

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use rdl_store::{AttemptName, Bucket};
use rdl_testkit::FlakyStore;

use super::sources::{Local, Seen, look};
use super::stores::stores;
use crate::sample::key;

#[tokio::test]
async fn an_attempt_that_lacks_a_part_is_not_completed() {
    let local = Local::of("a", &[1_000, 2_000, 3_000]);
    for store in stores().await {
        let bucket = store.bucket();
        let attempt = AttemptName::new(key("a"), 1);
        assert!(bucket.claim(&attempt).await.unwrap());
        for part in &local.parts[..2] {
            bucket.put_part(&attempt, part, &local.files()).await.unwrap();
        }
        let complete = async |parts: &[(String, u64)]| {
            bucket.complete(&attempt, parts, local.complete_text()).await.unwrap()
        };
        assert!(!complete(&local.listed()).await, "{}: the last is missing", store.name());
        assert_eq!(look(&bucket, "a").await, Seen::Claimed(attempt.clone()), "{}", store.name());
        bucket.put_part(&attempt, &local.parts[2], &local.files()).await.unwrap();
        let mut longer = local.listed();
        longer[1].1 += 1;
        assert!(!complete(&longer).await, "{}: one is too short", store.name());
        assert_eq!(look(&bucket, "a").await, Seen::Claimed(attempt.clone()), "{}", store.name());
        assert!(complete(&local.listed()).await, "{}", store.name());
        assert!(complete(&local.listed()).await, "{}: the answer was lost", store.name());
        assert_eq!(look(&bucket, "a").await, Seen::Complete(attempt.clone()), "{}", store.name());
    }
}

#[tokio::test]
async fn an_attempt_is_not_completed_beside_another_one() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let (one, other) = (store.bucket(), store.bucket());
        let first = AttemptName::new(key("a"), 1);
        assert!(one.claim(&first).await.unwrap());
        local.put_parts(&one, &first).await;
        // The other took the first for dead.
        let second = AttemptName::new(key("a"), 2);
        assert!(other.claim(&second).await.unwrap(), "{}", store.name());
        local.put_parts(&other, &second).await;
        // The first had made sure of its claim before that, and goes on only now.
        let complete = format!("team/a/v1/sources/{}/{first}/complete.json", key("a"));
        let text = PutPayload::from_bytes(local.complete_text());
        store.plain.put(&Path::from(complete), text).await.unwrap();

        let complete = other.complete(&second, &local.listed(), local.complete_text()).await;
        assert!(!complete.unwrap(), "{}", store.name());
        other.give_up(&second).await.unwrap();
        assert_eq!(look(&other, "a").await, Seen::Complete(first), "{}", store.name());
    }
}

#[tokio::test]
async fn an_attempt_that_lost_its_claim_is_not_completed() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let (slow, eager) = (store.bucket(), store.bucket());
        let first = AttemptName::new(key("a"), 1);
        assert!(slow.claim(&first).await.unwrap());
        local.put_parts(&slow, &first).await;
        let second = AttemptName::new(key("a"), 2);
        assert!(eager.claim(&second).await.unwrap());
        let complete = slow.complete(&first, &local.listed(), local.complete_text()).await;
        assert!(!complete.unwrap(), "{}", store.name());
        slow.give_up(&first).await.unwrap();
        assert_eq!(look(&slow, "a").await, Seen::Claimed(second.clone()), "{}", store.name());

        local.put_parts(&eager, &second).await;
        let complete = eager.complete(&second, &local.listed(), local.complete_text()).await;
        assert!(complete.unwrap(), "{}", store.name());
        assert_eq!(look(&slow, "a").await, Seen::Complete(second), "{}", store.name());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_busy_with_the_name_leaves_nothing_half_complete() {
    let local = Local::of("a", &[1_000]);
    let store = FlakyStore::new();
    let bucket = Bucket::over(std::sync::Arc::new(store.clone()), "memory", "team/a");
    let attempt = AttemptName::new(key("a"), 1);
    store.refuse_creations(1);
    assert!(bucket.claim(&attempt).await.unwrap());
    local.put_parts(&bucket, &attempt).await;
    store.refuse_creations(1);
    assert!(bucket.complete(&attempt, &local.listed(), local.complete_text()).await.unwrap());
    assert_eq!(look(&bucket, "a").await, Seen::Complete(attempt));
}
