//! `health`: whether a loader or a backend on this machine answers, for container engines, whose
//! images have nothing else to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use url::Url;

use crate::settings::{SettingsError, parse_address};

/// How long an answer may take. Container engines have a limit of their own above it.
const WITHIN: Duration = Duration::from_secs(3);

/// The flags of `health`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HealthArgs {
    /// The http URL to ask. Unset: /liveness of ADDRESS
    #[arg(long, value_parser = parse_url)]
    url: Option<Url>,

    /// Where the service listens
    #[arg(long, env = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = parse_address)]
    address: SocketAddr,
}

impl HealthArgs {
    /// Whom to ask.
    pub(crate) fn check(self) -> Result<Url, SettingsError> {
        if let Some(url) = self.url {
            return Ok(url);
        }
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        Url::parse(&format!("http://{address}/liveness"))
            .map_err(|error| SettingsError::new("ADDRESS", format!("is wrong: {error}")))
    }
}

/// Asks once, and says what came.
pub(crate) async fn run(url: Url) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .timeout(WITHIN)
        .build()
        .context("the HTTP client cannot be set up")?;
    let answer = client.get(url.clone()).send().await;
    let answer = answer.map_err(|error| match error.is_timeout() {
        true => anyhow::anyhow!("{url}: no answer within {} s", WITHIN.as_secs()),
        false => anyhow::Error::new(error.without_url()).context(format!("{url}: no answer")),
    })?;
    let status = answer.status();
    if !status.is_success() {
        bail!("{url} answered {status}");
    }
    println!("{url} answered {status}");
    Ok(())
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or_else(|| "accepts an http URL: http://127.0.0.1:8080/liveness".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(address: &str, url: Option<&str>) -> String {
        let url = url.map(|url| parse_url(url).unwrap());
        HealthArgs { url, address: address.parse().unwrap() }.check().unwrap().to_string()
    }

    #[test]
    fn whoever_listens_everywhere_is_asked_on_this_machine() {
        assert_eq!(asked("0.0.0.0:8080", None), "http://127.0.0.1:8080/liveness");
        assert_eq!(asked("[::]:90", None), "http://[::1]:90/liveness");
        assert_eq!(asked("10.0.0.7:8081", None), "http://10.0.0.7:8081/liveness");
        let readiness = "http://127.0.0.1:9/readiness";
        assert_eq!(asked("0.0.0.0:8080", Some(readiness)), readiness);
        assert!(parse_url("https://h/").is_err() && parse_url("liveness").is_err());
    }
}
