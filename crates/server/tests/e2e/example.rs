//! The contract's own example manifest, as it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_testkit::{Channel, FakeBackend, FileSpec, Message, Schema};
use serde_json::Value;

use crate::running::{Running, validate};

const MANIFEST: &str = include_str!("../../../wire/tests/example_manifest.json");

fn messages(manifest: &Value) -> Vec<Message> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    let declared = &manifest["sources"][0]["schemas"][0];
    let data = BASE64_STANDARD.decode(declared["data"].as_str().unwrap()).unwrap();
    let channel = Arc::new(Channel {
        topic: "/cos".to_owned(),
        schema: Some(Schema {
            name: declared["name"].as_str().unwrap().to_owned(),
            encoding: declared["encoding"].as_str().unwrap().to_owned(),
            data,
        }),
        message_encoding: "protobuf".to_owned(),
        metadata: BTreeMap::new(),
    });
    let message = |number: u32| {
        let log_time = u64::from(number) * 100_000_000;
        // Field 1, a 32-bit float.
        let value = (log_time as f32 / 1e9).cos().to_le_bytes();
        Message {
            channel: Arc::clone(&channel),
            log_time,
            publish_time: log_time,
            sequence: number,
            data: [&[0x0d], &value[..]].concat(),
        }
    };
    (0..=100).map(message).collect()
}

#[tokio::test]
async fn the_example_manifest_works_as_it_stands() {
    let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
    let messages = messages(&manifest);
    let backend = FakeBackend::start().await;
    backend.recording("first-recording", &manifest);
    let mcap = FileSpec::default().write(&messages);
    backend.streamed("/data", mcap.clone());
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;

    let query = "ds=remote-data-loader&ds.recording=first-recording";
    assert_eq!(loader.stream(query, &[]).await.messages, messages);
    let answer = loader.ask(query, &[]).await;
    let (ours, theirs) = (validate(&answer.body).await.unwrap(), validate(&mcap).await.unwrap());
    assert_eq!(ours["digest"], theirs["digest"]);
    assert_eq!(backend.count("/data"), 1, "the second answer came from what was loaded");

    let part = loader.stream(&format!("{query}&start=1000000000&end=2000000000"), &[]).await;
    assert_eq!(part.messages, messages[10..=20]);
    let none = loader.stream(&format!("{query}&topics=/sin"), &[]).await;
    assert!(none.messages.is_empty());
}
