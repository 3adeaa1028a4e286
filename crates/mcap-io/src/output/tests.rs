use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use rdl_model::Nanos;

use super::*;
use crate::sample::{self, COMPRESSIONS, Message, Read, channel, chunk, messages, read_all};
use crate::{ChannelDef, PartWriter, StoredChunk};

fn writer(compression: Compression, chunk_target_bytes: usize) -> OutputWriter {
    OutputWriter::new(OutputOptions {
        profile: "robot".into(),
        compression,
        chunk_target_bytes,
        ..OutputOptions::default()
    })
}

fn whole(mut writer: OutputWriter) -> Vec<u8> {
    writer.finish().unwrap();
    writer.finish().unwrap();
    let pending = writer.pending_bytes();
    let file = bytes(writer.take_output(), &[]);
    assert_eq!((pending, writer.pending_bytes()), (file.len(), 0));
    assert_eq!(writer.bytes_written(), file.len() as u64);
    file
}

/// The file, with the chunks that were passed by their tickets.
fn bytes(pieces: Vec<OutputPiece>, passed: &[&StoredChunk]) -> Vec<u8> {
    let mut file = Vec::new();
    for piece in pieces {
        file.extend_from_slice(match &piece {
            OutputPiece::Bytes(bytes) => bytes,
            OutputPiece::Elsewhere(ticket) => &passed[*ticket as usize].bytes,
        });
    }
    file
}

/// Reads the file by its summary, and holds the summary against the file's content.
fn read_by_summary(file: &[u8]) -> (mcap::Summary, Vec<Read>) {
    let summary = mcap::Summary::read(file).unwrap().expect("there is a summary");
    let in_order = read_all(file);
    let statistics = summary.stats.clone().unwrap();
    assert_eq!(statistics.message_count as usize, in_order.len());
    assert_eq!(statistics.chunk_count as usize, summary.chunk_indexes.len());
    assert_eq!(statistics.channel_count as usize, summary.channels.len());
    assert_eq!(statistics.schema_count as usize, summary.schemas.len());
    let times = || in_order.iter().map(|read| read.message.log_time);
    assert_eq!(statistics.message_start_time, times().min().unwrap_or(0));
    assert_eq!(statistics.message_end_time, times().max().unwrap_or(0));
    let mut by_index = 0;
    for chunk in &summary.chunk_indexes {
        let indexes = summary.read_message_indexes(file, chunk).unwrap();
        for (channel, entries) in indexes {
            for entry in entries {
                let message = summary.seek_message(file, chunk, &entry).unwrap();
                assert_eq!(message.channel.id, channel.id);
                assert_eq!(message.log_time, entry.log_time);
                by_index += 1;
            }
        }
    }
    assert_eq!(by_index, in_order.len());
    (summary, in_order)
}

#[test]
fn an_empty_output_is_a_whole_file() {
    let file = whole(writer(Compression::Lz4, 100));
    let (summary, messages) = read_by_summary(&file);
    assert!(messages.is_empty() && summary.chunk_indexes.is_empty());
    assert_eq!(crate::read_header(&file).unwrap(), "robot");
}

#[test]
fn passed_chunks_go_where_their_place_was_left() {
    let (a, b) = (channel(1, 1, "/a"), channel(2, 0, "/b"));
    let passed = chunk(Compression::Zstd, &[Message::new(1, 0, "x"), Message::new(2, 3, "y")]);
    let mut writer = writer(Compression::Lz4, 1000);
    let merged = [Message::new(1, 4, "merged"), Message::new(2, u64::MAX, "last")];
    assert!(writer.accepts([&*a, &*b]));
    assert_eq!(writer.pass(&passed.descriptor, &[a.clone(), b.clone()]).unwrap(), 0);
    writer.message(&a, merged[0].view()).unwrap();
    writer.message(&b, merged[1].view()).unwrap();
    assert_eq!(writer.message_count(), 4);
    writer.finish().unwrap();
    let written = writer.bytes_written();
    let file = bytes(writer.take_output(), &[&passed]);
    assert_eq!(written, file.len() as u64);
    let (summary, messages) = read_by_summary(&file);
    let expected = [
        Read::expected(&a, &Message::new(1, 0, "x")),
        Read::expected(&b, &Message::new(2, 3, "y")),
        Read::expected(&a, &merged[0]),
        Read::expected(&b, &merged[1]),
    ];
    assert_eq!(messages, expected);
    assert_eq!(summary.channels.len(), 2);
}

