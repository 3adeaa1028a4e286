//! What an operator sees of a bucket folder.

use std::fs;
use std::time::Duration;

use rdl_store::{BucketFolder, StoreConfig};

use crate::sample::{Load, age, attempts, bucket_store, chunk, key, put};

#[test]
fn everything_is_listed_and_what_is_in_use_is_told() {
    let bucket = tempfile::tempdir().unwrap();
    let config = StoreConfig { bucket: Some(bucket.path().to_owned()), ..StoreConfig::default() };
    let listing = BucketFolder::of(&config).unwrap();
    assert!(BucketFolder::of(&StoreConfig::default()).is_none());

    let store = bucket_store(bucket.path(), 1 << 20);
    put(&store, "used", 1_000).unwrap();
    put(&store, "unused", 2_000).unwrap();
    age(bucket.path(), "unused", Duration::from_secs(100));
    let mut loading = Load::begin(&store, "loading");
    loading.append(&chunk(1, 3_000)).unwrap();
    let copying = attempts(bucket.path(), "used")[0].with_file_name(".copying-a");
    fs::create_dir(&copying).unwrap();
    fs::write(copying.join("complete.json"), "{").unwrap();
    fs::create_dir(bucket.path().join("v1/sources/somebody-elses")).unwrap();

    let found = listing.list().unwrap();
    let mut seen: Vec<_> = found
        .iter()
        .map(|source| {
            let is_complete = source.completed_at.is_some();
            (source.name.as_deref(), source.key, is_complete, source.part_count, source.is_in_use())
        })
        .collect();
    assert_eq!(seen[0].0, Some("unused"), "the longest unused stands first");
    seen.sort();
    let mut expected = vec![
        (Some("used"), key("used"), true, 1, true),
        (Some("unused"), key("unused"), true, 1, false),
        (None, key("loading"), false, 1, true),
        (None, key("used"), false, 0, true),
    ];
    expected.sort();
    assert_eq!(seen, expected);

    listing.remove(&found[0]).unwrap();
    assert!(attempts(bucket.path(), "unused").is_empty());
    assert!(store.find(&key("unused")).is_none());
    assert_eq!(listing.list().unwrap().len(), 3);
}
