//! What a soak has come to.

use std::fmt;
use std::time::Duration;

use super::visit::Verdict;
use super::watch::{Course, MEMORY_BYTES, Samples, Taken};

/// What a soak has come to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was random followed from it.
    pub seed: u64,
    /// Answers that were exactly what was asked for.
    pub right: usize,
    /// Answers that failed or lacked something where they must, and said so.
    pub named: usize,
    /// Answers with 503 and `Retry-After`.
    pub refused: usize,
    /// Answers whose viewer left; what had come was right.
    pub left: usize,
    /// What was wrong: with an answer, and how to ask for it again, or with the process.
    pub failures: Vec<String>,
    /// What came of bodies, in bytes.
    pub bytes: u64,
    /// The longest that an answer took, its viewer's own pauses included.
    pub slowest: Duration,
    /// Requests to the data backend.
    pub backend_requests: usize,
    /// What the process took while viewers came.
    pub taken: Taken,
    /// Of processor time, from start to end.
    pub cpu_seconds: f64,
    /// The last lines that the loader printed.
    pub printed: String,
}

impl Report {
    pub(super) fn new(seed: u64) -> Report {
        Report { seed, ..Report::default() }
    }

    pub(super) fn took(&mut self, took: Duration, bytes: u64) {
        self.bytes += bytes;
        self.slowest = self.slowest.max(took);
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Right => &mut self.right,
            Verdict::Named => &mut self.named,
            Verdict::Refused => &mut self.refused,
            Verdict::Left => &mut self.left,
        } += 1;
    }

    /// Said at once too: a soak takes long.
    pub(super) fn fail(&mut self, what: String) {
        eprintln!("WRONG {what}");
        self.failures.push(what);
    }

    pub(super) fn progress(&self, elapsed: Duration, samples: &Samples) -> String {
        let (memory_bytes, descriptors, disk_bytes) = samples.latest();
        format!(
            "{:4} s: {}; {} MiB of memory, {descriptors} descriptors, {} MiB on the disk",
            elapsed.as_secs(),
            self.counts(),
            memory_bytes >> 20,
            disk_bytes >> 20,
        )
    }

    fn counts(&self) -> String {
        let Report { right, named, refused, left, failures, .. } = self;
        let wrong = failures.len();
        let all = right + named + refused + left + wrong;
        format!(
            "{all} requests: {right} right, {named} named, {refused} refused (503), {left} left, {wrong} wrong"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed         {}", self.seed)?;
        writeln!(f, "answers      {}", self.counts())?;
        writeln!(f, "             {} MiB, the slowest took {:?}", self.bytes >> 20, self.slowest)?;
        writeln!(f, "backend      {} requests", self.backend_requests)?;
        writeln!(f, "processor    {:.1} s", self.cpu_seconds)?;
        let mib = |course: Course| {
            let [first, second, last] = course.medians.map(|bytes| bytes >> 20);
            let peak = course.peak >> 20;
            format!("{first}, {second}, {last} MiB (medians of the thirds), {peak} MiB at the peak")
        };
        let limit = MEMORY_BYTES >> 20;
        writeln!(f, "memory       {}; {limit} MiB are allowed", mib(self.taken.memory_bytes))?;
        writeln!(f, "disk         {}", mib(self.taken.disk_bytes))?;
        let Course { medians: [first, second, last], peak } = self.taken.descriptors;
        writeln!(f, "descriptors  {first}, {second}, {last}, {peak} at the peak")?;
        for failure in &self.failures {
            writeln!(f, "WRONG        {failure}")?;
        }
        Ok(())
    }
}
