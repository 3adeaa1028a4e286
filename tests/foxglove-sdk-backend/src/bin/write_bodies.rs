//! What it costs to write the body of a source with the SDK's own stream writer: the same messages
//! as `bench/src/bin/kit.rs` writes, and the same lines of JSON.
//!
//! `--bytes`: of messages, each time; `--runs`: how often.

use foxglove::PartialMetadata;
use futures::StreamExt as _;
use serde_json::json;

const SHAPES: &[(&str, &[usize])] = &[
    ("large", &[100_000]),
    ("mixed", &[300_000, 200, 60, 1000, 120_000, 200, 60, 4000, 200, 60, 24, 200]),
    ("small", &[64]),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let given = |flag: &str| args.windows(2).find(|pair| pair[0] == flag).map(|pair| &*pair[1]);
    let bytes: usize = given("--bytes").unwrap_or("500000000").parse()?;
    let runs: usize = given("--runs").unwrap_or("3").parse()?;
    let noise = noise(1 << 20);
    for _ in 0..runs {
        for (what, sizes) in SHAPES {
            let started = cpu_seconds()?;
            let (messages, bytes, out_bytes) = write(&noise, sizes, bytes).await?;
            let line = json!({
                "what": what,
                "writer": "foxglove, Rust",
                "compression": if cfg!(feature = "zstd") { "zstd" } else { "none" },
                "bytes": bytes,
                "out_bytes": out_bytes,
                "messages": messages,
                "cpu_seconds": cpu_seconds()? - started,
            });
            println!("{line}");
        }
    }
    Ok(())
}

async fn write(
    noise: &[u8],
    sizes: &[usize],
    most: usize,
) -> Result<(u64, usize, usize), Box<dyn std::error::Error>> {
    let (mut handle, mut stream) = foxglove::stream::create_mcap_stream();
    let reading = tokio::spawn(async move {
        let mut out_bytes = 0;
        while let Some(piece) = stream.next().await {
            out_bytes += piece.len();
        }
        out_bytes
    });
    let channels = (0..8).map(|topic| {
        handle.channel_builder(format!("/topic{topic}")).message_encoding("raw").build_raw()
    });
    let channels = channels.collect::<Result<Vec<_>, _>>()?;
    let (mut messages, mut bytes) = (0_u64, 0);
    for size in sizes.iter().copied().cycle() {
        if bytes >= most {
            break;
        }
        let start = (messages as usize).wrapping_mul(4099) % (noise.len() - size);
        let meta = PartialMetadata { log_time: Some(messages) };
        channels[(messages % 8) as usize].log_with_meta(&noise[start..start + size], meta);
        // To keep what it buffers bounded, as its documentation says.
        if handle.buffer_size() >= 1 << 20 {
            handle.flush().await?;
        }
        messages += 1;
        bytes += size;
    }
    handle.close().await?;
    Ok((messages, bytes, reading.await?))
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state)
    });
    words.flat_map(u64::to_le_bytes).take(bytes).collect()
}

/// Of this process, user and system (proc(5), `/proc/self/stat`): hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
