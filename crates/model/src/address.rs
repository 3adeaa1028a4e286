//! Which addresses nobody asks: those where clouds keep credentials, and those that are no host's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of 169.254.0.0/16: Alibaba's, Azure's, Oracle's.
const METADATA: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The networks of metadata services, by the first 32 bits: Amazon's, Google's, Oracle's. All are
/// unique local addresses (RFC 4193), of which nobody else may have these.
const METADATA_V6: [[u16; 2]; 3] = [[0xfd00, 0xec2], [0xfd20, 0xce], [0xfd00, 0xc1]];

/// Whether no request may go to `address`, whoever names it. Loopback and private networks are
/// where real backends live, and are none of these.
pub fn is_special_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_special_v4(v4),
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            embedded_v4(v6).is_some_and(is_special_v4)
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || METADATA_V6.contains(&[first, second])
        }
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
        // The whole of 0.0.0.0/8 reaches this host on some systems.
        || address.octets()[0] == 0
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA.contains(&address)
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, translated (RFC 6052,
/// RFC 8215) or 6to4.
pub fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        [0x64, 0xff9b, 0 | 1, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_others() {
        for special in [
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
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(is_special_address(special.parse().unwrap()), "{special}");
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
            assert!(!is_special_address(allowed.parse().unwrap()), "{allowed}");
        }
    }
}
