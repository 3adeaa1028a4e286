use std::collections::BTreeSet;

use proptest::prelude::*;
use rdl_mcap_io::{Limits, renumber_chunk};

use super::*;
use crate::generator::{self, Recording, Source};

fn laid(source: &Source) -> LaidSource {
    let chunks = 0..source.chunks.len();
    let are_claims = source.claimed.is_some();
    let descriptor = |chunk| match are_claims {
        true => source.claim(chunk),
        false => source.descriptor(chunk),
    };
    LaidSource {
        channels: source.channels(),
        chunks: chunks.map(|chunk| Arc::new(descriptor(chunk))).collect(),
        are_claims,
        ..LaidSource::default()
    }
}

/// The bytes of the file.
fn assemble(layout: &FileLayout, sources: &[Source]) -> Vec<u8> {
    let own = layout.own.concat();
    let mut file = Vec::new();
    for (kind, range) in layout.pieces_of(ByteRange { start: 0, end: layout.bytes }) {
        assert_eq!(range.start, file.len() as u64, "there are no gaps");
        let stored =
            |at: ChunkRef| sources[at.source as usize].stored()[at.chunk as usize].bytes.clone();
        match kind {
            PieceKind::Own(at) => {
                let at = at as usize;
                file.extend_from_slice(&own[at..at + range.len() as usize]);
            }
            PieceKind::Chunk(at) => file.extend_from_slice(&stored(at)),
            PieceKind::Renumbered(at) => {
                let ids = &layout.ids[at.source as usize];
                file.extend_from_slice(
                    &renumber_chunk(&stored(at), ids, &Limits::default()).unwrap(),
                );
            }
            PieceKind::Attachment { .. } => unreachable!(),
        }
        assert_eq!(file.len() as u64, range.end);
    }
    assert_eq!(file.len() as u64, layout.bytes);
    file
}

/// Topic, schema and time of every message, as another reader sees them; in the order of the file.
fn read_by_mcap_crate(file: &[u8]) -> Vec<(String, Option<String>, u64, u32)> {
    mcap::MessageStream::new(file)
        .unwrap()
        .map(|message| {
            let message = message.unwrap();
            let schema = message.channel.schema.as_ref().map(|schema| schema.name.clone());
            (message.channel.topic.clone(), schema, message.log_time, message.sequence)
        })
        .collect()
}

fn all_messages(recording: &Recording) -> Vec<(String, Option<String>, u64, u32)> {
    let mut all = Vec::new();
    for chunk in recording.sources.iter().flat_map(|source| &source.chunks) {
        for (sequence, message) in (0..).zip(&chunk.messages) {
            let def = generator::channel_def(message.channel);
            let schema = def.schema.as_ref().map(|schema| schema.name.clone());
            all.push((def.topic.clone(), schema, message.time.0, sequence));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(generator::config(1000))]

    #[test]
    fn any_sources_make_one_file_that_the_mcap_crate_reads(recording in generator::recording()) {
        let sources: Vec<LaidSource> = recording.sources.iter().map(laid).collect();
        let layout = FileLayout::new(&sources).unwrap();
        let file = assemble(&layout, &recording.sources);
        let mut read = read_by_mcap_crate(&file);
        read.sort();
        let all = all_messages(&recording);
        prop_assert_eq!(&read, &all);
        prop_assert_eq!(layout.message_count, all.len() as u64);

        let summary = mcap::Summary::read(&file).unwrap().unwrap();
        let statistics = summary.stats.clone().unwrap();
        prop_assert_eq!(statistics.message_count, all.len() as u64);
        prop_assert_eq!(statistics.chunk_count as usize, recording.chunks().len());
        let mut starts: Vec<u64> = Vec::new();
        let mut indexed = 0;
        for chunk in &summary.chunk_indexes {
            starts.push(chunk.message_start_time);
            for (channel, entries) in summary.read_message_indexes(&file, chunk).unwrap() {
                prop_assert!(!entries.is_empty());
                for entry in entries {
                    let message = summary.seek_message(&file, chunk, &entry).unwrap();
                    prop_assert_eq!(message.channel.id, channel.id);
                    prop_assert_eq!(message.log_time, entry.log_time);
                    indexed += 1;
                }
            }
        }
        prop_assert!(starts.is_sorted(), "chunks are interleaved by start time");
        prop_assert_eq!(indexed, all.len());
        // The same channel may have several ids; the same record never stands there twice.
        let ids: BTreeSet<u16> = summary.channels.keys().copied().collect();
        prop_assert_eq!(ids.len(), summary.channels.len());
    }
}

fn source_of(first_id: u16, channels: &[usize]) -> Source {
    let message = |channel: &usize| generator::Message::new(5, *channel);
    let mut source = Source::of([generator::Chunk::of(channels.iter().map(message))]);
    source.first_id = first_id;
    source
}

fn kinds(layout: &FileLayout) -> Vec<&'static str> {
    let name = |piece: &Piece| match piece.kind {
        PieceKind::Own(_) => "own",
        PieceKind::Chunk(_) => "chunk",
        PieceKind::Renumbered(_) => "renumbered",
        PieceKind::Attachment { .. } => "attachment",
    };
    layout.pieces.iter().map(name).collect()
}

