//! How many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections by the address that they come from, and the bound on those of one address. Addresses of IPv6
/// count together by their first 64 bits, since one client has all that begin with them.
#[derive(Debug)]
pub(super) struct AddressCounts {
    most: usize,
    /// Proxies: many clients come from one of them.
    unbounded: Vec<IpAddr>,
    /// An address that has no connection has no entry, so there are never more entries than connections.
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection among those of its address, until this is dropped.
#[derive(Debug)]
pub(super) struct AddressPermit {
    counts: Arc<AddressCounts>,
    address: IpAddr,
}

impl AddressCounts {
    /// At most `most` connections of an address, except of these.
    pub(super) fn new(most: usize, unbounded: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self { most, unbounded, open: Mutex::default() })
    }

    /// Counts a connection from `peer`, if connections are counted; `None` if it must be closed.
    pub(super) fn admit(counts: Option<&Arc<Self>>, peer: SocketAddr) -> Option<Option<AddressPermit>> {
        let Some(counts) = counts else { return Some(None) };
        let permit = counts.take(peer.ip());
        if permit.is_none() {
            tracing::debug!(%peer, "a connection was closed: its address has as many as it may");
        }
        permit.map(Some)
    }

    /// Counts one more connection; `None` if the address has as many as it may.
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<AddressPermit> {
        let peer = peer.to_canonical();
        let address = match peer {
            IpAddr::V4(_) => peer,
            IpAddr::V6(own) => IpAddr::V6((own.to_bits() >> 64 << 64).into()),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most && !self.unbounded.contains(&peer) {
            return None;
        }
        *count += 1;
        Some(AddressPermit { counts: Arc::clone(self), address })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_bound_and_gives_back_what_it_closes() {
        let proxy: IpAddr = "10.0.0.1".parse().expect("an address");
        let counts = AddressCounts::new(2, vec![proxy]);
        let take = |address: &str| counts.take(address.parse().expect("an address"));
        let (one, two) = (take("192.0.2.1").expect("the first"), take("::ffff:192.0.2.1").expect("the second"));
        assert!(take("192.0.2.1").is_none() && take("192.0.2.1").is_none());
        let other = take("192.0.2.2").expect("another address");
        drop(one);
        let again = take("192.0.2.1").expect("one was closed");
        let six = [take("2001:db8::1"), take("2001:db8::ffff:2")];
        assert!(six.iter().all(Option::is_some) && take("2001:db8::3").is_none() && take("2001:db8:0:1::1").is_some());
        let proxied: Vec<_> = (0..5).map(|_| take("10.0.0.1").expect("many clients")).collect();
        drop((two, other, again, six, proxied));
        assert!(counts.open.lock().expect("nobody panics").is_empty(), "nothing is left behind");
    }
}
