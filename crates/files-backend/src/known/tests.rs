use std::time::Duration;

use rdl_testkit::{Drive, FileSpec, FlakyStore};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn keeping(max_bytes: usize) -> Keeping {
    let segments_kept = Duration::from_secs(600);
    Keeping { max_bytes, segments_apart: Duration::ZERO, segments_kept }
}

async fn ask(known: &Known, file: &FileMeta) -> Arc<Contents> {
    known.contents(file, Seen::Now, soon()).await.unwrap().unwrap()
}

async fn files(place: &Place) -> Vec<FileMeta> {
    let mut files = place.list().await.unwrap();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[tokio::test]
async fn what_is_known_is_bounded_shared_and_made_anew_for_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec::default().write(&Drive::default().generate().merged());
    for number in 0..50 {
        std::fs::write(folder.path().join(format!("{number:02}.mcap")), &file).unwrap();
    }
    let place = Place::folder(folder.path()).unwrap();
    let one = {
        let known = Known::new(place.clone(), keeping(1 << 20));
        let first = files(&place).await.remove(0);
        let (a, b) = futures::join!(ask(&known, &first), ask(&known, &first));
        assert!(Arc::ptr_eq(&a, &b));
        known.kept_bytes()
    };
    let max_bytes = 10 * one;
    let known = Known::new(place.clone(), keeping(max_bytes));
    for file in files(&place).await {
        let contents = ask(&known, &file).await;
        assert!(matches!(contents.serving, Serving::Whole) && contents.topics.len() == 4);
        assert!(known.kept_bytes() <= max_bytes);
    }
    // What was asked for last is kept, and what was asked for first is not.
    let listed = files(&place).await;
    let (first, last) = (&listed[0], &listed[49]);
    assert!(Arc::ptr_eq(&ask(&known, last).await, &ask(&known, last).await));
    let paths: Vec<FilePath> = known.entries.lock().by_path.keys().cloned().collect();
    assert!(paths.contains(&last.path) && !paths.contains(&first.path));

    std::fs::write(folder.path().join("49.mcap"), "").unwrap();
    let changed = files(&place).await.remove(49);
    assert!(matches!(ask(&known, &changed).await.serving, Serving::Not));
}

#[tokio::test]
async fn what_files_have_in_common_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let drive = Drive { groups: 40, ..Drive::default() };
    let file = FileSpec::default().write(&drive.generate().merged());
    for number in 0..20 {
        std::fs::write(folder.path().join(format!("{number:02}.mcap")), &file).unwrap();
    }
    let place = Place::folder(folder.path()).unwrap();
    let known = Known::new(place.clone(), keeping(1 << 20));
    let files = files(&place).await;
    let first = ask(&known, &files[0]).await;
    let one = known.kept_bytes();
    for file in &files {
        assert!(Arc::ptr_eq(&ask(&known, file).await.topics, &first.topics));
    }
    let each = (known.kept_bytes() - one) / 19;
    eprintln!("{} topics: {one} bytes for one file, {each} for another", first.topics.len());
    assert!(each * 5 < one && each < 1_000, "{one}, {each}");
    known.entries.lock().make_room(0, Duration::ZERO);
    assert_eq!(known.kept_bytes(), 0);
}

#[tokio::test]
async fn a_summary_that_claims_to_be_huge_reserves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.mcap");
    let mut footer = vec![2];
    footer.extend_from_slice(&20_u64.to_le_bytes());
    footer.extend_from_slice(&100_u64.to_le_bytes());
    footer.extend_from_slice(&[0; 12]);
    footer.extend_from_slice(mcap::MAGIC);
    let sparse = std::fs::File::create(&path).unwrap();
    sparse.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &footer, 1 << 40).unwrap();
    let place = Place::folder(folder.path()).unwrap();
    let known = Known::new(place.clone(), keeping(1 << 20));
    let contents = ask(&known, &files(&place).await[0]).await;
    assert!(matches!(contents.serving, Serving::Not), "{contents:?}");
}

