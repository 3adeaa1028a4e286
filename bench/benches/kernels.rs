//! What the pure rooms cost in CPU time: intake, open, write, pass, and the merge of them all.
//!
//! `cargo bench -p rdl-bench --bench kernels [filter]`. Everything happens in memory and on one
//! thread, and what is measured is the CPU time of that thread, so that a busy machine shows little
//! in the figures. The recordings are made here and are the same every time.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use rdl_mcap_io::{
    ChannelDef, ChannelRecord, ChunkBuilder, ChunkDescriptor, Compression, Intake, IntakeEvent,
    IntakeOptions, Limits, MessageView, OpenChunk, OutputOptions, OutputPiece, OutputWriter,
    PartWriter, StoredChunk,
};
use rdl_merge::{Entries, MergeHeap, Query, SourceState, Step};
use rdl_model::{ChunkRef, Nanos};
use rdl_testkit::Random;
use rustix::time::{ClockId, clock_gettime};

/// How much a response has ready before it lets go of it.
const SLICE_BYTES: usize = 1 << 20;
/// How much of a body an intake sees at a time.
const BODY_SLICE_BYTES: usize = 256 << 10;
const CHANNELS: u16 = 8;
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

/// The CPU time of the thread, in nanoseconds.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_secs_f64() * 1e9
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// A source as it is kept.
struct Source {
    channels: BTreeMap<u16, Arc<ChannelRecord>>,
    chunks: Vec<StoredChunk>,
}

/// The shape of a recording.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    sources: u64,
    messages: u64,
    /// Least and greatest, in bytes.
    sizes: (u64, u64),
    chunk_bytes: usize,
}

const SMALL: Shape = Shape {
    name: "600k-small",
    sources: 3,
    messages: 600_000,
    sizes: (64, 200),
    chunk_bytes: 1 << 20,
};
const SMALL_4K: Shape = Shape { name: "600k-small-4KiB", chunk_bytes: 4 << 10, ..SMALL };
/// As many sources as a recording cut by time and topic has at one place, and more.
const WIDE: Shape = Shape { name: "400k-wide", sources: 400, messages: 400_000, ..SMALL };
const LARGE: Shape = Shape {
    name: "1k-large",
    sources: 4,
    messages: 1_200,
    sizes: (1 << 10, 100 << 10),
    chunk_bytes: 1 << 20,
};

/// Half noise, half structure, so that it compresses to about a half.
fn payload_pool() -> Vec<u8> {
    let mut random = Random::new(7);
    let mut pool = Vec::with_capacity(1 << 20);
    while pool.len() < 1 << 20 {
        pool.extend_from_slice(&random.next_u64().to_le_bytes());
        pool.extend_from_slice(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0]);
    }
    pool
}

fn channels(source: u64) -> BTreeMap<u16, Arc<ChannelRecord>> {
    // Spread over all ids and different in each source, as canonical ids are.
    let record = |n: u16| {
        let id = (n + 1 + CHANNELS * source as u16).wrapping_mul(40_503);
        let def = ChannelDef {
            topic: format!("/source{source}/channel{n}"),
            message_encoding: "cdr".into(),
            schema: None,
            metadata: BTreeMap::new(),
        };
        (id, Arc::new(ChannelRecord { id, schema_id: 0, def: Arc::new(def) }))
    };
    (0..CHANNELS).map(record).collect()
}

/// A recording whose sources interleave message by message.
fn recording(shape: Shape, compression: Compression) -> Vec<Source> {
    let pool = payload_pool();
    let source = |number: u64| {
        let mut random = Random::new(number);
        let channels = channels(number);
        let ids: Vec<u16> = channels.keys().copied().collect();
        let mut builder = ChunkBuilder::new(compression);
        let mut chunks = Vec::new();
        for n in 0..shape.messages / shape.sources {
            let (least, greatest) = shape.sizes;
            let len = (least + random.below(greatest - least + 1)) as usize;
            let start = random.below((pool.len() - len) as u64 + 1) as usize;
            let time = Nanos(1_700_000_000_000_000_000 + n * 1_000 + random.below(1_000));
            let channel = ids[random.below(ids.len() as u64) as usize];
            let message = MessageView {
                channel,
                sequence: n as u32,
                log_time: time,
                publish_time: time,
                data: &pool[start..start + len],
            };
            builder.message(channel, &message);
            if builder.uncompressed_bytes() >= shape.chunk_bytes {
                chunks.extend(builder.build().expect("it compresses"));
            }
        }
        chunks.extend(builder.build().expect("it compresses"));
        Source { channels, chunks }
    };
    (0..shape.sources).map(source).collect()
}

