use std::time::Duration;

use clap::{ArgAction, Args};
use rdl_conformance::{CheckOptions, Token};
use url::Url;

use crate::settings::{Secret, SettingsError, parse_bool, parse_number};

const MANIFEST_URL: &str = "MANIFEST_URL";

/// The flags of `check`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to check")]
pub(crate) struct CheckArgs {
    /// The URL of a manifest, with everything that names a recording:
    /// https://data.example.com/manifest?recording=x. With several, ids are compared across them
    // Read by `check`: what clap says about a wrong value shows it, and a URL may hold secrets.
    #[arg(value_name = "MANIFEST_URL", required = true, num_args = 1..)]
    manifests: Vec<String>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// The bearer token to ask with; better set by the variable, which other users cannot see
    #[arg(long, env = "REMOTE_DATA_LOADER_TOKEN", hide_env_values = true)]
    token: Option<Secret>,

    /// Check that the backend refuses whoever has no token, or a wrong one
    #[arg(long)]
    expect_auth: bool,

    /// Allow plain http everywhere, not on this machine only: true, false, 1 or 0
    #[arg(long, env = "ALLOW_HTTP_SOURCES", value_parser = parse_bool, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    allow_http_sources: bool,

    /// How many seconds a connection, an answer and each further piece of a body may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    timeout: f64,

    /// How many bytes of each source are read; what is left unread is not observed
    #[arg(long, value_name = "BYTES", default_value = "1073741824",
          value_parser = parse_number::<1, { u64::MAX }>)]
    max_bytes: u64,

    /// For how many seconds each source is read; what is left unread is not observed
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds)]
    max_seconds: f64,

    /// How many sources of each manifest are read, spread over it; the others are not observed
    #[arg(long, value_name = "COUNT", default_value = "10000",
          value_parser = parse_number::<1, 10_000>)]
    max_sources: u64,

    /// How many sources are read side by side
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = parse_number::<1, 64>)]
    concurrency: u64,
}

/// What a check is to do, found right.
pub(crate) struct CheckPlan {
    pub(super) options: CheckOptions,
    pub(super) json: bool,
}

impl CheckArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(&self) -> Result<CheckPlan, SettingsError> {
        let manifests = self.manifests.iter().map(|text| manifest(text));
        let mut options = CheckOptions::new(manifests.collect::<Result<_, _>>()?);
        options.token = self.token.as_ref().map(|token| Token::new(token.expose()));
        options.expect_auth = self.expect_auth;
        options.allow_http = self.allow_http_sources;
        options.timeout = Duration::from_secs_f64(self.timeout);
        options.max_bytes = self.max_bytes;
        options.max_time = Duration::from_secs_f64(self.max_seconds);
        options.max_sources = usize::try_from(self.max_sources).unwrap_or(usize::MAX);
        options.concurrency = usize::try_from(self.concurrency).unwrap_or(1);
        Ok(CheckPlan { options, json: self.json })
    }
}

fn manifest(text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        SettingsError::new(
            MANIFEST_URL,
            "accepts an absolute http or https URL: https://data.example.com/manifest?recording=x",
        )
    })
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "accepts a number of seconds from 0.001 to 86400".into())
}
