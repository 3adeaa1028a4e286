use clap::Args;
use tracing_subscriber::EnvFilter;

/// The log, on standard error.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogSettings {
    /// What is logged: a level (error, warn, info, debug, trace, off), or several as
    /// target=level, separated by commas. Unset: info for serve, warn for
    /// demo, off for export, check, cache and health
    #[arg(long = "log", env = "RUST_LOG", value_name = "RUST_LOG", value_parser = parse_filter,
          global = true)]
    pub(crate) rust_log: Option<String>,

    /// How a line of the log is written: text or json
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_parser = parse_format,
          global = true)]
    pub(crate) log_format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn parse_filter(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|_| {
        "accepts a level (error, warn, info, debug, trace, off), or several as target=level, \
         separated by commas"
            .into()
    })
}

fn parse_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("accepts text and json".into()),
    }
}
