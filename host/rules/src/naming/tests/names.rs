//! What each name has.

use super::{Offer, ReplyKind, asked, domain, gateway, question, records};
use crate::naming::MessageWay::{Datagram, Stream};
use simple_dns::{Packet, PacketFlag, QTYPE, RCODE, TYPE};
use std::collections::{BTreeMap, BTreeSet};

const SOA: &str = "atoll.internal 7 SOA atoll.internal hostmaster.atoll.internal 7";

#[test]
fn a_service_has_the_addresses_of_its_gateways_by_family() {
    let name = "users.atoll.internal";
    let four = [format!("{name} 7 A 192.0.2.1"), format!("{name} 7 A 192.0.2.2")];
    assert_eq!(asked(name, TYPE::A), (ReplyKind::Answered, four.to_vec()));
    assert_eq!(asked(name, TYPE::AAAA), (ReplyKind::Answered, vec![format!("{name} 7 AAAA 2001:db8::1")]));
    assert_eq!(asked(name, TYPE::TXT), (ReplyKind::NoRecords, vec![SOA.to_owned()]), "no such records");
    assert_eq!(asked("quiet.atoll.internal", TYPE::A), (ReplyKind::NoRecords, vec![SOA.to_owned()]), "none is ready");
    assert_eq!(asked("b.users.atoll.internal", TYPE::AAAA), (ReplyKind::NoRecords, vec![SOA.to_owned()]));
    for gone in
        ["other.atoll.internal", "c.users.atoll.internal", "a.quiet.atoll.internal", "_x._tcp.users.atoll.internal"]
    {
        assert_eq!(asked(gone, TYPE::A), (ReplyKind::NoSuchName, vec![SOA.to_owned()]), "{gone}");
    }
}

#[test]
fn srv_records_have_the_ports_and_the_addresses_of_their_targets() {
    let name = "_http._tcp.users.atoll.internal";
    let (kind, found) = asked(name, TYPE::SRV);
    let expected = [
        format!("{name} 7 SRV 0 2 8080 a.users.atoll.internal"),
        format!("{name} 7 SRV 0 1 8443 b.users.atoll.internal"),
        "a.users.atoll.internal 7 A 192.0.2.1".to_owned(),
        "a.users.atoll.internal 7 AAAA 2001:db8::1".to_owned(),
        "b.users.atoll.internal 7 A 192.0.2.2".to_owned(),
    ];
    assert_eq!((kind, found), (ReplyKind::Answered, expected.to_vec()));
    assert_eq!(asked("a.users.atoll.internal", TYPE::A).1, ["a.users.atoll.internal 7 A 192.0.2.1"]);
    let (kind, found) = asked("_https._tcp.users.atoll.internal", TYPE::SRV);
    assert!(kind == ReplyKind::Answered && found[0].ends_with("SRV 0 1 443 b.users.atoll.internal"), "{found:?}");
    for none in ["_http._tcp.quiet.atoll.internal", "_tcp.users.atoll.internal", "users.atoll.internal"] {
        assert_eq!(asked(none, TYPE::SRV), (ReplyKind::NoRecords, vec![SOA.to_owned()]), "{none}");
    }
    assert_eq!(asked("_http._tcp.other.atoll.internal", TYPE::SRV).0, ReplyKind::NoSuchName);
    assert_eq!(asked("_tcp.other.atoll.internal", TYPE::SRV).0, ReplyKind::NoSuchName);
}

#[test]
fn a_host_alone_is_its_own_target() {
    let own = Offer(BTreeMap::from([("users".to_owned(), vec![gateway(None, &["192.0.2.1"], 80, 3)])]));
    let asked = question("_http._tcp.users.atoll.internal", TYPE::SRV.into(), None);
    let reply = domain().answer(&asked, Datagram, &own, 5).unwrap();
    let expected =
        ["_http._tcp.users.atoll.internal 7 SRV 0 3 80 users.atoll.internal", "users.atoll.internal 7 A 192.0.2.1"];
    assert_eq!(records(&reply.bytes), expected);
}

#[test]
fn the_domain_has_soa_and_ns_and_the_addresses_of_all() {
    let name = "atoll.internal";
    assert_eq!(asked(name, TYPE::SOA), (ReplyKind::Answered, vec![SOA.to_owned()]));
    assert_eq!(asked(name, TYPE::NS), (ReplyKind::Answered, vec!["atoll.internal 7 NS atoll.internal".to_owned()]));
    assert_eq!(asked(name, TYPE::A).1.len(), 2);
    assert_eq!(asked("users.atoll.internal", TYPE::SOA).0, ReplyKind::NoRecords);
    let any =
        domain().answer(&question("users.atoll.internal", QTYPE::ANY, None), Datagram, &super::offer(), 0).unwrap();
    assert_eq!(records(&any.bytes), ["users.atoll.internal 7 HINFO"], "one short record (RFC 8482)");
}

