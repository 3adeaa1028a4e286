//! The soak: for minutes, many viewers seek at random in twenty recordings, some of which fail,
//! and every answer is compared with what it must hold, while the process is watched.
//!
//! What a viewer asks and how it reads follows from the seed, its number and the number of its
//! visit; when things happen does not. So a failure names all three and the query, which can be
//! asked again.

mod library;
mod query;
mod report;
mod visit;
mod watch;
mod weather;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{FakeBackend, Observed, Process, Random};
use library::Served;
use query::Query;
pub use report::Report;
use visit::Manner;
use watch::Samples;
pub use watch::{Course, Taken};

/// How long an answer may take besides what its viewer spends on purpose.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a source may be silent, in milliseconds: what always fails is to fail soon.
const SILENCE_MS: &str = "8000";
/// The most that a viewer waits between two visits, in milliseconds.
const IDLE_MS: u64 = 400;
/// How long the process may take to become quiet when everybody has left.
const QUIET_PATIENCE: Duration = Duration::from_secs(20);
/// How much of a second an idle process may compute.
const IDLE_SECONDS: f64 = 0.1;
/// Files that stay open when all is quiet: what the runtime keeps, and a connection that closes.
const SPARE_DESCRIPTORS: usize = 8;
/// After so many failures it is clear that something is wrong.
const MOST_FAILURES: usize = 20;

/// How to soak.
#[derive(Clone, Debug)]
pub struct Soak {
    /// The loader's binary.
    pub loader: PathBuf,
    /// How long viewers come.
    pub duration: Duration,
    /// What is random follows from it.
    pub seed: u64,
    /// How many viewers there are at a time.
    pub viewers: usize,
    /// How many recordings there are; with twenty, every trouble is among them.
    pub recordings: usize,
    /// The size of one of them, about.
    pub recording_bytes: usize,
    /// The bound of the loader's disk store.
    pub disk_bytes: u64,
    /// How often a line tells how it goes; `None`: never.
    pub progress: Option<Duration>,
}

impl Soak {
    /// Soaks a loader of its own with the default limits, and stops it again.
    ///
    /// # Errors
    ///
    /// If it cannot be started or ends by itself. What is wrong otherwise is in the report.
    pub async fn run(&self) -> anyhow::Result<Report> {
        let backend = Arc::new(FakeBackend::start().await);
        let served = self.serve(&backend).await?;
        let folder = tempfile::tempdir()?;
        let disk = folder.path().to_str().context("a folder whose name is no text")?;
        let disk_bytes = self.disk_bytes.to_string();
        let environment = [
            ("REQUEST_CACHE_DISK_FOLDER", disk),
            ("REQUEST_CACHE_MAX_BYTES", &disk_bytes),
            ("REQUEST_CACHE_MAX_BYTES_WAIT_MS", SILENCE_MS),
            ("RUST_LOG", "warn"),
        ];
        let endpoint = backend.manifest_endpoint();
        let process = Process::start_loader(&self.loader, &endpoint, &environment).await?;
        let observed = Observed::of(process.id().context("the loader has ended")?);
        let before = but_parts(observed)?.len();

        let report = Arc::new(Mutex::new(Report::new(self.seed)));
        let end = Instant::now() + self.duration;
        let weather =
            tokio::spawn(weather::change(Arc::clone(&backend), served.clone(), self.seed));
        let mut viewers = JoinSet::new();
        for number in 0..self.viewers {
            let viewer = Visitor {
                seed: self.seed,
                number,
                url: process.url(),
                served: served.clone(),
                report: Arc::clone(&report),
            };
            viewers.spawn(viewer.come_until(end));
        }
        let mut samples = Samples::default();
        let mut each_second = interval(Duration::from_secs(1));
        each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (start, mut told) = (Instant::now(), Instant::now());
        while Instant::now() < end && report.lock().failures.len() < MOST_FAILURES {
            each_second.tick().await;
            samples.take(observed, folder.path()).with_context(|| process.printed())?;
            report.lock().backend_requests += backend.forget_requests();
            if self.progress.is_some_and(|every| told.elapsed() >= every) {
                told = Instant::now();
                let line = report.lock().progress(start.elapsed(), &samples);
                eprintln!("{line}");
            }
        }
        weather.abort();
        while let Some(ended) = viewers.join_next().await {
            ended.context("a viewer")?;
        }
        let quiet = becomes_quiet(observed, before).await;
        let mut report = report.lock().clone();
        report.taken = samples.taken();
        report.cpu_seconds = observed.cpu_seconds()?;
        report.backend_requests += backend.forget_requests();
        report.failures.extend(report.taken.check().err().map(|error| format!("{error:#}")));
        report.failures.extend(quiet.err().map(|error| format!("at the end: {error:#}")));
        report.printed = process.printed();
        Ok(report)
    }