fn channels_of(source: &Source, descriptor: &ChunkDescriptor) -> Vec<Arc<ChannelRecord>> {
    let ids = descriptor.channel_ids();
    ids.iter().filter_map(|id| source.channels.get(id).cloned()).collect()
}

fn writer(compression: Compression) -> OutputWriter {
    OutputWriter::new(OutputOptions { compression, ..OutputOptions::default() })
}

/// Takes what is ready, as a response does. The length of it.
fn drain(writer: &mut OutputWriter) -> usize {
    let pieces = writer.take_output().into_iter();
    let len = |piece: OutputPiece| match piece {
        OutputPiece::Bytes(bytes) => black_box(bytes).len(),
        OutputPiece::Elsewhere(_) => 0,
    };
    pieces.map(len).sum()
}

/// From chunks as they are kept to the bytes of a response.
fn merge(sources: &[Source], compression: Compression) -> (u64, usize) {
    let mut heap = heap_of(sources);
    let mut writer = writer(compression);
    let mut open: HashMap<ChunkRef, OpenChunk> = HashMap::new();
    let mut written = 0;
    loop {
        if writer.pending_bytes() >= SLICE_BYTES {
            written += drain(&mut writer);
        }
        match heap.next(&mut |at, descriptor| {
            let channels = channels_of(&sources[at.source as usize], descriptor);
            writer.accepts(channels.iter().map(|channel| &**channel))
        }) {
            Step::Pass(at) => {
                let source = &sources[at.source as usize];
                let descriptor = &source.chunks[at.chunk as usize].descriptor;
                writer.pass(descriptor, &channels_of(source, descriptor)).expect("ids are free");
            }
            Step::Open { at, .. } => {
                let stored = &sources[at.source as usize].chunks[at.chunk as usize].bytes;
                let chunk = OpenChunk::open(stored, &Limits::default()).expect("it is whole");
                heap.opened(at, Entries::from(&chunk));
                open.insert(at, chunk);
            }
            Step::Merge { at, messages } => {
                let (chunk, source) = (&open[&at], &sources[at.source as usize]);
                for entry in messages {
                    let message = chunk.message(entry);
                    let channel = &source.channels[&message.channel];
                    writer.message(channel, message).expect("there are ids left");
                }
                if !heap.is_open(at) {
                    open.remove(&at);
                }
            }
            Step::End => break,
            step => panic!("{step:?} of sources that are complete and verified"),
        }
    }
    writer.finish().expect("it compresses");
    written += drain(&mut writer);
    (writer.message_count(), written)
}

fn heap_of(sources: &[Source]) -> MergeHeap {
    let mut heap = MergeHeap::new(Arc::new(Query::default()));
    for (number, source) in (0..).zip(sources) {
        heap.add_source(number, SourceState::Complete);
        for (chunk, stored) in (0..).zip(&source.chunks) {
            let at = ChunkRef { source: number, chunk };
            heap.add_chunk(at, Arc::new(stored.descriptor.clone()), false, &source.channels);
        }
    }
    heap
}

/// The heap alone: it sees message tables, and nothing is written.
fn keys(sources: &[Source], tables: &[Vec<OpenChunk>]) -> u64 {
    let mut heap = heap_of(sources);
    let mut messages = 0;
    loop {
        match heap.next(&mut |_, _| false) {
            Step::Open { at, .. } => {
                heap.opened(at, Entries::from(&tables[at.source as usize][at.chunk as usize]));
            }
            Step::Merge { messages: run, .. } => messages += run.len() as u64,
            Step::End => return messages,
            step => panic!("{step:?} of sources that are complete and do not pass"),
        }
    }
}

