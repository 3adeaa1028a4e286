//! What it costs to write the body of a source with the backend kit in Rust.
//!
//! Messages lie ready in memory; what is written is counted and dropped. One line of JSON for
//! each run: `what`, `writer`, `compression`, `bytes` (of message data), `out_bytes`, `messages`,
//! `cpu_seconds` (of the process). The other programs of `bench/kit` print the same.

use anyhow::Result;
use clap::Parser;
use rdl_testkit::Random;
use remote_data_loader_backend::{
    BodyOptions, BodyWriter, Channel, ChannelSet, Compression, Message, MessageType, Nanos,
};
use serde_json::json;

/// Writes bodies and tells the CPU seconds that they took
#[derive(Parser)]
struct Args {
    /// How many bytes of messages to write each time
    #[arg(long, default_value_t = 500_000_000)]
    bytes: usize,
    /// How often
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// What the messages are like: their sizes, again and again, in bytes.
const SHAPES: &[(&str, &[usize])] = &[
    ("large", &[100_000]),
    ("mixed", &[300_000, 200, 60, 1000, 120_000, 200, 60, 4000, 200, 60, 24, 200]),
    ("small", &[64]),
];

struct Written {
    messages: u64,
    bytes: u64,
    out_bytes: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let noise: Vec<u8> = noise(1 << 20);
    for _ in 0..args.runs {
        for (what, sizes) in SHAPES {
            let sizes = || sizes.iter().copied().cycle();
            for compression in [Compression::None, Compression::Lz4] {
                let started = cpu_seconds();
                let written = write(&noise, sizes(), args.bytes, compression)?;
                report(what, compression, &written, started);
            }
        }
    }
    Ok(())
}

fn report(what: &str, compression: Compression, written: &Written, started: f64) {
    let line = json!({
        "what": what,
        "writer": "kit, Rust",
        "compression": compression,
        "bytes": written.bytes,
        "out_bytes": written.out_bytes,
        "messages": written.messages,
        "cpu_seconds": cpu_seconds() - started,
    });
    println!("{line}");
}

fn write(
    noise: &[u8],
    sizes: impl Iterator<Item = usize>,
    bytes: usize,
    compression: Compression,
) -> Result<Written> {
    let mut channels = ChannelSet::new();
    let declared: Result<Vec<Channel>, _> = (0..8)
        .map(|topic| channels.add(format!("/topic{topic}"), MessageType::new("raw", None)))
        .collect();
    let declared = declared?;
    let options = BodyOptions { compression, ..BodyOptions::default() };
    let mut body = BodyWriter::new(&channels, options);
    let mut written = Written { messages: 0, bytes: 0, out_bytes: 0 };
    let drain =
        |body: &mut BodyWriter| body.take().iter().map(|piece| piece.len() as u64).sum::<u64>();
    for (time, size) in (0_u64..).zip(sizes) {
        if written.bytes >= bytes as u64 {
            break;
        }
        let channel = declared[(time % 8) as usize];
        body.write(channel, Message::at(Nanos(time), message(noise, time, size)))?;
        if body.is_ready() {
            written.out_bytes += drain(&mut body);
        }
        written.messages += 1;
        written.bytes += size as u64;
    }
    body.finish()?;
    written.out_bytes += drain(&mut body);
    Ok(written)
}

/// Another part of the noise for each message.
fn message(noise: &[u8], time: u64, size: usize) -> &[u8] {
    let start = (time as usize).wrapping_mul(4099) % (noise.len() - size);
    &noise[start..start + size]
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    std::iter::repeat_with(|| random.next_u64()).flat_map(u64::to_le_bytes).take(bytes).collect()
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
