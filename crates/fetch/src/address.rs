//! Which addresses no request may go to: those where clouds keep credentials, and those that are
//! no host's. Loopback and private networks are where real backends live, and are allowed unless
//! the operator denies them ([`DeniedNetworks`]).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use rdl_model::is_special_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::denied::DeniedNetworks;

/// A request would have gone to an address that it must not go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusedAddress {
    Special(IpAddr),
    Denied(IpAddr),
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(address) => {
                write!(f, "{address} is a link-local, metadata or other special address")
            }
            Self::Denied(address) => {
                write!(f, "{address} lies in a network that DENY_SOURCE_CIDRS denies")
            }
        }
    }
}

impl std::error::Error for RefusedAddress {}

type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Resolves names and leaves out the addresses that are refused. What it returns is what is
/// connected to, so a name cannot resolve to something else in between.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    lookup: Lookup,
    denied: Option<Arc<DeniedNetworks>>,
}

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
        GuardedResolver { lookup: Arc::new(lookup), denied: None }
    }

    /// The same that refuses these networks too.
    pub(crate) fn denying(&self, networks: DeniedNetworks) -> GuardedResolver {
        GuardedResolver { lookup: self.lookup.clone(), denied: Some(Arc::new(networks)) }
    }

    /// What can be said of a URL before its host is connected to: a literal address is never
    /// resolved, and the name of a proxy not for the sake of a source.
    pub(crate) async fn check(&self, url: &Url) -> Result<(), RefusedAddress> {
        let judge = |address| judge(address, self.denied.as_deref());
        match url.host() {
            Some(Host::Ipv4(v4)) => judge(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => judge(IpAddr::V6(v6)),
            Some(Host::Domain(name)) if self.is_proxy(name) => {
                // Where it cannot be found, nobody connects to it.
                let found = (self.lookup)(name.to_owned()).await.unwrap_or_default();
                found.iter().try_for_each(|address| judge(address.ip()))
            }
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    fn is_proxy(&self, name: &str) -> bool {
        self.denied.as_ref().is_some_and(|denied| denied.is_proxy(name))
    }
}

fn judge(address: IpAddr, denied: Option<&DeniedNetworks>) -> Result<(), RefusedAddress> {
    if is_special_address(address) {
        return Err(RefusedAddress::Special(address));
    }
    match denied {
        Some(denied) if denied.have(address) => Err(RefusedAddress::Denied(address)),
        _ => Ok(()),
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        // The operator named the proxies: one that lies in a denied network is to be reached all
        // the same, and guards the addresses behind it itself. A source under a proxy's name is
        // judged by `check`.
        let denied = self.denied.clone().filter(|denied| !denied.is_proxy(name.as_str()));
        Box::pin(async move {
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found.await? {
                match judge(address.ip(), denied.as_deref()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = refused.or(Some(why)),
                }
            }
            match refused {
                Some(refused) if allowed.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literal_hosts_are_checked_however_they_are_written() {
        let resolver = GuardedResolver::system();
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9.254.43518/",
            "http://[fe80::1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://0/",
        ] {
            assert!(resolver.check(&url.parse().unwrap()).await.is_err(), "{url}");
        }
        assert!(resolver.check(&"http://localhost/".parse().unwrap()).await.is_ok());
        assert!(resolver.check(&"http://127.0.0.1/".parse().unwrap()).await.is_ok());
    }

    /// A resolver to which every name is at these addresses.
    fn at(addresses: &'static [&'static str]) -> GuardedResolver {
        GuardedResolver::with(move |_| {
            let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Box::pin(async move { Ok(found) })
        })
    }

    async fn resolve(
        resolver: &GuardedResolver,
        name: &str,
    ) -> Result<Vec<String>, Option<RefusedAddress>> {
        let found = resolver.resolve(name.parse().unwrap()).await;
        let found = found.map_err(|error| error.downcast_ref::<RefusedAddress>().cloned());
        found.map(|found| found.map(|found| found.to_string()).collect())
    }

    #[tokio::test]
    async fn resolved_addresses_are_filtered() {
        let mixed = at(&["169.254.169.254:0", "10.0.0.1:0"]);
        assert_eq!(resolve(&mixed, "name.example").await.unwrap(), ["10.0.0.1:0"]);
        let special = at(&["169.254.169.254:0", "[fe80::1]:0"]);
        let error = resolve(&special, "name.example").await.unwrap_err().unwrap();
        assert_eq!(error, RefusedAddress::Special("169.254.169.254".parse().unwrap()));
        let denying = mixed.denying(denied(&[]));
        let error = resolve(&denying, "name.example").await.unwrap_err().unwrap();
        assert!(matches!(error, RefusedAddress::Special(_)), "{error}");
        let denying = at(&["[::ffff:10.0.0.1]:0", "8.8.8.8:0"]).denying(denied(&[]));
        assert_eq!(resolve(&denying, "name.example").await.unwrap(), ["8.8.8.8:0"]);
        let denying = at(&["[64:ff9b::a00:1]:0"]).denying(denied(&[]));
        let error = resolve(&denying, "name.example").await.unwrap_err().unwrap();
        assert!(error.to_string().contains("DENY_SOURCE_CIDRS"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_may_lie_in_a_denied_network_and_a_source_under_its_name_may_not() {
        let internal = at(&["8.8.8.8:0", "10.0.0.1:0"]).denying(denied(&["proxy.example"]));
        assert_eq!(resolve(&internal, "proxy.example").await.unwrap().len(), 2);
        assert_eq!(resolve(&internal, "Proxy.Example.").await.unwrap().len(), 2);
        assert_eq!(resolve(&internal, "other.example").await.unwrap().len(), 1);
        let check = async |url: &str| internal.check(&url.parse().unwrap()).await;
        assert!(matches!(check("http://proxy.example:1/").await, Err(RefusedAddress::Denied(_))));
        assert!(check("http://other.example/").await.is_ok());
        let special = at(&["169.254.169.254:0"]).denying(denied(&["proxy.example"]));
        assert!(resolve(&special, "proxy.example").await.is_err());
    }

    fn denied(proxies: &[&str]) -> DeniedNetworks {
        let proxies = proxies.iter().map(|name| (*name).to_owned());
        DeniedNetworks::new(&["10.0.0.0/8".parse().unwrap()], proxies)
    }
}