#[test]
fn sources_that_agree_on_ids_keep_their_chunks() {
    let sources = [source_of(1, &[0, 1]), source_of(1, &[1, 2])];
    let layout = FileLayout::new(&sources.each_ref().map(laid)).unwrap();
    assert_eq!(kinds(&layout), ["own", "chunk", "chunk", "own"]);
    assert_eq!(layout.most_overlapping, 2);
}

#[test]
fn whoever_comes_second_with_an_id_is_renumbered_and_nobody_else() {
    // In the second source each channel has the id that the one after it has in the first.
    let sources = [source_of(1, &[0]), source_of(2, &[0]), source_of(1, &[1])];
    let layout = FileLayout::new(&sources.each_ref().map(laid)).unwrap();
    assert_eq!(kinds(&layout), ["own", "chunk", "renumbered", "chunk", "own"]);
    let file = assemble(&layout, &sources);
    assert_eq!(read_by_mcap_crate(&file).len(), 3);
    // What only the second source's summary says cannot be relied on chunk by chunk.
    let mut claimed = sources.each_ref().map(laid);
    claimed[2].are_claims = true;
    claimed[1].are_claims = true;
    let layout = FileLayout::new(&claimed).unwrap();
    assert_eq!(kinds(&layout), ["own", "chunk", "renumbered", "chunk", "own"]);
}

#[test]
fn metadata_stands_once_and_attachments_are_left_their_place() {
    let record = |name: &str| MetadataRecord { name: name.into(), metadata: BTreeMap::new() };
    let head = AttachmentHead {
        name: "notes".into(),
        media_type: "text/plain".into(),
        log_time: rdl_model::Nanos(1),
        create_time: rdl_model::Nanos(0),
        data_bytes: 3,
    };
    let mut sources = [laid(&source_of(1, &[0])), laid(&source_of(1, &[0]))];
    sources[0].metadata = vec![record("a"), record("b"), record("a")];
    sources[1].metadata = vec![record("b"), record("c")];
    sources[1].attachments = vec![(head, 60)];
    sources[0].profile = "ros2".into();
    let layout = FileLayout::new(&sources).unwrap();
    assert_eq!(kinds(&layout), ["own", "chunk", "chunk", "own", "attachment", "own"]);
    let own = layout.own.concat();
    assert!(own.windows(4).any(|bytes| bytes == b"ros2"));
    for name in ["a", "b", "c"] {
        // Opcode, length, then the name after its length.
        let record = record(name).to_record_bytes();
        let found = own.windows(record.len()).filter(|bytes| *bytes == record).count();
        assert_eq!(found, 1, "{name}");
    }
    let ranges: Vec<(PieceKind, ByteRange)> =
        layout.pieces_of(ByteRange { start: 0, end: u64::MAX }).collect();
    assert_eq!(ranges[4].1.len(), 60);
    assert_eq!(ranges[5].1.end, layout.bytes);
    assert_eq!(layout.pieces_of(ByteRange::at(layout.bytes, 5)).count(), 1);
}

#[test]
fn sixteen_bits_of_ids_are_the_end_of_it() {
    let channel = |id: u16, topic: String| {
        let def = rdl_mcap_io::ChannelDef {
            topic,
            message_encoding: String::new(),
            schema: None,
            metadata: BTreeMap::new(),
        };
        (id, Arc::new(ChannelRecord { id, schema_id: 0, def: Arc::new(def) }))
    };
    let all = LaidSource {
        channels: (1..=u16::MAX).map(|id| channel(id, format!("/{id}"))).collect(),
        ..LaidSource::default()
    };
    let one_more =
        LaidSource { channels: [channel(7, "/more".into())].into(), ..LaidSource::default() };
    assert!(FileLayout::new(std::slice::from_ref(&all)).is_ok());
    let error = FileLayout::new(&[all, one_more]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn a_summary_has_its_limit() {
    let mut source = laid(&source_of(1, &[0]));
    let mut chunk = ChunkDescriptor::clone(&source.chunks[0]);
    let used = chunk.channels[0];
    // The index of a chunk has ten bytes for each of its channels.
    chunk.channels = (0..10_000).map(|id| rdl_mcap_io::ChannelUse { id, ..used }).collect();
    chunk.index_bytes = 10_000 * (rdl_mcap_io::EMPTY_INDEX_BYTES + 16);
    chunk.message_count = 10_000;
    let chunk = Arc::new(chunk);
    source.chunks = vec![chunk.clone(); 600];
    source.are_claims = true;
    assert!(FileLayout::new(std::slice::from_ref(&source)).is_ok());
    source.chunks = vec![chunk; 700];
    let error = FileLayout::new(&[source]).unwrap_err();
    assert!(matches!(error, LayoutError::SummaryTooLarge { .. }));
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn equal_channels_of_one_source_stay_apart() {
    let record = |id: u16, channel: usize| {
        let def = generator::channel_def(channel);
        (id, Arc::new(ChannelRecord { id, schema_id: u16::from(def.schema.is_some()), def }))
    };
    // The first source takes the number of one of two equal channels of the second.
    let first = LaidSource { channels: [record(1, 3)].into(), ..LaidSource::default() };
    let second =
        LaidSource { channels: [record(1, 0), record(2, 0), record(3, 0)].into(), ..first.clone() };
    let layout = FileLayout::new(&[first, second]).unwrap();
    let ids: BTreeSet<u16> = (1..=3).filter_map(|id| layout.ids[1].channel(id)).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(!ids.contains(&1));
}
