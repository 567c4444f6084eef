//! The addresses on which the sections of a manifest have the host listen: no two may be the same.

use super::reader::finding::ValueOrigin;
use super::reader::key::Sourced;
use super::reader::report::Report;
use std::net::{IpAddr, SocketAddr};

/// The addresses that were read so far, each with the word for who listens there. An address that was wrong, and
/// replaced by its default, is none of them: nobody meant it.
#[derive(Default)]
pub(super) struct ListenAddresses(Vec<(&'static str, Sourced<SocketAddr>)>);

impl ListenAddresses {
    /// Adds one, and reports each of those before that has its port. Port 0 means a different free port for each.
    pub(super) fn add(&mut self, name: &'static str, address: &Sourced<SocketAddr>, report: &Report) {
        let other = address.value;
        for (taken, first) in &self.0 {
            let one = first.value;
            if one.port() == 0 || one.port() != other.port() || !overlap(one.ip(), other.ip()) {
                continue;
            }
            let origin = if address.origin == ValueOrigin::Absent { &first.origin } else { &address.origin };
            let message = format!("{taken} ({one}) and {name} ({other}) cannot listen on the same port");
            report.push_if_whole(origin.clone(), message, "give one of them another port, or port 0 for any free one");
        }
        self.0.push((name, address.clone()));
    }
}

/// Whether two sockets of these addresses would meet: they are the same, or one is every network of the other's kind.
/// `[::]` is every network of IPv4 too.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    let has = |any: IpAddr, address: IpAddr| any.is_unspecified() && (any.is_ipv6() || address.is_ipv4());
    one == other || has(one, other) || has(other, one)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn sockets_meet_at_one_address_and_where_one_is_every_network() {
        for (one, other, meet) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
        ] {
            let [one, other] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!((overlap(one, other), overlap(other, one)), (meet, meet), "{one} and {other}");
        }
    }
}
