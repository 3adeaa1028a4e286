use std::net::SocketAddr;

use clap::{ArgAction, Args};
use url::Url;

use super::values::{HOUR_MS, parse_bool, parse_number, parse_origin};

/// The HTTP service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServerSettings {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, env = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = parse_address)]
    pub(crate) address: SocketAddr,

    /// Answer requests without a bearer token too, and viewers of any origin: true, false, 1 or 0.
    /// The data backend must then grant every recording to everyone who reaches this service
    #[arg(long, env = "DISABLE_AUTH", value_parser = parse_bool, action = ArgAction::Set,
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub(crate) disable_auth: bool,

    /// For how many milliseconds a request for a recording's file waits until all of it is loaded;
    /// then it gets a 503 with the progress, and loading goes on
    #[arg(long, env = "FILE_WAIT_MS", default_value = "30000",
          value_parser = parse_number::<0, HOUR_MS>)]
    pub(crate) file_wait_ms: u64,

    /// The origins, separated by commas, whose pages may ask with credentials; without effect when
    /// auth is disabled
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", value_delimiter = ',', value_parser = parse_origin,
          default_value = "https://app.foxglove.dev,https://embed.foxglove.dev")]
    pub(crate) cors_allowed_origins: Vec<Url>,
}

/// An IP address and a port.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "accepts an IP address and a port: 0.0.0.0:8080 or [::]:8080".into())
}
