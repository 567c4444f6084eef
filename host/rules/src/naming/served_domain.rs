//! The domain that a host answers for.

use super::asked_question::{AskedQuestion, HEADER, NoQuestion};
use super::name_reply::{MessageWay, NameReply, ReplyKind};
use super::offered_gateway::{OfferedGateway, OfferedServices};
use super::reply_writer::{ReplyCode, ReplySection, ReplyWriter, bare_reply, largest_datagram};
use std::net::IpAddr;
use std::time::Duration;

/// The longest domain: before it the longest node and service fit, and the labels of SRV.
const LONGEST_DOMAIN: usize = 120;
/// The most gateways that one answer names. A client needs no more, and 64 KiB hold so many whatever their names are.
const MOST_GATEWAYS: usize = 128;
/// The most bytes by TCP.
const LARGEST_MESSAGE: usize = u16::MAX as usize;
/// The host part of the address of whoever keeps the domain (RFC 2142).
const KEEPER: &str = "hostmaster";
/// Serial, refresh, retry and expiry of SOA. They are for servers that copy a zone, and nobody copies this one.
const COPIES: [u32; 4] = [1, 3600, 600, 86_400];

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const HINFO: u16 = 13;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const IXFR: u16 = 251;
const AXFR: u16 = 252;
const ANY: u16 = 255;
/// The class of the Internet.
const IN: u16 = 1;

/// A text that cannot be a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no domain: use labels of a-z, 0-9, '-' and '_' with dots between them, at most 120 bytes")]
pub struct InvalidDomain(String);

/// The domain that a host answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedDomain {
    name: String,
    /// How long a client may keep an answer, in seconds.
    ttl: u32,
}

/// The name in a question.
enum AskedName {
    /// The domain itself.
    Domain,
    /// `users`
    Service(String),
    /// `a.users`
    Node(String, String),
    /// `_tcp.users`, which is there since there is something below it.
    Between(String),
    /// `_http._tcp.users`, or `_https`.
    Scheme(String, GatewayScheme),
    /// Any other name below the domain.
    Other,
}

/// How a gateway is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GatewayScheme {
    Http,
    Https,
}

/// A name that is there.
struct FoundName {
    /// The addresses that it has.
    addresses: Vec<OfferedGateway>,
    /// The SRV records that it has.
    targets: Vec<(OfferedGateway, u16)>,
}

