//! What the loader takes while it is soaked.

use std::path::Path;

use anyhow::ensure;

use crate::{Observed, bytes_in};

/// What a container may give the process.
pub(super) const MEMORY_BYTES: u64 = 250 << 20;
/// By how much the median of the last third may exceed that of the second third.
const MEMORY_MARGIN_BYTES: u64 = 24 << 20;
/// Likewise: parts that stay open to be read again, connections and scratch files that happen to
/// be open.
const DESCRIPTORS_MARGIN: u64 = 48;
/// Likewise; the disk store fills up to its bound and stays there.
const DISK_MARGIN_BYTES: u64 = 24 << 20;

/// Three numbers a second.
#[derive(Default)]
pub(super) struct Samples {
    memory_bytes: Vec<u64>,
    descriptors: Vec<u64>,
    disk_bytes: Vec<u64>,
    memory_peak_bytes: u64,
}

/// One number over time: its medians in the three thirds, and the most of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// In the first, the second and the last third of the time.
    pub medians: [u64; 3],
    /// The most at any time.
    pub peak: u64,
}

/// What the process took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Resident memory, in bytes.
    pub memory_bytes: Course,
    /// Open files and sockets.
    pub descriptors: Course,
    /// What lies in its folder, in bytes.
    pub disk_bytes: Course,
}

impl Samples {
    /// # Errors
    ///
    /// If the process is gone.
    pub(super) fn take(&mut self, process: Observed, folder: &Path) -> anyhow::Result<()> {
        let (now, peak) = process.resident_bytes()?;
        self.memory_bytes.push(now);
        self.memory_peak_bytes = self.memory_peak_bytes.max(peak);
        self.descriptors.push(process.descriptors()?.len() as u64);
        self.disk_bytes.push(bytes_in(folder));
        Ok(())
    }

    /// Memory in bytes, descriptors, and bytes on the disk.
    pub(super) fn latest(&self) -> (u64, u64, u64) {
        let last = |samples: &[u64]| samples.last().copied().unwrap_or(0);
        (last(&self.memory_bytes), last(&self.descriptors), last(&self.disk_bytes))
    }

    pub(super) fn taken(&self) -> Taken {
        let memory_bytes = Course { peak: self.memory_peak_bytes, ..course(&self.memory_bytes) };
        let (descriptors, disk_bytes) = (course(&self.descriptors), course(&self.disk_bytes));
        Taken { memory_bytes, descriptors, disk_bytes }
    }
}

impl Taken {
    /// # Errors
    ///
    /// If something grows on and on, or the memory is more than there is.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let peak = self.memory_bytes.peak;
        ensure!(peak <= MEMORY_BYTES, "{} MiB of memory at the peak", peak >> 20);
        let margins = [
            ("memory", self.memory_bytes, MEMORY_MARGIN_BYTES),
            ("descriptors", self.descriptors, DESCRIPTORS_MARGIN),
            ("disk", self.disk_bytes, DISK_MARGIN_BYTES),
        ];
        for (name, course, margin) in margins {
            let [_, second, last] = course.medians;
            ensure!(last <= second + margin, "{name} grows: {second}, then {last}");
        }
        Ok(())
    }
}

fn course(samples: &[u64]) -> Course {
    let third = |number: usize| {
        let (from, to) = (samples.len() * number / 3, samples.len() * (number + 1) / 3);
        let mut samples = samples[from..to].to_vec();
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied().unwrap_or(0)
    };
    let medians = [third(0), third(1), third(2)];
    Course { medians, peak: samples.iter().copied().max().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_on_is_noticed() {
        let taken = |step: u64| {
            let memory_bytes = course(&(0..90).map(|at| at * step).collect::<Vec<u64>>());
            Taken { memory_bytes, ..Taken::default() }
        };
        assert_eq!(taken(1).memory_bytes.medians, [15, 45, 75]);
        taken(MEMORY_MARGIN_BYTES / 31).check().unwrap();
        assert!(taken(MEMORY_MARGIN_BYTES / 29).check().is_err());
        assert!(taken(MEMORY_BYTES / 80).check().unwrap_err().to_string().contains("peak"));
        assert_eq!(course(&[]).medians, [0; 3]);
    }
}
