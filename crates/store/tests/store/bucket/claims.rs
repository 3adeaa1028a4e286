//! Who loads an epoch.

use futures::future::join_all;
use rdl_store::AttemptName;

use super::sources::{Local, Seen, look};
use super::stores::stores;
use crate::sample::key;

#[tokio::test]
async fn a_source_is_free_then_claimed_then_complete() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let (owner, other) = (store.bucket(), store.bucket());
        assert_eq!(look(&other, "a").await, Seen::Free(1), "{}", store.name());
        let attempt = AttemptName::new(key("a"), 1);
        assert!(owner.claim(&attempt).await.unwrap());
        assert_eq!(look(&other, "a").await, Seen::Claimed(attempt.clone()), "{}", store.name());
        local.put_parts(&owner, &attempt).await;
        assert_eq!(look(&other, "a").await, Seen::Claimed(attempt.clone()), "{}", store.name());
        let complete = owner.complete(&attempt, &local.listed(), local.complete_text()).await;
        assert!(complete.unwrap());
        assert_eq!(look(&other, "a").await, Seen::Complete(attempt.clone()), "{}", store.name());
        other.supersede(&attempt).await.unwrap();
        assert_eq!(look(&owner, "a").await, Seen::Complete(attempt), "{}", store.name());
        assert_eq!(look(&other, "b").await, Seen::Free(1), "{}", store.name());
    }
}

#[tokio::test]
async fn an_attempt_recognises_its_own_claim_and_no_other_gets_the_epoch() {
    for store in stores().await {
        let (owner, other) = (store.bucket(), store.bucket());
        let attempt = AttemptName::new(key("a"), 1);
        assert!(owner.claim(&attempt).await.unwrap());
        assert!(
            owner.claim(&attempt).await.unwrap(),
            "{}: the first answer was lost",
            store.name()
        );
        let late = AttemptName::new(key("a"), 1);
        assert!(!other.claim(&late).await.unwrap(), "{}", store.name());
        assert!(owner.still_claims(&attempt).await.unwrap());
        assert!(!other.still_claims(&late).await.unwrap());
        assert_eq!(other.running(&late).await.unwrap(), None, "{}", store.name());
    }
}

#[tokio::test]
async fn of_ten_that_race_for_an_epoch_one_wins_and_the_others_leave_nothing() {
    for store in stores().await {
        for name in ["a", "b", "c"] {
            let claims = (0..10).map(|_| (store.bucket(), AttemptName::new(key(name), 1)));
            let claims = claims.map(async |(bucket, attempt)| {
                let won = bucket.claim(&attempt).await.unwrap();
                won.then_some(attempt)
            });
            let won: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
            let [winner] = &won[..] else { panic!("{}: {} won", store.name(), won.len()) };
            assert_eq!(look(&store.bucket(), name).await, Seen::Claimed(winner.clone()));
            let folder = format!("team/a/v1/sources/{}/", key(name));
            let mut names = store.names().await;
            names.retain(|name| name.starts_with(&folder));
            let expected = [&format!("{winner}/running.json"), "00000001.claim"];
            assert_eq!(names, expected.map(|file| format!("{folder}{file}")), "{}", store.name());
        }
    }
}

#[tokio::test]
async fn a_claim_ends_with_the_next_epoch() {
    for store in stores().await {
        let (slow, eager) = (store.bucket(), store.bucket());
        let first = AttemptName::new(key("a"), 1);
        let second = AttemptName::new(key("a"), 2);
        assert!(slow.claim(&first).await.unwrap());
        assert!(slow.still_claims(&first).await.unwrap());
        assert!(eager.claim(&second).await.unwrap());
        assert!(!slow.still_claims(&first).await.unwrap(), "{}", store.name());
        assert!(eager.still_claims(&second).await.unwrap());
        assert_eq!(look(&slow, "a").await, Seen::Claimed(second.clone()), "{}", store.name());
        let third = AttemptName::new(key("b"), 1);
        assert!(slow.claim(&third).await.unwrap(), "another source is another matter");
        assert!(eager.still_claims(&second).await.unwrap());
    }
}

#[tokio::test]
async fn a_complete_source_is_not_claimed_again() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let (one, other) = (store.bucket(), store.bucket());
        let first = local.put(&one, "a", 1).await;
        one.supersede(&first).await.unwrap();
        let before = store.names().await;
        // The other looked before the first was complete.
        for epoch in [1, 2] {
            let second = AttemptName::new(key("a"), epoch);
            assert!(!other.claim(&second).await.unwrap(), "{}, epoch {epoch}", store.name());
            assert_eq!(store.names().await, before, "{}", store.name());
        }
        assert_eq!(look(&other, "a").await, Seen::Complete(first), "{}", store.name());
    }
}