fn open_all(sources: &[Source]) -> Vec<Vec<OpenChunk>> {
    let open = |chunk: &StoredChunk| {
        OpenChunk::open(&chunk.bytes, &Limits::default()).expect("it is whole")
    };
    sources.iter().map(|source| source.chunks.iter().map(open).collect()).collect()
}

/// Messages into new chunks, without a merge.
fn write(sources: &[Source], tables: &[Vec<OpenChunk>], compression: Compression) -> usize {
    let mut writer = writer(compression);
    let mut written = 0;
    for (source, chunks) in sources.iter().zip(tables) {
        for chunk in chunks {
            for entry in 0..chunk.len() {
                let message = chunk.message(entry);
                let channel = &source.channels[&message.channel];
                writer.message(channel, message).expect("there are ids left");
            }
            written += drain(&mut writer);
        }
    }
    writer.finish().expect("it compresses");
    written + drain(&mut writer)
}

/// Chunks that pass: what is left of a response when nothing overlaps.
fn pass(source: &Source) -> u64 {
    let mut writer = writer(Compression::Lz4);
    for chunk in &source.chunks {
        let channels = channels_of(source, &chunk.descriptor);
        writer.pass(&chunk.descriptor, &channels).expect("ids are free");
        drain(&mut writer);
    }
    writer.finish().expect("it compresses");
    drain(&mut writer);
    writer.message_count()
}

/// The source as a backend sends it.
fn body(source: &Source) -> Bytes {
    let mut part = PartWriter::new("");
    let mut body = Vec::new();
    for chunk in &source.chunks {
        part.chunk(chunk, &channels_of(source, &chunk.descriptor)).expect("ids are free");
        body.extend(part.take_output().concat());
    }
    part.finish();
    body.extend(part.take_output().concat());
    body.into()
}

/// Scans and verifies a body. Its ids are not canonical, so that every chunk is made anew.
fn take_in(body: &Bytes) -> usize {
    let mut intake = Intake::new(IntakeOptions::default());
    let mut kept = 0;
    let mut drain = |intake: &mut Intake| {
        while let Some(event) = intake.next_event() {
            if let IntakeEvent::Chunk { chunk, .. } = event {
                kept += black_box(chunk).bytes.len();
            }
        }
    };
    let mut rest = body.clone();
    while !rest.is_empty() {
        let slice = rest.split_to(BODY_SLICE_BYTES.min(rest.len()));
        intake.push(slice).expect("the body is whole");
        drain(&mut intake);
    }
    intake.finish().expect("the body is whole");
    drain(&mut intake);
    kept
}

fn kernels(criterion: &mut Criterion<CpuTime>) {
    for shape in [SMALL, SMALL_4K, WIDE, LARGE] {
        for compression in COMPRESSIONS {
            let name = match compression {
                Compression::None => "none",
                Compression::Lz4 => "lz4",
                Compression::Zstd => "zstd",
            };
            // Made when the first of their kernels is run; a filter may leave all of them out.
            let sources = LazyCell::new(|| {
                let sources = recording(shape, compression);
                let (merged, _) = merge(&sources, compression);
                assert_eq!(merged, shape.messages, "every message comes out once");
                sources
            });
            let tables = LazyCell::new(|| open_all(&sources));
            let body = LazyCell::new(|| body(&sources[0]));

            let mut group = criterion.benchmark_group(shape.name);
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
            group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
            group.throughput(Throughput::Elements(shape.messages));
            let mut bench = |kernel: &str, run: &mut dyn FnMut()| {
                group.bench_function(BenchmarkId::new(kernel, name), |bencher| {
                    bencher.iter(&mut *run);
                });
            };
            bench("merge", &mut || _ = black_box(merge(&sources, compression)));
            bench("open", &mut || _ = black_box(open_all(&sources)));
            bench("write", &mut || _ = black_box(write(&sources, &tables, compression)));
            bench("intake-one-source", &mut || _ = black_box(take_in(&body)));
            if compression == Compression::None {
                bench("heap", &mut || _ = black_box(keys(&sources, &tables)));
                bench("pass-one-source", &mut || _ = black_box(pass(&sources[0])));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).configure_from_args();
    targets = kernels
}
criterion::criterion_main!(benches);
