//! Questions of DNS: any message has a bounded reply or none, and the reply repeats the message's question.
//!
//! The first byte says whether the message came by UDP; the rest is the message.
#![no_main]

use host::base::GatewayPlace;
use host::naming::{LARGEST_DATAGRAM, MessageWay, OfferedGateway, OfferedServices, ReplyKind, ServedDomain};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use std::time::Duration;

/// `users`, at 40 nodes: too many for a datagram.
struct Users;

impl OfferedServices for Users {
    fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>> {
        (service == "users").then(|| self.gateways())
    }

    fn gateways(&self) -> Vec<OfferedGateway> {
        let one = |at: u8| {
            let addresses = vec![IpAddr::from([10, 0, 0, at]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(at)])];
            let place = GatewayPlace { addresses, port: 8080, secure_port: at.is_multiple_of(2).then_some(8443) };
            OfferedGateway { node: Some(format!("n{at}")), place, weight: u16::from(at) }
        };
        (0..40).map(one).collect()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, message)) = bytes.split_first() else { return };
    let way = if choice % 2 == 0 { MessageWay::Datagram } else { MessageWay::Stream };
    let domain = ServedDomain::new("atoll.internal", Duration::from_secs(5)).expect("a domain");
    for reply in [domain.answer(message, way, &Users, usize::from(*choice)), domain.send_to_stream(message)] {
        let Some(reply) = reply else { continue };
        assert!(message[2] & 0x80 == 0, "a reply has no reply");
        assert!(reply.bytes[..2] == message[..2] && reply.bytes[2] & 0x80 != 0, "it is the reply to this message");
        if way == MessageWay::Datagram {
            assert!(reply.bytes.len() <= usize::from(LARGEST_DATAGRAM), "it fits in a datagram");
        }
        if !matches!(reply.kind, ReplyKind::Answered | ReplyKind::NoRecords | ReplyKind::NoSuchName) {
            assert!(reply.bytes.len() <= message.len(), "an error is no longer than the message");
        }
        if reply.bytes.len() > 12 {
            // The first byte of the question is that of a label, and so on to the zero.
            let mut end = 12;
            while message[end] > 0 {
                end += 1 + usize::from(message[end]);
            }
            assert_eq!(reply.bytes[12..end + 5], message[12..end + 5], "it repeats the question");
        }
    }
});
