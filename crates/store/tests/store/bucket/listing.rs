//! The bucket as an operator sees it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use rdl_store::{AttemptName, Running, RunningState};

use super::sources::Local;
use super::stores::{Served, stores};
use crate::sample::key;

/// How many sources are put, and how many objects of each. A list comes in pages of 1,000 objects,
/// or 5,000 in Azure: there are two pages at least.
fn amount(store: &Served) -> (u64, u64) {
    match store.name() {
        // moto takes some 300 objects a second.
        "moto" => (200, 6),
        _ => (250, 20),
    }
}

/// What is to be told of an attempt.
struct Expected {
    bytes: u64,
    parts: u64,
    is_complete: bool,
    is_running: bool,
}

/// One in three is complete and one in three is running or was released; the parts of each are of
/// its own length.
async fn put_sources(store: &Served) -> BTreeMap<AttemptName, Expected> {
    let text = Local::of("of many", &[1_000]).complete_text();
    let mut expected = BTreeMap::new();
    let mut objects = Vec::new();
    let (sources, objects_each) = amount(store);
    for number in 0..sources {
        let attempt = AttemptName::new(key(&format!("source {number}")), 1);
        let folder = format!("team/a/v1/sources/{}/{attempt}", attempt.key);
        let (is_complete, is_begun) = (number % 3 == 0, number % 3 == 1);
        let state = [RunningState::Loading, RunningState::Released][number as usize % 2];
        let running = Running { state, ..Running::begun() };
        let mut bytes = 0;
        for at in 1..=objects_each {
            let (file, body) = match at {
                1 if is_complete => ("complete.json".to_owned(), text.to_vec()),
                1 if is_begun => ("running.json".to_owned(), serde_json::to_vec(&running).unwrap()),
                _ => (format!("part-{at:06}.mcap"), vec![7; number as usize + 1]),
            };
            bytes += body.len() as u64;
            objects.push((Path::from(format!("{folder}/{file}")), body));
        }
        let parts = objects_each - u64::from(is_complete || is_begun);
        let is_running = is_begun && state == RunningState::Loading;
        expected.insert(attempt, Expected { bytes, parts, is_complete, is_running });
    }
    // Not attempts: a claim, and what somebody else put there.
    let folder = format!("team/a/v1/sources/{}", key("source 0"));
    objects.push((Path::from(format!("{folder}/00000001.claim")), b"{}".to_vec()));
    objects.push((Path::from(format!("{folder}/00000001-0/part-000001.mcap")), b"x".to_vec()));
    objects.push((Path::from("team/a/v1/sources/readme.txt"), b"x".to_vec()));
    objects.push((Path::from("team/a/v1/checks/1"), b"x".to_vec()));
    let puts = objects
        .into_iter()
        .map(async |(path, body)| store.plain.put(&path, PutPayload::from(body)).await);
    futures::stream::iter(puts).buffer_unordered(16).try_collect::<Vec<_>>().await.unwrap();
    expected
}

#[tokio::test]
async fn thousands_of_objects_are_grouped_into_their_attempts() {
    for store in stores().await {
        let start = SystemTime::now();
        let expected = put_sources(&store).await;
        let entries = store.bucket().list().await.unwrap();
        assert_eq!(entries.len(), expected.len(), "{}", store.name());
        assert!(entries.is_sorted_by_key(|entry| entry.changed_at), "{}", store.name());
        for entry in &entries {
            let Expected { bytes, parts, is_complete, is_running } = expected[&entry.attempt];
            let told = (entry.bytes, u64::from(entry.part_count), entry.is_running);
            assert_eq!(told, (bytes, parts, is_running), "{}: {entry:?}", store.name());
            let name = is_complete.then_some("of many");
            assert_eq!(entry.name.as_deref(), name, "{}: {entry:?}", store.name());
            assert_eq!(entry.completed_at.is_some(), is_complete, "{}: {entry:?}", store.name());
            // The server's clock is ours; it tells whole seconds.
            assert!(entry.changed_at + Duration::from_secs(2) > start, "{entry:?}");
        }
    }
}

#[tokio::test]
async fn prefixes_keep_buckets_apart() {
    let local = Local::of("a", &[1_000]);
    for store in stores().await {
        let mut attempts = BTreeMap::new();
        for prefix in ["team/a", "team/ab", "", "team"] {
            attempts.insert(prefix, local.put(&store.below(prefix), "a", 1).await);
        }
        for (prefix, attempt) in attempts {
            let entries = store.below(prefix).list().await.unwrap();
            let [entry] = &entries[..] else { panic!("{}: {entries:?}", store.name()) };
            assert_eq!(entry.attempt, attempt, "{}: {prefix:?}", store.name());
        }
    }
}
