use mcap::records::op;

use super::body::{self, Item, message, schema, sorted, write};
use super::*;
use crate::Compression;
use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::write::{put_header, put_record, put_text, put_u32, put_u64};

/// Chunks that each define all that they use, as most writers make them.
fn small() -> Vec<Item> {
    let chunk = |first: u64, how| {
        let mut items = vec![Item::Schema(1, schema(1)), Item::Channel(1, 1, body::channel(1))];
        items.extend((0..3).map(|n| message(1, first + n, 6)));
        Item::Chunk(how, items)
    };
    vec![
        chunk(10, Compression::None),
        chunk(20, Compression::Lz4),
        chunk(30, Compression::Zstd),
        body::metadata(1),
        body::attachment(1),
    ]
}

#[test]
fn a_body_that_ends_early_is_never_complete() {
    let mut items = small();
    items.extend([Item::Channel(9, 0, body::channel(3)), message(9, 40, 4)]);
    let whole = write(&items);
    let all = sorted(&items);
    for len in 0..whole.len() {
        let mut intake = Intake::new(tight());
        intake.push(Bytes::copy_from_slice(&whole[..len])).unwrap();
        assert_eq!(intake.finish(), Err(IntakeError::Truncated { position: len as u64 }));
        assert!(!intake.is_complete());
        let mut taken = Taken::default();
        taken.drain(&mut intake);
        // A truncated file is served as far as it goes.
        intake.finish_truncated().unwrap();
        taken.drain(&mut intake);
        assert!(!intake.is_complete());
        assert_eq!(taken.count(ProblemCode::TruncatedFile), 1);
        let messages = taken.messages();
        assert_eq!(messages[..], all[..messages.len()]);
        assert_eq!(messages.len() as u64, intake.messages_taken());
        assert!(len < whole.len() - 1 || messages.len() == all.len());
    }
    let error = IntakeError::Truncated { position: 3 };
    assert!(error.is_retryable());
    let (taken, finished) = take(tight(), &whole);
    assert_eq!((finished, taken.messages()), (Ok(()), all));
}

#[test]
fn a_whole_body_may_be_ended_as_a_truncated_one() {
    let mut intake = Intake::new(tight());
    intake.push(write(&small()).into()).unwrap();
    intake.finish_truncated().unwrap();
    let mut taken = Taken::default();
    taken.drain(&mut intake);
    assert_eq!((taken.problems.len(), taken.messages()), (0, sorted(&small())));
}

#[test]
fn every_flipped_bit_is_reported_or_changes_nothing() {
    let items = small();
    let whole = write(&items);
    let all = sorted(&items);
    let (unchanged, _) = take(tight(), &whole);
    let (mut errors, mut lost) = (0, 0);
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (taken, finished) = take_in_pieces(tight(), &flipped, 113);
        if finished.is_err() {
            errors += 1;
            continue;
        }
        let messages = taken.messages();
        let same = messages == all
            && taken.metadata == unchanged.metadata
            && taken.attachments == unchanged.attachments
            && taken.profiles == unchanged.profiles;
        if same {
            continue;
        }
        lost += 1;
        assert!(!taken.problems.is_empty(), "bit {bit} is lost in silence");
        // A chunk is there whole or not at all.
        assert_eq!(messages.len() % 3, 0);
        let chunks = all.chunks(3).filter(|chunk| messages.contains(&chunk[0]));
        assert!(chunks.flatten().eq(&messages), "bit {bit}");
        if taken.count(ProblemCode::DamagedChunk) > 0 {
            assert_eq!(messages.len(), all.len() - 3, "bit {bit} cost a second chunk");
        }
    }
    assert!(errors > 500 && lost > 1000, "{errors} errors, {lost} with losses");
}

