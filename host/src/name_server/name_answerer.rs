//! What makes the replies, and counts them.

use crate::limit::{Limiter, Rate};
use crate::naming::{MessageWay, OfferedServices, ReplyKind, ServedDomain};
use crate::telemetry::NameMetrics;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many answers one network gets in a second by UDP, with 1,232 bytes each that is 1.2 MB, and as many by TCP.
const ANSWERS: u32 = 1_000;
/// How many networks are told apart at a time.
const NETWORKS: usize = 4_096;

/// Makes the replies of one domain.
pub(super) struct NameAnswerer {
    domain: ServedDomain,
    services: Arc<dyn OfferedServices + Send + Sync>,
    metrics: Arc<NameMetrics>,
    datagrams: Limiter,
    streams: Limiter,
    networks: RandomState,
}

impl NameAnswerer {
    pub(super) fn new(
        domain: ServedDomain,
        services: Arc<dyn OfferedServices + Send + Sync>,
        metrics: Arc<NameMetrics>,
    ) -> Self {
        let rate = Rate::new(ANSWERS, Duration::from_secs(1), ANSWERS).expect("it has a nanosecond for each");
        let limiter = || Limiter::new(rate, NETWORKS, Instant::now());
        let (datagrams, streams) = (limiter(), limiter());
        Self { domain, services, metrics, datagrams, streams, networks: RandomState::new() }
    }

    /// The reply to a datagram of `sender`; `None`: there is none.
    pub(super) fn answer_datagram(&self, message: &[u8], sender: IpAddr) -> Option<Vec<u8>> {
        if self.admits(&self.datagrams, sender) {
            return self.answer(message, MessageWay::Datagram);
        }
        let reply = self.domain.send_to_stream(message);
        self.metrics.count(true, if reply.is_some() { ReplyKind::CutOff.as_str() } else { IGNORED });
        reply.map(|reply| reply.bytes)
    }

    /// The reply to a message of `sender` on a connection; `None`: there is none.
    pub(super) fn answer_on_stream(&self, message: &[u8], sender: IpAddr) -> Option<Vec<u8>> {
        if self.admits(&self.streams, sender) {
            return self.answer(message, MessageWay::Stream);
        }
        self.metrics.count(false, IGNORED);
        None
    }

    fn admits(&self, limiter: &Limiter, sender: IpAddr) -> bool {
        limiter.admit(self.networks.hash_one(Network::of(sender)), Instant::now()).admitted
    }

    fn answer(&self, message: &[u8], way: MessageWay) -> Option<Vec<u8>> {
        let reply = self.domain.answer(message, way, &*self.services, rand::random::<u32>() as usize);
        let kind = reply.as_ref().map_or(IGNORED, |reply| reply.kind.as_str());
        self.metrics.count(way == MessageWay::Datagram, kind);
        reply.map(|reply| reply.bytes)
    }
}

/// What is counted for a message that has no reply.
const IGNORED: &str = "ignored";

/// The network of an address, as far as others tell them apart: 24 bits of IPv4, 56 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 72)).into(),
        })
    }
}
