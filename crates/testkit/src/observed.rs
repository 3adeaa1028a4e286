//! What a process takes, as Linux tells it in `/proc`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Clock ticks a second in `/proc`: 100 on every architecture that Linux still supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resources of a running process.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    id: u32,
}

impl Observed {
    /// Of this process.
    pub fn of(id: u32) -> Observed {
        Observed { id }
    }

    /// Seconds of processor time since its start.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        // The name may hold spaces and parentheses; fields are counted behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| -> anyhow::Result<f64> {
            Ok(fields.get(at).context("a short stat")?.parse()?)
        };
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// How many descriptors are open.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id))?.count())
    }

    /// Resident memory, in bytes: now, and at most so far.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line =
                status.lines().find(|line| line.starts_with(name)).context("no such line")?;
            let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
            Ok(kib * 1024)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }
}

/// The bytes that lie in a folder and those below; what vanishes meanwhile does not count.
pub fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
