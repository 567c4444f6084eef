//! What makes the replies, and counts them.

use crate::limit::{Limiter, Rate};
use crate::naming::{MessageWay, OfferedServices, ReplyKind, ServedDomain};
use crate::telemetry::NameMetrics;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many answers by UDP one network gets in a second: with 1,232 bytes each that is 1.2 MB.
const ANSWERS: u32 = 1_000;
/// How many networks are told apart at a time.
const NETWORKS: usize = 4_096;

/// Makes the replies of one domain.
pub(super) struct NameAnswerer {
    domain: ServedDomain,
    services: Arc<dyn OfferedServices + Send + Sync>,
    metrics: Arc<NameMetrics>,
    limit: Limiter,
    networks: RandomState,
}

impl NameAnswerer {
    pub(super) fn new(
        domain: ServedDomain,
        services: Arc<dyn OfferedServices + Send + Sync>,
        metrics: Arc<NameMetrics>,
    ) -> Self {
        let rate = Rate::new(ANSWERS, Duration::from_secs(1), ANSWERS).expect("it has a nanosecond for each");
        let limit = Limiter::new(rate, NETWORKS, Instant::now());
        Self { domain, services, metrics, limit, networks: RandomState::new() }
    }

    /// The reply to a datagram of `sender`; `None`: there is none.
    pub(super) fn answer_datagram(&self, message: &[u8], sender: IpAddr) -> Option<Vec<u8>> {
        let key = self.networks.hash_one(network(sender));
        if self.limit.admit(key, Instant::now()).admitted {
            return self.answer(message, MessageWay::Datagram);
        }
        let reply = self.domain.send_to_stream(message);
        self.metrics.count(true, if reply.is_some() { ReplyKind::CutOff.as_str() } else { IGNORED });
        reply.map(|reply| reply.bytes)
    }

    /// The reply to a message; `None`: there is none.
    pub(super) fn answer(&self, message: &[u8], way: MessageWay) -> Option<Vec<u8>> {
        let reply = self.domain.answer(message, way, &*self.services, rand::random::<u32>() as usize);
        let kind = reply.as_ref().map_or(IGNORED, |reply| reply.kind.as_str());
        self.metrics.count(way == MessageWay::Datagram, kind);
        reply.map(|reply| reply.bytes)
    }
}

/// What is counted for a message that has no reply.
const IGNORED: &str = "ignored";

/// The network of an address, as far as others tell them apart: 24 bits of IPv4, 56 of IPv6.
fn network(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(address) => (true, u128::from(u32::from(address) >> 8)),
        IpAddr::V6(address) => (false, u128::from(address) >> 72),
    }
}
