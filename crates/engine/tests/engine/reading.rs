//! What a replica asks of a bucket that is far away to answer a seek: how many objects it reads,
//! and how many round trips lie one behind the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rdl_engine::{Query, ReplayPolicy};
use rdl_model::{Nanos, TimeRange};

use crate::backend::recording;
use crate::drive::{Message, Source};
use crate::faulty::Answer;
use crate::output;
use crate::setting::{Replica, Setting, ask, source};

const SECOND: u64 = 1_000_000_000;
/// So long that nothing else counts beside it.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// A second of everything, and the newest message of each channel before it.
fn seek(start: u64) -> Query {
    Query {
        times: TimeRange { start: Nanos(start), end: Nanos(start + SECOND) },
        has_start: true,
        replay: ReplayPolicy::LastPerChannel,
        ..Query::default()
    }
}

/// What a seek must find.
fn expected(setting: &Setting, start: u64) -> Vec<Message> {
    let mut before: Vec<Message> = Vec::new();
    let mut within = Vec::new();
    for message in crate::drive::merged(&setting.sources) {
        if message.log_time >= start {
            within.extend(Some(message).filter(|message| message.log_time <= start + SECOND));
        } else {
            before.retain(|earlier| earlier.topic != message.topic);
            before.push(message);
        }
    }
    before.extend(within);
    before
}

async fn answer(replica: &Replica, start: u64) -> Vec<Message> {
    let recording = recording(&replica.engine).await;
    output::messages(&output::collect(&recording, seek(start)).await.unwrap())
}

/// How long the first bytes of a seek take.
async fn first_bytes(replica: &Replica, start: u64) -> Duration {
    let recording = recording(&replica.engine).await;
    let asked = Instant::now();
    let mut stream = recording.stream(seek(start)).await.unwrap();
    stream.next().await.unwrap().unwrap();
    asked.elapsed()
}

/// Makes a replica know what the bucket has of each source, and nothing more.
async fn indexes(replica: &Replica) {
    let info = recording(&replica.engine).await.describe().await.unwrap();
    assert!(info.sources.iter().all(|source| source.status == rdl_engine::SourceStatus::Cached));
}

/// Ten topics, two of which have messages in the first chunk alone.
async fn ten_topics() -> Setting {
    let mut source = source(30_000);
    for (at, message) in source.messages.iter_mut().enumerate() {
        let topic = if at < 50 { at % 10 } else { at % 8 };
        message.topic = format!("/t{topic}");
    }
    let setting = Setting::of(source, |source| Answer::Whole(source.mcap())).await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    setting.settled().await;
    setting
}

/// So many sources with the same two topics, one after the other, each a second long.
async fn one_after_the_other(count: u64) -> Setting {
    let second = |at: u64| {
        let mut one = source(500);
        one.messages.truncate(20);
        for (message, number) in one.messages.iter_mut().zip(0..) {
            message.topic = format!("/t{}", number % 2);
            message.log_time = SECOND * (at + 1) + number * SECOND / 20;
        }
        one
    };
    let sources: Vec<Source> = (0..count).map(second).collect();
    let setting = Setting::of_several(sources, |source| Answer::Whole(source.mcap())).await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    setting.settled().await;
    setting
}

/// The sources that the objects belong to.
fn keys(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(|name| name.rsplit('/').nth(2).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_reads_at_most_four_objects_and_two_more_of_an_unknown_source() {
    let setting = ten_topics().await;
    let fresh = setting.replica().await;
    let known = setting.replica().await;
    indexes(&known).await;
    // Where a chunk begins, and where chunks are in the middle.
    for start in [3 * SECOND, 5 * SECOND + 1, 8 * SECOND] {
        let before = known.store.reads();
        assert_eq!(answer(&known, start).await, expected(&setting, start));
        let read = known.store.read_since(before);
        assert!(read.len() <= 4, "{read:#?}");
    }
    let before = fresh.store.reads();
    assert_eq!(answer(&fresh, 5 * SECOND).await, expected(&setting, 5 * SECOND));
    let read = fresh.store.read_since(before);
    assert!(read.len() <= 6, "{read:#?}");
    // What was read stays in the disk store.
    let before = fresh.store.reads();
    assert_eq!(answer(&fresh, 5 * SECOND).await, expected(&setting, 5 * SECOND));
    assert_eq!(fresh.store.read_since(before), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_sources_a_seek_reads_those_alone_that_it_touches() {
    let setting = one_after_the_other(600).await;
    let start = SECOND * 300 + SECOND / 2;
    for is_known in [true, false] {
        let replica = setting.replica().await;
        if is_known {
            indexes(&replica).await;
        }
        let before = replica.store.reads();
        assert_eq!(answer(&replica, start).await, expected(&setting, start));
        let read = replica.store.read_since(before);
        assert_eq!(keys(&read).len(), 2, "known: {is_known}: {read:#?}");
        let most = if is_known { 2 } else { 4 };
        assert!(read.len() <= most * 2, "known: {is_known}: {read:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_comes_after_as_few_round_trips_as_can_be() {
    let setting = ten_topics().await;
    // What is asked for of it is known: everything at once.
    let known = setting.replica().await;
    indexes(&known).await;
    known.store.set_latency(ROUND_TRIP);
    let took = first_bytes(&known, 5 * SECOND).await;
    assert!(took < ROUND_TRIP * 2, "it took {took:?}");
    // A list and the index before that.
    let fresh = setting.replica().await;
    fresh.store.set_latency(ROUND_TRIP);
    let took = first_bytes(&fresh, 5 * SECOND).await;
    assert!(took < ROUND_TRIP * 4, "it took {took:?}");
    // The same where what is looked back to and what comes then lie in several sources.
    let setting = one_after_the_other(20).await;
    let fresh = setting.replica().await;
    fresh.store.set_latency(ROUND_TRIP);
    let took = first_bytes(&fresh, SECOND * 10 - SECOND / 100).await;
    assert!(took < ROUND_TRIP * 4, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookback_reads_many_sources_at_once() {
    let mut sources = Vec::new();
    for at in 0..40 {
        let mut one = source(500);
        one.messages.truncate(200);
        for message in &mut one.messages {
            message.topic = format!("/t{at}");
        }
        sources.push(one);
    }
    let setting = Setting::of_several(sources, |source| Answer::Whole(source.mcap())).await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    setting.settled().await;
    let replica = setting.replica().await;
    indexes(&replica).await;
    replica.store.set_latency(ROUND_TRIP);
    let asked = Instant::now();
    assert_eq!(answer(&replica, 2 * SECOND).await, expected(&setting, 2 * SECOND));
    let took = asked.elapsed();
    assert!(took < ROUND_TRIP * 4, "it took {took:?}");
}
