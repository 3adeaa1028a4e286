use bytes::Bytes;
use proptest::prelude::*;
use rdl_model::Nanos;

use super::*;
use crate::sample::{self, COMPRESSIONS, Message, channel, chunk, messages};
use crate::{ChunkError, Limits, OpenChunk, verify_chunk};

fn opened(chunk: &OpenChunk) -> Vec<Message> {
    (0..chunk.len()).map(|i| chunk.message(i).into()).collect()
}

fn sorted(messages: &[Message]) -> Vec<Message> {
    let mut sorted = messages.to_vec();
    sorted.sort_by_key(|message| message.log_time);
    sorted
}

/// The Chunk record of a stored chunk, without its indexes.
fn record(chunk: &StoredChunk) -> Bytes {
    chunk.bytes.slice(..chunk.descriptor.record_bytes as usize)
}

#[test]
fn a_chunk_that_is_handed_over_takes_little_more_than_its_bytes() {
    let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) as u8;
    for compression in COMPRESSIONS {
        for noisy in [false, true] {
            let mut builder = ChunkBuilder::new(compression);
            for time in 0..3000_u64 {
                let fill = |n: u64| if noisy { noise(time * 150 + n) } else { 7 };
                let data = (0..150).map(fill).collect();
                let message = Message { channel: 1, sequence: 0, log_time: time, data };
                builder.message(1, &message.view());
            }
            let chunk = builder.build().unwrap().unwrap();
            let bytes = chunk.bytes.try_into_mut().unwrap();
            let most = bytes.len() + bytes.len() / 8;
            assert!(bytes.capacity() <= most, "{compression:?}: {} {most}", bytes.capacity());
        }
    }
}

