//! Where no request goes, because the loader sends none there: link-local addresses, where clouds
//! keep credentials, and those that are no host's. A backend that names one does not work, and must
//! not make a check ask there.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Metadata services outside of 169.254.0.0/16: Alibaba's, Azure's, Oracle's.
const METADATA: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Those of Amazon, Google and Oracle in IPv6, by their first 32 bits.
const METADATA_V6: [[u16; 2]; 3] = [[0xfd00, 0xec2], [0xfd20, 0xce], [0xfd00, 0xc1]];

/// Whether nothing is asked there.
fn is_special(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA.contains(&v4)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || METADATA_V6.contains(&[first, second])
        }
    }
}

pub(super) fn refused(address: impl std::fmt::Display) -> String {
    format!(
        "{address} is a link-local, metadata or other special address, which the loader refuses"
    )
}

/// The address that stands in the URL itself, where nothing is asked.
pub(super) fn special_host(url: &Url) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Ipv4(v4) => IpAddr::V4(v4),
        Host::Ipv6(v6) => IpAddr::V6(v6),
        Host::Domain(_) => return None,
    };
    is_special(address).then_some(address)
}

/// Resolves names, and leaves out those addresses.
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (special, allowed): (Vec<_>, Vec<_>) =
                found.partition(|address| is_special(address.ip()));
            match special.first() {
                Some(address) if allowed.is_empty() => {
                    Err(io::Error::other(refused(address.ip())).into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_others() {
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            assert!(is_special(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "192.0.2.1"] {
            assert!(!is_special(address.parse().unwrap()), "{address}");
        }
        let url = |text: &str| special_host(&text.parse().unwrap());
        assert!(url("http://169.254.169.254/latest").is_some());
        assert_eq!(url("http://localhost/"), None);
    }
}
