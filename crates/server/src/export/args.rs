use std::path::PathBuf;

use clap::Args;
use rdl_engine::{EngineConfig, Query, Token};
use rdl_model::Nanos;
use url::Url;

use super::output::Target;
use crate::routes::{
    CompressionName, OrderedParams, ReplayPolicyName, StreamRequest, TimeText, parse_compression,
    parse_replay_policy,
};
use crate::settings::{EngineSettings, Secret, SettingsError, parse_param};

/// The flags of `export`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to export")]
pub(crate) struct ExportArgs {
    /// A manifest parameter, name=value; may be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    params: Vec<(String, String)>,

    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "cut")]
    output: Option<PathBuf>,

    /// Write nothing, and print the link to the file at the running loader instead: any MCAP tool opens
    /// it
    #[arg(long, requires = "loader", conflicts_with_all = ["output", "partial"])]
    cut: bool,

    /// The first log time: RFC 3339 or whole nanoseconds since the Unix epoch
    #[arg(long, value_name = "TIME")]
    start: Option<Nanos>,

    /// The last log time, included: RFC 3339 or whole nanoseconds since the Unix epoch
    #[arg(long, value_name = "TIME")]
    end: Option<Nanos>,

    /// A topic; may be repeated. All when absent
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,

    /// What is written besides the range: none, lastPerChannel or lastPerChannelInRange
    #[arg(long, value_name = "POLICY", default_value = "none", value_parser = parse_replay_policy)]
    replay_policy: ReplayPolicyName,

    /// How many seconds before the start sources may lie that are loaded only to look back
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = parse_seconds)]
    replay_lookback_seconds: f64,

    /// Write chunks only without compression or with this one: lz4, zstd or none. When absent
    /// chunks stay as they are, and what is rewritten is lz4
    #[arg(long, value_name = "COMPRESSION", value_parser = parse_compression)]
    compression: Option<CompressionName>,

    /// Leave out sources that fail, and name them in the closing metadata record
    #[arg(long)]
    partial: bool,

    /// Write attachments too
    #[arg(long)]
    attachments: bool,

    /// Ask this running loader instead of a data backend
    #[arg(long, value_name = "URL", value_parser = parse_loader)]
    loader: Option<Url>,

    /// The bearer token to ask with; better set by the variable, which other users cannot see
    #[arg(long, env = "REMOTE_DATA_LOADER_TOKEN", hide_env_values = true)]
    token: Option<Secret>,

    #[command(flatten)]
    engine: EngineSettings,
}

/// What an export is to do, found right.
pub(crate) struct ExportPlan {
    pub(super) request: StreamRequest,
    pub(super) query: Query,
    /// Where to; without one, only the link is printed.
    pub(super) target: Option<Target>,
    pub(super) origin: OriginPlan,
    pub(super) token: Option<Token>,
}

/// Whom an export asks.
pub(crate) enum OriginPlan {
    /// A data backend, by an engine of its own.
    Backend(Box<EngineConfig>),
    /// A running loader.
    Loader(Url),
}

impl ExportArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(&self) -> Result<ExportPlan, SettingsError> {
        let request = StreamRequest {
            manifest_params: OrderedParams(self.params.clone()),
            topics: (!self.topics.is_empty()).then(|| self.topics.clone()),
            start: self.start.map(TimeText),
            end: self.end.map(TimeText),
            replay_policy: self.replay_policy,
            replay_lookback_seconds: Some(self.replay_lookback_seconds),
            compression: self.compression,
            partial: self.partial,
            attachments: self.attachments,
        };
        let query = request
            .query()
            // Everything else was found right when it was parsed.
            .map_err(|_| SettingsError::new("--start", "lies after --end"))?;
        Ok(ExportPlan {
            request,
            query,
            target: self.output.as_deref().map(Target::new).transpose()?,
            origin: match &self.loader {
                Some(loader) => OriginPlan::Loader(loader.clone()),
                None => OriginPlan::Backend(Box::new(self.engine.engine_config()?)),
            },
            token: self.token.as_ref().map(|token| Token::new(token.expose())),
        })
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| std::time::Duration::try_from_secs_f64(*seconds).is_ok())
        .ok_or_else(|| "accepts a number of seconds, 0 or more".into())
}

fn parse_loader(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| "accepts the URL of a loader: http://127.0.0.1:8080".into())
}
