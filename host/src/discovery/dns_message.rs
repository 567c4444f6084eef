//! The wire of DNS (RFC 1035): a question, and what its answer says.

use super::srv_choice::SrvRecord;
use super::srv_source::is_host;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, SimpleDnsError, TYPE};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest answer by UDP: what passes every network without fragments (DNS flag day 2020).
pub(super) const LARGEST_DATAGRAM: u16 = 1_232;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DnsKind {
    Srv,
    Ipv4,
    Ipv6,
}

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DnsAnswer {
    pub(super) records: Vec<SrvRecord>,
    /// The IP addresses of hosts, in the order of the answer: those asked for, and those that came unasked.
    pub(super) addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Addresses that were asked for, whatever alias they stand under.
    pub(super) asked: Vec<IpAddr>,
}

/// Why bytes are not the answer that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DnsAnswerError {
    /// The answer to another question, or no message at all.
    #[error("what came is no answer to the question")]
    Foreign,
    /// The answer did not fit in a datagram.
    #[error("the answer is cut off")]
    Truncated,
    /// The name is not there.
    #[error("the name does not exist")]
    NoSuchName,
    /// The server cannot or will not answer.
    #[error("the name server answers with {0:?}")]
    Refused(RCODE),
}

impl DnsKind {
    fn wire(self) -> QTYPE {
        QTYPE::TYPE(match self {
            Self::Srv => TYPE::SRV,
            Self::Ipv4 => TYPE::A,
            Self::Ipv6 => TYPE::AAAA,
        })
    }
}

/// The bytes of a question. `id` should not be guessable: an answer must repeat it.
///
/// # Errors
/// The name has a label or a length that DNS has not.
pub(super) fn question(id: u16, name: &str, kind: DnsKind) -> Result<Vec<u8>, SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name)?, kind.wire(), QCLASS::CLASS(CLASS::IN), false));
    *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: LARGEST_DATAGRAM, version: 0 });
    packet.build_bytes_vec()
}

/// What `bytes` answers to the question. Records of other kinds, and hosts whose names are none, are passed over.
///
/// # Errors
/// [`DnsAnswerError`]
pub(super) fn read(bytes: &[u8], id: u16, name: &str, kind: DnsKind) -> Result<DnsAnswer, DnsAnswerError> {
    let packet = Packet::parse(bytes).map_err(|_| DnsAnswerError::Foreign)?;
    let is_asked = |question: &Question<'_>| question.qtype == kind.wire() && text(&question.qname) == name;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !packet.questions.first().is_some_and(is_asked) {
        return Err(DnsAnswerError::Foreign);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Err(DnsAnswerError::Truncated);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(DnsAnswerError::NoSuchName),
        code => return Err(DnsAnswerError::Refused(code)),
    }
    let mut answer = DnsAnswer::default();
    for record in &packet.answers {
        match &record.rdata {
            RData::SRV(srv) if kind == DnsKind::Srv => {
                let (priority, weight, port, target) = (srv.priority, srv.weight, srv.port, text(&srv.target));
                if target.is_empty() || is_host(&target) {
                    answer.records.push(SrvRecord { priority, target, port, weight });
                }
            }
            data => answer.asked.extend(address(data).filter(|_| kind != DnsKind::Srv)),
        }
    }
    for record in &packet.additional_records {
        if let Some(address) = address(&record.rdata) {
            answer.addresses.entry(text(&record.name)).or_default().push(address);
        }
    }
    Ok(answer)
}

fn text(name: &Name<'_>) -> String {
    name.to_string().to_ascii_lowercase()
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
        RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, SRV};

    const NAME: &str = "_http._tcp.users.internal";

    fn name(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    /// An answer to the question with id 7 and this name.
    fn reply(asked: &str, change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let bytes = question(7, asked, DnsKind::Srv).unwrap();
        let mut packet = Packet::parse(&bytes).unwrap().into_reply();
        packet.set_flags(PacketFlag::RESPONSE);
        let target = SRV { priority: 1, weight: 2, port: 8080, target: name("A.Users.internal") };
        packet.answers.push(ResourceRecord::new(name(NAME), CLASS::IN, 30, RData::SRV(target)));
        let address = RData::A(A::from(Ipv4Addr::new(192, 0, 2, 1)));
        packet.additional_records.push(ResourceRecord::new(name("a.users.INTERNAL"), CLASS::IN, 30, address));
        change(&mut packet);
        packet.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn an_answer_has_its_records_and_the_addresses_that_came_along() {
        let answer = read(&reply(NAME, |_| {}), 7, NAME, DnsKind::Srv).unwrap();
        let target = || "a.users.internal".to_owned();
        assert_eq!(answer.records, [SrvRecord { priority: 1, target: target(), port: 8080, weight: 2 }]);
        assert_eq!(answer.addresses, BTreeMap::from([(target(), vec![IpAddr::from([192, 0, 2, 1])])]));
    }

    #[test]
    fn only_a_whole_answer_to_the_question_counts() {
        let error = |bytes: &[u8], id| read(bytes, id, NAME, DnsKind::Srv).unwrap_err();
        assert_eq!(error(&reply(NAME, |_| {}), 8), DnsAnswerError::Foreign, "another id");
        assert_eq!(error(&reply("other.internal", |_| {}), 7), DnsAnswerError::Foreign, "another name");
        assert_eq!(error(&question(7, NAME, DnsKind::Srv).unwrap(), 7), DnsAnswerError::Foreign, "a question");
        let cut = reply(NAME, |packet| packet.set_flags(PacketFlag::TRUNCATION));
        assert_eq!(error(&cut, 7), DnsAnswerError::Truncated);
        let gone = reply(NAME, |packet| *packet.rcode_mut() = RCODE::NameError);
        assert_eq!(error(&gone, 7), DnsAnswerError::NoSuchName);
        let refused = reply(NAME, |packet| *packet.rcode_mut() = RCODE::ServerFailure);
        assert_eq!(error(&refused, 7), DnsAnswerError::Refused(RCODE::ServerFailure));
        let whole = reply(NAME, |_| {});
        for length in 0..whole.len() {
            assert_eq!(error(&whole[..length], 7), DnsAnswerError::Foreign, "{length} bytes of it");
        }
    }

    #[test]
    fn a_target_that_is_no_host_name_is_passed_over() {
        let bytes = reply(NAME, |packet| {
            let target = SRV { priority: 1, weight: 2, port: 80, target: name("a@b/c.internal") };
            packet.answers.push(ResourceRecord::new(name(NAME), CLASS::IN, 30, RData::SRV(target)));
        });
        assert_eq!(read(&bytes, 7, NAME, DnsKind::Srv).unwrap().records.len(), 1);
    }
}
