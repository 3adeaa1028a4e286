//! Where in time each topic has messages: as declared, as far as it is loaded, and as it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdl_engine::{Engine, EngineConfig, FetchConfig, Query, Recording, StoreConfig, TopicInfo};
use rdl_model::{Nanos, TimeRange};
use serde_json::json;

use crate::backend::{Backend, declare, recording};
use crate::drive::{Message, Shape, Source};
use crate::faulty::{Answer, Faulty};
use crate::output;
use crate::setting::noise;

/// In nanoseconds.
const STEP: u64 = 50_000_000;

/// Messages of 10 kB, one a step from this one on.
fn source(from: u64, topics: &[&str], is_static: bool) -> Source {
    let message = |(at, topic): (u64, &&str)| Message {
        topic: (*topic).to_owned(),
        schema: None,
        metadata: Default::default(),
        log_time: (from + at) * STEP,
        publish_time: at,
        sequence: at as u32,
        data: noise(at as u32, 10_000),
    };
    Source {
        messages: (0..).zip(topics).map(message).collect(),
        shape: Shape { chunk_bytes: Some(256 << 10), compression: None, first_id: 1, is_static },
    }
}

fn steps(from: u64, to: u64) -> TimeRange {
    TimeRange { start: Nanos(from * STEP), end: Nanos(to * STEP) }
}

/// The ranges of a topic; none where it is not listed.
async fn ranges(recording: &Recording, topic: &str) -> Vec<TimeRange> {
    let info = recording.snapshot().await.unwrap();
    let is_it = |info: &&TopicInfo| info.name == topic;
    info.topics.iter().find(is_it).map_or_else(Vec::new, |info| info.ranges.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_where_its_sources_declare_it_until_they_are_loaded() {
    // A step is less than a 500th of the time.
    let one = source(0, &["/always"; 400], false);
    let mut topics = ["/always"; 400];
    topics[..8].fill("/ends");
    topics[392..396].fill("/ends");
    topics[396..].fill("/late");
    // Its usual time is ten steps, and so it is from one chunk to the next.
    (100..390).step_by(10).for_each(|at| topics[at] = "/seldom");
    let other = source(400, &topics, false);
    let body = other.mcap();
    let pauses_at = body.len() * 7 / 10;
    let pauses = Answer::Pauses(body, pauses_at, Duration::from_millis(1500));
    let answers = [("/s/0", vec![Answer::Whole(one.mcap())]), ("/s/1", vec![pauses])];
    let declared: Vec<_> = [&one, &other].into_iter().enumerate().map(declare).collect();
    let backend = Faulty::start(json!({ "sources": declared }), &answers).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&backend, folder.path()).await;
    let recording = recording(&engine).await;

    assert_eq!(ranges(&recording, "/always").await, [steps(0, 799)]);
    assert_eq!(ranges(&recording, "/ends").await, [steps(400, 799)]);
    assert_eq!(ranges(&recording, "/late").await, [steps(400, 799)]);

    recording.prefetch();
    let loaded_until = || recording.sources().sources[1].loaded_until;
    while loaded_until() < Some(Nanos(500 * STEP)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Until it pauses it may get on in between.
    let (until, ends, late) = loop {
        let until = loaded_until();
        let (ends, late) = (ranges(&recording, "/ends").await, ranges(&recording, "/late").await);
        if until == loaded_until() {
            break (until.unwrap(), ends, late);
        }
    };
    let rest = TimeRange { start: until, end: Nanos(799 * STEP) };
    assert_eq!(ends, [steps(400, 407), rest]);
    assert_eq!(late, [rest]);

    output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(ranges(&recording, "/always").await, [steps(0, 399), steps(408, 791)]);
    assert_eq!(ranges(&recording, "/ends").await, [steps(400, 407), steps(792, 795)]);
    assert_eq!(ranges(&recording, "/seldom").await, [steps(500, 780)]);
    assert_eq!(ranges(&recording, "/late").await, [steps(796, 799)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_tells_by_its_chunks_until_they_are_read() {
    // Eight chunks.
    let mut topics = ["/always"; 208];
    topics[40] = "/once";
    let file = source(0, &topics, true);
    let backend = Backend::of(std::slice::from_ref(&file)).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = backend.engine(folder.path()).await;
    let recording = recording(&engine).await;
    assert!(recording.snapshot().await.unwrap().topics.is_empty());

    recording.describe().await.unwrap();
    let claimed = ranges(&recording, "/once").await;
    let [chunk] = &claimed[..] else { panic!("one chunk has it: {claimed:?}") };
    assert!(chunk.covers(steps(35, 45)) && steps(20, 60).covers(*chunk), "{chunk:?}");

    output::collect(&recording, Query::default()).await.unwrap();
    assert_eq!(ranges(&recording, "/once").await, [steps(40, 40)]);
}

async fn engine(backend: &Faulty, folder: &Path) -> Arc<Engine> {
    let endpoint = format!("http://{}/manifest", backend.address).parse().unwrap();
    let mut fetch = FetchConfig::new(endpoint);
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    let mut config = EngineConfig::new(fetch);
    config.store = StoreConfig { folder: Some(folder.to_owned()), ..StoreConfig::default() };
    Engine::start(config).await.unwrap()
}
