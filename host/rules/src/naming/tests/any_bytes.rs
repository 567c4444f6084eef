//! Any bytes.

use super::{domain, gateway, question};
use crate::naming::tests::Offer;
use crate::naming::{MessageWay, ReplyKind};
use proptest::prelude::*;
use simple_dns::{Packet, PacketFlag, QTYPE, TYPE};
use std::collections::BTreeMap;

/// Any service `users`, of up to 20 nodes.
fn any_offer() -> impl Strategy<Value = Offer> {
    let node = ("[a-z0-9]{1,63}", any::<[u8; 4]>(), any::<[u8; 16]>(), any::<u16>(), any::<u16>());
    prop::collection::vec(node, 0..20).prop_map(|nodes| {
        let gateways = nodes.into_iter().map(|(node, four, six, port, weight)| {
            let addresses = [std::net::IpAddr::from(four).to_string(), std::net::IpAddr::from(six).to_string()];
            gateway(Some(&node), &[&addresses[0], &addresses[1]], port, weight)
        });
        Offer(BTreeMap::from([("users".to_owned(), gateways.collect())]))
    })
}

proptest! {
    #[test]
    fn any_bytes_have_a_bounded_reply_or_none(bytes in prop::collection::vec(any::<u8>(), 0..600), turn: usize) {
        for way in [MessageWay::Datagram, MessageWay::Stream] {
            if let Some(reply) = domain().answer(&bytes, way, &super::offer(), turn) {
                prop_assert!(reply.bytes.len() <= 1232 && reply.bytes[2] & 0x80 != 0);
                prop_assert_eq!(&reply.bytes[..2], &bytes[..2]);
                prop_assert!(bytes[2] & 0x80 == 0, "a reply has no reply");
            }
        }
    }

    #[test]
    fn a_changed_question_is_answered_within_its_bound(
        at in 0_usize..70,
        byte: u8,
        edns in prop::option::of(any::<u16>()),
        offer in any_offer(),
    ) {
        let mut message = question("_http._tcp.users.atoll.internal", TYPE::SRV.into(), edns);
        if let Some(place) = message.get_mut(at) {
            *place = byte;
        }
        let most = usize::from(edns.unwrap_or(0).clamp(512, 1232));
        if let Some(reply) = domain().answer(&message, MessageWay::Datagram, &offer, 1) {
            // The changed byte may be one of the size.
            prop_assert!(reply.bytes.len() <= most || at >= message.len() - 11);
            prop_assert!(reply.bytes.len() <= 1232);
        }
    }

    #[test]
    fn a_stranger_reads_each_answer_as_it_is_meant(
        kind in prop::sample::select(vec![
            QTYPE::TYPE(TYPE::A), QTYPE::TYPE(TYPE::AAAA), QTYPE::TYPE(TYPE::SRV), QTYPE::TYPE(TYPE::SOA), QTYPE::ANY,
        ]),
        name in prop::sample::select(vec![
            "users.atoll.internal", "_http._tcp.users.atoll.internal", "_https._tcp.USERS.atoll.internal",
            "atoll.internal", "other.atoll.internal", "x.y.z.Atoll.internal",
        ]),
        edns in prop::option::of(any::<u16>()),
        offer in any_offer(),
        turn: usize,
    ) {
        let message = question(name, kind, edns);
        let whole = domain().answer(&message, MessageWay::Stream, &offer, turn).expect("a reply");
        let packet = Packet::parse(&whole.bytes).expect("it is read");
        prop_assert_eq!(packet.questions[0].qname.to_string(), name);
        prop_assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
        prop_assert_eq!(packet.answers.is_empty(), whole.kind != ReplyKind::Answered);
        prop_assert_eq!(packet.name_servers.len(), usize::from(packet.answers.is_empty()));
        prop_assert!(packet.answers.iter().all(|record| record.name.to_string() == name));
        let short = domain().answer(&message, MessageWay::Datagram, &offer, turn).expect("a reply");
        let short_packet = Packet::parse(&short.bytes).expect("it is read");
        if short.kind == ReplyKind::CutOff {
            prop_assert!(short.bytes.len() <= message.len() && whole.kind == ReplyKind::Answered);
        } else {
            prop_assert_eq!(short.kind, whole.kind);
            prop_assert_eq!(short_packet.answers, packet.answers, "all of them");
        }
    }
}
