use std::time::Duration;

use clap::{Args, Subcommand};
use rdl_engine::{ManifestParams, Token};

use super::place::Place;
use super::recording::RecordingPlan;
use super::selection::Selection;
use crate::settings::{
    BackendSettings, CacheSettings, Secret, SettingsError, StaleSettings, parse_param,
};

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
    List(Box<ListArgs>),
    /// Remove what is selected. What a running process is loading always stays. In a folder what
    /// was used within the last minute stays, as somebody may be reading it: only --all takes that
    /// too. An object store notes no reads. Whoever reads what is removed is cut off and asks again
    Purge(Box<PurgeArgs>),
}

/// The flags of `cache list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// Print an array of JSON objects: id, key, state, bytes, parts, completedAt, usedAt (in an
    /// object store, which notes no reads, the last write)
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheSettings,

    #[command(flatten)]
    stale: StaleSettings,
}

/// The flags of `cache purge`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to remove")]
pub(crate) struct PurgeArgs {
    /// A source, by the id or the key that cache list shows; may be repeated
    #[arg(long = "source", value_name = "ID")]
    sources: Vec<String>,

    /// The streamed sources of a recording, by its manifest parameters, name=value; may be
    /// repeated. The manifest endpoint is asked which they are
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    params: Vec<(String, String)>,

    /// What was completed longer ago: 90s, 30m, 12h or 7d. With --source or --param only those of
    /// them
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Everything, in a folder what was used within the last minute too
    #[arg(long, conflicts_with_all = ["sources", "params", "older_than"])]
    all: bool,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON object: removed and kept (as in cache list), bytes, dryRun
    #[arg(long)]
    json: bool,

    /// The bearer token to ask the manifest endpoint with; better set by the variable, which other
    /// users cannot see
    #[arg(long, env = "REMOTE_DATA_LOADER_TOKEN", hide_env_values = true)]
    token: Option<Secret>,

    #[command(flatten)]
    backend: BackendSettings,

    #[command(flatten)]
    cache: CacheSettings,

    #[command(flatten)]
    stale: StaleSettings,
}

/// What to list, found right.
pub(crate) struct ListPlan {
    pub(super) place: Place,
    pub(super) stale_age: Duration,
    pub(super) json: bool,
}

/// What to remove, found right.
pub(crate) struct PurgePlan {
    pub(super) place: Place,
    pub(super) stale_age: Duration,
    pub(super) selection: Selection,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

impl ListArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(self) -> Result<ListPlan, SettingsError> {
        let stale_age = self.stale.age();
        Ok(ListPlan { place: Place::of(&self.cache)?, stale_age, json: self.json })
    }
}

impl PurgeArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(self) -> Result<PurgePlan, SettingsError> {
        Ok(PurgePlan {
            selection: self.selection()?,
            place: Place::of(&self.cache)?,
            stale_age: self.stale.age(),
            dry_run: self.dry_run,
            json: self.json,
        })
    }

    fn selection(&self) -> Result<Selection, SettingsError> {
        if self.all {
            return Ok(Selection::All);
        }
        if self.sources.is_empty() && self.params.is_empty() && self.older_than.is_none() {
            return Err(SettingsError::new(
                "cache purge",
                "must be told what to remove: --source <id>, --param <name>=<value>, \
                 --older-than <age>, or --all",
            ));
        }
        let recording = if self.params.is_empty() {
            None
        } else {
            Some(Box::new(RecordingPlan {
                fetch: self.backend.fetch_config()?,
                params: ManifestParams(self.params.clone()),
                token: self.token.as_ref().map(|token| Token::new(token.expose())),
            }))
        };
        let (sources, older_than) = (self.sources.clone(), self.older_than);
        Ok(Selection::Those { sources, recording, older_than })
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
