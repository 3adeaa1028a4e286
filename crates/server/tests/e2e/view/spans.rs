//! Where a topic has data, as the page shows it: `tests/node/view_spans.mjs` looks.

use std::sync::Arc;
use std::time::Duration;

use rdl_testkit::{
    Channel, FakeBackend, Fault, FileSpec, Message, Random, manifest_json, streamed_entry,
};
use serde_json::json;

use super::seen_by;
use crate::running::Running;

#[tokio::test]
async fn a_topic_of_the_second_half_is_shown_there() {
    let channel = |topic: &str| Arc::new(Channel { schema: None, ..Channel::json(topic) });
    let (early, late) = (channel("/early"), channel("/late"));
    let mut random = Random::new(1);
    let mut message = |channel: &Arc<Channel>, at: u64| {
        let time = 1_769_851_800_000_000_000 + at * 50_000_000;
        Message {
            channel: channel.clone(),
            log_time: time,
            publish_time: time,
            sequence: at as u32,
            data: random.bytes(10_000),
        }
    };
    let halves = (0..=1000).map(|at| if at < 500 { (&early, at) } else { (&late, at) });
    let messages: Vec<Message> = halves.map(|(channel, at)| message(channel, at)).collect();
    let file = FileSpec::default().write(&messages);
    let backend = FakeBackend::start().await;
    // What is known meanwhile is asked for within that.
    let stalls_at = file.len() as u64 * 45 / 100;
    backend.always("/all", Fault::StallAfter(stalls_at, Duration::from_secs(8)));
    backend.streamed("/all", file);
    let entries = [streamed_entry(Some("all"), "/all", &messages)];
    backend.recording("all", &manifest_json(Some("Two halves"), &entries));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let link = format!("{}/view?ds.recording=all", loader.process.url());
    let arguments = [link, "/early".to_owned(), "/late".to_owned(), "50%".to_owned()];
    let seen = seen_by("view_spans.mjs", &arguments, &[]).await;

    // As it is declared, less what was loaded without one meanwhile, and where it is.
    let froms: Vec<f64> = seen["froms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|from| from.as_str().unwrap().trim_end_matches('%').parse().unwrap())
        .collect();
    assert!(froms.len() >= 3 && froms.is_sorted(), "{seen}");
    assert_eq!((froms.first(), froms.last()), (Some(&0.0), Some(&50.0)), "{seen}");
    let title = seen["title"].as_str().unwrap();
    assert!(title.ends_with("data from 09:30:25.000 to 09:30:50.000"), "{title}");
    assert_eq!(seen["lanes"], json!(["/late", "/early"]), "what is pointed at comes first");
}