#[test]
fn names_are_written_as_they_were_asked() {
    let message = question("_HTTP._tcp.uSeRs.atOLL.internal", TYPE::SRV.into(), Some(4096));
    let reply = super::reply(&message, Datagram).unwrap();
    let packet = Packet::parse(&reply.bytes).unwrap();
    assert_eq!(packet.questions[0].qname.to_string(), "_HTTP._tcp.uSeRs.atOLL.internal");
    let found = records(&reply.bytes);
    assert_eq!(found[0], "_HTTP._tcp.uSeRs.atOLL.internal 7 SRV 0 2 8080 a.uSeRs.atOLL.internal");
    assert_eq!(found[2], "a.uSeRs.atOLL.internal 7 A 192.0.2.1");
    assert!(packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_DESIRED));
    assert!(!packet.has_flags(PacketFlag::RECURSION_AVAILABLE));
    assert_eq!((packet.id(), packet.opt().unwrap().udp_packet_size), (0x1234, 1232));
    let gone = super::reply(&question("x.ATOLL.internal", TYPE::A.into(), None), Datagram).unwrap();
    let packet = Packet::parse(&gone.bytes).unwrap();
    assert!(packet.rcode() == RCODE::NameError && packet.opt().is_none());
    assert_eq!(packet.name_servers[0].name.to_string(), "ATOLL.internal");
}

/// A service at so many gateways.
fn wide(count: u16) -> Offer {
    let one = |at: u16| {
        let [high, low] = at.to_be_bytes();
        gateway(Some(&format!("node-{at}")), &[&format!("10.0.{high}.{low}")], 8080, 1)
    };
    Offer(BTreeMap::from([("users".to_owned(), (0..count).map(one).collect())]))
}

#[test]
fn what_fits_in_no_datagram_is_cut_off_and_comes_by_tcp() {
    let srv = "_http._tcp.users.atoll.internal";
    for (edns, most) in [(None, 512), (Some(100), 512), (Some(800), 800), (Some(4096), 1232)] {
        let mut cut = false;
        for count in 1..60 {
            let message = question(srv, TYPE::SRV.into(), edns);
            let reply = domain().answer(&message, Datagram, &wide(count), 3).unwrap();
            let packet = Packet::parse(&reply.bytes).unwrap();
            assert!(reply.bytes.len() <= most, "{count}: {}", reply.bytes.len());
            if reply.kind == ReplyKind::CutOff {
                assert!(packet.has_flags(PacketFlag::TRUNCATION) && records(&reply.bytes).is_empty());
                assert!(reply.bytes.len() <= message.len(), "it is no longer than the question");
            } else {
                assert!(!cut && packet.answers.len() == usize::from(count), "all records, or none");
            }
            cut |= reply.kind == ReplyKind::CutOff;
        }
        assert!(cut, "{edns:?}");
    }
    let whole = domain().answer(&question(srv, TYPE::SRV.into(), None), Stream, &wide(60), 3).unwrap();
    assert_eq!((whole.kind, records(&whole.bytes).len()), (ReplyKind::Answered, 120));
    let most = domain().answer(&question(srv, TYPE::SRV.into(), None), Stream, &wide(1000), 3).unwrap();
    assert_eq!(Packet::parse(&most.bytes).unwrap().answers.len(), 128);
}

#[test]
fn each_gateway_is_first_in_turn() {
    let message = question("users.atoll.internal", TYPE::A.into(), None);
    let offer = wide(3);
    let answer = |turn| records(&domain().answer(&message, Datagram, &offer, turn).unwrap().bytes);
    let firsts: BTreeSet<_> = (0..3).map(|turn| answer(turn)[0].clone()).collect();
    assert_eq!(firsts.len(), 3);
    let sorted = |turn| answer(turn).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(usize::MAX), sorted(0), "the same records");
}

#[test]
fn a_client_of_a_busy_network_is_sent_to_tcp() {
    let message = question("users.atoll.internal", TYPE::A.into(), Some(1232));
    let reply = domain().send_to_stream(&message).unwrap();
    assert!(Packet::parse(&reply.bytes).unwrap().has_flags(PacketFlag::TRUNCATION));
    assert!(reply.kind == ReplyKind::CutOff && reply.bytes.len() <= message.len());
    assert_eq!(domain().send_to_stream(b"no message"), None);
}