#[test]
fn taken_numbers_are_remapped_and_same_identities_share() {
    let one = channel(1, 1, "/one");
    let two = channel(1, 1, "/two");
    let two_elsewhere = channel(9, 9, "/two");
    let schemaless = channel(1, 0, "/three");
    let mut writer = writer(Compression::None, 1 << 20);
    let mut expected = Vec::new();
    for (i, channel) in
        [&one, &two, &two_elsewhere, &schemaless, &one, &two].into_iter().enumerate()
    {
        let message = Message::new(channel.id, i as u64, "m");
        writer.message(channel, message.view()).unwrap();
        expected.push(Read::expected(channel, &message));
    }
    // Channel 1 is /one here.
    assert!(writer.accepts([&*one]) && !writer.accepts([&*two]));
    // Channel 2 is free, schema 1 is not.
    assert!(!writer.accepts([&*channel(2, 1, "/other")]));
    assert!(writer.accepts([&*channel(2, 2, "/other")]));
    let stored = chunk(Compression::None, &[Message::new(1, 0, "x")]);
    let refused = writer.pass(&stored.descriptor, std::slice::from_ref(&two)).unwrap_err();
    assert_eq!(refused, OutputError::IdTaken { id: 1, topic: "/two".into() });

    let (summary, messages) = read_by_summary(&whole(writer));
    assert_eq!(messages, expected);
    let topics: BTreeMap<u16, &str> =
        summary.channels.iter().map(|(id, channel)| (*id, channel.topic.as_str())).collect();
    // /two keeps its own number where that is free, so it has two.
    let two: Vec<u16> =
        topics.iter().filter(|(_, topic)| **topic == "/two").map(|(id, _)| *id).collect();
    assert_eq!((topics[&1], two), ("/one", vec![9, u16::MAX]));
}

#[test]
fn a_channel_that_names_no_schema_is_written_without_one() {
    let without = ChannelRecord { id: 4, schema_id: 7, def: channel(4, 0, "/lost").def.clone() };
    let without = Arc::new(without);
    let mut writer = writer(Compression::Lz4, 1);
    assert!(!writer.accepts([&*without]));
    let message = Message::new(4, 1, "still here");
    writer.message(&without, message.view()).unwrap();
    let (_, messages) = read_by_summary(&whole(writer));
    assert_eq!(messages, [Read::expected(&without, &message)]);
}

#[test]
fn metadata_and_attachments_are_found_by_their_indexes() {
    let metadata =
        MetadataRecord { name: "site".into(), metadata: [("x".into(), "y".into())].into() };
    let attachment = AttachmentRecord {
        name: "map".into(),
        media_type: "image/png".into(),
        log_time: Nanos(0),
        create_time: Nanos::MAX,
        data: Bytes::from_static(b"pixels"),
    };
    let mut writer = writer(Compression::Lz4, 1000);
    writer.message(&channel(1, 1, "/a"), Message::new(1, 1, "m").view()).unwrap();
    writer.attachment(&attachment).unwrap();
    writer.metadata(&metadata).unwrap();
    let file = whole(writer);
    let (summary, messages) = read_by_summary(&file);
    assert_eq!(messages.len(), 1);
    let found = mcap::read::attachment(&file, &summary.attachment_indexes[0]).unwrap();
    assert_eq!((found.name.as_str(), &*found.data), ("map", &b"pixels"[..]));
    assert_eq!((found.log_time, found.create_time), (0, u64::MAX));
    let found = mcap::read::metadata(&file, &summary.metadata_indexes[0]).unwrap();
    assert_eq!((found.name, found.metadata), (metadata.name, metadata.metadata));
}

