//! What tells requests for one URI apart: the fields that `Vary` names (RFC 9111, section 4.1), and the route's key.

use super::cache_control::{joined, list_members};
use super::cache_policy::{CachePolicy, KeyPart};
use crate::base::{Digest, Identity};
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, HOST, VARY};
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// The most fields that `Vary` may name.
const MOST_NAMES: usize = 16;

/// Fields that a service gets from the gateway and that are part of the key: they select nothing beside it.
const IN_KEY: [&str; 3] = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"];

/// The fields that `Vary` of an answer names, and what the answer's request had in them. The values are kept as a
/// digest: they may be credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    names: Arc<[HeaderName]>,
    digest: Digest,
}

impl Selection {
    /// What `Vary` of an answer with the headers `answer` selects from its request. `None` if nothing else can be given
    /// this answer: for `*`, for too many fields, and for a field that the gateway sets and the client does not.
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Option<Self> {
        let mut names: Vec<HeaderName> = Vec::new();
        for member in list_members(&joined(answer, &VARY)) {
            // A name that is none no request can have; but `*` among other members is still `*`.
            if member == b"*" {
                return None;
            }
            let Ok(name) = HeaderName::from_bytes(member) else { continue };
            if IN_KEY.contains(&name.as_str()) || name == HOST {
                continue;
            }
            if is_set_by_gateway(name.as_str()) {
                return None;
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > MOST_NAMES {
            return None;
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        let digest = values(&names, request);
        Some(Self { names: names.into(), digest })
    }

    /// Whether a request with these headers selects the answer.
    pub fn selects(&self, request: &HeaderMap) -> bool {
        self.names.is_empty() || values(&self.names, request) == self.digest
    }

    /// What another request has in the same fields.
    pub(super) fn of_other(&self, request: &HeaderMap) -> Self {
        Self { names: Arc::clone(&self.names), digest: values(&self.names, request) }
    }
}

/// Whether the gateway sets this field of what the service gets, whatever the client says.
fn is_set_by_gateway(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || name.starts_with("x-atoll-")
        || matches!(name, "forwarded" | "x-real-ip" | "x-request-id" | "via")
}

/// The digest of what a request has in these fields. Lines are joined, blanks around members go, and the order and case
/// of languages and codings do not matter (RFC 9110, section 12.5). An absent field is not an empty one.
fn values(names: &[HeaderName], request: &HeaderMap) -> Digest {
    if names.is_empty() {
        return Digest([0; 32]);
    }
    let mut text = Vec::new();
    for name in names {
        if !request.contains_key(name) {
            text.push(0);
            continue;
        }
        let whole = joined(request, name);
        let mut members: Vec<Vec<u8>> = list_members(&whole).map(<[u8]>::to_vec).collect();
        if *name == ACCEPT_LANGUAGE || *name == ACCEPT_ENCODING {
            members.iter_mut().for_each(|member| member.make_ascii_lowercase());
            members.sort_unstable();
        }
        text.push(1);
        text.extend(members.join(&b","[..]));
        // No value of a field has this byte.
        text.push(0);
    }
    Digest::of(&text)
}

/// What the route and its key add to the URI. Two requests with different ones never share an answer. Routes of one
/// path differ in their services or in whom they let in, so none gets the answers of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest {
    route: usize,
    parts: Option<Digest>,
}

impl KeyDigest {
    /// The parts of the `policy` of the route at this position in this request, and `told`: what a trusted proxy says
    /// of its own client, since the service reads it.
    pub fn of(
        (route, policy): (usize, &CachePolicy),
        request: &HeaderMap,
        identity: Option<&Identity>,
        told: &[&[u8]],
    ) -> Self {
        let whole_identity = identity.filter(|_| policy.by_state);
        if policy.key.is_empty() && told.is_empty() && whole_identity.is_none() {
            return Self { route, parts: None };
        }
        let mut text = Vec::new();
        let mut add = |kind: u8, value: Option<&[u8]>| {
            text.push(kind);
            if let Some(value) = value {
                text.extend(value.len().to_be_bytes());
                text.extend(value);
            }
        };
        told.iter().for_each(|value| add(b't', Some(value)));
        // A guest may ask who calls, and gets all of this.
        if let Some(Identity { subject, policy, proof, scopes, claims, .. }) = whole_identity {
            for text in [subject, policy, proof.as_str(), claims] {
                add(b'i', Some(text.as_bytes()));
            }
            scopes.iter().for_each(|scope| add(b'o', Some(scope.as_bytes())));
        }
        for part in &policy.key {
            match part {
                KeyPart::Header(name) if request.contains_key(name) => add(b'h', Some(&joined(request, name))),
                KeyPart::Header(_) => add(b'n', None),
                KeyPart::Cookie(name) => add(b'c', cookie(request, name.as_bytes())),
                KeyPart::Subject => {
                    add(b'p', identity.map(|identity| identity.policy.as_bytes()));
                    add(b's', identity.map(|identity| identity.subject.as_bytes()));
                    // Two keys of one name may have different rights, and a service may answer by them.
                    for scope in identity.iter().flat_map(|identity| &identity.scopes) {
                        add(b'o', Some(scope.as_bytes()));
                    }
                }
            }
        }
        Self { route, parts: Some(Digest::of(&text)) }
    }
}

/// The value of the first cookie with this name.
fn cookie<'a>(request: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = request.get_all(COOKIE).into_iter().map(|line| line.as_bytes());
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"=")).next()
}
