//! Sources that fail, backends that refuse, streams that break off.

use std::time::Duration;

use rdl_testkit::servers::TcpProxy;
use rdl_testkit::{FakeBackend, Fault, FileSpec, Message, manifest_json, streamed_entry};
use serde_json::{Value, json};

use super::{SECOND, START, counted, seen_by_asking};
use crate::running::Running;

/// How long the loader bears what fails, in milliseconds.
const SILENCE: (&str, &str) = ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", "2500");

/// A source whose bytes come at the speed at which they are written here.
fn uncompressed() -> FileSpec {
    FileSpec { compression: None, ..FileSpec::default() }
}

fn give(backend: &FakeBackend, name: &str, sources: &[(&str, &[Message])]) {
    let entries: Vec<Value> = sources
        .iter()
        .map(|(id, messages)| {
            let path = format!("/{id}");
            backend.streamed(&path, uncompressed().write(messages));
            streamed_entry(Some(id), &path, messages)
        })
        .collect();
    backend.recording(name, &manifest_json(Some(name), &entries));
}

#[tokio::test]
async fn a_source_that_fails_is_named_and_goes_on_when_it_is_mended() {
    let backend = FakeBackend::start().await;
    let [good, bad] = ["/good", "/bad"].map(|topic| counted(topic, START, SECOND / 20, 600));
    give(&backend, "half", &[("good", &good), ("bad", &bad)]);
    backend.always("/bad", Fault::Status(500, Some("the camera's disk is gone".to_owned())));
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    let arguments = ["fails".to_owned(), loader.process.url()];
    let mend = async |what: &str| match what {
        "mend" => backend.always("/bad", Fault::None),
        status => {
            let words = format!("no entry {status}");
            backend.always("/manifest", Fault::Status(status.parse().unwrap(), Some(words)));
        }
    };
    let seen = seen_by_asking("view_troubles.mjs", &arguments, &[], mend).await;
    println!("{seen}");
    let said = seen["said"].as_str().unwrap();
    assert!(said.contains("The data backend or a source failed"), "{said}");
    assert!(said.contains("bad") && said.contains("500"), "{said}");
    assert_eq!(seen["problems"].as_array().unwrap().len(), 1, "{seen}");
    let problems = seen["problems"].to_string();
    assert!(problems.contains("bad") && problems.contains("500"), "{problems}");
    assert_eq!(seen["legend"], json!(["1 not loaded", "1 failed"]));
    let without = seen["without"].as_str().unwrap();
    assert!(without.contains("bad failed and was left out"), "{without}");
    assert_eq!(seen["isRed"], true);
    assert_eq!(
        (&seen["clock"], &seen["mended"]["clock"]),
        (&json!("09:30:10.000"), &seen["clock"])
    );
    assert!(seen["mended"]["bad"].as_str().unwrap().contains("09:30:10.000"), "{seen}");
    assert_eq!(seen["mended"]["legend"], json!(["2 kept"]));

    for (status, title) in [
        ("403", "You may not see this recording"),
        ("404", "There is no such recording"),
        ("502", "The data backend or a source failed"),
    ] {
        let said = seen["refused"][status].as_str().unwrap();
        assert!(said.contains(title) && said.contains(&format!("no entry {status}")), "{said}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_loses_and_doubles_nothing() {
    let backend = FakeBackend::start().await;
    let messages = counted("/counted", START, SECOND / 20, 400);
    give(&backend, "cut", &[("slow", &messages)]);
    give(&backend, "broken", &[("broken", &messages)]);
    let bytes = uncompressed().write(&messages).len() as u64;
    // Five times as fast as it was recorded.
    backend.always("/slow", Fault::Slow(bytes / 40, Duration::from_millis(100)));
    backend.always("/broken", Fault::CutAfter(bytes / 5));
    let loader = Running::start(&backend.manifest_endpoint(), &[SILENCE]).await;
    let proxy = TcpProxy::start(&loader.process.url()).await.unwrap();
    let arguments = ["breaks".to_owned(), proxy.url()];
    let act = async |what: &str| match what {
        "cut" => proxy.cut().await,
        "pass" => proxy.pass().unwrap(),
        _ => backend.always("/broken", Fault::None),
    };
    let seen = seen_by_asking("view_troubles.mjs", &arguments, &[], act).await;
    println!("{seen}");
    for name in ["cut", "broken"] {
        let seen = &seen[name];
        assert_eq!(seen["inHand"], seen["expected"], "{name}: nothing is lost or doubled");
        let steps: Vec<i64> = serde_json::from_value(seen["steps"].clone()).unwrap();
        assert!(steps.windows(2).all(|pair| pair[0] == pair[1] + 1), "{name}: {steps:?}");
        assert!(seen["backwards"] == 0, "{name}: {seen}");
    }
    assert_eq!(seen["cut"]["alerts"], 0);
    assert!(seen["cut"]["cutStreams"].as_u64().unwrap() > 0, "{seen}");
    let said = seen["broken"]["said"].as_str().unwrap();
    assert!(said.contains("broken"), "{said}");
    let seconds = |what: &str| -> f64 {
        seen["broken"][what].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    };
    // It plays by the time that this is seen.
    let gone_on = seconds("wentOnAt") - seconds("stoppedAt");
    assert!((0.0..0.5).contains(&gone_on), "{seen}");
}
