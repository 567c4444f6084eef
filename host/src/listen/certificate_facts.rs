//! What a certificate says: whom it is for, and how long.

use crate::base::hex;
use rustls::pki_types::CertificateDer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// One name of a certificate's subject (RFC 5280, section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectName {
    /// The name of a host, in lower case; it may begin with `*.`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A URI, such as `spiffe://example.org/orders`.
    Uri(String),
    /// A mail address.
    Email(String),
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its subject, as RFC 4514 writes a name: `CN=orders,O=Example`. It may be empty. No part of it can pass for
    /// another one: what has a meaning in that form is escaped.
    pub subject: String,
    /// The names of its subject; kinds that no service uses are left out.
    pub names: Vec<SubjectName>,
    /// Since when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Reads a certificate. `None`: it is none.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.map_or(&[][..], |extension| extension.value.general_names.as_slice());
        let validity = parsed.validity();
        Some(Self {
            subject: distinguished_name(parsed.subject()),
            names: names.iter().filter_map(subject_name).collect(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether it is valid at `now`, in seconds since 1970.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn subject_name(name: &GeneralName<'_>) -> Option<SubjectName> {
    match name {
        GeneralName::DNSName(name) => Some(SubjectName::Dns(name.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(SubjectName::Uri((*uri).to_owned())),
        GeneralName::RFC822Name(address) => Some(SubjectName::Email((*address).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).into());
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).into()));
            address.ok().map(SubjectName::Ip)
        }
        _ => None,
    }
}

/// A name as RFC 4514 writes it, the last part first.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let attribute = |attribute: &AttributeTypeAndValue<'_>| {
        let kind = oid2abbrev(attribute.attr_type(), oid_registry());
        let kind = kind.map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
        match attribute.as_str() {
            Ok(value) => format!("{kind}={}", escaped(value)),
            Err(_) => format!("{kind}=#{}", hex(attribute.as_slice())),
        }
    };
    let parts: Vec<_> = name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// A value with everything escaped that has a meaning in a name (RFC 4514, section 2.4), and with control characters
/// in hexadecimal, so that it can stand in a header and in a line of the log.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let outer_blank = character == ' ' && (at == 0 || at == last);
        if character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                text.push_str(&format!("\\{byte:02x}"));
            }
            continue;
        }
        if outer_blank || "\"+,;<>=\\".contains(character) || (at == 0 && character == '#') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// The seconds since 1970, by the system's clock.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    #[test]
    fn a_certificate_tells_its_subject_its_names_and_its_time() {
        let mut params = CertificateParams::new(vec!["Shop.Example".into(), "*.shop.example".into()]).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc");
        params.distinguished_name.push(DnType::CommonName, "orders,O=other\n");
        let ip = |text: &str| SanType::IpAddress(text.parse().expect("an address"));
        params.subject_alt_names.extend([
            ip("127.0.0.1"),
            ip("::1"),
            SanType::URI("spiffe://example.org/orders".try_into().expect("a URI")),
            SanType::Rfc822Name("ops@example.org".try_into().expect("an address")),
        ]);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 1, 2));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let facts = CertificateFacts::read(certificate.der()).expect("it is one");
        assert_eq!(facts.subject, r"CN=orders\,O\=other\0a,O=Example\, Inc");
        let dns = |name: &str| SubjectName::Dns(name.into());
        let ip = |text: &str| SubjectName::Ip(text.parse().expect("an address"));
        let (uri, email) = ("spiffe://example.org/orders".into(), "ops@example.org".into());
        let expected = [
            dns("shop.example"),
            dns("*.shop.example"),
            ip("127.0.0.1"),
            ip("::1"),
            SubjectName::Uri(uri),
            SubjectName::Email(email),
        ];
        assert_eq!(facts.names, expected);
        assert_eq!((facts.not_before, facts.not_after - facts.not_before), (1_767_225_600, 86_400));
        assert!(facts.is_valid_at(1_767_225_600) && !facts.is_valid_at(1_767_225_599));
        assert_eq!(CertificateFacts::read(&CertificateDer::from(vec![0x30, 0x03, 1, 1, 1])), None);
    }
}