impl ServedDomain {
    /// The domain `name`, whose answers may be kept for `ttl`, in whole seconds.
    ///
    /// # Errors
    /// [`InvalidDomain`]
    pub fn new(name: &str, ttl: Duration) -> Result<Self, InvalidDomain> {
        let lower = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(legal);
        if lower.len() > LONGEST_DOMAIN || !lower.split('.').all(is_label) {
            return Err(InvalidDomain(name.to_owned()));
        }
        Ok(Self { name: lower, ttl: u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX) })
    }

    /// Its name, in small letters and without a final dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reply to a message; `None`: there is none. `turn` is a random number, by which the gateways of an answer
    /// take turns to be the first.
    pub fn answer(
        &self,
        message: &[u8],
        way: MessageWay,
        services: &dyn OfferedServices,
        turn: usize,
    ) -> Option<NameReply> {
        let question = match AskedQuestion::read(message) {
            Ok(question) => question,
            Err(NoQuestion::Silence) => return None,
            Err(NoQuestion::OtherWish(header)) => {
                let bytes = bare_reply(header, ReplyCode::NotImplemented);
                return Some(NameReply { bytes, kind: ReplyKind::NotImplemented });
            }
            Err(NoQuestion::Malformed(header)) => {
                let bytes = bare_reply(header, ReplyCode::FormatError);
                return Some(NameReply { bytes, kind: ReplyKind::Malformed });
            }
        };
        let most = match way {
            MessageWay::Datagram => largest_datagram(question.edns),
            MessageWay::Stream => LARGEST_MESSAGE,
        };
        let writer = ReplyWriter::new(&question, most);
        if question.edns.is_some_and(|edns| edns.version > 0) {
            let bytes = writer.finish(ReplyCode::BadVersion, false);
            return Some(NameReply { bytes, kind: ReplyKind::NotImplemented });
        }
        Some(self.answer_question(&question, writer, services, turn))
    }

    /// The reply to any question that says no more than that the client must ask by TCP, where its address is proved;
    /// `None`: the message is none that gets an answer.
    pub fn send_to_stream(&self, message: &[u8]) -> Option<NameReply> {
        let question = AskedQuestion::read(message).ok()?;
        let mut writer = ReplyWriter::new(&question, usize::from(u16::MAX));
        writer.cut_off();
        Some(NameReply { bytes: writer.finish(ReplyCode::NoError, false), kind: ReplyKind::CutOff })
    }

    fn answer_question(
        &self,
        question: &AskedQuestion<'_>,
        mut writer: ReplyWriter<'_>,
        services: &dyn OfferedServices,
        turn: usize,
    ) -> NameReply {
        let is_transfer = matches!(question.kind, AXFR | IXFR);
        let Some((name, domain)) = self.asked_name(question).filter(|_| question.class == IN && !is_transfer) else {
            return NameReply { bytes: writer.finish(ReplyCode::Refused, false), kind: ReplyKind::Refused };
        };
        let found = find(&name, services);
        if let Some(found) = &found {
            self.write_answer(question, &mut writer, (&name, domain), &turned(found, turn));
        }
        let kind = match (&found, writer.is_cut_off(), writer.is_empty()) {
            (None, ..) => ReplyKind::NoSuchName,
            (Some(_), true, _) => ReplyKind::CutOff,
            (Some(_), false, true) => ReplyKind::NoRecords,
            (Some(_), false, false) => ReplyKind::Answered,
        };
        if matches!(kind, ReplyKind::NoSuchName | ReplyKind::NoRecords) {
            // It says how long the absence may be remembered (RFC 2308).
            writer.record(ReplySection::Authority, &pointer(domain), SOA, self.ttl, &self.soa(domain));
        }
        let code = if found.is_some() { ReplyCode::NoError } else { ReplyCode::NameError };
        NameReply { bytes: writer.finish(code, true), kind }
    }

    /// The name of the question, and where the domain begins in it; `None`: it is of another domain.
    fn asked_name(&self, question: &AskedQuestion<'_>) -> Option<(AskedName, usize)> {
        let labels = &question.labels;
        let above = labels.len().checked_sub(self.name.split('.').count())?;
        let (below, domain) = labels.split_at(above);
        let same = |((_, asked), own): (&(usize, &[u8]), &str)| asked.eq_ignore_ascii_case(own.as_bytes());
        if !domain.iter().zip(self.name.split('.')).all(same) {
            return None;
        }
        let begin = domain.first().map(|(at, _)| *at)?;
        let text = |label: &[u8]| String::from_utf8_lossy(label).to_ascii_lowercase();
        let below: Vec<String> = below.iter().map(|(_, label)| text(label)).collect();
        let name = match below.as_slice() {
            [] => AskedName::Domain,
            [service] => AskedName::Service(service.clone()),
            [between, service] if between == "_tcp" => AskedName::Between(service.clone()),
            [node, service] => AskedName::Node(node.clone(), service.clone()),
            [scheme, between, service] if between == "_tcp" => match scheme.as_str() {
                "_http" => AskedName::Scheme(service.clone(), GatewayScheme::Http),
                "_https" => AskedName::Scheme(service.clone(), GatewayScheme::Https),
                _ => AskedName::Other,
            },
            _ => AskedName::Other,
        };
        Some((name, begin))
    }

    fn write_answer(
        &self,
        question: &AskedQuestion<'_>,
        writer: &mut ReplyWriter<'_>,
        (name, domain): (&AskedName, usize),
        found: &FoundName,
    ) {
        let (asked, is_domain) = (pointer(0), matches!(name, AskedName::Domain));
        match question.kind {
            A | AAAA => {
                for data in addresses(&found.addresses, question.kind) {
                    writer.record(ReplySection::Answer, &asked, question.kind, self.ttl, &data);
                }
            }
            SRV => self.write_targets(question, writer, &found.targets),
            SOA if is_domain => {
                writer.record(ReplySection::Answer, &asked, SOA, self.ttl, &self.soa(domain));
            }
            // Whoever delegates the domain names this server as it likes; here it is the domain itself.
            NS if is_domain => {
                writer.record(ReplySection::Answer, &asked, NS, self.ttl, &pointer(domain));
            }
            // One short record in place of all (RFC 8482).
            ANY => {
                writer.record(ReplySection::Answer, &asked, HINFO, self.ttl, b"\x07RFC8482\x00");
            }
            _ => {}
        }
    }

    /// The SRV records, and as many of their targets' addresses as fit.
    fn write_targets(
        &self,
        question: &AskedQuestion<'_>,
        writer: &mut ReplyWriter<'_>,
        targets: &[(OfferedGateway, u16)],
    ) {
        // Behind `_http` and `_tcp`.
        let Some((service, _)) = question.labels.get(2) else { return };
        let rest = &question.bytes[*service..question.name_end()];
        let node = |gateway: &OfferedGateway| gateway.node.as_deref().map(label).unwrap_or_default();
        for (gateway, port) in targets {
            let numbers = [0, gateway.weight, *port].map(u16::to_be_bytes).concat();
            // A target is never shortened (RFC 2782).
            let data = [numbers.as_slice(), &node(gateway), rest].concat();
            writer.record(ReplySection::Answer, &pointer(0), SRV, self.ttl, &data);
        }
        if writer.is_cut_off() {
            return;
        }
        for (gateway, _) in targets {
            let owner = [node(gateway), pointer(*service).to_vec()].concat();
            for kind in [A, AAAA] {
                for data in addresses(std::slice::from_ref(gateway), kind) {
                    writer.record(ReplySection::Additional, &owner, kind, self.ttl, &data);
                }
            }
        }
    }

    /// The data of SOA. Its names are the domain, and one below it.
    fn soa(&self, domain: usize) -> Vec<u8> {
        let names = [pointer(domain).to_vec(), label(KEEPER), pointer(domain).to_vec()].concat();
        let [serial, refresh, retry, expire] = COPIES;
        let numbers = [serial, refresh, retry, expire, self.ttl].map(u32::to_be_bytes).concat();
        [names, numbers].concat()
    }
}