#[test]
fn a_damaged_chunk_is_named() {
    let items = small();
    let mut body = write(&items);
    let at = body.windows(4).position(|at| at == b"zstd").unwrap();
    body[at + 30] ^= 0x10;
    let position = at - (9 + 8 + 8 + 8 + 4 + 4);
    let (taken, finished) = take(tight(), &body);
    finished.unwrap();
    let problem = &taken.problems[0];
    assert_eq!(problem.code, ProblemCode::DamagedChunk);
    let named = format!("chunk 3 at byte {position} ");
    assert!(problem.message.starts_with(&named), "{}", problem.message);
    assert_eq!(taken.messages(), sorted(&items[..2]));
}

/// A body of one chunk with this header around these compressed records.
fn one_chunk(uncompressed_bytes: u64, crc: u32, name: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x89MCAP0\r\n".to_vec();
    put_header(&mut out, "", "");
    put_record(&mut out, op::CHUNK, |out| {
        put_u64(out, 0);
        put_u64(out, 0);
        put_u64(out, uncompressed_bytes);
        put_u32(out, crc);
        put_text(out, name);
        put_u64(out, data.len() as u64);
        out.extend_from_slice(data);
    });
    let end = write(&[]);
    out.extend_from_slice(&end[8 + 9 + 4 + 4 + 4 + 4..]);
    out
}

#[test]
fn a_record_inside_a_chunk_that_overruns_damages_the_chunk() {
    let mut records = Vec::new();
    message(1, 5, 10).put(&mut records);
    records.pop();
    let body = one_chunk(records.len() as u64, 0, "", &records);
    let (taken, finished) = take(tight(), &body);
    finished.unwrap();
    assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
}

#[test]
fn compression_that_mcap_does_not_know_fails_the_source() {
    let (_, finished) = take(tight(), &one_chunk(1, 0, "brotli", b"x"));
    let error = finished.unwrap_err();
    assert!(matches!(&error, IntakeError::Unreadable(ScanError::UnknownCompression { .. })));
    assert!(error.to_string().contains("brotli") && !error.is_retryable());
}

#[test]
fn what_decompresses_to_more_than_declared_is_damaged() {
    let bomb = zstd::bulk::compress(&vec![0; 50 << 20], 1).unwrap();
    assert!(bomb.len() < 10_000);
    let (taken, finished) = take(tight(), &one_chunk(1000, 0, "zstd", &bomb));
    finished.unwrap();
    assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
    let options = IntakeOptions {
        limits: Limits { max_chunk_bytes: 10 << 20, ..Limits::default() },
        ..tight()
    };
    let (_, finished) = take(options, &one_chunk(50 << 20, 0, "zstd", &bomb));
    assert!(matches!(finished, Err(IntakeError::Unreadable(ScanError::TooLarge { .. }))));
}

/// The body, with a record of this opcode and claimed length at the end of its header.
fn forged(opcode: u8, len: u64) -> Vec<u8> {
    let mut out = b"\x89MCAP0\r\n".to_vec();
    put_header(&mut out, "", "");
    out.push(opcode);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[7; 100]);
    out
}

#[test]
fn forged_lengths_are_refused_before_anything_is_waited_for() {
    for opcode in 1..=0x20 {
        for len in [u64::MAX, u64::MAX - 8, 1 << 63, 1 << 41] {
            if (opcode, len) == (op::CHUNK, u64::MAX) {
                // The length of a chunk that is not closed yet.
                continue;
            }
            let (_, finished) = take(tight(), &forged(opcode, len));
            let error = finished.unwrap_err();
            let what = format!("opcode {opcode}: {error:?}");
            assert!(matches!(error, IntakeError::Unreadable(ScanError::TooLarge { .. })), "{what}");
            assert!(!error.is_retryable());
        }
    }
    let mut first = b"\x89MCAP0\r\n\x01".to_vec();
    first.extend_from_slice(&[0xff; 30]);
    let (_, finished) = take(tight(), &first);
    assert!(matches!(finished, Err(IntakeError::Unreadable(ScanError::TooLarge { .. }))));
    // A length within its limit reserves nothing; the body is just too short.
    let (_, finished) = take(tight(), &forged(op::MESSAGE, 60 << 20));
    assert!(matches!(finished, Err(IntakeError::Truncated { .. })));
    let mut chunk = forged(op::CHUNK, 200 << 20);
    let (_, finished) = take(tight(), &chunk);
    assert!(matches!(finished, Err(IntakeError::Unreadable(ScanError::TooLarge { .. }))));
    let size_at = chunk.len() - 100 + 8 + 8;
    chunk[size_at..size_at + 8].copy_from_slice(&(250_u64 << 20).to_le_bytes());
    let (_, finished) = take(tight(), &chunk);
    assert!(matches!(finished, Err(IntakeError::Truncated { .. })));
}

