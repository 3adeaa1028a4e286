use std::collections::BTreeMap;

use proptest::prelude::*;
use rdl_mcap_io::{Intake, IntakeEvent, IntakeOptions};

use super::*;
use crate::MessageType;

struct Setting {
    channels: ChannelSet,
    a: Channel,
    b: Channel,
}

fn setting() -> Setting {
    let mut channels = ChannelSet::new();
    let a = channels.add("/a", MessageType::json_schema("A", "{}")).unwrap();
    let qos = BTreeMap::from([("qos".to_owned(), "reliable".to_owned())]);
    let b = channels.add_with_metadata("/b", MessageType::new("x", None), qos).unwrap();
    Setting { channels, a, b }
}

fn uncompressed() -> BodyOptions {
    BodyOptions { compression: Compression::None, ..BodyOptions::default() }
}

/// The sizes (uncompressed) and times of the chunks of a body that ended well.
fn chunks(mcap: &[u8]) -> Vec<(u64, TimeRange)> {
    let summary = mcap::Summary::read(mcap).unwrap().unwrap();
    let mut chunks: Vec<_> = summary
        .chunk_indexes
        .iter()
        .map(|chunk| {
            let (start, end) = (Nanos(chunk.message_start_time), Nanos(chunk.message_end_time));
            (chunk.uncompressed_size, TimeRange { start, end })
        })
        .collect();
    chunks.sort_by_key(|(_, times)| times.start);
    chunks
}

#[test]
fn another_reader_finds_every_message_as_it_was() {
    let Setting { channels, a, b } = setting();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let options = BodyOptions { compression, profile: "ros2".into(), ..BodyOptions::default() };
        let mut body = BodyWriter::new(&channels, options);
        let first =
            Message { log_time: Nanos(7), publish_time: Nanos(5), sequence: 9, data: b"\x00\x01" };
        body.write(b, first).unwrap();
        body.write_with(a, Nanos(7), |out| serde_json::to_writer(out, &[1, 2])).unwrap();
        let notes = MetadataRecord { name: "notes".into(), metadata: BTreeMap::new() };
        body.metadata(&notes).unwrap();
        body.attachment(&AttachmentRecord {
            name: "map.yaml".into(),
            media_type: "text/yaml".into(),
            log_time: Nanos(8),
            create_time: Nanos(0),
            data: Bytes::from_static(b"resolution: 0.05"),
        })
        .unwrap();
        body.finish().unwrap();
        body.finish().unwrap();
        let mcap = body.take().concat();
        let messages: Vec<_> =
            mcap::MessageStream::new(&mcap).unwrap().map(Result::unwrap).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].channel.id, messages[1].channel.id), (b.id(), a.id()));
        assert_eq!(messages[0].channel.metadata["qos"], "reliable");
        let seen = (messages[0].log_time, messages[0].publish_time, messages[0].sequence);
        assert_eq!(seen, (7, 5, 9));
        assert_eq!((&*messages[0].data, &*messages[1].data), (&b"\x00\x01"[..], &b"[1,2]"[..]));
        let summary = mcap::Summary::read(&mcap).unwrap().unwrap();
        assert_eq!(summary.stats.unwrap().message_count, 2);
        assert_eq!((summary.attachment_indexes.len(), summary.metadata_indexes.len()), (1, 1));
    }
}

