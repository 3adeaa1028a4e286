//! What a replica finds out about the bucket when it starts.

use std::time::{Duration, Instant};

use rdl_store::{Bucket, BucketErrorKind};
use rdl_testkit::FlakyStore;

use super::stores::stores;

#[tokio::test]
async fn a_good_bucket_is_fit_for_use_and_nothing_stays_of_the_check() {
    for store in stores().await {
        for bucket in [store.bucket(), store.below("")] {
            bucket.check().await.unwrap();
            bucket.check().await.unwrap();
            assert!(!bucket.overwrites_in_silence(), "{}", store.name());
        }
        assert_eq!(store.names().await, [""; 0], "{}", store.name());
    }
}

#[tokio::test]
async fn a_bucket_that_is_missing_or_refuses_is_a_misconfiguration() {
    for store in stores().await {
        let error = store.missing().check().await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::NotFound, "{}: {error}", store.name());
        assert!(error.is_misconfiguration());

        let Some(bucket) = store.with_wrong_credentials() else { continue };
        let error = bucket.check().await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::Refused, "{}: {error}", store.name());
        assert!(error.is_misconfiguration());
        let told = error.to_string();
        let says_why = told.contains("SignatureDoesNotMatch: ") || store.name() != "versitygw";
        assert!(says_why && !told.contains("another secret"), "{told}");
        assert_eq!(store.names().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_bucket_out_of_reach_is_unavailable_and_no_misconfiguration() {
    for store in stores().await {
        let bucket = store.out_of_reach().await;
        let start = Instant::now();
        let error = bucket.check().await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::Unavailable, "{}: {error}", store.name());
        assert!(!error.is_misconfiguration() && error.may_pass());
        assert!(start.elapsed() < Duration::from_secs(10), "{}", store.name());
    }
}

#[tokio::test]
async fn a_store_that_overwrites_in_silence_is_caught_and_used_all_the_same() {
    let store = FlakyStore::new();
    let bucket = Bucket::over(std::sync::Arc::new(store.clone()), "memory", "a");
    store.set_ignores_conditions(true);
    bucket.check().await.unwrap();
    assert!(bucket.overwrites_in_silence());
    store.set_ignores_conditions(false);
    bucket.check().await.unwrap();
    assert!(!bucket.overwrites_in_silence());
    assert_eq!(store.names().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_as_existing_and_is_not_there_is_created_again() {
    let store = FlakyStore::new();
    let bucket = Bucket::over(std::sync::Arc::new(store.clone()), "memory", "a");
    store.refuse_creations(3);
    bucket.check().await.unwrap();
    store.refuse_creations(4);
    let error = bucket.check().await.unwrap_err();
    assert_eq!(error.kind(), BucketErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("refused as existing, and is not there"), "{error}");
    bucket.check().await.unwrap();
}
