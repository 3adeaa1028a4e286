//! Several replicas over one bucket: who loads what, and what becomes of it when one of them, or
//! the bucket, is not there any more.

use std::time::Duration;

use futures::StreamExt as _;
use rdl_engine::{EngineConfig, Query, SourceStatus};

use crate::backend::recording;
use crate::faulty::Answer;
use crate::output;
use crate::setting::{Setting, ask, asking, asking_both, slowly, source};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_loaded_another_reads_from_the_bucket() {
    let setting = Setting::new(|source| Answer::Whole(source.mcap())).await;
    let first = setting.replica().await;
    setting.assert_whole(&ask(&first).await);
    let names = setting.settled().await;
    assert!(names.iter().all(|name| name.starts_with("some/where/v1/sources/")), "{names:?}");
    let second = setting.replica().await;
    let info = recording(&second.engine).await.describe().await.unwrap();
    assert_eq!(info.sources[0].status, SourceStatus::Cached);
    setting.assert_whole(&ask(&second).await);
    assert_eq!(setting.downloads(), 1);
    // What was read stays here.
    let reads = second.store.reads();
    setting.assert_whole(&ask(&second).await);
    assert_eq!(second.store.reads(), reads);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_ask_at_once_share_one_download() {
    let setting = Setting::new(slowly).await;
    let replicas = [setting.replica().await, setting.replica().await, setting.replica().await];
    let answers = futures::future::join_all(replicas.iter().map(ask)).await;
    for answer in &answers {
        setting.assert_whole(answer);
    }
    assert_eq!(setting.downloads(), 1);
    setting.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_not_far_behind() {
    let setting = Setting::new(slowly).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    let leading = asking(&leader).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let start = std::time::Instant::now();
    let follows = recording(&follower.engine).await;
    let stream = follows.stream(Query::default()).await.unwrap();
    let first = start.elapsed();
    drop(stream);
    assert!(first < Duration::from_millis(1500), "its first message came after {first:?}");
    setting.assert_whole(&leading.await.unwrap().unwrap());
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_takes_over_from_a_replica_that_is_cut_off() {
    let setting = Setting::new(slowly).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    let [leading, following] = asking_both(&leader, &follower).await;
    leader.store.set_away(true);
    setting.assert_whole(&following.await.unwrap().unwrap());
    // Whoever is cut off from the bucket goes on by itself.
    setting.assert_whole(&leading.await.unwrap().unwrap());
    assert_eq!(setting.downloads(), 2);
    setting.settled().await;
    // The first one finds, when it is back, that it was superseded.
    leader.store.set_away(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    setting.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_where_the_source_is_not_in_order() {
    let mut source = source(1000);
    // Each up to half a second early or late.
    let mut random = rdl_testkit::Random::new(7);
    source.messages.sort_by_cached_key(|message| message.log_time + random.below(500_000_000));
    let setting = Setting::of(source, slowly).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    let [leading, following] = asking_both(&leader, &follower).await;
    leader.store.set_away(true);
    let third = setting.replica().await;
    // Its answer has begun, and goes on.
    setting.assert_whole(&following.await.unwrap().unwrap());
    setting.assert_whole(&leading.await.unwrap().unwrap());
    setting.assert_whole(&ask(&third).await);
    assert_eq!(setting.downloads(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_followed_to_the_end_completes_what_the_leader_could_not() {
    let setting = Setting::new(|source| Answer::Whole(source.mcap())).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    // It has all of its parts in the bucket when it is gone.
    leader.store.freeze_before("complete.json");
    setting.assert_whole(&ask(&leader).await);
    setting.assert_whole(&ask(&follower).await);
    setting.settled().await;
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_is_taken_over_at_once() {
    let setting = Setting::new(slowly).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    let [leading, following] = asking_both(&leader, &follower).await;
    leader.engine.shutdown().await;
    assert!(leading.await.unwrap().is_err(), "its own answers are cut off");
    setting.assert_whole(&following.await.unwrap().unwrap());
    assert_eq!(setting.downloads(), 2);
    setting.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_goes_on_for_the_viewers_of_other_replicas() {
    let setting = Setting::new(slowly).await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    let leads = recording(&leader.engine).await;
    let stream = leads.stream(Query::default()).await.unwrap();
    let following = asking(&follower).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(stream);
    drop(leads);
    setting.assert_whole(&following.await.unwrap().unwrap());
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_bucket_away_a_load_goes_on_and_is_published_later() {
    let setting = Setting::new(|source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    replica.store.set_away(true);
    setting.assert_whole(&ask(&replica).await);
    assert_eq!(setting.store.names().await, Vec::<String>::new());
    replica.store.set_away(false);
    setting.settled().await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_on_the_disk_stays_until_it_is_in_the_bucket() {
    let setting = Setting::of(source(40_000), |source| Answer::Whole(source.mcap())).await;
    let store = setting.store.another();
    store.set_latency(Duration::from_millis(20));
    // A quarter of the source.
    let small = setting.replica_with(store, Some(10 << 20)).await;
    setting.assert_whole(&ask(&small).await);
    setting.settled().await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_waits_for_room_ends_when_nobody_wants_it_any_more() {
    let setting = Setting::of(source(40_000), |source| Answer::Whole(source.mcap())).await;
    let small = |config: &mut EngineConfig| {
        config.store.max_bytes = Some(10 << 20);
        config.load_linger = Duration::from_millis(500);
    };
    let replica = setting.replica_of(setting.store.another(), small).await;
    let mut stream = recording(&replica.engine).await.stream(Query::default()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    // Nobody takes the rest: the disk is full, and the load waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(stream);
    let recording = recording(&replica.engine).await;
    for _ in 0..100 {
        if recording.describe().await.unwrap().sources[0].status != SourceStatus::Loading {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(recording.describe().await.unwrap().sources[0].status, SourceStatus::Loading);
    // What it had in the bucket is taken back.
    for _ in 0..100 {
        if setting.store.names().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", setting.store.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_neither_room_nor_the_bucket_a_load_goes_on_and_is_not_published() {
    let setting = Setting::of(source(40_000), |source| Answer::Whole(source.mcap())).await;
    let store = setting.store.another();
    let small = setting.replica_with(store.clone(), Some(10 << 20)).await;
    store.set_away(true);
    setting.assert_whole(&ask(&small).await);
    assert_eq!(setting.store.names().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_in_silence_costs_work_and_nothing_else() {
    let setting = Setting::new(slowly).await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let store = setting.store.another();
        store.set_ignores_conditions(true);
        replicas.push(setting.replica_over(store).await);
    }
    let answers = futures::future::join_all(replicas.iter().map(ask)).await;
    for answer in &answers {
        setting.assert_whole(answer);
    }
    assert!(setting.downloads() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_bucket_loses_and_doubles_nothing() {
    for seed in 0..6 {
        let setting = Setting::new(slowly).await;
        let mut replicas = Vec::new();
        for number in 0..3 {
            let replica = setting.replica().await;
            replica.store.set_failing(150, seed * 10 + number);
            replicas.push(replica);
        }
        let answers = futures::future::join_all(replicas.iter().map(ask)).await;
        for answer in &answers {
            setting.assert_whole(answer);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_vanished_or_is_damaged_is_loaded_again() {
    for damage in [false, true] {
        let setting = Setting::new(|source| Answer::Whole(source.mcap())).await;
        setting.assert_whole(&ask(&setting.replica().await).await);
        let names = setting.settled().await;
        let part = names.iter().find(|name| name.contains("part-000001")).unwrap();
        setting.store.damage(part, damage).await;
        let other = setting.replica().await;
        setting.assert_whole(&ask(&other).await);
        assert_eq!(setting.downloads(), 2, "damaged: {damage}");
        setting.settled().await;
        setting.assert_whole(&ask(&setting.replica().await).await);
        assert_eq!(setting.downloads(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_under_a_reader_is_loaded_again_and_the_reader_goes_on() {
    let setting = Setting::of(source(100_000), |source| Answer::Whole(source.mcap())).await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    let names = setting.settled().await;
    // More than is read ahead, and twice as much as the source.
    let reader = setting.replica_with(setting.store.another(), Some(200 << 20)).await;
    let mut stream = recording(&reader.engine).await.stream(Query::default()).await.unwrap();
    let mut answer = stream.next().await.unwrap().unwrap().to_vec();
    for name in &names {
        setting.store.damage(name, false).await;
    }
    while let Some(piece) = stream.next().await {
        answer.extend_from_slice(&piece.unwrap());
    }
    setting.assert_whole(&answer);
    assert_eq!(setting.downloads(), 2);
    setting.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_far_away_is_read_ahead_and_a_seek_reads_little() {
    let setting = Setting::new(|source| Answer::Whole(source.mcap())).await;
    setting.assert_whole(&ask(&setting.replica().await).await);
    setting.settled().await;
    let far = setting.replica().await;
    far.store.set_latency(Duration::from_millis(50));
    // Nothing is known yet: the complete attempt is looked for and read, then what is asked for.
    let checked = far.store.reads();
    let second = 1_000_000_000;
    let query = Query {
        times: rdl_model::TimeRange {
            start: rdl_model::Nanos(6 * second),
            end: rdl_model::Nanos(7 * second),
        },
        has_start: true,
        replay: rdl_engine::ReplayPolicy::LastPerChannel,
        ..Query::default()
    };
    let start = std::time::Instant::now();
    let answer = output::collect(&recording(&far.engine).await, query).await.unwrap();
    let took = start.elapsed();
    assert_eq!(output::messages(&answer).len(), 102);
    let reads = far.store.reads() - checked;
    assert!(reads <= 5, "{reads} objects were read for a seek");
    assert!(took < Duration::from_millis(1000), "it took {took:?}");
    setting.assert_whole(&ask(&far).await);
}
