//! What becomes of a file when the recording under it does not stay as it was.

use std::time::Instant;

use rdl_engine::EngineConfig;
use rdl_model::{ErrorKind, ProblemCode};
use serde_json::{Value, json};

use super::*;
use crate::backend::declare;
use crate::faulty::{Answer, Faulty};
use crate::setting::{engine_at, noise, source};

/// A file of chunks of 200 KB.
fn static_source(topic: &str, messages: u32) -> Source {
    let mut source = source(10);
    source.messages = (0..messages)
        .map(|at| Message {
            topic: topic.into(),
            schema: None,
            metadata: Default::default(),
            log_time: u64::from(at) * 10_000_000,
            publish_time: 0,
            sequence: at,
            data: noise(at, 20_000),
        })
        .collect();
    source.shape.chunk_bytes = Some(200 << 10);
    source.shape.is_static = true;
    source
}

async fn engine_over(backend: &Faulty) -> (Arc<Engine>, tempfile::TempDir) {
    engine_with(backend, |_| {}).await
}

async fn engine_with(
    backend: &Faulty,
    change: impl FnOnce(&mut EngineConfig),
) -> (Arc<Engine>, tempfile::TempDir) {
    let impatient = |config: &mut EngineConfig| {
        config.fetch.manifest_retry_for = Duration::ZERO;
        change(config);
    };
    engine_at(backend.address, impatient).await
}

fn manifest(sources: &[Value]) -> Value {
    json!({ "name": "n", "sources": sources })
}

fn file_entry(path: &str) -> Value {
    json!({ "url": path, "supportsRangeRequests": true })
}

