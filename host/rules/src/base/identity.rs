//! Who calls, as it was proved at the edge.

use super::identity_fields::IdentityFields;
use std::collections::BTreeSet;
use std::fmt;

/// Who a request is made for. The gateway proves it once; each call on behalf of the request carries the same value.
///
/// It never holds the proof itself: no key, no token, no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is, in the words of the policy that proved it: the name of an API key, the `sub` of a token, or the
    /// subject of a certificate.
    pub subject: String,
    /// The policy that proved it: the `NAME` of `[auth.NAME]`.
    pub policy: String,
    /// How it was proved.
    pub proof: ProofKind,
    /// What it may do, as the policy's issuer says.
    pub scopes: BTreeSet<String>,
    /// All that its issuer says of it, as the text of one JSON object; `{}` for an API key.
    pub claims: String,
    /// What an HTTP service is told of it, made at the first call.
    pub told: IdentityFields,
}

/// How an identity was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofKind {
    /// By an API key of this host.
    ApiKey,
    /// By a signed token (JWT).
    Token,
    /// By a token that its issuer was asked about (OAuth 2 introspection).
    Introspection,
    /// By a certificate of the client (mutual TLS).
    Certificate,
}

impl ProofKind {
    /// The kind of this name, as [`ProofKind::as_str`] has it.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::ApiKey, Self::Token, Self::Introspection, Self::Certificate];
        all.into_iter().find(|kind| kind.as_str() == name)
    }

    /// A stable name for services, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Token => "jwt",
            Self::Introspection => "introspection",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
