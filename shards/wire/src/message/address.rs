//! Addresses as they lie in `version`, `addr` and `addrv2`.
//!
//! Decides their bytes, and that only IPv4 and IPv6 are kept. Never knows whether an address is any good.

use super::ADDR_MAX;
use crate::codec::{Reader, put_compact};
use crate::frame::Broken;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of an address in `addrv2` (BIP 155).
pub(super) const ADDRV2_BYTES_MAX: u64 = 512;

/// Where a node can be reached, as gossiped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// When it was last heard of, unix seconds, as its source says.
    pub time: u32,
    /// Its service bits, as its source says.
    pub services: u64,
    /// Address and port.
    pub socket: SocketAddr,
}

pub(super) fn read_addr(r: &mut Reader) -> Result<Vec<Address>, Broken> {
    let count = r.count(ADDR_MAX, 30)?;
    (0..count).map(|_| Ok(Address { time: r.u32()?, services: r.u64()?, socket: read_socket(r)? })).collect()
}

/// Networks known to BIP 155 must have their length; unknown ones are stepped over.
pub(super) fn read_addr_v2(r: &mut Reader) -> Result<Vec<Address>, Broken> {
    let count = r.count(ADDR_MAX, 4 + 1 + 1 + 1 + 2)?;
    let mut list = Vec::new();
    for _ in 0..count {
        let (time, services, network) = (r.u32()?, r.compact_any()?, r.u8()?);
        let len = r.count(ADDRV2_BYTES_MAX, 1)?;
        let bytes = r.bytes(len)?;
        let port = r.port()?;
        let want = match network {
            1 => 4,           // IPv4
            2 | 6 => 16,      // IPv6, CJDNS
            4 | 5 => 32,      // Tor v3, I2P
            _ => bytes.len(), // Tor v2, long gone, and whatever the future brings
        };
        if bytes.len() != want {
            return Err(r.bad("an address does not have the length of its network"));
        }
        let ip = match network {
            1 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            // IPv4 belongs under its own number.
            2 => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(Ipv6Addr::from)
                .filter(|ip| ip.to_ipv4_mapped().is_none())
                .map(IpAddr::V6),
            _ => None,
        };
        list.extend(ip.map(|ip| Address { time, services, socket: SocketAddr::new(ip, port) }));
    }
    Ok(list)
}

/// Sixteen bytes and a port; IPv4 lies in the mapped range of IPv6.
pub(super) fn read_socket(r: &mut Reader) -> Result<SocketAddr, Broken> {
    let ip = Ipv6Addr::from(r.array::<16>()?).to_canonical();
    Ok(SocketAddr::new(ip, r.port()?))
}

pub(super) fn put_address(out: &mut Vec<u8>, services: u64, socket: SocketAddr) {
    let ip = match socket.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    out.extend_from_slice(&services.to_le_bytes());
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&socket.port().to_be_bytes());
}

pub(super) fn put_address_v2(out: &mut Vec<u8>, address: &Address) {
    out.extend_from_slice(&address.time.to_le_bytes());
    put_compact(out, address.services);
    match address.socket.ip() {
        IpAddr::V4(v4) => {
            out.extend_from_slice(&[1, 4]);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.extend_from_slice(&[2, 16]);
            out.extend_from_slice(&v6.octets());
        }
    }
    out.extend_from_slice(&address.socket.port().to_be_bytes());
}
