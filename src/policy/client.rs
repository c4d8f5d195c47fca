//! Whose request is this? The address of a client, seen through the proxies that are trusted.

use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// What proxies write clients' addresses into.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Why a text names no proxies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyRangeError {
    /// Neither an address nor a network.
    #[error("not an address, nor a network in CIDR notation")]
    Malformed,
    /// Bits behind the prefix.
    #[error("the address has bits behind its prefix; the network is {network}")]
    HostBits {
        /// The network that was most likely meant.
        network: String,
    },
    /// A prefix of zero bits.
    #[error("this trusts everybody: each client could name any address as its own")]
    Everybody,
}

/// An address or a network in which proxies live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyRange(IpNet);

impl ProxyRange {
    fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for ProxyRange {
    type Err = ProxyRangeError;

    fn from_str(text: &str) -> Result<Self, ProxyRangeError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let net: IpNet = text.parse().map_err(|_| ProxyRangeError::Malformed)?;
        if net.prefix_len() == 0 {
            return Err(ProxyRangeError::Everybody);
        }
        if net.trunc() != net {
            return Err(ProxyRangeError::HostBits { network: net.trunc().to_string() });
        }
        Ok(Self(net))
    }
}

/// The address of the client behind a connection. Each proxy adds the address it was called from at
/// the right end of `X-Forwarded-For`; so the list is read from there, as long as whoever wrote
/// the next element is trusted. What stands further left is the client's own invention.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[ProxyRange]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest) {
        return nearest;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    for element in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        // A trusted proxy wrote nonsense, or "unknown": whom it stands for is not known.
        let Some(address) = address(element) else { break };
        nearest = address;
        if !is_trusted(nearest) {
            break;
        }
    }
    nearest
}

/// One element; some proxies add the port.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| bare.and_then(|bare| bare.parse().ok()));
    address.map(|address| address.to_canonical())
}

/// What one customer of a provider gets: an IPv4 address, or an IPv6 network of 64 bits, which
/// holds more addresses than anybody can count against.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & NETWORK).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn forwarded(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn the_list_is_read_from_the_right() {
        let trusted = ["10.0.0.0/8", "fd00::/8", "127.0.0.1"].map(|text| text.parse().unwrap());
        for (case, peer, lines, want) in [
            ("no proxy", "203.0.113.9", &[][..], "203.0.113.9"),
            ("a claim from nowhere", "203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("one proxy", "10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("a plain address", "127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("its neighbour", "127.0.0.2", &["198.51.100.1"], "127.0.0.2"),
            ("two proxies", "10.0.0.1", &["198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            ("an invention in front", "10.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("on a line of its own", "10.0.0.1", &["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
            ("proxies all along", "10.0.0.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            ("no header", "10.0.0.1", &[], "10.0.0.1"),
            ("an empty one", "10.0.0.1", &[""], "10.0.0.1"),
            ("nonsense", "10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("nonsense further left", "10.0.0.1", &["x, 10.2.2.2"], "10.2.2.2"),
            ("no spaces", "10.0.0.1", &["6.6.6.6,198.51.100.1"], "198.51.100.1"),
            ("with a port", "10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("IPv6", "fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("IPv6 in brackets", "fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("IPv6 with a port", "fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("IPv4 in IPv6", "::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            let got = client(peer.parse().unwrap(), &forwarded(lines), &trusted);
            assert_eq!(got.to_string(), want, "{case}");
        }
    }

    #[test]
    fn who_may_be_trusted() {
        let bits = |network: &str| ProxyRangeError::HostBits { network: network.to_owned() };
        for (text, want) in [
            ("10.0.0.0/8", None),
            ("10.0.0.1", None),
            ("::1", None),
            ("2001:db8::/32", None),
            ("10.0.0.1/32", None),
            ("10.0.0.1/8", Some(bits("10.0.0.0/8"))),
            ("2001:db8::1/32", Some(bits("2001:db8::/32"))),
            ("0.0.0.0/0", Some(ProxyRangeError::Everybody)),
            ("::/0", Some(ProxyRangeError::Everybody)),
            ("10.0.0.0/33", Some(ProxyRangeError::Malformed)),
            ("10.0.0/8", Some(ProxyRangeError::Malformed)),
            ("nginx", Some(ProxyRangeError::Malformed)),
            ("", Some(ProxyRangeError::Malformed)),
        ] {
            assert_eq!(text.parse::<ProxyRange>().err(), want, "{text}");
        }
    }

    #[test]
    fn a_household_shares_64_bits() {
        for (address, want) in [
            ("198.51.100.1", "198.51.100.1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3:3:4:5:6", "2001:db8:1:3::"),
        ] {
            assert_eq!(household(address.parse().unwrap()).to_string(), want);
        }
    }

    proptest! {
        /// Whatever a client sends, an honest proxy adds the truth behind it.
        #[test]
        fn no_invention_hides_a_client(invention in "[ -~]{0,40}", last: [u8; 4], split: bool) {
            let (proxy, real) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from(last));
            prop_assume!(last[0] != 10);
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let headers = if split {
                forwarded(&[&invention, &real.to_string()])
            } else {
                forwarded(&[&format!("{invention}, {real}")])
            };
            prop_assert_eq!(client(proxy, &headers, &trusted), real);
            prop_assert_eq!(client(real, &headers, &trusted), real);
        }
    }
}
