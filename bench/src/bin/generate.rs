//! Writes a recording to measure with.

use std::path::PathBuf;

use clap::Parser;
use rdl_bench::recording::{self, Ids};
use rdl_bench::scenario::Scenario;
use rdl_mcap_io::Compression;

#[derive(Clone, Copy, clap::ValueEnum)]
enum Codec {
    None,
    Lz4,
    Zstd,
}

/// Writes a recording that is the same every time: an MCAP file for each source, `manifest` and
/// `manifest-static` that name them, and the `digest` that the merged recording must have.
#[derive(Parser)]
struct Arguments {
    /// What it is made of.
    #[arg(long, value_enum)]
    scenario: Scenario,
    /// The size of all messages together, about, in megabytes.
    #[arg(long, default_value_t = 1000)]
    payload_mb: u64,
    /// How chunks are compressed.
    #[arg(long, value_enum, default_value = "zstd")]
    compression: Codec,
    /// How channels are numbered.
    #[arg(long, value_enum, default_value = "canonical")]
    ids: Ids,
    /// The folder to write to. Its name is part of the sources' URLs.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let compression = match arguments.compression {
        Codec::None => Compression::None,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    };
    let payload_bytes = arguments.payload_mb * 1_000_000;
    recording::write(arguments.scenario, payload_bytes, compression, arguments.ids, &arguments.out)
}
