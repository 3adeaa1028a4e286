//! Recordings of which there are few: very large, very long, and with hardly anything in them.

use std::sync::Arc;

use rdl_testkit::{
    Channel, FakeBackend, Fault, FileSpec, Message, manifest_json, static_entry, streamed_entry,
};
use serde_json::{Value, json};

use super::{SECOND, START, counted, seen_by};
use crate::running::Running;

const HOUR: u64 = 3600 * SECOND;

/// A source of these messages.
fn source(backend: &FakeBackend, id: &str, messages: &[Message]) -> Value {
    let path = format!("/{id}");
    backend.streamed(&path, FileSpec::default().write(messages));
    streamed_entry(Some(id), &path, messages)
}

fn declared(mut entry: Value, (start, end): (&str, &str)) -> Value {
    entry["startTime"] = json!(start);
    entry["endTime"] = json!(end);
    entry
}

async fn backend() -> FakeBackend {
    let backend = FakeBackend::start().await;
    let give = |name: &str, entries: &[Value]| {
        backend.recording(name, &manifest_json(Some(name), entries));
    };
    let many: Vec<Value> = (0..2000)
        .map(|i| {
            let messages = counted("/many", START + i * SECOND, SECOND / 5, 5);
            source(&backend, &format!("many-{i}"), &messages)
        })
        .collect();
    give("many", &many);
    let long: Vec<Value> = (0..100)
        .map(|i| {
            source(
                &backend,
                &format!("long-{i}"),
                &counted("/long", START + i * HOUR, HOUR / 60, 60),
            )
        })
        .collect();
    give("long", &long);
    let minute = counted("/minute", START, SECOND, 60);
    backend.static_file("/timeless", FileSpec::default().write(&minute));
    give("timeless", &[static_entry("/timeless")]);
    // What libraries print that have no times: nothing is known before the source is loaded.
    let all_of_time = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z");
    give("clamped", &[declared(source(&backend, "clamped", &minute), all_of_time)]);
    let nothing = source(&backend, "nothing", &[]);
    let times = ("2026-01-31T09:30:00Z", "2026-01-31T09:31:00Z");
    give("topicless", &[declared(nothing.clone(), times)]);
    give("hollow", &[declared(nothing, all_of_time)]);
    give("empty", &[]);
    give("failing", &[declared(source(&backend, "failing", &minute), all_of_time)]);
    backend.always("/failing", Fault::Status(500, Some("the disk is gone".to_owned())));
    let topics: Vec<Message> = (0..500_u32)
        .flat_map(|i| {
            let channel = Arc::new(Channel::json(&format!("/topics/number{i:03}")));
            (0..10).map(move |n| Message {
                channel: Arc::clone(&channel),
                log_time: START + n * SECOND,
                publish_time: START,
                sequence: i,
                data: format!(r#"{{"n": {n}}}"#).into_bytes(),
            })
        })
        .collect();
    let mut topics = topics;
    topics.sort_by_key(|message| message.log_time);
    give("topics", &[source(&backend, "topics", &topics)]);
    backend
}

#[tokio::test]
async fn odd_recordings_are_shown_or_it_is_said_what_they_are() {
    let backend = backend().await;
    let silence = [("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "1000")];
    let loader = Running::start(&backend.manifest_endpoint(), &silence).await;
    let seen = seen_by("view_odd.mjs", &[loader.process.url()], &[]).await;
    let text = |name: &str, what: &str| seen[name][what].as_str().unwrap().to_owned();
    for (name, seen) in seen.as_object().unwrap() {
        println!("{name}: ready after {} ms, {}", seen["readyMs"], seen["frames"]);
    }

    assert!(text("many", "range").contains("09:30:00 – 10:03:19"), "{}", seen["many"]);
    assert!(text("many", "legend").contains("not loaded"), "{}", seen["many"]);
    // A source that was far away is read when somebody goes there.
    assert!(text("many", "message").contains("\nn\n"), "{}", seen["many"]);
    assert!(text("long", "range").contains("99:59:00"), "{}", seen["long"]);
    assert!(text("long", "message").contains("\nn\n"), "{}", seen["long"]);
    for name in ["timeless", "clamped"] {
        assert!(text(name, "range").contains("09:30:00 – 09:30:59"), "{name}: {}", seen[name]);
        assert!(text(name, "message").contains("\nn\n"), "{name}: {}", seen[name]);
    }
    let topicless = text("topicless", "body");
    assert!(topicless.contains("No source of this recording names a topic"), "{topicless}");
    assert!(text("topicless", "range").contains("09:30:00 – 09:31:00"), "{topicless}");
    for (name, words) in [
        ("hollow", "Its sources have no messages."),
        ("empty", "The data backend lists no sources for this recording."),
        ("failing", "failing: "),
    ] {
        let said = text(name, "body");
        assert!(said.contains("there is nothing to show") && said.contains(words), "{said}");
    }
    assert!(text("failing", "body").contains("500"), "{}", seen["failing"]);
    assert_eq!(seen["topics"]["listed"], 500);
    assert_eq!(seen["topics"]["filtered"], json!(["/topics/number123"]));
}
