//! `cache list` and `cache purge`: what lies in the bucket, for operators.
//!
//! Invariants: only `purge` removes anything, and only what it was told to; what a running process
//! is writing is never removed, and what one may be reading in a folder only with `--all`. Of
//! readers an object store knows nothing.

mod args;
mod place;
mod recording;
mod report;
mod selection;

use std::io::{self, Write};

use anyhow::Context as _;
use futures::StreamExt as _;
use serde_json::json;

pub(crate) use self::args::{CacheArgs, CacheCommand, ListPlan, PurgePlan};
use self::place::Stored;
use self::report::{bytes_text, entries, id, one_line, table};
use self::selection::{Selected, Selection};

/// How many sources are removed side by side.
const REMOVALS: usize = 8;

/// Prints what is stored.
pub(crate) async fn list(plan: ListPlan) -> anyhow::Result<()> {
    let sources = plan.place.list(plan.stale_age).await?;
    if plan.json { print(&json!(entries(&sources)).to_string()) } else { print(&table(&sources)) }
}

/// What became of the sources that a purge was told to remove.
#[derive(Default)]
struct Purged {
    removed: Vec<Stored>,
    kept: Vec<Stored>,
    failed: Vec<anyhow::Error>,
}

/// Removes what the plan selects, and prints what went.
pub(crate) async fn purge(plan: PurgePlan) -> anyhow::Result<()> {
    let (json, dry_run) = (plan.json, plan.dry_run);
    let Purged { removed, kept, failed } = remove(plan).await?;
    let bytes: u64 = removed.iter().map(|source| source.bytes).sum();
    if json {
        let answer = json!({
            "removed": entries(&removed),
            "kept": entries(&kept),
            "bytes": bytes,
            "dryRun": dry_run,
        });
        print(&answer.to_string())?;
    } else {
        let (one, all) =
            if dry_run { ("would remove", "would free") } else { ("removed", "freed") };
        let mut text = String::new();
        for source in &removed {
            text.push_str(&format!("{one} {}\n", one_line(source)));
        }
        for source in &kept {
            text.push_str(&format!("kept {}: in use\n", one_line(source)));
        }
        text.push_str(&format!("{all} {} of {}", bytes_text(bytes), count_text(removed.len())));
        print(&text)?;
    }
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn remove(plan: PurgePlan) -> anyhow::Result<Purged> {
    let PurgePlan { place, stale_age, selection, dry_run, .. } = plan;
    let is_all = matches!(selection, Selection::All);
    let selected = selection.resolve().await?;
    let mut purged = Purged::default();
    let mut going = Vec::new();
    for source in place.list(stale_age).await? {
        match selected.of(&source) {
            Selected::No => {}
            Selected::Kept => purged.kept.push(source),
            Selected::Yes => going.push(source),
        }
    }
    let mut removals = futures::stream::iter(going)
        .map(async |source| {
            let removed = if dry_run { Ok(()) } else { place.remove(&source).await };
            (source, removed)
        })
        .buffered(REMOVALS);
    while let Some((source, removed)) = removals.next().await {
        match removed.with_context(|| format!("{} was not removed", id(&source))) {
            Ok(()) => purged.removed.push(source),
            Err(error) => purged.failed.push(error),
        }
        if !purged.failed.is_empty() && !place.may_remove_others() {
            break;
        }
    }
    drop(removals);
    if is_all && !dry_run && purged.failed.is_empty() {
        place.remove_rest().await?;
    }
    Ok(purged)
}

fn count_text(sources: usize) -> String {
    if sources == 1 { "1 source".to_owned() } else { format!("{sources} sources") }
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print"),
    }
}
