//! Cuts: the answer to a query, made once and kept.

use rdl_engine::ReplayPolicy;
use rdl_model::{ErrorKind, Nanos, TimeRange};

use super::*;
use crate::backend::Backend;
use crate::faulty::Answer;
use crate::setting::{Replica, Setting, slowly, source};

/// Two seconds of one topic of two, and the newest of each before it.
fn query() -> Query {
    Query {
        times: TimeRange { start: Nanos(3_000_000_000), end: Nanos(4_999_999_999) },
        has_start: true,
        replay: ReplayPolicy::LastPerChannel,
        ..Query::default()
    }
}

fn cut(query: Query) -> FileRequest {
    FileRequest { cut: Some(query), ..request() }
}

fn expected(setting: &Setting) -> Vec<Message> {
    let all = drive::merged(&setting.sources);
    let before = all.iter().rfind(|message| message.log_time < 3_000_000_000).cloned();
    let range = 3_000_000_000..=4_999_999_999;
    let within = all.into_iter().filter(|message| range.contains(&message.log_time));
    before.into_iter().chain(within).collect()
}

async fn whole(replica: &Replica, request: &FileRequest) -> (FileVersion, Vec<u8>) {
    let file = replica.engine.open_file(request, PATIENCE).await.unwrap();
    (file.version(), read_whole(&file).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_made_once_however_many_ask_and_starts_with_what_was_latched() {
    let setting = Setting::of(source(500), |source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    let asked = (0..8).map(|_| async { whole(&replica, &cut(query())).await });
    let first = futures::future::join_all(asked).await;
    for (version, bytes) in &first {
        assert_eq!(*version, first[0].0);
        assert!(*bytes == first[0].1);
    }
    assert_eq!(output::messages(&first[0].1), expected(&setting));
    let cuts = setting.cuts().await;
    assert_eq!(cuts, [format!("some/where/v1/cuts/{}.mcap", first[0].0)]);
    // Another way to ask for it finds it, and another question does not.
    let pinned = FileRequest { version: Some(first[0].0), ..cut(query()) };
    assert!(whole(&replica, &pinned).await.1 == first[0].1);
    let other = whole(&replica, &cut(Query { has_start: false, ..query() })).await;
    assert_ne!(other.0, first[0].0);
    assert_eq!(setting.cuts().await.len(), 2);
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_cut_and_its_ranges_are_slices_of_it() {
    let setting = Setting::of(source(2000), |source| Answer::Whole(source.mcap())).await;
    let replicas = [setting.replica().await, setting.replica().await, setting.replica().await];
    let request = cut(query());
    // The first two may both make it: one of the two counts for both.
    let (a, b) = tokio::join!(whole(&replicas[0], &request), whole(&replicas[1], &request));
    let third = whole(&replicas[2], &request).await;
    for found in [&a, &b] {
        assert_eq!(found.0, third.0);
        assert!(found.1 == third.1);
    }
    assert_eq!(output::messages(&third.1), expected(&setting));
    let file = replicas[2].engine.open_file(&request, PATIENCE).await.unwrap();
    for (start, len) in [(0, 8), (1000, 70_000), (file.bytes() - 10, 100), (file.bytes(), 5)] {
        let bytes = read(&file, ByteRange::at(start, len)).await.unwrap();
        let end = (start + len).min(file.bytes());
        assert!(bytes == third.1[start as usize..end as usize]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_is_being_made_says_how_far_it_is() {
    let setting = Setting::of(source(1000), slowly).await;
    let replica = setting.replica().await;
    let all = cut(Query { attachments: true, ..Query::default() });
    let mut last = 0;
    let file = loop {
        match replica.engine.open_file(&all, Duration::from_millis(200)).await {
            Ok(file) => break file,
            Err(EngineError::CutNotReady { written_bytes, .. }) => {
                assert!(written_bytes >= last);
                last = written_bytes;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(last > 0, "it told nothing before it was there");
    setting.assert_whole(&read_whole(&file).await);
    assert_eq!(setting.downloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_whose_bytes_went_is_gone_under_its_link_and_made_anew_without() {
    let setting = Setting::of(source(300), |source| Answer::Whole(source.mcap())).await;
    let first = setting.replica().await;
    let (version, bytes) = whole(&first, &cut(query())).await;
    for name in setting.cuts().await {
        setting.store.damage(&name, false).await;
    }
    let second = setting.replica().await;
    let pinned = FileRequest { version: Some(version), ..cut(query()) };
    let error = second.engine.open_file(&pinned, PATIENCE).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    let again = whole(&second, &cut(query())).await;
    assert_eq!(output::messages(&again.1), output::messages(&bytes));
    // Whoever has it goes on.
    assert!(whole(&first, &pinned).await.1 == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_a_source_that_fails_is_an_error_and_nothing_is_kept() {
    let setting = Setting::of(source(300), |_| Answer::Status(404)).await;
    let replica = setting.replica().await;
    let error = replica.engine.open_file(&cut(query()), PATIENCE).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
    assert!(setting.cuts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_a_folder_outlives_the_process_and_is_shared() {
    let mut sources = vec![source(500)];
    sources[0].shape.is_static = false;
    let backend = Backend::of(&sources).await;
    let bucket = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let engine = || {
        backend.engine_with(scratch.path(), |config| {
            config.store.bucket = Some(bucket.path().to_owned());
        })
    };
    let request = cut(query());
    let (one, other) = (engine().await, engine().await);
    let (a, b) =
        tokio::join!(one.open_file(&request, PATIENCE), other.open_file(&request, PATIENCE));
    let (a, b) = (a.unwrap(), b.unwrap());
    let bytes = read_whole(&a).await;
    if a.version() == b.version() {
        assert!(read_whole(&b).await == bytes);
    }
    one.shutdown().await;
    other.shutdown().await;
    drop((a, b, one, other));
    let later = engine().await;
    let downloads = backend.downloads();
    let file = later.open_file(&request, PATIENCE).await.unwrap();
    let found = read_whole(&file).await;
    assert_eq!(output::messages(&found), output::messages(&bytes));
    assert_eq!(backend.downloads(), downloads, "nothing is loaded for it again");
    let pinned = FileRequest { version: Some(file.version()), ..request };
    later.shutdown().await;
    let last = engine().await;
    let file = last.open_file(&pinned, PATIENCE).await.unwrap();
    assert!(read_whole(&file).await == found);
    last.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_the_disk_has_no_room_for_is_refused_and_not_made_again_at_once() {
    let source = source(3000);
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    let folder = tempfile::tempdir().unwrap();
    let small = |config: &mut EngineConfig| config.store.max_bytes = Some(2 << 20);
    let engine = backend.engine_with(folder.path(), small).await;
    let all = cut(Query { attachments: true, ..Query::default() });
    let error = engine.open_file(&all, PATIENCE).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let downloads = backend.downloads();
    let error = engine.open_file(&all, PATIENCE).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(backend.downloads(), downloads);
    // What the one that was refused had on the disk goes as soon as its answer has ended.
    let part = engine.open_file(&cut(query()), PATIENCE).await.unwrap();
    assert!(!output::messages(&read_whole(&part).await).is_empty());
    engine.shutdown().await;
}