/// Its chunks are those that the loader keeps and passes on unchanged, but for a short last one.
#[test]
fn ids_are_canonical_and_chunks_in_order() {
    let Setting { channels, a, b } = setting();
    let mut body = BodyWriter::new(&channels, uncompressed());
    let data = vec![7; 1000];
    for n in 0..2000 {
        body.write(if n % 2 == 0 { a } else { b }, Message::at(Nanos(n), &data)).unwrap();
    }
    body.finish().unwrap();
    let mcap = Bytes::from(body.take().concat());
    let mut intake = Intake::new(IntakeOptions::default());
    intake.push(mcap.clone()).unwrap();
    intake.finish().unwrap();
    let (mut kept, mut problems) = (0, Vec::new());
    while let Some(event) = intake.next_event() {
        match event {
            IntakeEvent::Chunk { chunk, .. } => {
                let as_it_came = mcap.windows(chunk.bytes.len()).any(|came| came == chunk.bytes);
                assert!(as_it_came, "a chunk was made anew");
                kept += 1;
            }
            IntakeEvent::Problem(problem) => problems.push(problem),
            _ => {}
        }
    }
    assert_eq!(kept, 2);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn chunks_close_by_size_by_time_or_when_asked() {
    let Setting { channels, a, .. } = setting();
    let kilobyte = vec![0; 1000];
    let written = |options: BodyOptions, messages: &[(u64, usize)]| {
        let mut body = BodyWriter::new(&channels, options);
        for (time, bytes) in messages {
            body.write(a, Message::at(Nanos(*time), &vec![0; *bytes])).unwrap();
        }
        body.finish().unwrap();
        chunks(&body.take().concat())
    };
    let many: Vec<_> = (0..100).map(|time| (time, kilobyte.len())).collect();
    let by_size = written(BodyOptions { chunk_bytes: 10_000, ..uncompressed() }, &many);
    assert_eq!(by_size.len(), 10);
    assert!(by_size.iter().all(|(bytes, _)| (10_000..12_000).contains(bytes)), "{by_size:?}");
    let ten = Some(Duration::from_nanos(10));
    let options = BodyOptions { chunk_duration: ten, ..uncompressed() };
    let mut body = BodyWriter::new(&channels, options.clone());
    body.write(a, Message::at(Nanos(0), &kilobyte)).unwrap();
    assert!(!body.closes_chunk(Nanos(9), 0) && body.closes_chunk(Nanos(10), 0));
    let by_time = written(options, &many);
    let starts: Vec<u64> = by_time.iter().map(|(_, times)| times.start.0).collect();
    assert_eq!(starts, (0..10).map(|n| n * 10).collect::<Vec<u64>>());
    // A message that would make a chunk larger than the loader keeps goes into the next one.
    let large = written(
        BodyOptions { chunk_bytes: 6 << 20, ..uncompressed() },
        &[(0, 5 << 20), (1, 5 << 20)],
    );
    assert_eq!(large.len(), 2);

    let mut body = BodyWriter::new(&channels, uncompressed());
    let header = body.take().concat().len();
    body.flush().unwrap();
    assert!(header > 0 && body.take().is_empty());
    body.write(a, Message::at(Nanos(1), b"{}")).unwrap();
    assert!(!body.is_ready());
    body.flush().unwrap();
    assert!(body.is_ready() && !body.take().is_empty());
}

#[test]
fn what_would_play_wrong_is_refused_and_the_body_cannot_be_finished() {
    let Setting { channels, a, .. } = setting();
    let times = TimeRange { start: Nanos(10), end: Nanos(20) };
    let options = BodyOptions { times, max_message_bytes: 5, ..uncompressed() };
    let refused = |channel: Channel, message: Message<'_>| {
        let mut body = BodyWriter::new(&channels, options.clone());
        body.write(a, Message::at(Nanos(15), b"{}")).unwrap();
        let error = body.write(channel, message).unwrap_err();
        assert_eq!(body.finish(), Err(WriteError::Ended("has failed")));
        assert_eq!(body.flush(), Err(WriteError::Ended("has failed")));
        assert!(!body.is_finished());
        let again = body.write(a, Message::at(Nanos(20), b"{}"));
        assert_eq!(again, Err(WriteError::Ended("has failed")));
        let mut end = body.take();
        end.reverse();
        assert!(!end[0].ends_with(b"\x89MCAP0\r\n") || end.len() == 1);
        error.to_string()
    };
    let message = refused(a, Message::at(Nanos(14), b"{}"));
    assert!(message.contains("a message of /a at 1970-01-01T00:00:00.000000014Z"), "{message}");
    let message = refused(a, Message::at(Nanos(21), b"{}"));
    assert!(message.contains("outside the declared times"), "{message}");
    let message = refused(a, Message::at(Nanos(16), b"123456"));
    assert_eq!(message, "a message of /a of 6 bytes; the limit is 5");
    let stranger = Channel::from_id(a.id().wrapping_add(1));
    let message = refused(stranger, Message::at(Nanos(16), b"{}"));
    assert!(message.contains("not one of this body's channel set"), "{message}");

    let mut body = BodyWriter::new(&channels, options);
    let error = body.write_with(a, Nanos(15), |_| Err("no such field")).unwrap_err();
    assert_eq!(error.to_string(), "a message of /a cannot be encoded: no such field");
    body.finish().unwrap_err();
}

#[test]
fn who_is_told_to_fail_cannot_be_finished() {
    let Setting { channels, a, .. } = setting();
    let mut body = BodyWriter::new(&channels, BodyOptions::default());
    body.write(a, Message::at(Nanos(1), b"{}")).unwrap();
    body.fail();
    assert_eq!(body.finish(), Err(WriteError::Ended("has failed")));
    let mut finished = BodyWriter::new(&channels, BodyOptions::default());
    finished.finish().unwrap();
    finished.fail();
    assert!(finished.is_finished());
}

#[test]
fn a_finished_body_takes_nothing_more() {
    let Setting { channels, a, .. } = setting();
    let mut body = BodyWriter::new(&channels, BodyOptions::default());
    body.finish().unwrap();
    let error = body.write(a, Message::at(Nanos(1), b"")).unwrap_err();
    assert_eq!(error, WriteError::Ended("is finished"));
    assert!(body.is_finished());
    let mcap = body.take().concat();
    assert_eq!(mcap::MessageStream::new(&mcap).unwrap().count(), 0);
}

proptest! {
    #[test]
    fn every_message_comes_back(
        messages in proptest::collection::vec((any::<bool>(), 0_u64..5, 0_usize..3000), 0..200),
        chunk_bytes in 1_usize..20_000,
    ) {
        let Setting { channels, a, b } = setting();
        let options = BodyOptions { chunk_bytes, ..BodyOptions::default() };
        let mut body = BodyWriter::new(&channels, options);
        let (mut time, mut wanted, mut pieces) = (0, Vec::new(), body.take());
        for (first, step, bytes) in messages {
            time += step;
            let channel = if first { a } else { b };
            let data = vec![time as u8; bytes];
            let closes = body.closes_chunk(Nanos(time), bytes);
            body.write(channel, Message::at(Nanos(time), &data)).unwrap();
            prop_assert_eq!(closes, body.is_ready());
            pieces.extend(body.take());
            wanted.push((channel.id(), time, data));
        }
        body.finish().unwrap();
        pieces.extend(body.take());
        let mcap = pieces.concat();
        let found: Vec<_> = mcap::MessageStream::new(&mcap).unwrap().map(|message| {
            let message = message.unwrap();
            (message.channel.id, message.log_time, message.data.into_owned())
        }).collect();
        prop_assert_eq!(found, wanted);
    }
}
