//! `check`: conformance of a data backend, a line per rule.
//!
//! The rules and how they are seen live in `rdl_conformance`; here is the command line: which
//! manifests, how far, and how the report is printed. The report goes to standard output whatever
//! comes of it, and the exit status says whether a rule is broken.

mod args;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use rdl_conformance::{CheckOptions, Progress, Report, Style};

pub(crate) use self::args::CheckArgs;
use self::args::CheckPlan;
use crate::signals::Signals;

/// How wide a report is where there is no terminal.
const WIDTH: usize = 100;
/// Wider than this, lines are hard to follow.
const WIDEST: usize = 140;

/// Runs a check to its end, or until a signal comes; then what was seen by that time is
/// told. An error: a rule is broken, or it was interrupted.
pub(crate) async fn run(plan: CheckPlan) -> anyhow::Result<()> {
    let CheckPlan { mut options, json } = plan;
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let bar = show_progress(&mut options);
    let mut interrupted = false;
    let stop = async {
        signals.next().await;
        interrupted = true;
    };
    let report = rdl_conformance::check_until(&options, stop).await?;
    bar.finish_and_clear();
    let text = if json {
        let mut text = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
        text.push('\n');
        text
    } else {
        report.text(style())
    };
    print(&text)?;
    verdict(&report)?;
    anyhow::ensure!(!interrupted, "interrupted; what was not reached by then is not observed");
    Ok(())
}

/// A line on the terminal; nothing where standard error is none.
fn show_progress(options: &mut CheckOptions) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message("asking for the manifest");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let shown = bar.clone();
    options.progress = Some(Arc::new(move |Progress { done, of }| {
        shown.set_message(format!("checking sources: {done} of {of}"));
    }));
    bar
}

fn style() -> Style {
    if !io::stdout().is_terminal() {
        return Style { width: WIDTH, colours: false };
    }
    let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    Style { width: width.min(WIDEST), colours: !is_set("NO_COLOR") }
}

/// The first broken rule in words, and the names of the others.
fn verdict(report: &Report) -> anyhow::Result<()> {
    let mut failed = report.failed();
    let Some(first) = failed.next() else { return Ok(()) };
    let others: Vec<&str> = failed.map(|rule| rule.name).collect();
    match others.as_slice() {
        [] => anyhow::bail!("{} fails: {}", first.name, first.found),
        others => anyhow::bail!(
            "{} rules fail: {}: {}; and {}",
            others.len() + 1,
            first.name,
            first.found,
            others.join(", ")
        ),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    match write!(io::stdout(), "{text}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print"),
    }
}

#[cfg(test)]
mod tests;
