use std::net::SocketAddr;

use clap::Args;

/// The metrics, for Prometheus, at `/metrics` of an address of their own.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsSettings {
    /// The address to listen at for whoever collects metrics, at /metrics: an IP address and a port,
    /// of which port 0 takes a free one; or off
    #[arg(long, env = "PROMETHEUS_ADDRESS", default_value = "0.0.0.0:6001",
          value_parser = parse_address)]
    pub(crate) prometheus_address: MetricsAddress,

    /// What stands before the name of every metric, with an underscore; none leaves it out
    #[arg(long, env = "PROMETHEUS_METRICS_NAMESPACE", default_value = "remote_data_loader",
          value_parser = parse_prefix)]
    pub(crate) prometheus_metrics_namespace: Prefix,

    /// What stands between the namespace and the name of every metric
    #[arg(long, env = "PROMETHEUS_METRICS_SUBSYSTEM", default_value = "none",
          value_parser = parse_prefix)]
    pub(crate) prometheus_metrics_subsystem: Prefix,

    /// What whoever deployed the loader calls this release; a label of the metric build_info
    #[arg(long, env = "REMOTE_DATA_LOADER_VERSION", value_name = "NAME")]
    pub(crate) remote_data_loader_version: Option<String>,
}

/// Where metrics are served, if they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricsAddress(pub(crate) Option<SocketAddr>);

/// A part of a metric's name, if there is to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Option<String>);

impl MetricsSettings {
    /// What stands before the name of every metric, without the underscore between.
    pub(crate) fn prefix(&self) -> Option<String> {
        let parts = [&self.prometheus_metrics_namespace, &self.prometheus_metrics_subsystem];
        let parts: Vec<&str> = parts.into_iter().filter_map(|part| part.0.as_deref()).collect();
        (!parts.is_empty()).then(|| parts.join("_"))
    }
}

fn parse_address(text: &str) -> Result<MetricsAddress, String> {
    if text == "off" {
        return Ok(MetricsAddress(None));
    }
    let address = text.parse().map_err(|_| {
        "accepts an IP address and a port: 0.0.0.0:6001 or [::]:6001; or off".to_owned()
    })?;
    Ok(MetricsAddress(Some(address)))
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    if text == "none" {
        return Ok(Prefix(None));
    }
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name =
        text.starts_with(is_start) && text.chars().all(|c| is_start(c) || c.is_ascii_digit());
    match is_name {
        true => Ok(Prefix(Some(text.to_owned()))),
        false => Err("accepts letters, digits and underscores, the first no digit; or none".into()),
    }
}
