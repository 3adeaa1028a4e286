//! Soaks a loader: see `bench/README.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rdl_testkit::soak::Soak;

/// Lets viewers seek at random in recordings some of which fail, compares every answer with what
/// it must hold, and watches what the process takes.
#[derive(Parser)]
struct Arguments {
    /// The loader's binary.
    #[arg(long)]
    loader: PathBuf,
    /// How long viewers come, in minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What viewers ask follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many viewers there are at a time.
    #[arg(long, default_value_t = 32)]
    viewers: usize,
    /// How many recordings there are; with twenty, every trouble is among them.
    #[arg(long, default_value_t = 20)]
    recordings: usize,
    /// The size of one of them, about, in MiB.
    #[arg(long, default_value_t = 8)]
    recording_mib: usize,
    /// The bound of the loader's disk store, in MiB: less than all recordings take.
    #[arg(long, default_value_t = 48)]
    disk_mib: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let soak = Soak {
        loader: arguments.loader,
        duration: Duration::try_from_secs_f64(arguments.minutes * 60.0)?,
        seed: arguments.seed,
        viewers: arguments.viewers,
        recordings: arguments.recordings,
        recording_bytes: arguments.recording_mib << 20,
        disk_bytes: arguments.disk_mib << 20,
        progress: Some(Duration::from_secs(10)),
    };
    let report = soak.run().await?;
    print!("{report}");
    if report.failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("the loader's last lines:\n{}", report.printed);
    Ok(ExitCode::FAILURE)
}
