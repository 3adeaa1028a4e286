//! Foxglove's reader for JavaScript: in Node.js, and in Chromium from a page of another origin.

use std::path::Path;

use serde_json::{Value, json};

use super::{Library, RemoteFile, assert_same};
use crate::running::needed;

async fn read<'a>(library: &'a Library, script: &str) -> Vec<(&'a RemoteFile, Value)> {
    needed("RDL_TEST_NODE_MODULES").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node").join(script);
    let read = library.read_by(Path::new("node"), &[script.to_str().unwrap()]).await;
    for (file, seen) in &read {
        let mut backwards = file.recording.merged();
        assert_eq!(seen["counted"], json!(backwards.len()));
        backwards.reverse();
        assert_same(&seen["reverse"], &backwards);
    }
    read
}

#[tokio::test]
async fn in_node() {
    read(&Library::open().await, "read_by_url.mjs").await;
}

#[tokio::test]
async fn in_a_browser_from_another_origin() {
    needed("RDL_TEST_CHROMIUM").unwrap();
    let library = Library::open().await;
    for (file, seen) in read(&library, "read_in_browser.mjs").await {
        assert!(seen["preflights"].as_u64().unwrap() > 0, "{}", seen["preflights"]);
        let bytes = file.whole.len();
        assert_eq!(seen["tail"], json!(&file.whole[bytes - 8..]));
        let headers = &seen["headers"];
        assert_eq!(headers["accept-ranges"], "bytes");
        assert_eq!(headers["content-length"], "8");
        let range = format!("bytes {}-{}/{bytes}", bytes - 8, bytes - 1);
        assert_eq!(headers["content-range"], range);
        let etag = headers["etag"].as_str().unwrap();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong ETag: {etag}");
    }
}
