//! Which addresses no request may go to: those where clouds keep credentials, and those that are
//! no host's. Loopback and private networks are where real backends live, and are allowed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A request would have gone to an address that it must not go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedAddress(IpAddr);

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a link-local, metadata or other special address", self.0)
    }
}

impl std::error::Error for RefusedAddress {}

/// Whether requests must not go to `address`.
fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_refused_v4(v4),
        IpAddr::V6(v6) => {
            embedded_v4(v6).is_some_and(is_refused_v4)
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                // Amazon's metadata service.
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    // Metadata services outside of 169.254.0.0/16: Alibaba's, Azure's, Oracle's.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    address.is_link_local()
        // The whole of 0.0.0.0/8 reaches this host on some systems.
        || address.octets()[0] == 0
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA.contains(&address)
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64 (RFC 6052) or 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Refuses a URL whose host is a literal address that is refused; names are guarded when they are
/// resolved.
pub(crate) fn check_literal(url: &Url) -> Result<(), RefusedAddress> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_refused(address) { Err(RefusedAddress(address)) } else { Ok(()) }
}

type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Resolves names and leaves out the addresses that are refused. What it returns is what is
/// connected to, so a name cannot resolve to something else in between.
#[derive(Clone)]
pub(crate) struct GuardedResolver(Lookup);

impl GuardedResolver {
    pub(crate) fn system() -> GuardedResolver {
        GuardedResolver::with(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        })
    }

    pub(crate) fn with(
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> GuardedResolver {
        GuardedResolver(Arc::new(lookup))
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let (refused, allowed): (Vec<_>, Vec<_>) =
                found.await?.into_iter().partition(|address| is_refused(address.ip()));
            match (allowed.is_empty(), refused.first()) {
                (true, Some(refused)) => Err(RefusedAddress(refused.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_refused() {
        for refused in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(is_refused(refused.parse().unwrap()), "{refused}");
        }
        for allowed in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "::1",
            "fd00::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!is_refused(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[test]
    fn literal_hosts_are_checked_however_they_are_written() {
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9.254.43518/",
            "http://[fe80::1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://0/",
        ] {
            assert!(check_literal(&url.parse().unwrap()).is_err(), "{url}");
        }
        assert!(check_literal(&"http://localhost/".parse().unwrap()).is_ok());
        assert!(check_literal(&"http://127.0.0.1/".parse().unwrap()).is_ok());
    }

    #[tokio::test]
    async fn resolved_addresses_are_filtered() {
        let resolve = |addresses: &'static [&'static str]| async move {
            let resolver = GuardedResolver::with(move |_| {
                let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
                Box::pin(async move { Ok(found) })
            });
            let found = resolver.resolve("name.example".parse().unwrap()).await;
            found.map(|found| found.map(|found| found.to_string()).collect::<Vec<_>>())
        };
        let mixed = resolve(&["169.254.169.254:0", "10.0.0.1:0"]).await;
        assert_eq!(mixed.unwrap(), ["10.0.0.1:0"]);
        let error = resolve(&["169.254.169.254:0", "[fe80::1]:0"]).await.unwrap_err();
        assert!(error.is::<RefusedAddress>());
    }
}