#[test]
fn forged_counts_inside_records_are_refused() {
    let strings = |opcode: u8, ids: usize| {
        let mut out = b"\x89MCAP0\r\n".to_vec();
        put_header(&mut out, "", "");
        put_record(&mut out, opcode, |out| {
            out.extend(std::iter::repeat_n(1, ids));
            put_u32(out, u32::MAX);
            out.extend_from_slice(b"abc");
        });
        out.extend_from_slice(&write(&[])[8 + 9 + 8 + 4 + 4..]);
        out
    };
    for (opcode, ids) in
        [(op::SCHEMA, 2), (op::CHANNEL, 4), (op::METADATA, 0), (op::ATTACHMENT, 16)]
    {
        let (taken, finished) = take(tight(), &strings(opcode, ids));
        finished.unwrap();
        assert_eq!(taken.count(ProblemCode::MalformedRecord), 1, "opcode {opcode}");
    }
    // The length of a compression's name, and sizes of compressed and uncompressed records.
    for at in [28, 32] {
        let mut body = one_chunk(10, 0, "", &[0; 10]);
        let chunk_at = 8 + 9 + 8 + 9;
        body[chunk_at + at..chunk_at + at + 4].fill(0xff);
        let (taken, finished) = take(tight(), &body);
        finished.unwrap();
        assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
    }
    let (_, finished) = take(tight(), &one_chunk(u64::MAX, 0, "lz4", &[0; 10]));
    assert!(matches!(finished, Err(IntakeError::Unreadable(ScanError::TooLarge { .. }))));
}

#[test]
fn definitions_have_a_bound() {
    let items: Vec<Item> = (0..100)
        .map(|n| {
            Item::Channel(1, 0, ChannelDef { topic: format!("/{n:0500}"), ..body::channel(1) })
        })
        .collect();
    let limits = Limits { max_definitions_bytes: 20_000, ..Limits::default() };
    let (taken, finished) = take(IntakeOptions { limits, ..tight() }, &write(&items));
    assert_eq!(finished, Err(IntakeError::DefinitionsTooLarge { limit_bytes: 20_000 }));
    assert!(taken.channels.len() < 50);
    // The same definition over and over is one.
    let same: Vec<Item> = (0..1000).map(|_| items[0].clone()).collect();
    let limits = Limits { max_definitions_bytes: 20_000, ..Limits::default() };
    take(IntakeOptions { limits, ..tight() }, &write(&same)).1.unwrap();
}

#[test]
fn an_attachment_that_is_too_large_is_passed_over() {
    let limits = Limits { max_attachment_bytes: 40, ..Limits::default() };
    for piece in [1, 1000] {
        let options = IntakeOptions { limits: limits.clone(), ..tight() };
        let (taken, finished) = take_in_pieces(options, &write(&small()), piece);
        finished.unwrap();
        assert_eq!(taken.count(ProblemCode::AttachmentTooLarge), 1);
        assert_eq!((taken.attachments.len(), taken.problems.len()), (0, 1));
        assert_eq!(taken.messages(), sorted(&small()));
    }
}

