use std::time::Duration;

use clap::{ArgAction, Args};
use rdl_engine::{FetchConfig, IpNet, TokenPolicy};
use url::Url;

use super::SettingsError;
use super::files::BACKEND;
use super::values::{parse_bool, parse_network, parse_number, parse_origin};

const MANIFEST_ENDPOINT: &str = "MANIFEST_ENDPOINT";

/// The data backend.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data backend")]
pub(crate) struct BackendSettings {
    /// The URL that is asked for manifests. Required, unless `serve` has a BACKEND
    // Read by `fetch_config`: what clap says about a wrong value shows it, and a URL may hold secrets.
    #[arg(long, env = MANIFEST_ENDPOINT)]
    pub(crate) manifest_endpoint: Option<String>,

    /// Allow plain http, for the manifest endpoint and for sources: true, false, 1 or 0
    #[arg(long, env = "ALLOW_HTTP_SOURCES", value_parser = parse_bool, action = ArgAction::Set,
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub(crate) allow_http_sources: bool,

    /// For how many milliseconds a manifest answers further requests of the same token; 0 is off,
    /// at most 30000
    #[arg(long, env = "MANIFEST_CACHE_TTL_MS", default_value = "0",
          value_parser = parse_number::<0, 30_000>)]
    pub(crate) manifest_cache_ttl_ms: u64,

    /// How many manifests are kept
    #[arg(long, env = "MANIFEST_CACHE_MAX_CAPACITY", default_value = "1024",
          value_parser = parse_number::<0, 1_000_000>)]
    pub(crate) manifest_cache_max_capacity: u64,

    /// To which origins, separated by commas, bearer tokens may go besides the manifest endpoint's
    /// own. Unset: to every source that a manifest names. A token never goes to a URL that is
    /// already signed
    #[arg(long, env = "AUTH_TOKEN_ORIGINS", value_delimiter = ',', value_parser = parse_origin)]
    pub(crate) auth_token_origins: Option<Vec<Url>>,

    /// Networks, separated by commas, to which no request may go: for sources and redirects, after
    /// names are resolved. The manifest endpoint's own scheme, host and port may lie in them.
    /// Link-local and metadata addresses are refused whatever this says
    #[arg(long, env = "DENY_SOURCE_CIDRS", value_delimiter = ',', value_parser = parse_network)]
    pub(crate) deny_source_cidrs: Vec<IpNet>,
}

impl BackendSettings {
    pub(crate) fn fetch_config(&self) -> Result<FetchConfig, SettingsError> {
        let mut config = self.fetch_config_of(self.endpoint()?);
        if let Some(origins) = &self.auth_token_origins {
            config.token_policy = TokenPolicy::only(origins);
        }
        config.allow_http_sources = self.allow_http_sources;
        Ok(config)
    }

    /// In front of a backend in this process: plain http, and tokens go nowhere else.
    pub(crate) fn embedded_config(&self, placeholder: Url) -> Result<FetchConfig, SettingsError> {
        if self.manifest_endpoint.is_some() {
            let message = format!("is set, and {BACKEND} is too; unset one of them");
            return Err(SettingsError::new(MANIFEST_ENDPOINT, message));
        }
        if self.auth_token_origins.is_some() {
            let message = format!(
                "is set, and {BACKEND} is too: tokens go to the backend in this process and \
                 nowhere else; unset one of them"
            );
            return Err(SettingsError::new("AUTH_TOKEN_ORIGINS", message));
        }
        let mut config = self.fetch_config_of(placeholder);
        config.allow_http_sources = true;
        config.token_policy = TokenPolicy::only([]);
        Ok(config)
    }

    fn fetch_config_of(&self, endpoint: Url) -> FetchConfig {
        let mut config = FetchConfig::new(endpoint);
        config.manifest_cache_ttl = Duration::from_millis(self.manifest_cache_ttl_ms);
        config.manifest_cache_capacity =
            usize::try_from(self.manifest_cache_max_capacity).unwrap_or(usize::MAX);
        config.denied_networks.clone_from(&self.deny_source_cidrs);
        config
    }

    fn endpoint(&self) -> Result<Url, SettingsError> {
        let refuse = |message: &str| Err(SettingsError::new(MANIFEST_ENDPOINT, message));
        let Some(text) = &self.manifest_endpoint else {
            return refuse(
                "is not set; it accepts the URL that is asked for manifests, \
                 https://data.example.com/manifest",
            );
        };
        let url = Url::parse(text.trim()).ok().filter(Url::has_host);
        match url {
            Some(url) if url.scheme() == "https" => Ok(url),
            Some(url) if url.scheme() == "http" && self.allow_http_sources => Ok(url),
            Some(url) if url.scheme() == "http" => refuse(
                "is plain http; use https, or set ALLOW_HTTP_SOURCES=true to allow plain http for \
                 manifests and sources",
            ),
            _ => refuse("accepts an absolute https URL, https://data.example.com/manifest"),
        }
    }
}