    async fn serve(&self, backend: &Arc<FakeBackend>) -> anyhow::Result<Arc<Vec<Served>>> {
        let (seed, bytes, recordings) = (self.seed, self.recording_bytes, self.recordings);
        let backend = Arc::clone(backend);
        let serve = move || {
            let all = (0..recordings).map(|number| library::serve(&backend, number, seed, bytes));
            all.collect::<anyhow::Result<Vec<Served>>>()
        };
        Ok(Arc::new(tokio::task::spawn_blocking(serve).await??))
    }
}

/// One viewer, who comes again and again.
struct Visitor {
    seed: u64,
    number: usize,
    url: String,
    served: Arc<Vec<Served>>,
    report: Arc<Mutex<Report>>,
}

impl Visitor {
    async fn come_until(self, end: Instant) {
        for visit in 0.. {
            let mut random = self.random(visit);
            sleep(Duration::from_millis(random.below(IDLE_MS))).await;
            if Instant::now() >= end || self.report.lock().failures.len() >= MOST_FAILURES {
                return;
            }
            let chosen = random.below(self.served.len() as u64) as usize;
            let query = Query::random(&mut random, &self.served[chosen]);
            let manner = Manner::random(&mut random);
            self.visit(visit, chosen, query, manner).await;
        }
    }

    /// A sequence of its own for each visit: what happened before does not count.
    fn random(&self, visit: u64) -> Random {
        let mut seeds = Random::new(self.seed);
        let seed = seeds.next_u64() ^ (self.number as u64) << 32 ^ visit;
        Random::new(Random::new(seed).next_u64())
    }

    async fn visit(&self, visit: u64, chosen: usize, query: Query, manner: Manner) {
        let text = query.text(&self.served[chosen].name);
        let what =
            format!("seed {}, viewer {}, visit {visit}, {manner}: {text}", self.seed, self.number);
        let start = Instant::now();
        let verdict = match visit::take(&self.stream(&text), manner, PATIENCE).await {
            Err(error) => Err(error),
            Ok(taken) => {
                let took = start.elapsed();
                self.report.lock().took(took, taken.body_bytes());
                let served = Arc::clone(&self.served);
                let judged = tokio::task::spawn_blocking(move || {
                    visit::judge(&taken, &query, &served[chosen])
                });
                judged.await.context("the check").flatten()
            }
        };
        let mut report = self.report.lock();
        match verdict {
            Ok(verdict) => report.count(verdict),
            Err(error) => report.fail(format!("{what}\n  {error:#}")),
        }
    }

    fn stream(&self, query: &str) -> String {
        format!("{}/v1/stream?{query}", self.url)
    }
}

/// Waits until next to nothing is computed and as few files are open as before.
async fn becomes_quiet(process: Observed, before: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let spent = process.cpu_seconds()?;
        sleep(Duration::from_secs(1)).await;
        let spent = process.cpu_seconds()? - spent;
        let open = but_parts(process)?;
        if spent < IDLE_SECONDS && open.len() <= before + SPARE_DESCRIPTORS {
            return Ok(());
        }
        anyhow::ensure!(
            start.elapsed() < QUIET_PATIENCE,
            "{spent:.2} s of a second are computed; {before} files were open, now {}: {open:?}",
            open.len(),
        );
    }
}

/// What is open, less parts: the loader keeps a bounded number of those open to read them again.
fn but_parts(process: Observed) -> anyhow::Result<Vec<String>> {
    let mut open = process.descriptors()?;
    open.retain(|file| !file.contains("/part-"));
    Ok(open)
}