#[test]
fn the_summary_is_held_against_the_data() {
    let items = small();
    let good = write(&items);
    let end = good.len();
    let changed = |at: usize| {
        let mut body = good.clone();
        body[at] ^= 1;
        let (taken, finished) = take(tight(), &body);
        finished.unwrap();
        assert_eq!(taken.messages(), sorted(&items));
        taken.problems.iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    // The checksum and the start of the summary in the footer.
    assert_eq!(changed(end - 8 - 1), [ProblemCode::SummaryCrc]);
    assert_eq!(changed(end - 8 - 20), [ProblemCode::SummaryMismatch]);
    // The checksum of the data section.
    let data_end = good.windows(9).rposition(|at| at == [15, 4, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(changed(data_end + 9), [ProblemCode::DataSectionCrc]);
    // The number of messages in the statistics.
    let statistics = data_end + 13 + 9;
    assert_eq!(good[statistics], 9);
    assert_eq!(changed(statistics), [ProblemCode::SummaryMismatch, ProblemCode::SummaryCrc]);
}

#[test]
fn what_is_not_mcap_is_refused() {
    let whole = write(&small());
    let refused = |body: &[u8]| {
        let (_, finished) = take(tight(), body);
        let error = finished.unwrap_err();
        assert!(
            matches!(error, IntakeError::Unreadable(ScanError::Malformed { .. })),
            "{error:?} for {body:x?}"
        );
        assert!(!error.is_retryable());
    };
    refused(b"<html>\n<body>404");
    let mut trailing = whole.clone();
    trailing.push(0);
    refused(&trailing);
    // The first record is not a header.
    let mut headless = whole[..8].to_vec();
    headless.extend_from_slice(&whole[8 + 9 + 4 + 4 + 4 + 4..]);
    refused(&headless);
    // Data after the end of the data section; a record without an opcode.
    let data_end = whole.windows(9).rposition(|at| at == [15, 4, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let mut late = whole[..data_end + 13].to_vec();
    message(1, 1, 1).put(&mut late);
    refused(&late);
    let mut zeros = whole[..data_end].to_vec();
    zeros.extend_from_slice(&[0; 100]);
    refused(&zeros);
}

#[test]
fn a_chunk_that_has_no_checksum_is_not_checked() {
    let mut records = Vec::new();
    Item::Channel(1, 0, body::channel(1)).put(&mut records);
    message(1, 0, 10).put(&mut records);
    let (taken, finished) = take(tight(), &one_chunk(records.len() as u64, 0, "", &records));
    finished.unwrap();
    assert_eq!(taken.messages().len(), 1);
    assert_eq!(taken.count(ProblemCode::DamagedChunk), 0);
    let (taken, _) = take(tight(), &one_chunk(records.len() as u64, 1, "", &records));
    assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
}

#[test]
fn a_record_inside_a_chunk_that_has_no_opcode_damages_the_chunk() {
    for at_the_end in [true, false] {
        let mut records = Vec::new();
        Item::Channel(1, 0, body::channel(1)).put(&mut records);
        if !at_the_end {
            put_record(&mut records, 0, |out| out.extend_from_slice(b"anything"));
        }
        message(1, 0, 10).put(&mut records);
        if at_the_end {
            put_record(&mut records, 0, |_| {});
        }
        let (taken, finished) = take(tight(), &one_chunk(records.len() as u64, 0, "", &records));
        finished.unwrap();
        assert_eq!(taken.count(ProblemCode::DamagedChunk), 1);
        assert!(taken.messages().is_empty());
    }
}

#[test]
fn the_largest_message_is_the_same_in_a_chunk_and_loose() {
    let data_bytes = |item: &Item| {
        let mut record = Vec::new();
        item.put(&mut record);
        (record.len() - RECORD_HEADER_BYTES - MESSAGE_HEADER_BYTES) as u64
    };
    let sent = message(1, 0, 100);
    let exact = data_bytes(&sent);
    let channel = Item::Channel(1, 0, body::channel(1));
    let loose = vec![channel.clone(), sent.clone()];
    let chunked = vec![Item::Chunk(Compression::None, vec![channel, sent])];
    for items in [loose, chunked] {
        for (max_message_bytes, fits) in [(exact, true), (exact - 1, false)] {
            let limits = Limits { max_message_bytes, ..Limits::default() };
            let (taken, finished) = take(IntakeOptions { limits, ..tight() }, &write(&items));
            assert_eq!(finished.is_ok(), fits, "{finished:?}");
            assert_eq!(taken.messages().len(), usize::from(fits));
        }
    }
}