#[tokio::test]
async fn a_file_that_grows_is_examined_once_at_a_time_and_read_on() {
    let messages = Drive { messages: 3_000, ..Drive::default() }.generate().merged();
    let spec = FileSpec { summary: false, compression: None, ..FileSpec::default() };
    let written = spec.write(&messages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let mut seen = Vec::new();
    let place = Place::folder(folder.path()).unwrap();
    for part in 6..10 {
        std::fs::write(&path, &written[..written.len() * part / 10]).unwrap();
        seen.push(files(&place).await.remove(0));
    }
    let known = Known::new(place.clone(), keeping(1 << 20));
    let asked = seen.iter().map(|file| known.contents(file, Seen::Now, soon()));
    let answers = futures::future::join_all(asked).await;
    // The first is examined, and the others look again behind it.
    assert!(matches!(&answers[0], Some(Ok(_))), "{answers:?}");
    for answer in &answers[1..] {
        assert!(matches!(answer, Some(Err(Trouble::Changed))), "{answer:?}");
    }
    let bytes = |contents: &Contents| match &contents.serving {
        Serving::Prefix(prefix) => prefix.state.bytes(),
        _ => 0,
    };
    let first = answers[0].clone().unwrap().unwrap();
    let last = ask(&known, &seen[3]).await;
    assert!(bytes(&last) > bytes(&first) && bytes(&first) > 0);
    // A listing that is older than what is known has nothing read from the start.
    let stale = known.contents(&seen[0], Seen::Listed, soon()).await;
    assert!(matches!(stale, Some(Err(Trouble::Changed))), "{stale:?}");
    // What is wrong is forgotten, and nothing else.
    let last = known.publish(&seen[3].path, last).await.unwrap();
    let Serving::Prefix(prefix) = &last.serving else { panic!("{last:?}") };
    let version = prefix.segments[0].version.clone();
    known.forget(&seen[3].path, &Version { hash: "another".to_owned(), ..version.clone() });
    assert!(Arc::ptr_eq(&ask(&known, &seen[3]).await, &last));
    known.forget(&seen[3].path, &version);
    assert_eq!(known.kept_bytes(), 0);
    assert!(!Arc::ptr_eq(&ask(&known, &seen[3]).await, &last));
}

fn segments(contents: &Contents) -> Vec<Version> {
    let Serving::Prefix(prefix) = &contents.serving else { panic!("{contents:?}") };
    prefix.segments.iter().map(|segment| segment.version.clone()).collect()
}

#[tokio::test]
async fn what_was_published_stays_while_somebody_may_go_by_it() {
    let messages = Drive { messages: 300, ..Drive::default() }.generate().merged();
    let written = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&messages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let place = Place::folder(folder.path()).unwrap();
    let segments_kept = Duration::from_secs(6);
    let known = Known::new(place.clone(), Keeping { segments_kept, ..keeping(1 << 20) });
    let grow = async |length: usize| {
        std::fs::write(&path, &written[..length]).unwrap();
        files(&place).await.remove(0)
    };
    let publish =
        async |file: &FileMeta| known.publish(&file.path, ask(&known, file).await).await.unwrap();
    let mut before = Vec::new();
    for part in 2..5 {
        let file = grow(written.len() * part / 5).await;
        let named = segments(&*publish(&file).await);
        assert!(named.starts_with(&before) && named.len() == before.len() + 1);
        // Nothing new, no segment more; and whoever is late is told to look again.
        let old = ask(&known, &file).await;
        assert_eq!(segments(&*publish(&file).await), named);
        assert!(Arc::ptr_eq(&ask(&known, &file).await, &old));
        before = named;
    }
    // The file gets its summary: what is left is one segment more.
    let whole = grow(written.len()).await;
    let found = ask(&known, &whole).await;
    let named = publish(&whole).await;
    assert!(segments(&named).starts_with(&before) && segments(&named).len() == before.len() + 1);
    let late = known.publish(&whole.path, found).await;
    assert!(matches!(late, Err(Trouble::Changed)), "{late:?}");
    // Whoever fills the memory fills it with something else.
    known.entries.lock().make_room(0, Duration::ZERO);
    assert_eq!(known.kept_bytes(), 0);

    let short = grow(written.len() / 2).await;
    publish(&short).await;
    let whole = grow(written.len()).await;
    let named = segments(&*publish(&whole).await);
    assert_eq!(named.len(), 2);
    tokio::time::sleep(segments_kept + Duration::from_millis(100)).await;
    assert!(matches!(publish(&whole).await.serving, Serving::Whole));
    // Who has them from a manifest still gets them.
    assert!(known.front(&whole.path, &named[1]).is_some());
    assert!(known.front(&whole.path, &Version { end: 7, ..named[1].clone() }).is_none());
}

#[tokio::test]
async fn segments_that_somebody_may_go_by_are_forgotten_last() {
    let folder = tempfile::tempdir().unwrap();
    let spec = FileSpec { summary: false, ..FileSpec::default() };
    let written = spec.write(&Drive::default().generate().merged());
    for name in ["a", "b", "c"] {
        std::fs::write(folder.path().join(format!("{name}.mcap")), &written).unwrap();
    }
    let place = Place::folder(folder.path()).unwrap();
    let known = Known::new(place.clone(), keeping(1 << 20));
    let files = files(&place).await;
    known.publish(&files[0].path, ask(&known, &files[0]).await).await.unwrap();
    for file in &files[1..] {
        ask(&known, file).await;
    }
    let left = known.kept_bytes() / 2;
    known.entries.lock().make_room(left, Duration::from_secs(600));
    let kept: Vec<FilePath> = known.entries.lock().by_path.keys().cloned().collect();
    assert!(kept.contains(&files[0].path) && kept.len() < 3, "{kept:?}");

    // Where nothing can be kept each manifest has the whole of it.
    let known = Known::new(place.clone(), keeping(0));
    for _ in 0..2 {
        let found = known.publish(&files[0].path, ask(&known, &files[0]).await).await.unwrap();
        let [version] = &segments(&found)[..] else { panic!("{found:?}") };
        assert!(version.start == 0 && known.front(&files[0].path, version).is_some());
    }
    assert_eq!(known.kept_bytes(), 0);
}

#[tokio::test]
async fn trouble_loses_nothing_and_past_the_deadline_nothing_is_begun() {
    use object_store::ObjectStoreExt as _;
    use rdl_store::{BucketConfig, BucketProvider};

    let messages = Drive { messages: 300, ..Drive::default() }.generate().merged();
    let spec = FileSpec { summary: false, chunk_bytes: Some(2_000), ..FileSpec::default() };
    let written = spec.write(&messages);
    let store = FlakyStore::new();
    let provider = BucketProvider::Other(Arc::new(store.clone()));
    let config = BucketConfig { provider, name: "b".to_owned(), prefix: String::new() };
    let place = Place::bucket(&config).unwrap();
    let put = async |length: usize| {
        let path = object_store::path::Path::from("a.mcap");
        store.another().put(&path, written[..length].to_vec().into()).await.unwrap();
        files(&place).await.remove(0)
    };
    let known = Known::new(place.clone(), keeping(1 << 20));
    let short = put(written.len() / 2).await;
    let before = store.reads();
    assert!(known.contents(&short, Seen::Now, Instant::now()).await.is_none());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.reads(), before);
    ask(&known, &short).await;
    let state = || known.entries.lock().by_path[&short.path].before(Duration::ZERO);
    assert!(state().is_some());
    let longer = put(written.len()).await;
    store.set_away(true);
    let failed = known.contents(&longer, Seen::Now, soon()).await;
    assert!(matches!(failed, Some(Err(Trouble::Store(_)))), "{failed:?}");
    assert!(state().is_some());
}
