//! `[dns]`: the domain whose names lead to this host's services.

use super::edge::GatewayConfig;
use super::listen_addresses::ListenAddresses;
use super::reader::address::SocketAddressKind;
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{KindError, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use crate::base::GatewayPlace;
use crate::name_server;
use crate::naming::ServedDomain;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// The name server of this host, and what it says of the host's own gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Its sockets, and its domain.
    pub server: name_server::Settings,
    /// The IP addresses at which others reach the gateway, one at least.
    pub addresses: Vec<IpAddr>,
}

/// A domain that can be answered for.
struct DomainKind;

impl ValueKind for DomainKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a domain, as \"atoll.internal\"".into()
    }

    fn help(&self) -> String {
        "write labels of letters, digits, '-' and '_' with dots between them, at most 120 bytes".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| ServedDomain::new(text, Duration::ZERO).is_ok());
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// IP addresses in one text, which a variable can have, too.
struct ReachedAddressesKind;

impl ValueKind for ReachedAddressesKind {
    type Value = Vec<IpAddr>;

    fn accepts(&self) -> String {
        format!("an IP address, or up to {} with commas", GatewayPlace::MOST_ADDRESSES)
    }

    fn help(&self) -> String {
        "write addresses of one machine, without a port: \"10.0.0.1\", or \"10.0.0.1,fd00::1\"; 0.0.0.0 is none".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let address = |text: &str| text.trim().parse().ok().filter(is_of_one_machine);
        let texts = value.get_ref().as_str().map(|text| text.split(',').map(address).collect::<Option<Vec<_>>>());
        let found = texts.flatten().filter(|found| found.len() <= GatewayPlace::MOST_ADDRESSES);
        found.ok_or_else(|| refused(self, value))
    }
}