/// Asks again and again, as a viewer does who goes on reading, until the file is not there any more.
async fn until_refused(
    mut ask: impl AsyncFnMut() -> Result<OpenFile, EngineError>,
) -> (EngineError, Duration) {
    let since = Instant::now();
    loop {
        match ask().await {
            Err(error) => return (error, since.elapsed()),
            Ok(_) => assert!(since.elapsed() < Duration::from_secs(30), "it is still served"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_new_source_leaves_the_pinned_file_as_it_is() {
    let sources = [source(100), source(200), source(300)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let bodies: Vec<_> = sources.iter().map(|source| Answer::Whole(source.mcap())).collect();
    let answers: Vec<_> =
        ["/s/0", "/s/1", "/s/2"].into_iter().zip(bodies).map(|(p, a)| (p, vec![a])).collect();
    let backend = Faulty::start(manifest(&declared[..2]), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let first = open(&engine).await.unwrap();
    let bytes = read_whole(&first).await;
    backend.set_manifest(manifest(&[&declared[2..], &declared[..2]].concat()));
    let pinned = open_pinned(&engine, first.version()).await.unwrap();
    assert_eq!((pinned.version(), pinned.bytes()), (first.version(), first.bytes()));
    assert!(read_whole(&pinned).await == bytes);
    // Whoever opened it without naming a version stays with what it began with.
    assert_eq!(open(&engine).await.unwrap().version(), first.version());
    // Whoever asks what there is now is told of another file.
    let recording = recording(&engine).await;
    assert!(recording.file(PATIENCE).await.is_none(), "the new source is not loaded");
    output::collect(&recording, Query::default()).await.unwrap();
    let now = recording.file(PATIENCE).await.unwrap().unwrap();
    assert_ne!(now.version, first.version());
    let whole = read_whole(&open_pinned(&engine, now.version).await.unwrap()).await;
    let order = [&sources[2..], &sources[..2]].concat();
    let mut expected = drive::merged(&order);
    let mut found = output::messages_as_they_lie(&whole);
    let key = |message: &Message| (message.log_time, message.data.clone());
    expected.sort_by_key(key);
    found.sort_by_key(key);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_source_that_is_withdrawn_takes_the_file_with_it() {
    let sources = [source(100), source(200)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let answers = sources.each_ref().map(|source| vec![Answer::Whole(source.mcap())]);
    let [a, b] = answers;
    let backend = Faulty::start(manifest(&declared), &[("/s/0", a), ("/s/1", b)]).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    backend.set_manifest(manifest(&declared[..1]));
    let version = file.version();
    let (error, took) = until_refused(async || open_pinned(&engine, version).await).await;
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    assert!(took < Duration::from_secs(1), "nobody had asked with that link before");
    let (error, took) = until_refused(async || open(&engine).await).await;
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // It does not come back as another one under whoever reads on.
    assert_eq!(open(&engine).await.map(drop).unwrap_err().kind(), ErrorKind::Gone);
}

#[tokio::test]
async fn a_user_who_is_refused_reads_no_more_and_is_told_so() {
    let source = source(100);
    let answers = [("/s/0", vec![Answer::Whole(source.mcap())])];
    let backend = Faulty::start(manifest(&[declare((0, &source))]), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    backend.refuse(403);
    let (error, took) = until_refused(async || open(&engine).await).await;
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    backend.refuse(401);
    let pinned = open_pinned(&engine, file.version()).await.map(drop).unwrap_err();
    assert_eq!(pinned.kind(), ErrorKind::Unauthorized, "{pinned}");
    assert_eq!(open(&engine).await.map(drop).unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_static_file_that_becomes_another_is_gone_and_never_a_mixture() {
    let (old, new) = (static_source("/old", 100), static_source("/new", 100));
    let mut answers = vec![Answer::Ranges(old.mcap(), "v1"); 3];
    answers.push(Answer::Ranges(new.mcap(), "v2"));
    let backend = Faulty::start(manifest(&[file_entry("/f")]), &[("/f", answers)]).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    assert!(backend.requests("/f") <= 2);
    // One chunk is here, the others are not.
    read(&file, ByteRange::at(200, 1000)).await.unwrap();
    let whole = read(&file, ByteRange { start: 0, end: file.bytes() }).await;
    assert_eq!(whole.unwrap_err().kind(), ErrorKind::Gone);
    for _ in 0..3 {
        let gone = open(&engine).await.map(drop).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Gone, "{gone}");
        let gone = open_pinned(&engine, file.version()).await.map(drop).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Gone, "{gone}");
    }
    // What there is now is another file.
    let recording = recording(&engine).await;
    recording.describe().await.unwrap();
    let now = recording.file(PATIENCE).await.unwrap().unwrap();
    assert_ne!(now.version, file.version());
    let whole = read_whole(&open_pinned(&engine, now.version).await.unwrap()).await;
    assert_same_messages(&whole, &[new]);
}

#[tokio::test]
async fn a_static_file_that_vanishes_is_gone() {
    let source = static_source("/a", 100);
    let mut answers = vec![Answer::Ranges(source.mcap(), "v1"); 2];
    answers.push(Answer::Status(404));
    let backend = Faulty::start(manifest(&[file_entry("/f")]), &[("/f", answers)]).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    let mut read_to_end = Ok(Vec::new());
    for at in 0..4 {
        read_to_end = read(&file, ByteRange::at(at * 500_000, 400_000)).await;
        if read_to_end.is_err() {
            break;
        }
    }
    assert_eq!(read_to_end.unwrap_err().kind(), ErrorKind::Gone);
}

#[tokio::test]
async fn a_damaged_chunk_is_a_hole_and_all_around_it_is_there() {
    let mut source = static_source("/a", 100);
    source.shape.compression = Some(mcap::Compression::Zstd);
    let mut body = source.mcap();
    let at = body.len() / 2;
    body[at] ^= 0x10;
    let answers = [("/f", vec![Answer::Ranges(body, "v1")])];
    let backend = Faulty::start(manifest(&[file_entry("/f")]), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    let whole = read_whole(&file).await;
    assert_eq!(whole.len() as u64, file.bytes());
    let found: Vec<Message> = mcap::MessageStream::new(&whole)
        .unwrap()
        .map(|message| {
            let message = message.unwrap();
            source.messages.iter().find(|one| one.sequence == message.sequence).unwrap().clone()
        })
        .collect();
    assert!((80..100).contains(&found.len()), "{} messages", found.len());
    let summary = mcap::Summary::read(&whole).unwrap().unwrap();
    for chunk in &summary.chunk_indexes {
        summary.stream_chunk(&whole, chunk).unwrap().for_each(|message| drop(message.unwrap()));
    }
    // A reader that believes the index and looks at no chunk's own header.
    assert_eq!(read_by_index(&whole, &summary), found.len());
    let problems = recording(&engine).await.sources().problems;
    assert!(problems.iter().any(|one| one.code == ProblemCode::DamagedChunk), "{problems:?}");
}

/// How many messages the mcap crate's indexed reader finds.
fn read_by_index(file: &[u8], summary: &mcap::Summary) -> usize {
    use mcap::sans_io::indexed_reader::{IndexedReadEvent, IndexedReader};
    let mut reader = IndexedReader::new(summary).unwrap();
    let mut messages = 0;
    while let Some(event) = reader.next_event() {
        match event.unwrap() {
            IndexedReadEvent::ReadChunkRequest { offset, length } => {
                let record = file[offset as usize..][..length].to_vec();
                reader.insert_chunk_record_data(offset, &record).unwrap();
            }
            IndexedReadEvent::Message { .. } => messages += 1,
        }
    }
    messages
}

#[tokio::test]
async fn a_file_that_is_not_ready_says_how_far_it_is_and_goes_on() {
    let sources = [source(1000), source(100)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let slowly = Answer::Slowly(sources[0].mcap(), 100 << 10, Duration::from_millis(100));
    let answers = [("/s/0", vec![slowly]), ("/s/1", vec![Answer::Whole(sources[1].mcap())])];
    let backend = Faulty::start(manifest(&declared), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let error = engine.open_file(&request(), Duration::from_millis(300)).await.map(drop);
    let error = error.unwrap_err();
    let EngineError::FileNotReady { ready: 0..=1, sources: 2, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
    let file = open(&engine).await.unwrap();
    assert_eq!(output::messages_as_they_lie(&read_whole(&file).await).len(), 2000);
    assert_eq!((backend.requests("/s/0"), backend.requests("/s/1")), (1, 1));
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_that_names_it() {
    let sources = [source(100), source(100)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let answers =
        [("/s/0", vec![Answer::Whole(sources[0].mcap())]), ("/s/1", vec![Answer::Status(404)])];
    let backend = Faulty::start(manifest(&declared), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let error = open(&engine).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway);
    assert!(error.to_string().contains("/s/1"), "{error}");
}

#[tokio::test]
async fn a_recording_that_the_disk_has_no_room_for_is_refused_and_the_stream_is_not() {
    let sources = [source(1500), source(1500)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let whole = |at: usize| vec![Answer::Whole(sources[at].mcap())];
    let backend =
        Faulty::start(manifest(&declared), &[("/s/0", whole(0)), ("/s/1", whole(1))]).await;
    let small = |config: &mut EngineConfig| {
        config.store.max_bytes = Some(2 << 20);
        config.source_silence = Duration::from_millis(500);
    };
    let (engine, _folder) = engine_with(&backend, small).await;
    let error = open(&engine).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("REQUEST_CACHE_MAX_BYTES"), "{error}");
    let downloads = backend.requests("/s/0") + backend.requests("/s/1");
    open(&engine).await.map(drop).unwrap_err();
    assert_eq!(backend.requests("/s/0") + backend.requests("/s/1"), downloads);
    let stream = output::collect(&recording(&engine).await, Query::default()).await.unwrap();
    assert_eq!(output::messages(&stream), drive::merged(&sources));
}

/// The summary says that a channel of a chunk has one message more than it has, and another one less.
#[tokio::test]
async fn a_summary_that_lies_ends_the_file_and_the_next_one_is_right() {
    let mut source = static_source("/a", 100);
    for message in source.messages.iter_mut().skip(1).step_by(2) {
        message.topic = "/b".into();
    }
    let mut body = source.mcap();
    let summary = mcap::Summary::read(&body).unwrap().unwrap();
    let offsets = &summary.chunk_indexes[2].message_index_offsets;
    let (id, offset) = offsets.iter().max_by_key(|(_, offset)| **offset).unwrap();
    let entry = |offset: u64| [&id.to_le_bytes()[..], &offset.to_le_bytes()].concat();
    let true_entry = entry(*offset);
    let at = body.windows(10).rposition(|window| window == true_entry).unwrap();
    body[at..at + 10].copy_from_slice(&entry(offset + 16));
    // A wrong checksum would be noticed first: zero means that nobody computed one.
    let crc = body.len() - 8 - 4;
    body[crc..crc + 4].fill(0);
    let answers = [("/f", vec![Answer::Ranges(body, "v1")])];
    let backend = Faulty::start(manifest(&[file_entry("/f")]), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let file = open(&engine).await.unwrap();
    let whole = read(&file, ByteRange { start: 0, end: file.bytes() }).await;
    assert_eq!(whole.unwrap_err().kind(), ErrorKind::Gone);
    let recording = recording(&engine).await;
    output::collect(&recording, Query::default()).await.unwrap();
    let codes: Vec<_> = recording.sources().problems.iter().map(|one| one.code).collect();
    assert!(codes.contains(&ProblemCode::LoadedAsStreamed), "{codes:?}");
    let now = recording.file(PATIENCE).await.unwrap().unwrap();
    assert_ne!(now.version, file.version());
    let whole = read_whole(&open_pinned(&engine, now.version).await.unwrap()).await;
    assert_same_messages(&whole, &[source]);
}

/// Attachments and metadata that several sources have stand there once, and others all.
#[tokio::test]
async fn what_several_sources_have_stands_there_once() {
    let mut files = Vec::new();
    for at in 0..3_u8 {
        let options = mcap::WriteOptions::new().chunk_size(Some(1 << 20));
        let mut writer = options.create(std::io::Cursor::new(Vec::new())).unwrap();
        let channel = writer.add_channel(0, &format!("/{at}"), "raw", &Default::default()).unwrap();
        for time in 0..200_u64 {
            let header = mcap::records::MessageHeader {
                channel_id: channel,
                sequence: u32::from(at) * 1000 + time as u32,
                log_time: time,
                publish_time: time,
            };
            writer.write_to_known_channel(&header, &noise(time as u32, 1000)).unwrap();
        }
        // The same everywhere; the same but for the content; one that only one has.
        let contents = [("map", vec![7; 5000]), ("notes", vec![at / 2; 100])];
        for (name, data) in contents {
            let attachment = mcap::Attachment {
                log_time: 1,
                create_time: 2,
                name: name.into(),
                media_type: "text/plain".into(),
                data: data.into(),
            };
            writer.attach(&attachment).unwrap();
        }
        for name in ["robot".to_owned(), format!("run {at}")] {
            let metadata = [("a".to_owned(), "b".to_owned())].into();
            writer.write_metadata(&mcap::records::Metadata { name, metadata }).unwrap();
        }
        writer.finish().unwrap();
        files.push(writer.into_inner().into_inner());
    }
    let declared = [
        json!({ "url": "/s/0", "id": "0", "topics": [], "schemas": [],
        "startTime": "1970-01-01T00:00:00Z", "endTime": "1970-01-01T00:00:01Z" }),
        file_entry("/f/1"),
        file_entry("/f/2"),
    ];
    let answers = [
        ("/s/0", vec![Answer::Whole(files[0].clone())]),
        ("/f/1", vec![Answer::Ranges(files[1].clone(), "v1")]),
        ("/f/2", vec![Answer::Ranges(files[2].clone(), "v1")]),
    ];
    let backend = Faulty::start(manifest(&declared), &answers).await;
    let (engine, _folder) = engine_over(&backend).await;
    let whole = read_whole(&open(&engine).await.unwrap()).await;
    let decoded = rdl_testkit::decode(&whole).unwrap();
    assert_eq!(decoded.messages.len(), 600);
    let names: Vec<&str> = decoded.metadata.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["robot", "run 0", "run 1", "run 2"]);
    let attachments: Vec<(&str, u8)> =
        decoded.attachments.iter().map(|(name, data)| (name.as_str(), data[0])).collect();
    // The first two have the same notes.
    assert_eq!(attachments, [("map", 7), ("notes", 0), ("notes", 1)]);
    let summary = mcap::Summary::read(&whole).unwrap().unwrap();
    let indexed = summary.attachment_indexes.iter();
    let read = indexed.map(|index| mcap::read::attachment(&whole, index).unwrap().data.len());
    assert_eq!(read.collect::<Vec<_>>(), [5000, 100, 100]);
    assert_eq!(summary.metadata_indexes.len(), 4);
}

/// The manifest of those who wait is asked again before they are served.
#[tokio::test]
async fn what_is_withdrawn_while_a_file_is_made_is_not_served() {
    let sources = [source(100), source(1000)];
    let declared: Vec<Value> = sources.iter().enumerate().map(declare).collect();
    let slowly = Answer::Slowly(sources[1].mcap(), 50 << 10, Duration::from_millis(400));
    let answers = [("/s/0", vec![Answer::Whole(sources[0].mcap())]), ("/s/1", vec![slowly])];
    for refusal in [None, Some(403)] {
        let backend = Faulty::start(manifest(&declared), &answers).await;
        let (engine, _folder) = engine_over(&backend).await;
        let waiting = {
            let engine = engine.clone();
            tokio::spawn(async move { open(&engine).await.map(drop) })
        };
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        match refusal {
            None => backend.set_manifest(manifest(&declared[..1])),
            Some(status) => backend.refuse(status),
        }
        // It makes the session ask behind the back of those who wait.
        let _ = engine.open_file(&request(), Duration::ZERO).await;
        let error = waiting.await.unwrap().unwrap_err();
        let expected = if refusal.is_some() { ErrorKind::Forbidden } else { ErrorKind::Gone };
        assert_eq!(error.kind(), expected, "{error}");
    }
}

/// Readers who stop in the middle of chunks that had to be renumbered hold up no load.
#[tokio::test(flavor = "multi_thread")]
async fn readers_who_stop_reading_keep_no_memory_from_loads() {
    let mut sources = [static_source("/a", 200), static_source("/b", 200), source(500)];
    name_messages(&mut sources);
    let declared = [file_entry("/f/0"), file_entry("/f/1"), declare((2, &sources[2]))];
    let answers = [
        ("/f/0", vec![Answer::Ranges(sources[0].mcap(), "v1")]),
        ("/f/1", vec![Answer::Ranges(sources[1].mcap(), "v1")]),
        ("/s/2", vec![Answer::Whole(sources[2].mcap())]),
    ];
    let backend = Faulty::start(manifest(&declared[..2]), &answers).await;
    let little = |config: &mut EngineConfig| config.memory_limit_bytes = 16 << 20;
    let (engine, _folder) = engine_with(&backend, little).await;
    let file = open(&engine).await.unwrap();
    let mut stopped = Vec::new();
    for at in 0..12 {
        let mut body = file.read(ByteRange::at(at * 500_000 + 100, 300_000)).await.unwrap();
        assert!(body.try_next().await.unwrap().is_some());
        stopped.push(body);
    }
    backend.set_manifest(manifest(&declared));
    let recording = recording(&engine).await;
    let stream = output::collect(&recording, Query::default());
    let stream = tokio::time::timeout(Duration::from_secs(20), stream).await.unwrap().unwrap();
    assert_eq!(output::messages(&stream).len(), 1400);
    drop(stopped);
}
