//! Which addresses can be reached over the public internet, and which are likely to be one neighbourhood.
//!
//! Decides routability and netgroups, as Bitcoin Core's `netaddress.cpp` and `netgroup.cpp` do. Never knows who is
//! connected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses likely to be in one hand. Two outbound connections never share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Group {
    /// Everything that cannot be reached from outside.
    Unroutable,
    /// An IPv4 /16, also when the address is wrapped in IPv6.
    V4([u8; 2]),
    /// An IPv6 /32.
    V6([u8; 4]),
    /// A /36 of he.net, which hands out tunnels to anyone.
    HeNet([u8; 5]),
    /// One address and port by itself: on test networks, where all peers live on one machine.
    Alone(SocketAddr),
}

impl Group {
    /// The netgroup of an address (Core: `NetGroupManager::GetGroup` without an AS map).
    pub fn of(ip: IpAddr) -> Group {
        if !is_routable(ip) {
            return Group::Unroutable;
        }
        if let Some(v4) = linked_v4(ip) {
            let [a, b, ..] = v4.octets();
            return Group::V4([a, b]);
        }
        let IpAddr::V6(v6) = ip else {
            return Group::Unroutable;
        };
        let [a, b, c, d, e, ..] = v6.octets();
        if [a, b, c, d] == [0x20, 0x01, 0x04, 0x70] {
            Group::HeNet([a, b, c, d, e | 0x0f])
        } else {
            Group::V6([a, b, c, d])
        }
    }
}

/// Whether an address is valid and publicly routable (Core: `CNetAddr::IsRoutable`).
pub fn is_routable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_routable_v4(v4),
        IpAddr::V6(v6) => is_routable_v6(v6),
    }
}

fn is_routable_v4(ip: Ipv4Addr) -> bool {
    let unroutable = match ip.octets() {
        [0 | 10 | 127, ..] => true,                  // this network, RFC 1918, loopback
        [192, 168, ..] | [172, 16..=31, ..] => true, // RFC 1918
        [198, 18..=19, ..] => true,                  // RFC 2544, benchmarks
        [169, 254, ..] => true,                      // RFC 3927, link local
        [100, 64..=127, ..] => true,                 // RFC 6598, carrier NAT
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true, // RFC 5737, documentation
        [255, 255, 255, 255] => true,
        _ => false,
    };
    !unroutable
}

fn is_routable_v6(ip: Ipv6Addr) -> bool {
    let unroutable = match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => true,  // unspecified, loopback
        [0x2001, 0x0db8, ..] => true,          // RFC 3849, documentation
        [0xfe80, 0, 0, 0, ..] => true,         // RFC 4862, link local
        [0xfc00..=0xfdff, ..] => true,         // RFC 4193, local; Tor v2 and names of Core's own lie inside
        [0x2001, 0x0010..=0x002f, ..] => true, // RFC 4843 and 7343, ORCHID
        _ => false,
    };
    !unroutable
}

/// The IPv4 address inside: plain, mapped, translated (RFC 6145, 6052), 6to4 (RFC 3964) or Teredo (RFC 4380).
fn linked_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let v6 = match ip.to_canonical() {
        IpAddr::V4(v4) => return Some(v4),
        IpAddr::V6(v6) => v6,
    };
    let (high, low) = match v6.segments() {
        [0, 0, 0, 0, 0xffff, 0, high, low] => (high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        [0x2001, 0, .., high, low] => (!high, !low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ip: &str) -> Group {
        Group::of(ip.parse().unwrap())
    }

    /// Core's `netbase_getgroup` vectors.
    #[test]
    fn groups_are_those_of_core() {
        for ip in ["127.0.0.1", "10.0.0.1", "169.254.1.1", "::1", "::", "255.255.255.255", "fd87:d87e:eb43::1"] {
            assert_eq!(group(ip), Group::Unroutable, "{ip}");
        }
        for ip in [
            "1.2.3.4",
            "::ffff:1.2.3.4",
            "::ffff:0:102:304",
            "64:ff9b::102:304",
            "2002:102:304:9999:9999:9999:9999:9999",
            "2001:0:9999:9999:9999:9999:fefd:fcfb",
        ] {
            assert_eq!(group(ip), Group::V4([1, 2]), "{ip}");
        }
        assert_eq!(group("2001:470:abcd:9999:9999:9999:9999:9999"), Group::HeNet([32, 1, 4, 112, 175]));
        assert_eq!(group("2001:2001:9999:9999:9999:9999:9999:9999"), Group::V6([32, 1, 32, 1]));
    }

    /// The ranges of Core's `netbase_properties`, each at its edges.
    #[test]
    fn routable_is_what_core_says() {
        for (ip, routable) in [
            ("8.8.8.8", true),
            ("2001::1", true),
            ("2001::8888", true),
            ("0.1.2.3", false),
            ("9.255.255.255", true),
            ("11.0.0.0", true),
            ("172.15.255.255", true),
            ("172.16.0.0", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.168.1.1", false),
            ("198.18.0.0", false),
            ("198.19.255.255", false),
            ("198.20.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("192.0.2.1", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("2001:db8::1", false),
            ("fe80::1", false),
            ("fc00::", false),
            ("fdff::", false),
            ("fe00::", true),
            ("2001:10::", false),
            ("2001:1f::", false),
            ("2001:20::", false),
            ("2001:2f::", false),
            ("2001:30::", true),
        ] {
            assert_eq!(is_routable(ip.parse().unwrap()), routable, "{ip}");
        }
    }
}