/// Whether one machine can be reached at it: not "any", and none that leads to many.
fn is_of_one_machine(address: &IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_unspecified() && !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// If it is set, it overrides `dns.listen`.
const LISTEN_VARIABLE: &str = "ATOLL_DNS_LISTEN";
/// If it is set, it overrides `dns.address`.
const ADDRESS_VARIABLE: &str = "ATOLL_DNS_ADDRESS";

static DOMAIN: ManifestKey<DomainKind> = ManifestKey::without_default(
    "domain",
    DomainKind,
    "The domain that this host answers for. The service `users` is `users.atoll.internal` then. The section needs it.",
);
static LISTEN: ManifestKey<SocketAddressKind> = ManifestKey::new(
    "listen",
    SocketAddressKind,
    r#""127.0.0.1:8053""#,
    "The address on which questions of DNS are answered, by UDP and TCP.",
);
static ADDRESS: ManifestKey<ReachedAddressesKind> = ManifestKey::without_default(
    "address",
    ReachedAddressesKind,
    "Where others reach the gateway, which is what they are answered. Absent: the address in `listen` of `[gateway]`. \
     It is required if that is every network.",
);
static TTL: ManifestKey<DurationKind> = ManifestKey::new(
    "ttl",
    DurationKind { min: 0, max: HOUR },
    r#""5s""#,
    "How long others may keep an answer, or that there is none: whole seconds.",
);

/// Reads `[dns]`; `None` without it.
pub(super) fn read(
    root: &mut Section<'_>,
    gateway: &GatewayConfig,
    env: &dyn Fn(&str) -> Option<String>,
    listeners: &mut ListenAddresses,
) -> Option<DnsConfig> {
    let (there, report) = (root.has("dns"), root.report);
    let mut section = root.section("dns");
    // Without the section the variables say nothing.
    let env: &dyn Fn(&str) -> Option<String> = if there { env } else { &|_| None };
    let domain = section.find(&DOMAIN);
    let before = report.count();
    let listen = section.get_or_variable(&LISTEN, LISTEN_VARIABLE, env);
    // A wrong address was replaced by its default, which nobody meant.
    if there && report.count() == before {
        listeners.add("[dns]", &listen, report);
    }
    let listen = listen.value;
    let address = section.find_or_variable(&ADDRESS, ADDRESS_VARIABLE, env);
    let ttl = section.get_sourced(&TTL);
    let origin = ValueOrigin::Text(section.span.clone());
    let own = gateway.listen.address.ip();
    if there && section.lacks(DOMAIN.name) {
        let help = "add domain = \"atoll.internal\", or leave the section out";
        report.push_if_whole(origin.clone(), "`[dns]` has no `domain`", help);
    }
    if there && address.is_none() && !section.has(ADDRESS.name) && own.to_canonical().is_unspecified() {
        let message = "`listen` of [gateway] is every network, so nobody knows where others reach it";
        report.push_if_whole(origin.clone(), message, "add address = \"IP ADDRESS\", or set ATOLL_DNS_ADDRESS");
    }
    let own_alone = [own];
    let told: &[IpAddr] = address.as_ref().map_or(&own_alone, |address| &address.value);
    if there && !listen.ip().is_loopback() && told.iter().any(|address| address.to_canonical().is_loopback()) {
        let message = "others are told a loopback address, at which each of them finds itself";
        let help = "let [gateway] listen where others reach it, or add address = \"IP ADDRESS\"";
        report.push_if_whole(origin.clone(), message, help);
    }
    if ttl.value.subsec_millis() > 0 {
        let help = "DNS counts in seconds: write \"5s\"";
        report.push(ttl.origin.clone(), "`ttl` must be of whole seconds", help);
    }
    section.close();
    let domain = ServedDomain::new(&domain?.value, ttl.value).ok()?;
    let addresses = address.map_or_else(|| vec![own], |address| address.value);
    Some(DnsConfig { server: name_server::Settings { listen, domain }, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Manifest;
    use std::path::Path;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Option<DnsConfig>, String> {
        let env = |name: &str| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        let read = Manifest::parse("atoll.toml", text.to_owned(), Path::new(""), &env);
        read.map(|manifest| manifest.dns).map_err(|errors| errors.to_string())
    }

    #[test]
    fn without_the_section_there_is_no_name_server() {
        let variables = [("ATOLL_DNS_LISTEN", "127.0.0.1:1"), ("ATOLL_DNS_ADDRESS", "wrong")];
        assert_eq!(parse("", &variables), Ok(None));
    }

    #[test]
    fn a_domain_is_enough_and_all_machines_may_have_one_manifest() {
        let read = parse("[dns]\ndomain = 'Atoll.Internal.'\n", &[]).unwrap().unwrap();
        assert_eq!(read.server.listen, "127.0.0.1:8053".parse().unwrap());
        assert_eq!(read.server.domain, ServedDomain::new("atoll.internal", Duration::from_secs(5)).unwrap());
        assert_eq!(read.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()], "that of the gateway");
        let text = "[gateway]\nlisten = '0.0.0.0:80'\n[dns]\ndomain = 'x'\nlisten = '0.0.0.0:53'\nttl = '0s'\n";
        let variables = [("ATOLL_DNS_LISTEN", "[::1]:53"), ("ATOLL_DNS_ADDRESS", "10.0.0.1, fd00::1")];
        let read = parse(text, &variables).unwrap().unwrap();
        assert_eq!(read.server.listen, "[::1]:53".parse().unwrap());
        assert_eq!(read.addresses, ["10.0.0.1", "fd00::1"].map(|text| text.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn what_cannot_be_answered_is_a_finding() {
        for (text, message, help) in [
            ("", "`[dns]` has no `domain`", "add domain"),
            ("domain = 'a b'", "`domain` must be a domain", "labels"),
            ("domain = 'a'\nlisten = '0.0.0.0:53'", "others are told a loopback address", "[gateway] listen"),
            ("domain = 'a'\nttl = '1500ms'", "`ttl` must be of whole seconds", "5s"),
            ("domain = 'a'\naddress = '10.0.0.1:80'", "`address` must be an IP address, or up to 4", "without a port"),
            ("domain = 'a'\naddress = '0.0.0.0'", "`address` must be an IP address, or up to 4", "is none"),
            ("domain = 'a'\naddress = '1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5'", "`address` must be", "commas"),
            ("domain = 'a'\naddress = '::ffff:0.0.0.0'", "`address` must be an IP address, or up to 4", "is none"),
            ("domain = 'a'\naddress = '255.255.255.255'", "`address` must be an IP address, or up to 4", "one machine"),
            ("domain = 'a'\naddress = 'ff02::1'", "`address` must be an IP address, or up to 4", "one machine"),
            ("domain = 'a'\nzone = 'b'", "unknown key `zone`", "domain"),
            ("domain = 'a'\n[gateway]\nlisten = '[::]:80'", "is every network", "ATOLL_DNS_ADDRESS"),
            ("domain = 'a'\nlisten = '127.0.0.1:9090'", "admin (127.0.0.1:9090) and [dns] (", "another port"),
            ("domain = 'a'\n[gateway]\nlisten = '127.0.0.1:8053'", "gateway (127.0.0.1:8053) and [dns]", "2"),
        ] {
            let found = parse(&format!("[dns]\n{text}\n"), &[]).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
        }
    }
}
