use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use super::watch::Watch;

/// How often the line moves on while nothing comes.
const TICK: Duration = Duration::from_millis(200);

/// A line on the terminal that says how far an export has come; nothing where standard error is
/// none.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    pub(super) fn start() -> Progress {
        let style = ProgressStyle::with_template(
            "{spinner} {binary_bytes} {binary_bytes_per_sec}  {wide_msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(TICK);
        Progress { bar, started: Instant::now() }
    }

    /// How many bytes there will be.
    pub(super) fn set_length(&self, bytes: u64) {
        let style = ProgressStyle::with_template(
            "{bar:30} {binary_bytes} of {binary_total_bytes} {binary_bytes_per_sec}  {wide_msg}",
        );
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
        self.bar.set_length(bytes);
    }

    /// Why nothing comes at the moment.
    pub(super) fn wait(&self, why: &str) {
        self.bar.set_message(why.to_owned());
    }

    /// Begins at the first byte again.
    pub(super) fn restart(&self) {
        self.bar.reset();
    }

    pub(super) fn advance(&self, watch: &Watch) {
        self.bar.set_position(watch.bytes());
        if let Some(reached) = watch.reached() {
            self.bar.set_message(reached.to_string());
        }
    }

    /// Says something on a line of its own.
    pub(super) fn say(&self, what: &str) {
        self.bar.println(what);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number of bytes for people.
pub(super) fn bytes_text(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}
