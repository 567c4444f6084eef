//! What a client's certificate proves, once TLS has checked its chain.

use crate::base::{Identity, ProofKind};
use serde_json::json;
use std::collections::BTreeSet;

/// What is known of a certificate that TLS has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFacts {
    /// The common name of its subject; empty if it has none.
    pub common_name: String,
    /// Its alternative names: DNS names, URIs (as SPIFFE has them) and addresses of mail, each as text.
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

/// A name, or a family of names: `partner.example`, `*.partner.example`, `spiffe://shop/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// This very name.
    Exact(String),
    /// One label and then this: `*.partner.example` keeps `.partner.example`.
    Below(String),
    /// Whatever begins with this: `spiffe://shop/*` keeps `spiffe://shop/`.
    Beginning(String),
}

impl NamePattern {
    /// Reads a pattern; `None` if a `*` stands elsewhere than at one end, or alone.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = match (text.strip_prefix("*."), text.strip_suffix("/*")) {
            (Some(_), Some(_)) => return None,
            (Some(below), None) => (below, Self::Below(format!(".{}", below.to_ascii_lowercase()))),
            (None, Some(beginning)) => (beginning, Self::Beginning(format!("{beginning}/"))),
            (None, None) => (text, Self::Exact(text.to_owned())),
        };
        (!rest.0.is_empty() && !rest.0.contains('*')).then_some(rest.1)
    }

    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own == name,
            // One label, as in certificates of servers (RFC 6125, section 6.4.3).
            Self::Below(end) => {
                let name = name.to_ascii_lowercase();
                name.strip_suffix(end.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            Self::Beginning(beginning) => name.len() > beginning.len() && name.starts_with(beginning.as_str()),
        }
    }
}

impl CertificatePolicy {
    /// Who the certificate proves; `None` if it is none of the policy's. The alternative names count before the common
    /// name: the first that fits is the subject.
    pub fn identify(&self, facts: &CertificateFacts) -> Option<Identity> {
        let names = facts.names.iter().chain(std::iter::once(&facts.common_name)).filter(|name| !name.is_empty());
        let subject = names.into_iter().find(|name| self.subjects.iter().any(|pattern| pattern.admits(name)))?;
        let CertificateFacts { common_name, names, fingerprint } = facts;
        let claims = json!({ "common_name": common_name, "names": names, "fingerprint": fingerprint });
        Some(Identity {
            subject: subject.clone(),
            policy: self.name.clone(),
            proof: ProofKind::Certificate,
            scopes: self.scopes.clone(),
            claims: claims.to_string(),
        })
    }
}
