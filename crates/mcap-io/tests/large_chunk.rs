//! A chunk of 200 MiB is taken in with little memory, whatever its compression. Alone in its
//! process, whose peak is what is measured.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use mcap::MAGIC;
use mcap::records::op;
use rdl_mcap_io::{Intake, IntakeError, IntakeEvent, IntakeOptions, Spool};
use rdl_testkit::{Observed, RawFile};

const MESSAGES: u64 = 200;
const DATA_BYTES: usize = 1 << 20;
/// One of them is much larger.
const HUGE: u64 = 150;
const HUGE_BYTES: usize = 20 << 20;
const MOST_GROWTH_BYTES: u64 = 100 << 20;

/// A spool as a load has it.
struct Scratch {
    file: File,
    end: u64,
}

impl Spool for Scratch {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn read_into(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

/// The records of the chunk, one by one.
fn records() -> impl Iterator<Item = Vec<u8>> {
    let channel = RawFile::new().channel(1, 0, "/large", "raw").into_bytes();
    let message = |number: u64| {
        let len = if number == HUGE { HUGE_BYTES } else { DATA_BYTES };
        RawFile::new().message(1, number as u32, number, &vec![number as u8; len]).into_bytes()
    };
    std::iter::once(channel).chain((0..MESSAGES).map(message))
}

/// What a chunk of this compression begins with, its record's header included.
fn begun(compression: &str, compressed_bytes: u64) -> Vec<u8> {
    let uncompressed_bytes: u64 = records().map(|record| record.len() as u64).sum();
    assert!(uncompressed_bytes > 200 << 20);
    let mut crc = crc32fast::Hasher::new();
    records().for_each(|record| crc.update(&record));
    let mut fields = Vec::new();
    fields.extend(0_u64.to_le_bytes());
    fields.extend((MESSAGES - 1).to_le_bytes());
    fields.extend(uncompressed_bytes.to_le_bytes());
    fields.extend(crc.finalize().to_le_bytes());
    fields.extend((compression.len() as u32).to_le_bytes());
    fields.extend(compression.as_bytes());
    fields.extend(compressed_bytes.to_le_bytes());
    let record_bytes = fields.len() as u64 + compressed_bytes;
    RawFile::started().forged_record(op::CHUNK, record_bytes, &fields).into_bytes()
}

fn compressed(compression: &str) -> Vec<u8> {
    match compression {
        "zstd" => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            records().for_each(|record| encoder.write_all(&record).unwrap());
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            records().for_each(|record| encoder.write_all(&record).unwrap());
            encoder.finish().unwrap()
        }
    }
}

/// Counts messages and bytes, as they are given out.
#[derive(Default)]
struct Counted {
    messages: u64,
    uncompressed_bytes: u64,
}

impl Counted {
    fn take(&mut self, intake: &mut Intake, bytes: Vec<u8>) -> Result<(), IntakeError> {
        let mut pushed = intake.push(Bytes::from(bytes));
        loop {
            self.drain(intake);
            pushed?;
            if !intake.has_more() {
                return Ok(());
            }
            pushed = intake.resume();
        }
    }

    fn drain(&mut self, intake: &mut Intake) {
        while let Some(event) = intake.next_event() {
            match event {
                IntakeEvent::Chunk { chunk, .. } => {
                    self.messages += chunk.descriptor.message_count;
                    self.uncompressed_bytes += chunk.descriptor.uncompressed_bytes;
                }
                IntakeEvent::Problem(problem) => panic!("{}", problem.message),
                _ => {}
            }
        }
    }
}

fn peak_bytes() -> u64 {
    Observed::of(std::process::id()).resident_bytes().unwrap().1
}

#[test]
fn a_chunk_of_200_mib_takes_little_memory() {
    let before = peak_bytes();
    for compression in ["", "lz4", "zstd"] {
        let mut intake = Intake::new(IntakeOptions::default());
        intake
            .set_spool(Box::new(|| Ok(Box::new(Scratch { file: tempfile::tempfile()?, end: 0 }))));
        let mut counted = Counted::default();
        if compression.is_empty() {
            let bytes = records().map(|record| record.len() as u64).sum();
            counted.take(&mut intake, begun(compression, bytes)).unwrap();
            records().for_each(|record| counted.take(&mut intake, record).unwrap());
        } else {
            let compressed = compressed(compression);
            counted.take(&mut intake, begun(compression, compressed.len() as u64)).unwrap();
            counted.take(&mut intake, compressed).unwrap();
        }
        let end = RawFile::new().record(op::DATA_END, &[0; 4]).record(op::FOOTER, &[0; 20]);
        counted.take(&mut intake, end.bytes(MAGIC).into_bytes()).unwrap();
        intake.finish().unwrap();
        counted.drain(&mut intake);
        assert_eq!(counted.messages, MESSAGES);
        assert!(counted.uncompressed_bytes > 200 << 20);
        let growth_bytes = peak_bytes() - before;
        println!("{compression:?}: {} MiB more than before", growth_bytes >> 20);
        assert!(growth_bytes < MOST_GROWTH_BYTES, "{compression:?}: {growth_bytes}");
    }
}
