//! The replies, as a reader of strangers (simple-dns) reads them.

mod any_bytes;
mod errors;
mod names;

use super::{MessageWay, NameReply, OfferedGateway, OfferedServices, ReplyKind, ServedDomain};
use crate::base::GatewayPlace;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What is offered: the gateways of each service.
#[derive(Debug)]
struct Offer(BTreeMap<String, Vec<OfferedGateway>>);

impl OfferedServices for Offer {
    fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>> {
        self.0.get(service).cloned()
    }

    fn gateways(&self) -> Vec<OfferedGateway> {
        let mut all: Vec<_> = self.0.values().flatten().cloned().collect();
        all.dedup_by(|one, other| one.node == other.node);
        all
    }
}

fn gateway(node: Option<&str>, addresses: &[&str], port: u16, weight: u16) -> OfferedGateway {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let place = GatewayPlace { addresses, port, secure_port: (port == 8443).then_some(443) };
    OfferedGateway { node: node.map(str::to_owned), place, weight }
}

/// `users` at two nodes, `quiet` at none that is ready.
fn offer() -> Offer {
    let a = gateway(Some("a"), &["192.0.2.1", "2001:db8::1"], 8080, 2);
    let b = gateway(Some("b"), &["192.0.2.2"], 8443, 1);
    Offer(BTreeMap::from([("users".to_owned(), vec![a, b]), ("quiet".to_owned(), Vec::new())]))
}

fn domain() -> ServedDomain {
    ServedDomain::new("Atoll.Internal.", Duration::from_secs(7)).unwrap()
}

/// A question, and with EDNS if a size is given.
fn question(name: &str, kind: QTYPE, edns: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind, QCLASS::CLASS(CLASS::IN), false));
    *packet.opt_mut() = edns.map(|udp_packet_size| OPT { opt_codes: Vec::new(), udp_packet_size, version: 0 });
    packet.build_bytes_vec().unwrap()
}

fn reply(message: &[u8], way: MessageWay) -> Option<NameReply> {
    domain().answer(message, way, &offer(), 0)
}

/// The kind of the reply to a question by UDP, and its records as text: `a.users.atoll.internal 7 A 192.0.2.1`.
fn asked(name: &str, kind: TYPE) -> (ReplyKind, Vec<String>) {
    let NameReply { bytes, kind } = reply(&question(name, kind.into(), Some(1232)), MessageWay::Datagram).unwrap();
    (kind, records(&bytes))
}

fn records(bytes: &[u8]) -> Vec<String> {
    let packet = Packet::parse(bytes).expect("a reader of strangers reads it");
    let data = |data: &RData<'_>| match data {
        RData::A(a) => format!("A {}", IpAddr::from(a.address.to_be_bytes())),
        RData::AAAA(aaaa) => format!("AAAA {}", IpAddr::from(aaaa.address.to_be_bytes())),
        RData::SRV(srv) => format!("SRV {} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
        RData::SOA(soa) => format!("SOA {} {} {}", soa.mname, soa.rname, soa.minimum),
        RData::NS(ns) => format!("NS {}", ns.0),
        RData::HINFO(_) => "HINFO".to_owned(),
        other => panic!("{other:?}"),
    };
    let all = packet.answers.iter().chain(&packet.name_servers).chain(&packet.additional_records);
    all.map(|record| format!("{} {} {}", record.name, record.ttl, data(&record.rdata))).collect()
}
