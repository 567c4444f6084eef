//! The address of the client, which is not that of the last proxy.

use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client behind the trusted proxies: of the peer, unless the peer is one of them; else the last
/// address in `X-Forwarded-For` that is none of them. Each trusted proxy has appended the address of its own peer, so
/// everything before that address is the client's word and not looked at. If what a trusted proxy wrote is no address,
/// the client is the proxy itself: all behind it count as one.
///
/// `trusted`: what comes is the word of the peer, one of the proxies. A proxy that passes bytes on unread, and names no
/// client, is one of them too, and its client's word is not believed.
pub(super) fn of(headers: &HeaderMap, peer: IpAddr, trusted: bool, proxies: &[IpAddr]) -> IpAddr {
    let mut client = peer;
    if !trusted {
        return client;
    }
    let hops = headers.get_all(&FORWARDED_FOR).into_iter().rev();
    let mut hops = hops.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    while proxies.contains(&client) {
        let Some(address) = hops.next().and_then(address) else { return client };
        client = address;
    }
    client
}

/// An address as proxies write it: with or without a port, and with or without brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches([' ', '\t']);
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1";

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = [PEER, "10.0.0.2", "fd00::1"].map(|address| address.parse().expect("an address"));
        let headers = lines.iter().map(|line| (FORWARDED_FOR, line.parse().expect("a value"))).collect();
        let peer = peer.parse().expect("an address");
        let unnamed = of(&headers, peer, false, &proxies);
        assert_eq!(unnamed, peer, "the word of a client that the proxy has not named");
        of(&headers, peer, true, &proxies).to_string()
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_client() {
        assert_eq!(client("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(client(PEER, &[]), PEER);
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_last_address_that_is_none_of_them() {
        for (lines, expected) in [
            (["198.51.100.1"].as_slice(), "198.51.100.1"),
            (&["203.0.113.7, 198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.7", "198.51.100.1 , 10.0.0.2"], "198.51.100.1"),
            (&["203.0.113.7", "198.51.100.1:4711", "[fd00::1]:443"], "198.51.100.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client(PEER, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_address_leaves_the_proxy_that_wrote_it() {
        for (lines, expected) in [
            (["unknown"].as_slice(), PEER),
            (&["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["198.51.100.1,"], PEER),
            (&[""], PEER),
        ] {
            assert_eq!(client(PEER, lines), expected, "{lines:?}");
        }
    }
}
