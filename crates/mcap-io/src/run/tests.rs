use std::ops::Range;

use bytes::Bytes;

use super::*;
use crate::{ChunkBuilder, Compression, Limits};

fn chunk(times: impl IntoIterator<Item = u64>) -> OpenChunk {
    let mut builder = ChunkBuilder::new(Compression::Lz4);
    for (sequence, time) in (0..).zip(times) {
        let data = vec![sequence as u8; sequence as usize % 700];
        let message = MessageView {
            channel: 1,
            sequence,
            log_time: Nanos(time),
            publish_time: Nanos(7),
            data: &data,
        };
        builder.message(1 + sequence as u16 % 3, &message);
    }
    let stored = builder.build().unwrap().unwrap();
    OpenChunk::open(&stored.bytes, &Limits::default()).unwrap()
}

fn spill(chunk: &OpenChunk) -> (SortedRun, Vec<u8>) {
    let mut file = Vec::new();
    let run = chunk.spill(&mut |bytes| {
        assert!(!bytes.is_empty());
        file.extend_from_slice(bytes);
        Ok(())
    });
    (run.unwrap(), file)
}

fn at(range: ByteRange) -> Range<usize> {
    range.start as usize..range.end as usize
}

#[test]
fn a_run_has_the_messages_of_its_chunk_in_order() {
    // Thousands, in no order, with ties.
    let chunk = chunk((0..5000_u64).map(|n| n * 7919 % 1000));
    let (run, file) = spill(&chunk);
    assert_eq!(file.len() as u64, run.entries_range(5000, 1).end);
    let mut seen = 0;
    for from in (0..5000).step_by(333) {
        let range = run.entries_range(from, 333);
        let entries = run.decode_entries(&file[at(range)]).unwrap();
        for entry in entries {
            let record = &file[entry.offset as usize..run.records_bytes() as usize];
            let message = run.message_in(record).unwrap().unwrap();
            assert_eq!(message, chunk.message(seen));
            assert_eq!((entry.log_time, entry.channel), (message.log_time, message.channel));
            let record_bytes = run.record_bytes(record).unwrap() as usize;
            assert!(run.message_in(&record[..record_bytes]).unwrap().is_some());
            assert!(run.message_in(&record[..record_bytes - 1]).unwrap().is_none());
            seen += 1;
        }
    }
    assert_eq!(seen, 5000);
    assert_eq!(run.entries_range(4990, 333).len(), 160);
}

#[test]
fn a_beginning_is_found_without_reading() {
    let chunk = chunk((0..5000_u64).map(|n| n / 10));
    let (run, _) = spill(&chunk);
    for time in [0, 1, 102, 103, 204, 205, 499, 500] {
        let before = run.shortly_before(Nanos(time));
        let first = (0..chunk.len()).find(|n| chunk.entry(*n).log_time >= Nanos(time));
        let first = first.unwrap_or(chunk.len());
        assert!(before <= first && first - before <= ENTRIES_PER_MARK, "{time}: {before} {first}");
    }
}

#[test]
fn large_messages_are_not_collected() {
    let mut builder = ChunkBuilder::new(Compression::None);
    let data = Bytes::from(vec![5; 3 << 20]);
    for time in [3, 1, 2] {
        let time = Nanos(time);
        let (channel, sequence) = (1, 0);
        let message =
            MessageView { channel, sequence, log_time: time, publish_time: time, data: &data };
        builder.message(1, &message);
    }
    let stored = builder.build().unwrap().unwrap();
    let chunk = OpenChunk::open(&stored.bytes, &Limits::default()).unwrap();
    let (run, file) = spill(&chunk);
    let entries = run.decode_entries(&file[at(run.entries_range(0, 3))]).unwrap();
    let times: Vec<u64> = entries.iter().map(|entry| entry.log_time.0).collect();
    assert_eq!(times, [1, 2, 3]);
}

#[test]
fn a_damaged_run_is_an_error() {
    let (run, mut file) = spill(&chunk(0..20));
    let table = at(run.entries_range(0, 20));
    assert!(run.decode_entries(&file[table.start..table.end - 1]).is_err());
    assert!(run.message_in(&[0x07; 40]).unwrap().is_none());
    file[0] = 0x03;
    assert!(run.message_in(&file).is_err());
    for bit in 0..table.len() * 8 {
        let mut entries = file[table.clone()].to_vec();
        entries[bit / 8] ^= 1 << (bit % 8);
        assert!(run.decode_entries(&entries).is_err(), "bit {bit}");
    }
    // Whole entries at the wrong place, and those of another run.
    let mut swapped = file[table.clone()].to_vec();
    swapped.rotate_left(16);
    assert!(run.decode_entries(&swapped).is_err());
    let (longer, other) = spill(&chunk(0..40));
    let beyond = &other[at(longer.entries_range(30, 10))];
    assert!(longer.decode_entries(beyond).is_ok());
    assert!(run.decode_entries(beyond).is_err());
}
