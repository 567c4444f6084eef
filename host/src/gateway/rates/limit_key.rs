//! What a limit counts by, and the key of a request's bucket.

use crate::base::{Identity, ProofKind};
use http::{HeaderMap, HeaderName};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// What a limit counts by: requests with the same key share a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// The address of the client; an IPv6 address by the first 64 bits, since a client has all that begin with them.
    Client,
    /// The API key.
    ApiKey,
    /// Who calls, however that was proved.
    Subject,
    /// The value of a claim.
    Claim(String),
    /// The value of a header field. Clients choose it: it limits those who are honest.
    Header(HeaderName),
    /// All requests of the route together.
    Route,
}

/// Whose request it is.
pub(super) struct LimitedRequest<'a> {
    pub(super) headers: &'a HeaderMap,
    /// `None` before authentication, and if nobody has asked.
    pub(super) identity: Option<&'a Identity>,
    /// The position of its route.
    pub(super) route: usize,
}

/// A key as what it stands for. It is hashed, so that no key is longer than another.
#[derive(Hash)]
pub(super) enum KeyText<'a> {
    Client(&'a [u8]),
    Identity(&'a str, &'a str),
    Claim(String),
    Header(&'a [u8]),
    Route(usize),
}

/// The bytes of an address by which its requests count together.
pub(super) struct ClientBytes([u8; 16], usize);

impl LimitKey {
    /// Whether the key is known only once it is known who calls.
    pub(super) fn needs_identity(&self) -> bool {
        match self {
            Self::ApiKey | Self::Subject | Self::Claim(_) => true,
            Self::Client | Self::Header(_) | Self::Route => false,
        }
    }

    /// The key of the request. A request without an identity counts by its client where the limit counts by identities,
    /// and so does one without the claim or header: otherwise all such requests would share a bucket, or have none.
    pub(super) fn of<'a>(&self, request: &LimitedRequest<'a>, client: &'a ClientBytes) -> KeyText<'a> {
        let of = |identity: &'a Identity| KeyText::Identity(&identity.policy, &identity.subject);
        let found = match self {
            Self::Client => None,
            Self::ApiKey => request.identity.filter(|identity| identity.proof == ProofKind::ApiKey).map(of),
            Self::Subject => request.identity.map(of),
            Self::Claim(name) => request.identity.and_then(|identity| {
                let claims: serde_json::Value = serde_json::from_str(&identity.claims).ok()?;
                Some(KeyText::Claim(claims.get(name)?.to_string()))
            }),
            Self::Header(name) => request.headers.get(name).map(|value| KeyText::Header(value.as_bytes())),
            Self::Route => Some(KeyText::Route(request.route)),
        };
        found.unwrap_or_else(|| KeyText::Client(client.bytes()))
    }
}

impl ClientBytes {
    pub(super) fn of(client: IpAddr) -> Self {
        let mut bytes = [0; 16];
        match client {
            IpAddr::V4(address) => {
                bytes[..4].copy_from_slice(&address.octets());
                Self(bytes, 4)
            }
            IpAddr::V6(address) => {
                bytes[..8].copy_from_slice(&address.octets()[..8]);
                Self(bytes, 8)
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl KeyText<'_> {
    /// The same key as bytes that a later start of the host makes too, and that no other key has: the kind, then each
    /// part after its length.
    pub(super) fn stable(&self) -> Vec<u8> {
        let (kind, parts): (u8, [Cow<'_, [u8]>; 2]) = match self {
            Self::Client(bytes) => (0, [(*bytes).into(), Cow::default()]),
            Self::Identity(policy, subject) => (1, [policy.as_bytes().into(), subject.as_bytes().into()]),
            Self::Claim(value) => (2, [value.as_bytes().into(), Cow::default()]),
            Self::Header(value) => (3, [(*value).into(), Cow::default()]),
            Self::Route(at) => (4, [at.to_be_bytes().to_vec().into(), Cow::default()]),
        };
        let mut bytes = vec![kind];
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(&part);
        }
        bytes
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::ApiKey => f.write_str("key"),
            Self::Subject => f.write_str("subject"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Route => f.write_str("route"),
        }
    }
}