/// What is known by this name; `None`: it is not there.
fn find(name: &AskedName, services: &dyn OfferedServices) -> Option<FoundName> {
    let (addresses, targets) = match name {
        AskedName::Domain => (services.gateways(), Vec::new()),
        AskedName::Service(service) => (services.gateways_of(service)?, Vec::new()),
        AskedName::Node(node, service) => {
            let mut own = services.gateways_of(service)?;
            own.retain(|gateway| gateway.node.as_deref() == Some(node));
            (!own.is_empty()).then_some((own, Vec::new()))?
        }
        AskedName::Between(service) => services.gateways_of(service).map(|_| (Vec::new(), Vec::new()))?,
        AskedName::Scheme(service, scheme) => {
            let with_port = |gateway: OfferedGateway| {
                let port = match scheme {
                    GatewayScheme::Http => Some(gateway.place.port),
                    GatewayScheme::Https => gateway.place.secure_port,
                };
                port.map(|port| (gateway, port))
            };
            (Vec::new(), services.gateways_of(service)?.into_iter().filter_map(with_port).collect())
        }
        AskedName::Other => return None,
    };
    Some(FoundName { addresses, targets })
}

/// The same, with another gateway first, and at most [`MOST_GATEWAYS`] of them.
fn turned(found: &FoundName, turn: usize) -> FoundName {
    fn in_turn<T: Clone>(all: &[T], turn: usize) -> Vec<T> {
        let first = if all.is_empty() { 0 } else { turn % all.len() };
        let (last, first) = all.split_at(first);
        first.iter().chain(last).take(MOST_GATEWAYS).cloned().collect()
    }
    FoundName { addresses: in_turn(&found.addresses, turn), targets: in_turn(&found.targets, turn) }
}

/// The data of the addresses of one family, each once.
fn addresses(gateways: &[OfferedGateway], kind: u16) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for address in gateways.iter().flat_map(|gateway| &gateway.place.addresses) {
        let data = match address.to_canonical() {
            IpAddr::V4(address) if kind == A => address.octets().to_vec(),
            IpAddr::V6(address) if kind == AAAA => address.octets().to_vec(),
            _ => continue,
        };
        if !found.contains(&data) {
            found.push(data);
        }
    }
    found
}

/// A name that goes on as the asked one does from this place of it.
fn pointer(at: usize) -> [u8; 2] {
    // A name has 255 bytes at most, so the place fits in the 14 bits that it has.
    let place = u16::try_from(HEADER + at).unwrap_or(u16::MAX);
    (0xc000 | place).to_be_bytes()
}

/// A label with its length before it.
fn label(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(63).min(63);
    [&[length], &text.as_bytes()[..usize::from(length)]].concat()
}
