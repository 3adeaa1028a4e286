use bytes::Bytes;

use super::*;
use crate::sample::{read_all, written_by_mcap_crate};
use crate::{ChunkError, MetadataRecord, OpenChunk, verify_chunk};

const COMPRESSIONS: [Option<mcap::Compression>; 3] =
    [None, Some(mcap::Compression::Lz4), Some(mcap::Compression::Zstd)];

/// Reads the summary of `file`, of which at first only `tail_bytes` are known.
fn read(file: &[u8], tail_bytes: usize) -> Result<Option<Summary>, SummaryError> {
    let mut known = file.len() - tail_bytes.min(file.len());
    for _ in 0..3 {
        match read_summary(file.len() as u64, &file[known..], &Limits::default())? {
            SummaryStep::Done(summary) => return Ok(summary),
            SummaryStep::NeedBytes(range) => {
                assert_eq!(range.end, known as u64);
                assert!(range.start < range.end);
                known = range.start as usize;
            }
        }
    }
    panic!("it asks for more than twice");
}

fn assert_harmless(summary: &Summary, file_bytes: u64) {
    let inside = |range: ByteRange| {
        assert!(8 <= range.start && range.start < range.end && range.end < file_bytes);
    };
    let mut end = 0;
    for chunk in &summary.chunks {
        inside(chunk.record);
        assert!(end <= chunk.record.start);
        end = chunk.record.end + chunk.message_index_bytes;
        assert!(end < file_bytes);
        assert!(chunk.compressed_bytes < chunk.record.len());
        assert!(chunk.times.start <= chunk.times.end);
        assert!(chunk.channels.iter().all(|id| summary.channels.contains_key(id)));
    }
    summary.metadata.iter().for_each(|found| inside(found.record));
    summary.attachments.iter().for_each(|found| inside(found.record));
    summary.unfit();
}

