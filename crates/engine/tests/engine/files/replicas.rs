//! Several replicas over one bucket have one file.

use rdl_model::ErrorKind;

use super::*;
use crate::faulty::Answer;
use crate::setting::{Replica, Setting, ask, asking_both, slowly, source};

/// Sources of which no chunk is kept as it comes, so that each replica may cut them otherwise.
async fn setting() -> Setting {
    let mut sources = vec![source(700), source(1000)];
    name_messages(&mut sources);
    for (at, source) in (0..).zip(&mut sources) {
        source.shape.first_id = 1 + at;
    }
    Setting::of_several(sources, slowly).await
}

async fn whole(replica: &Replica) -> (FileVersion, Vec<u8>) {
    let file = open(&replica.engine).await.unwrap();
    (file.version(), read_whole(&file).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_follows_or_comes_later_has_the_same_file() {
    let setting = setting().await;
    let (leader, follower) = (setting.replica().await, setting.replica().await);
    for answer in asking_both(&leader, &follower).await {
        setting.assert_whole(&answer.await.unwrap().unwrap());
    }
    let (leads, follows) = tokio::join!(whole(&leader), whole(&follower));
    assert_eq!(leads.0, follows.0);
    assert!(leads.1 == follows.1);
    assert_same_messages(&leads.1, &setting.sources);
    // One that knows nothing but the link, and of which the manifest endpoint says more by now.
    let late = setting.replica().await;
    let pinned = open_pinned(&late.engine, leads.0).await.unwrap();
    assert!(read_whole(&pinned).await == leads.1);
    let range = ByteRange::at(pinned.bytes() / 2, 10_000);
    assert!(read(&pinned, range).await.unwrap() == leads.1[range.start as usize..][..10_000]);
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_stays_open_while_the_bucket_is_away() {
    let setting = Setting::of(source(300), |source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    let (version, bytes) = whole(&replica).await;
    replica.store.set_away(true);
    let file = open(&replica.engine).await.unwrap();
    assert_eq!(file.version(), version);
    assert!(read_whole(&file).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_bucket_there_is_a_file_all_the_same() {
    let setting = Setting::of(source(300), |source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    replica.store.set_away(true);
    let (_, bytes) = whole(&replica).await;
    assert_same_messages(&bytes, &setting.sources);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bucket_lost_is_gone_or_the_same_and_never_another() {
    let setting = setting().await;
    let first = setting.replica().await;
    let (version, bytes) = whole(&first).await;
    let names = setting.settled().await;
    let second = setting.replica().await;
    let file = open_pinned(&second.engine, version).await.unwrap();
    let start = ByteRange::at(0, 1000);
    assert!(read(&file, start).await.unwrap() == bytes[..1000]);
    for name in names.iter().filter(|name| name.contains("part-")) {
        setting.store.damage(name, false).await;
    }
    match read(&file, ByteRange { start: 0, end: file.bytes() }).await {
        // What was made again is the same, to the byte.
        Ok(read) => assert!(read == bytes),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Gone, "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_nobody_knows_is_gone() {
    let setting = Setting::of(source(300), |source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    let version = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let error = open_pinned(&replica.engine, version).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    setting.assert_whole(&ask(&replica).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_need_not_fit_on_the_disk_where_there_is_a_bucket() {
    let mut sources = vec![source(1500), source(1000), source(2500)];
    name_messages(&mut sources);
    let setting = Setting::of_several(sources, |source| Answer::Whole(source.mcap())).await;
    let small = setting.replica_with(setting.store.another(), Some(3 << 20)).await;
    let (version, bytes) = whole(&small).await;
    assert_same_messages(&bytes, &setting.sources);
    let large = setting.replica().await;
    let (other, same) = whole(&large).await;
    assert_eq!(other, version);
    assert!(same == bytes);
}
