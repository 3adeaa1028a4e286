//! What cannot be used any more.

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::sources::{Local, Seen, look, remote};
use super::stores::stores;
use crate::sample::key;

#[tokio::test]
async fn a_damaged_complete_source_is_removed_and_free_again() {
    let local = Local::of("a", &[1_000, 2_000]);
    for store in stores().await {
        // Whether the claim is still there or was cleared away.
        for is_superseded in [false, true] {
            let bucket = store.bucket();
            let attempt = local.put(&bucket, "a", 1).await;
            if is_superseded {
                bucket.supersede(&attempt).await.unwrap();
            }
            assert_eq!(remote(&bucket, "a").await.index, local.load.index);
            let folder = format!("team/a/v1/sources/{}/", key("a"));
            let complete = Path::from(format!("{folder}{attempt}/complete.json"));
            store.plain.put(&complete, PutPayload::from_static(b"{\"layout\":1")).await.unwrap();

            let seen = look(&bucket, "a").await;
            let free = Seen::Free(if is_superseded { 1 } else { 2 });
            assert_eq!(seen, free, "{}, superseded: {is_superseded}", store.name());
            let claim = Path::from(format!("{folder}00000001.claim"));
            let left = if is_superseded { vec![] } else { vec![claim.to_string()] };
            assert_eq!(store.names().await, left, "{}", store.name());

            let Seen::Free(epoch) = free else { unreachable!() };
            let next = local.put(&bucket, "a", epoch).await;
            assert_eq!(look(&bucket, "a").await, Seen::Complete(next.clone()));
            bucket.supersede(&next).await.unwrap();
            bucket.give_up(&next).await.unwrap();
            assert_eq!(store.names().await, [""; 0], "{}", store.name());
        }
    }
}

#[tokio::test]
async fn what_another_version_wrote_is_neither_read_nor_removed() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let bucket = store.bucket();
        let attempt = local.put(&bucket, "a", 1).await;
        let path = format!("team/a/v1/sources/{}/{attempt}/complete.json", key("a"));
        let complete = Path::from(path);
        let text = PutPayload::from_static(b"{\"layout\":2,\"all\":\"else\"}");
        store.plain.put(&complete, text).await.unwrap();
        let names = store.names().await;
        assert_eq!(look(&bucket, "a").await, Seen::Foreign, "{}", store.name());
        assert_eq!(store.names().await, names, "{}", store.name());
    }
}

#[tokio::test]
async fn forged_claims_are_nobodys() {
    for store in stores().await {
        let bucket = store.bucket();
        let folder = format!("team/a/v1/sources/{}", key("a"));
        let attempt = bucket.new_attempt(&key("a"), 1);
        assert!(bucket.claim(&attempt).await.unwrap());
        // One names an attempt of another epoch, one is large, and one is the last there can be.
        let elsewhere = format!(r#"{{"attempt":"{attempt}","replica":""}}"#).into_bytes();
        let large = vec![b' '; 8 << 10];
        for (epoch, text) in [(7, elsewhere), (9, large), (99_999_999, b"{}".to_vec())] {
            let claim = Path::from(format!("{folder}/{epoch:08}.claim"));
            store.plain.put(&claim, PutPayload::from(text)).await.unwrap();
        }
        let Seen::Free(epoch) = look(&bucket, "a").await else { panic!("{}", store.name()) };
        assert!(bucket.claim(&bucket.new_attempt(&key("a"), epoch)).await.unwrap());
    }
}