#[test]
fn a_descriptor_that_lies_is_refused() {
    let mut stored = chunk(Compression::Lz4, &[Message::new(1, 0, "x")]);
    stored.descriptor.index_bytes += 1;
    let refused =
        writer(Compression::Lz4, 1).pass(&stored.descriptor, &[channel(1, 1, "/a")]).unwrap_err();
    assert_eq!(
        (refused.clone(), refused.kind()),
        (OutputError::WrongDescriptor, ErrorKind::Internal)
    );
}

#[test]
fn more_channels_than_numbers_are_an_error() {
    let mut writer = writer(Compression::None, 1 << 20);
    let data = Message::new(1, 0, "");
    let mut failed = None;
    for i in 0..=u32::from(u16::MAX) {
        let def = ChannelDef {
            topic: i.to_string(),
            message_encoding: String::new(),
            schema: None,
            metadata: BTreeMap::new(),
        };
        let channel = Arc::new(ChannelRecord { id: 1, schema_id: 0, def: Arc::new(def) });
        if let Err(error) = writer.message(&channel, data.view()) {
            failed = Some((i, error));
            break;
        }
    }
    let (at, error) = failed.expect("65,536 channels cannot all be numbered");
    assert_eq!((at, error.kind()), (65_535, ErrorKind::TooLarge));
}

#[test]
fn a_part_is_a_whole_file_that_says_where_its_chunks_lie() {
    let channels = [channel(0, 1, "/zero"), channel(3, 0, "/three")];
    let chunks = COMPRESSIONS
        .map(|compression| chunk(compression, &[Message::new(0, 5, "m"), Message::new(3, 6, "n")]));
    let mut part = PartWriter::new("robot");
    let mut file = Vec::new();
    let mut ranges = Vec::new();
    for chunk in &chunks {
        ranges.push(part.chunk(chunk, &channels).unwrap());
        file.extend(part.take_output().concat());
    }
    part.finish();
    part.finish();
    file.extend(part.take_output().concat());
    assert_eq!(part.bytes_written(), file.len() as u64);
    for (range, chunk) in ranges.iter().zip(&chunks) {
        assert_eq!(file[range.start as usize..range.end as usize], chunk.bytes);
    }
    let (summary, messages) = read_by_summary(&file);
    assert_eq!((summary.chunk_indexes.len(), messages.len()), (3, 6));
    let ours = crate::read_summary(file.len() as u64, &file, &crate::Limits::default()).unwrap();
    let crate::SummaryStep::Done(Some(ours)) = ours else { panic!("no summary") };
    assert_eq!(ours.channels.into_values().collect::<Vec<_>>(), channels);
}

proptest! {
    #![proptest_config(sample::same_cases_every_time())]

    #[test]
    fn whatever_is_passed_or_merged_is_read_back(
        steps in proptest::collection::vec((messages(), any::<bool>(), 0..3_usize, 0..2_u16), 1..6),
        target in 1..2000_usize,
    ) {
        let mut writer = writer(Compression::Lz4, target);
        let (mut expected, mut passed) = (Vec::new(), Vec::new());
        for (messages, pass, compression, source) in &steps {
            // Two sources number their channels alike; every other channel is schemaless.
            let channels: Vec<_> = (0..4_u16)
                .map(|id| channel(id, (id % 2) * (id + 1), &format!("/{source}/{id}")))
                .collect();
            let of = |message: &Message| &channels[usize::from(message.channel)];
            let used: Vec<_> = messages.iter().map(|message| of(message).clone()).collect();
            if *pass && writer.accepts(used.iter().map(|channel| &**channel)) {
                let chunk = chunk(COMPRESSIONS[*compression], messages);
                let ticket = writer.pass(&chunk.descriptor, &used).unwrap();
                prop_assert_eq!(ticket, passed.len() as u64);
                passed.push(chunk);
            } else {
                for message in messages {
                    writer.message(of(message), message.view()).unwrap();
                }
            }
            expected.extend(messages.iter().map(|message| Read::expected(of(message), message)));
        }
        prop_assert_eq!(writer.message_count(), expected.len() as u64);
        writer.finish().unwrap();
        let passed: Vec<&StoredChunk> = passed.iter().collect();
        let (_, found) = read_by_summary(&bytes(writer.take_output(), &passed));
        prop_assert_eq!(found, expected);
    }
}