proptest! {
    #![proptest_config(sample::same_cases_every_time())]

    #[test]
    fn what_is_built_opens_as_its_stable_sort(messages in messages(), which in 0..3_usize) {
        let chunk = chunk(COMPRESSIONS[which], &messages);
        let open = OpenChunk::open(&chunk.bytes, &Limits::default()).unwrap();
        prop_assert_eq!(opened(&open), sorted(&messages));
        for i in 0..open.len() {
            let (entry, message) = (open.entry(i), open.message(i));
            prop_assert_eq!((entry.log_time, entry.channel), (message.log_time, message.channel));
        }
        prop_assert!(open.memory_bytes() as u64
            <= crate::open_chunk_bound_bytes(chunk.descriptor.uncompressed_bytes));
    }

    #[test]
    fn the_descriptor_is_true(messages in messages(), which in 0..3_usize) {
        let chunk = chunk(COMPRESSIONS[which], &messages);
        let descriptor = &chunk.descriptor;
        let times = sorted(&messages);
        prop_assert_eq!(descriptor.times.start.0, times[0].log_time);
        prop_assert_eq!(descriptor.times.end.0, times[times.len() - 1].log_time);
        prop_assert_eq!(descriptor.in_order, messages.is_sorted_by_key(|message| message.log_time));
        prop_assert_eq!(descriptor.message_count, messages.len() as u64);
        prop_assert_eq!(descriptor.stored_bytes(), chunk.bytes.len() as u64);
        for used in &descriptor.channels {
            let of_channel = || messages.iter().filter(|message| message.channel == used.id);
            prop_assert_eq!(used.count as usize, of_channel().count());
            prop_assert_eq!(Some(used.times.start.0), of_channel().map(|found| found.log_time).min());
            prop_assert_eq!(Some(used.times.end.0), of_channel().map(|found| found.log_time).max());
        }
        // What is verified is described by another way, from the bytes.
        let known = |id| Some(channel(id, 1, "/a"));
        let verified = verify_chunk(record(&chunk), &known, &Limits::default()).unwrap().unwrap();
        prop_assert!(verified.header_matches);
        prop_assert_eq!(&verified.chunk.descriptor, descriptor);
        prop_assert_eq!(verified.chunk.bytes, chunk.bytes);
    }

    #[test]
    fn the_mcap_crate_reads_what_is_built(messages in messages(), which in 0..3_usize) {
        let chunk = chunk(COMPRESSIONS[which], &messages);
        let body = &record(&chunk)[9..];
        let Ok(mcap::records::Record::Chunk { header, data }) =
            mcap::parse_record(op::CHUNK, body)
        else {
            panic!("no chunk")
        };
        let found: Vec<Message> = mcap::read::ChunkReader::new(header, &data)
            .unwrap()
            .map(|record| match record.unwrap() {
                mcap::records::Record::Message { header, data } => Message {
                    channel: header.channel_id,
                    sequence: header.sequence,
                    log_time: header.log_time,
                    data: data.into_owned(),
                },
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(found, messages);
    }
}

fn small() -> Vec<Message> {
    let text = "a text that repeats and repeats and repeats and repeats and repeats";
    vec![Message::new(1, 5, text), Message::new(2, 6, text), Message::new(1, 7, "end")]
}

#[test]
fn every_flipped_bit_is_noticed_or_changes_nothing() {
    for compression in COMPRESSIONS {
        let chunk = chunk(compression, &small());
        let record = record(&chunk);
        for bit in 0..record.len() * 8 {
            let mut damaged = record.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let damaged = Bytes::from(damaged);
            let _ = verify_chunk(damaged.clone(), &|_| None, &Limits::default());
            if let Ok(open) = OpenChunk::open(&damaged, &Limits::default()) {
                assert_eq!(opened(&open), small(), "{compression:?}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    for compression in COMPRESSIONS {
        let record = record(&chunk(compression, &small()));
        for len in 0..record.len() {
            let cut = record.slice(..len);
            let error = OpenChunk::open(&cut, &Limits::default()).unwrap_err();
            assert!(matches!(error, ChunkError::Damaged(_)), "{error:?}");
            verify_chunk(cut, &|_| None, &Limits::default()).unwrap_err();
        }
    }
}

/// A Chunk record around `data`, which need not be what the other fields say.
fn forged(uncompressed_bytes: u64, crc: u32, compression: &str, data: &[u8]) -> Bytes {
    let mut out = Vec::new();
    put_record(&mut out, op::CHUNK, |out| {
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&uncompressed_bytes.to_le_bytes());
        out.extend_from_slice(&crc.to_le_bytes());
        crate::write::put_text(out, compression);
        out.extend_from_slice(&(data.len() as u64).to_le_bytes());
        out.extend_from_slice(data);
    });
    out.into()
}

#[test]
fn forged_sizes_are_refused() {
    let limits = Limits { max_chunk_bytes: 1000, ..Limits::default() };
    for name in ["", "lz4", "zstd"] {
        for size in [1001, u64::MAX] {
            let error = OpenChunk::open(&forged(size, 0, name, b"xyz"), &limits).unwrap_err();
            let expected = ChunkError::TooLarge { what: "a chunk", bytes: size, limit_bytes: 1000 };
            assert_eq!(error, expected);
        }
        let error = OpenChunk::open(&forged(1000, 0, name, b"xyz"), &limits).unwrap_err();
        assert!(matches!(error, ChunkError::Damaged(_)), "{name}: {error:?}");
    }
    let error = OpenChunk::open(&forged(3, 0, "brotli", b"xyz"), &limits).unwrap_err();
    assert_eq!(error, ChunkError::UnknownCompression("brotli".into()));
}

#[test]
fn more_or_less_than_declared_is_damaged() {
    let mut compressor = Compressor::default();
    let records = [0_u8; 5000];
    for compression in COMPRESSIONS {
        let mut data = Vec::new();
        compressor.compress(compression, &records, &mut data).unwrap();
        for declared in [0, 1, 4999, 5001, 9000] {
            let forged = forged(declared, 0, compression.mcap_name(), &data);
            let error = OpenChunk::open(&forged, &Limits::default()).unwrap_err();
            assert!(matches!(error, ChunkError::Damaged(_)), "{compression:?}: {error:?}");
        }
    }
}

#[test]
fn cut_compressed_records_are_damaged_or_whole() {
    let mut compressor = Compressor::default();
    let mut records = Vec::new();
    for message in small() {
        put_message(&mut records, message.channel, &message.view());
    }
    let crc = crc32fast::hash(&records);
    for compression in COMPRESSIONS {
        let mut data = Vec::new();
        compressor.compress(compression, &records, &mut data).unwrap();
        for len in 0..data.len() {
            let name = compression.mcap_name();
            let cut = forged(records.len() as u64, crc, name, &data[..len]);
            match OpenChunk::open(&cut, &Limits::default()) {
                // The end mark of an LZ4 frame may be missing: nothing else is.
                Ok(open) => assert_eq!(opened(&open), small()),
                Err(error) => assert!(matches!(error, ChunkError::Damaged(_)), "{error:?}"),
            }
        }
    }
}

#[test]
fn records_that_overrun_are_damaged_and_large_messages_refused() {
    let mut records = Vec::new();
    put_message(&mut records, 1, &Message::new(1, 5, "0123456789").view());
    let open = |records: &[u8], limits: &Limits| {
        OpenChunk::open(&forged(records.len() as u64, 0, "", records), limits)
    };
    assert_eq!(open(&records, &Limits::default()).unwrap().len(), 1);
    for length in [0, 21, 33, u64::MAX, u64::MAX - 8] {
        let mut forged = records.clone();
        forged[1..9].copy_from_slice(&length.to_le_bytes());
        let error = open(&forged, &Limits::default()).unwrap_err();
        assert!(matches!(error, ChunkError::Damaged(_)), "{length}: {error:?}");
    }
    let limits = Limits { max_message_bytes: 9, ..Limits::default() };
    let error = open(&records, &limits).unwrap_err();
    assert_eq!(error, ChunkError::TooLarge { what: "a message", bytes: 10, limit_bytes: 9 });
}

#[test]
fn unknown_records_are_skipped() {
    let mut records = Vec::new();
    put_record(&mut records, 0x85, |out| out.extend_from_slice(b"anything"));
    put_message(&mut records, 1, &Message::new(1, 5, "here").view());
    let forged = forged(records.len() as u64, 0, "", &records);
    let open = OpenChunk::open(&forged, &Limits::default()).unwrap();
    assert_eq!(opened(&open), [Message::new(1, 5, "here")]);
}

#[test]
fn a_builder_starts_anew_after_each_chunk() {
    let mut builder = ChunkBuilder::new(Compression::Lz4);
    assert!(builder.build().unwrap().is_none());
    let first = [Message::new(1, 9, "late"), Message::new(2, 8, "early")];
    for message in &first {
        builder.message(message.channel, &message.view());
    }
    builder.channel(&channel(1, 3, "/a"));
    builder.schema(3, channel(1, 3, "/a").def.schema.as_ref().unwrap());
    let with_records = builder.build().unwrap().unwrap().descriptor;
    assert_eq!((with_records.channel_records, with_records.schema_records), (vec![1], vec![3]));
    assert!(!with_records.in_order);

    let again = Message::new(2, 1, "again");
    builder.message(2, &again.view());
    assert_eq!(builder.times().unwrap().end, Nanos(1));
    let second = builder.build().unwrap().unwrap();
    assert_eq!(second.bytes, chunk(Compression::Lz4, &[again]).bytes);
    assert!(second.descriptor.in_order && second.descriptor.channel_records.is_empty());
    // Without messages there is no chunk, whatever was recorded.
    builder.channel(&channel(1, 0, "/a"));
    assert!(builder.build().unwrap().is_none());
    assert_eq!(builder.uncompressed_bytes(), 0);
}

#[test]
fn message_indexes_are_what_other_readers_expect() {
    let messages = [Message::new(2, 9, "b"), Message::new(1, 5, "a"), Message::new(2, 4, "cc")];
    let chunk = chunk(Compression::None, &messages);
    let mut at = chunk.descriptor.record_bytes as usize;
    let mut found = Vec::new();
    while at < chunk.bytes.len() {
        let (opcode, body) = crate::walk::record_at(&chunk.bytes, at).unwrap();
        let Ok(mcap::records::Record::MessageIndex(index)) = mcap::parse_record(opcode, body)
        else {
            panic!("no message index")
        };
        let entries = index.records.iter().map(|entry| (entry.log_time, entry.offset));
        found.push((index.channel_id, entries.collect::<Vec<_>>()));
        at += 9 + body.len();
    }
    assert_eq!(found, [(1, vec![(5, 32)]), (2, vec![(4, 64), (9, 0)])]);
}
