//! `cache list` and `cache purge`: what lies in the bucket's folder, for operators.
//!
//! Invariants: only `purge` removes anything, and only what it was told to; what a running process
//! is writing is never removed, and what one may be reading only with `--all`.

mod args;
mod report;

use std::io::{self, Write};

use anyhow::Context as _;
use rdl_engine::{BucketFolder, StoredSource};
use serde_json::json;

pub(crate) use self::args::{CacheArgs, CacheCommand, ListPlan, PurgePlan};
use self::report::{bytes_text, entries, id, one_line, table};

/// Prints what is stored.
pub(crate) async fn list(plan: ListPlan) -> anyhow::Result<()> {
    let ListPlan { bucket, json } = plan;
    let sources = blocking(move || Ok(bucket.list()?)).await?;
    if json { print(&json!(entries(&sources)).to_string()) } else { print(&table(&sources)) }
}

/// What became of the sources that a purge was told to remove.
#[derive(Default)]
struct Purged {
    removed: Vec<StoredSource>,
    kept: Vec<StoredSource>,
    failed: Vec<anyhow::Error>,
}

/// Removes what the plan selects, and prints what went.
pub(crate) async fn purge(plan: PurgePlan) -> anyhow::Result<()> {
    let (json, dry_run) = (plan.json, plan.dry_run);
    let Purged { removed, kept, failed } = blocking(move || remove(&plan)).await?;
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

fn remove(plan: &PurgePlan) -> anyhow::Result<Purged> {
    let mut purged = Purged::default();
    for source in plan.bucket.list()?.into_iter().filter(|source| plan.selection.selects(source)) {
        if source.is_loading || (source.is_in_use() && !plan.selection.is_all()) {
            purged.kept.push(source);
            continue;
        }
        let removed = if plan.dry_run { Ok(()) } else { remove_one(&plan.bucket, &source) };
        match removed {
            Ok(()) => purged.removed.push(source),
            Err(error) => purged.failed.push(error),
        }
    }
    Ok(purged)
}

fn remove_one(bucket: &BucketFolder, source: &StoredSource) -> anyhow::Result<()> {
    bucket.remove(source).with_context(|| format!("{} was not removed", id(source)))
}

fn count_text(sources: usize) -> String {
    if sources == 1 { "1 source".to_owned() } else { format!("{sources} sources") }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work broke down")?
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print"),
    }
}
