//! Where no request goes, because the loader sends none there: link-local addresses, where clouds
//! keep credentials, and those that are no host's. A backend that names one does not work, and must
//! not make a check ask there.

use std::net::IpAddr;

use rdl_model::is_special_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A request would have gone to this address.
#[derive(Debug, thiserror::Error)]
#[error("{0} is a link-local, metadata or other special address, which the loader refuses")]
pub(super) struct Refused(pub(super) IpAddr);

/// The address that stands in the URL itself, where nothing is asked.
pub(super) fn special_host(url: &Url) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Ipv4(v4) => IpAddr::V4(v4),
        Host::Ipv6(v6) => IpAddr::V6(v6),
        Host::Domain(_) => return None,
    };
    is_special_address(address).then_some(address)
}

/// Resolves names, and leaves out those addresses.
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (special, allowed): (Vec<_>, Vec<_>) =
                found.partition(|address| is_special_address(address.ip()));
            match special.first() {
                Some(address) if allowed.is_empty() => Err(Refused(address.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_url_itself_are_looked_at() {
        let url = |text: &str| special_host(&text.parse().unwrap());
        for special in
            ["169.254.169.254", "[::a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]"]
        {
            assert!(url(&format!("http://{special}/latest")).is_some(), "{special}");
        }
        assert_eq!(url("http://localhost/"), None);
    }
}
