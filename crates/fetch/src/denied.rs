//! The networks in which no source may lie, by the operator's will.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use rdl_model::embedded_v4;
use url::Url;

/// Which variables name the proxies; of a pair the first that is set counts.
const PROXY_VARIABLES: [[&str; 2]; 3] =
    [["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// Networks that are refused, and the names of the proxies, which may lie in them.
pub(crate) struct DeniedNetworks {
    networks: Vec<IpNet>,
    proxies: HashSet<String>,
}

impl DeniedNetworks {
    pub(crate) fn new(
        networks: &[IpNet],
        proxies: impl IntoIterator<Item = String>,
    ) -> DeniedNetworks {
        let proxies = proxies.into_iter().map(|name| normal(&name)).collect();
        DeniedNetworks { networks: networks.to_vec(), proxies }
    }

    /// Whether the address, or the IPv4 address that it leads to, lies in one of them.
    pub(crate) fn have(&self, address: IpAddr) -> bool {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => embedded_v4(v6).map(IpAddr::V4),
        };
        let lies_in = |network: &IpNet| {
            network.contains(&address) || embedded.is_some_and(|v4| network.contains(&v4))
        };
        self.networks.iter().any(lies_in)
    }

    /// Whether a proxy has this name.
    pub(crate) fn is_proxy(&self, name: &str) -> bool {
        !self.proxies.is_empty() && self.proxies.contains(&normal(name))
    }
}

/// One name, however it is written.
fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The host names of the proxies that these variables name. An address needs no resolving.
pub(crate) fn proxy_names(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let set = |names: &[&str; 2]| {
        let values = names.iter().filter_map(|name| variable(name));
        values.into_iter().find(|value| !value.is_empty())
    };
    let host = |value: String| {
        let text = if value.contains("://") { value } else { format!("http://{value}") };
        Url::parse(&text).ok()?.domain().map(str::to_owned)
    };
    PROXY_VARIABLES.iter().filter_map(set).filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_addresses_that_lead_into_them() {
        let networks = ["10.0.0.0/8", "192.168.7.7/32", "fd00::/8"];
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        let denied = DeniedNetworks::new(&networks, []);
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "192.168.7.7",
            "fd00::1",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "64:ff9b::a01:203",
            "2002:a01:203::1",
        ] {
            assert!(denied.have(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.168.7.8", "127.0.0.1", "fe00::1", "::ffff:11.0.0.1"] {
            assert!(!denied.have(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn proxies_are_found_as_they_are_written() {
        let variables = [
            ("HTTP_PROXY", "http://me:secret@Proxy.Example:3128"),
            ("http_proxy", "http://unused.example"),
            ("HTTPS_PROXY", ""),
            ("https_proxy", "other.example:8080"),
            ("all_proxy", "http://10.0.0.1:3128"),
        ];
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(proxy_names(variable), ["proxy.example", "other.example"]);
        assert!(proxy_names(|_| None).is_empty());
    }
}
