//! Readers of single values. Each message says what is accepted.

use rdl_engine::IpNet;
use url::{Origin, Url};

/// An hour, in milliseconds.
pub(super) const HOUR_MS: u64 = 3_600_000;

/// `true`, `false`, `1` or `0`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("accepts true, false, 1 or 0".into()),
    }
}

/// A scheme, a host and perhaps a port: `https://app.example.com`.
pub(crate) fn parse_origin(text: &str) -> Result<Url, String> {
    let wrong = || {
        "accepts origins separated by commas, each http or https with a host and perhaps a port: \
         https://app.example.com"
            .to_owned()
    };
    let url = Url::parse(text.trim()).map_err(|_| wrong())?;
    let is_http =
        matches!(url.scheme(), "http" | "https") && matches!(url.origin(), Origin::Tuple(..));
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_http && is_bare { Ok(url) } else { Err(wrong()) }
}

/// A network as an address and the length of its prefix: `10.0.0.0/8`.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let wrong = |_| "accepts networks separated by commas: 10.0.0.0/8,fd00::/8".to_owned();
    text.trim().parse().map_err(wrong)
}

/// A manifest parameter: `name=value`.
pub(crate) fn parse_param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("accepts name=value".into()),
    }
}

/// A whole number within bounds; what [`clap`] would say names neither bound nor unit.
pub(crate) fn parse_number<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number.ok_or_else(|| format!("accepts a whole number from {MIN} to {MAX}"))
}
