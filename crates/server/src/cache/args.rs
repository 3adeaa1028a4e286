use std::time::Duration;

use clap::{Args, Subcommand};
use rdl_engine::{BucketFolder, StoredSource};

use super::report::id;
use crate::settings::{CacheSettings, SettingsError};

/// `cache`.
#[derive(Args, Debug)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// What to do with the cache.
#[derive(Subcommand, Debug)]
pub(crate) enum CacheCommand {
    /// List what is stored, the longest unused first
    List(ListArgs),
    /// Remove what is selected. What was used within the last minute stays, as somebody may be
    /// reading it: only --all takes that too, and whoever reads it is cut off. What a running
    /// process is loading always stays
    Purge(PurgeArgs),
}

/// The flags of `cache list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// Print an array of JSON objects: id, key, state, bytes, parts, completedAt, usedAt
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheSettings,
}

/// The flags of `cache purge`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to remove")]
pub(crate) struct PurgeArgs {
    /// A source, by the id or the key that cache list shows; may be repeated
    #[arg(long = "source", value_name = "ID")]
    sources: Vec<String>,

    /// What was completed longer ago: 90s, 30m, 12h or 7d. With --source only those of them
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Everything, what was used within the last minute too
    #[arg(long, conflicts_with_all = ["sources", "older_than"])]
    all: bool,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON object: removed and kept (as in cache list), bytes, dryRun
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheSettings,
}

/// What to list, found right.
pub(crate) struct ListPlan {
    pub(super) bucket: BucketFolder,
    pub(super) json: bool,
}

/// What to remove, found right.
pub(crate) struct PurgePlan {
    pub(super) bucket: BucketFolder,
    pub(super) selection: Selection,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

/// Which sources.
pub(super) enum Selection {
    All,
    Those {
        /// Any when empty.
        sources: Vec<String>,
        older_than: Option<Duration>,
    },
}

impl ListArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(self) -> Result<ListPlan, SettingsError> {
        Ok(ListPlan { bucket: self.cache.bucket_folder()?, json: self.json })
    }
}

impl PurgeArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(self) -> Result<PurgePlan, SettingsError> {
        let PurgeArgs { sources, older_than, all, dry_run, json, cache } = self;
        let selection = match (all, sources.is_empty() && older_than.is_none()) {
            (true, _) => Selection::All,
            (false, false) => Selection::Those { sources, older_than },
            (false, true) => {
                return Err(SettingsError::new(
                    "cache purge",
                    "must be told what to remove: --source <id>, --older-than <age>, or --all",
                ));
            }
        };
        Ok(PurgePlan { bucket: cache.bucket_folder()?, selection, dry_run, json })
    }
}

impl Selection {
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    pub(super) fn selects(&self, source: &StoredSource) -> bool {
        let Self::Those { sources, older_than } = self else { return true };
        let is_named = sources.is_empty()
            || sources.iter().any(|name| *name == id(source) || *name == source.key.to_string());
        let since = source.completed_at.unwrap_or(source.used_at);
        let is_older = older_than.is_none_or(|least| since.elapsed().is_ok_and(|age| age >= least));
        is_named && is_older
    }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || "accepts a whole number and a unit: 90s, 30m, 12h or 7d".to_owned();
    let digits = text.find(|digit: char| !digit.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-7d", "7 d", "7D", "7dd", "1.5h", "7d12h", "７d", "7é"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
        assert!(parse_age("99999999999999999999d").is_err());
        assert!(parse_age("999999999999999999d").is_err());
    }
}
