//! What a client's certificate proves, once TLS has checked its chain.

use crate::base::{Identity, IdentityFields, ProofKind};
use serde_json::json;
use std::collections::BTreeSet;

/// A certificate that a client has shown, and that TLS has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownCertificate {
    /// Its subject as RFC 4514 writes it, `CN=till-7,O=Shop`; empty if it has none.
    pub subject: String,
    /// Its alternative names, each with its kind: `dns:till-7.shop.example`, `uri:spiffe://shop/till`,
    /// `email:ops@shop.example`, `ip:10.0.0.7`.
    pub names: Vec<String>,
    /// The SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
}

/// The policy of callers that a certificate proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePolicy {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// A certificate has one of these names; never empty.
    pub subjects: Vec<NamePattern>,
    /// What each of them may do.
    pub scopes: BTreeSet<String>,
}

/// A name of a certificate, with its kind, or a family of names: `subject:CN=till-7,O=Shop`, `dns:*.partner.example`,
/// `uri:spiffe://shop/*`. The kind is part of it, since an authority may check the names of one kind and not those of
/// another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// This very name.
    Exact(String),
    /// A DNS name of one label and then this: `dns:*.partner.example` keeps `.partner.example`.
    Below(String),
    /// A URI that begins with this: `uri:spiffe://shop/*` keeps `uri:spiffe://shop/`.
    Beginning(String),
}

const DNS: &str = "dns:";
const URI: &str = "uri:";
const SUBJECT: &str = "subject:";
const OTHERS: [&str; 2] = ["email:", "ip:"];

impl NamePattern {
    /// Reads a pattern; `None` if its kind is unknown, or if a `*` stands elsewhere than at the beginning of a DNS name
    /// or at the end of a URI.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_at_checked(text.find(':')? + 1)?;
        if name.is_empty() {
            return None;
        }
        let (fixed, pattern) = match kind {
            DNS if name.starts_with("*.") => (&name[2..], Self::Below(name[1..].to_ascii_lowercase())),
            URI if name.ends_with("/*") => {
                (&name[..name.len() - 2], Self::Beginning(text[..text.len() - 1].to_owned()))
            }
            DNS => (name, Self::Exact(text.to_ascii_lowercase())),
            // A subject may have a `*` of its own.
            SUBJECT => return Some(Self::Exact(text.to_owned())),
            _ if kind == URI || OTHERS.contains(&kind) => (name, Self::Exact(text.to_owned())),
            _ => return None,
        };
        (!fixed.is_empty() && !fixed.contains('*')).then_some(pattern)
    }

    /// Whether `name`, with its kind, fits.
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own == name,
            // One label, as in certificates of servers (RFC 9525, section 6.3).
            Self::Below(end) => {
                let label = name.strip_prefix(DNS).and_then(|name| name.strip_suffix(end.as_str()));
                label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            Self::Beginning(beginning) => name.len() > beginning.len() && name.starts_with(beginning.as_str()),
        }
    }
}

impl CertificatePolicy {
    /// Who the certificate proves; `None` if it is none of the policy's. The alternative names count before the
    /// subject: the first that fits is who calls, without its kind.
    pub fn identify(&self, shown: &ShownCertificate) -> Option<Identity> {
        let subject = (!shown.subject.is_empty()).then(|| format!("{SUBJECT}{}", shown.subject));
        let mut names = shown.names.iter().chain(&subject);
        let name = names.find(|name| self.subjects.iter().any(|pattern| pattern.admits(name)))?;
        let ShownCertificate { subject, names, fingerprint } = shown;
        let claims = json!({ "subject": subject, "names": names, "fingerprint": fingerprint });
        Some(Identity {
            subject: name.split_once(':').map_or(name.as_str(), |(_, name)| name).to_owned(),
            policy: self.name.clone(),
            proof: ProofKind::Certificate,
            scopes: self.scopes.clone(),
            claims: claims.to_string(),
            told: IdentityFields::default(),
        })
    }
}