#[test]
fn a_file_of_the_mcap_crate_is_read_chunk_by_chunk() {
    for compression in COMPRESSIONS {
        let file = written_by_mcap_crate(compression, 100_000, 300, 1000);
        let summary = read(&file, 200).unwrap().unwrap();
        assert_eq!(summary, read(&file, 1).unwrap().unwrap());
        assert_eq!(summary, read(&file, file.len()).unwrap().unwrap());
        assert_harmless(&summary, file.len() as u64);
        assert_eq!(summary.unfit(), None);
        let topics: Vec<&str> =
            summary.channels.values().map(|channel| channel.def.topic.as_str()).collect();
        assert_eq!(
            (topics, summary.statistics.unwrap().message_count),
            (vec!["/imu", "/log"], 300)
        );
        assert_eq!(summary.attachments[0].name, "notes");
        let file = Bytes::from(file);
        let at = |range: ByteRange| file.slice(range.start as usize..range.end as usize);
        let metadata = MetadataRecord::from_record_bytes(&at(summary.metadata[0].record)).unwrap();
        assert_eq!(metadata.name, summary.metadata[0].name);

        let mut found = Vec::new();
        let known = |id| summary.channels.get(&id).cloned();
        for claimed in &summary.chunks {
            let verified =
                verify_chunk(at(claimed.record), &known, &Limits::default()).unwrap().unwrap();
            assert!(verified.header_matches);
            let descriptor = &verified.chunk.descriptor;
            assert_eq!(descriptor.times, claimed.times);
            let used: Vec<u16> = descriptor.channels.iter().map(|used| used.id).collect();
            assert_eq!(used, claimed.channels);
            let counts: Vec<u32> = descriptor.channels.iter().map(|used| used.count).collect();
            assert_eq!(Some(counts), claimed.message_counts);
            let open = OpenChunk::open(&verified.chunk.bytes, &Limits::default()).unwrap();
            for i in 0..open.len() {
                let message = open.message(i);
                let topic = summary.channels[&message.channel].def.topic.clone();
                found.push((topic, message.log_time.0, message.data.to_vec()));
            }
        }
        let expected: Vec<_> = read_all(&file)
            .into_iter()
            .map(|read| (read.topic, read.message.log_time, read.message.data))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_published_test_files_are_read() {
    for name in ["compressed.mcap", "uncompressed.mcap", "zstd_chunk_with_padding.mcap"] {
        let file = Bytes::from(rdl_testkit::mcap_crate_file(name));
        let theirs = mcap::Summary::read(&file).unwrap();
        let ours = read(&file, 100).unwrap();
        let Some(theirs) = theirs else {
            assert_eq!(ours, None, "{name}");
            continue;
        };
        let ours = ours.unwrap();
        assert_harmless(&ours, file.len() as u64);
        assert_eq!(ours.chunks.len(), theirs.chunk_indexes.len(), "{name}");
        assert_eq!(ours.channels.len(), theirs.channels.len(), "{name}");
        let mut count = 0;
        for claimed in &ours.chunks {
            let record = file.slice(claimed.record.start as usize..claimed.record.end as usize);
            let known = |id| ours.channels.get(&id).cloned();
            let verified = verify_chunk(record, &known, &Limits::default()).unwrap();
            count += verified.map_or(0, |verified| verified.chunk.descriptor.message_count);
        }
        assert_eq!(count, theirs.stats.unwrap().message_count, "{name}");
    }
    // Its writer never came to the end.
    let file = rdl_testkit::mcap_crate_file("chunk_not_closed.mcap");
    assert_eq!(read(&file, 100).ok().flatten(), None);
}

#[test]
fn no_cut_is_taken_for_a_file() {
    let file = written_by_mcap_crate(None, 200, 12, 20);
    for len in 0..file.len() {
        assert_eq!(read(&file[..len], 64), Ok(None), "{len}");
    }
}

#[test]
fn flipped_bits_in_a_summary_are_harmless() {
    let file = written_by_mcap_crate(Some(mcap::Compression::Lz4), 200, 8, 20);
    let whole = read(&file, file.len()).unwrap().unwrap();
    let footer = file.len() - FOOTER_BYTES as usize;
    let start = (whole.data_end + DATA_END_BYTES) as usize;
    let crc_at = file.len() - MAGIC.len() - 4;
    let mut accepted = 0;
    for bit in start * 8..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if bit < footer * 8 {
            assert_eq!(read(&flipped, 300), Err(SummaryError::WrongChecksum), "{bit}");
        }
        // Without a checksum whatever is accepted must still be harmless.
        flipped[crc_at..crc_at + 4].fill(0);
        if let Ok(Some(summary)) = read(&flipped, 300) {
            assert_harmless(&summary, file.len() as u64);
            accepted += 1;
        }
    }
    assert!(accepted > 0);
}

#[test]
fn hostile_offsets_are_refused() {
    let file = written_by_mcap_crate(None, 200, 8, 20);
    let mut forged = file.clone();
    let crc_at = file.len() - MAGIC.len() - 4;
    forged[crc_at..crc_at + 4].fill(0);
    let summary = read(&forged, file.len()).unwrap().unwrap();
    let first = summary.chunks[0].record;
    // The chunk index holds the offset and the length of the record, side by side.
    let pattern = [first.start.to_le_bytes(), first.len().to_le_bytes()].concat();
    let at = forged.windows(16).rposition(|window| window == pattern).unwrap();
    let second = summary.chunks[1].record;
    for (offset, len) in [
        (0, first.len()),
        (u64::MAX, 1),
        (u64::MAX - 8, 100),
        (first.start, u64::MAX),
        (first.start, 8),
        (first.start, 20),
        (file.len() as u64 - 20, 20),
        (second.start, second.len()),
        (first.start, first.len() + 1000),
    ] {
        forged[at..at + 8].copy_from_slice(&offset.to_le_bytes());
        forged[at + 8..at + 16].copy_from_slice(&len.to_le_bytes());
        let error = read(&forged, 100).unwrap_err();
        assert!(matches!(error, SummaryError::Contradiction(_)), "{offset} {len}: {error:?}");
    }
}

#[test]
fn a_summary_over_the_limit_is_not_asked_for() {
    let file = written_by_mcap_crate(None, 200, 8, 20);
    let limits = Limits { max_summary_bytes: 10, ..Limits::default() };
    let tail = &file[file.len() - FOOTER_BYTES as usize..];
    let error = read_summary(file.len() as u64, tail, &limits).unwrap_err();
    assert!(matches!(error, SummaryError::TooLarge { limit_bytes: 10, .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn what_is_better_loaded_whole_says_why() {
    let unfit = |file: &[u8]| read(file, 300).unwrap().unwrap().unfit();
    let small = written_by_mcap_crate(None, 10_000, 60, 1000);
    assert!(
        matches!(unfit(&small), Some(Unfit::SmallChunks { median_bytes }) if median_bytes < 20_000)
    );
    let large = written_by_mcap_crate(Some(mcap::Compression::Lz4), 20 << 20, 17_500, 1000);
    assert!(matches!(unfit(&large), Some(Unfit::LargeChunk { bytes }) if bytes > 17_000_000));

    let header =
        mcap::records::MessageHeader { channel_id: 1, sequence: 0, log_time: 1, publish_time: 1 };
    let loose = |statistics: bool, bytes: usize| {
        let options = mcap::WriteOptions::new().use_chunks(false).emit_statistics(statistics);
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = options.create(&mut file).unwrap();
        writer.add_channel_with_id(1, 0, "/a", "json", &BTreeMap::new()).unwrap();
        writer.write_to_known_channel(&header, &vec![7; bytes]).unwrap();
        writer.finish().unwrap();
        drop(writer);
        file.into_inner()
    };
    assert_eq!(unfit(&loose(false, 5000)), Some(Unfit::NoStatistics));
    // With statistics a single message outside of chunks is noticed, however small.
    let one = Unfit::NotIndexed { what: "messages", counted: 1, indexed: 0 };
    assert_eq!(unfit(&loose(true, 1)), Some(one));

    let options = mcap::WriteOptions::new().emit_message_indexes(false).compression(None);
    let mut plain = std::io::Cursor::new(Vec::new());
    let mut writer = options.create(&mut plain).unwrap();
    let id = writer.add_channel(0, "/a", "json", &BTreeMap::new()).unwrap();
    writer
        .write_to_known_channel(
            &mcap::records::MessageHeader { channel_id: id, ..header },
            &[7; 90_000],
        )
        .unwrap();
    writer.finish().unwrap();
    drop(writer);
    assert!(matches!(unfit(&plain.into_inner()), Some(Unfit::NoMessageIndex { .. })));

    let fit = written_by_mcap_crate(None, 100_000, 300, 1000);
    let mut summary = read(&fit, 300).unwrap().unwrap();
    assert_eq!(summary.unfit(), None);
    summary.data_end += 5000;
    assert!(matches!(summary.unfit(), Some(Unfit::LooseRecords { bytes }) if bytes > 5000));
    summary.statistics.as_mut().unwrap().chunk_count += 1;
    assert!(matches!(summary.unfit(), Some(Unfit::NotIndexed { what: "chunks", .. })));
}

#[test]
fn a_chunk_index_that_points_at_something_else_is_a_lie() {
    let file = Bytes::from(written_by_mcap_crate(None, 200, 8, 20));
    let summary = read(&file, 300).unwrap().unwrap();
    let attachment = summary.attachments[0].record;
    let record = file.slice(attachment.start as usize..attachment.end as usize);
    let error = verify_chunk(record, &|_| None, &Limits::default()).unwrap_err();
    assert!(matches!(error, ChunkError::Lies(_)), "{error:?}");
}

#[test]
fn the_header_gives_the_profile() {
    let file = written_by_mcap_crate(None, 200, 8, 20);
    assert_eq!(read_header(&file).unwrap(), "robot");
    assert_eq!(read_header(&file[..8 + 9 + 4 + 5]).unwrap(), "robot");
    for len in 0..8 + 9 + 4 + 5 {
        read_header(&file[..len]).unwrap_err();
    }
}

#[test]
fn a_chunk_that_cannot_be_what_is_said_is_not_fetched() {
    let file = written_by_mcap_crate(Some(mcap::Compression::Lz4), 100_000, 300, 1000);
    let summary = read(&file, 200).unwrap().unwrap();
    assert_eq!(summary.unfit(), None);
    type Change = fn(&mut SummaryChunk);
    let changes: [Change; 3] = [
        |chunk| chunk.message_counts = Some(vec![u32::MAX; chunk.channels.len()]),
        |chunk| chunk.record.end += 1,
        |chunk| chunk.compressed_bytes -= 1,
    ];
    for change in changes {
        let mut summary = summary.clone();
        change(&mut summary.chunks[1]);
        let unfit = summary.unfit().unwrap();
        assert!(matches!(unfit, Unfit::ImpossibleChunk { .. }), "{unfit}");
    }
}
