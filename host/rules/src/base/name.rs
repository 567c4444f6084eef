//! Names and digests.

use super::hex::hex;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// The longest service name, in bytes: a DNS label, since a name also appears as a host (`users.internal`).
const MAX_NAME: usize = 63;

/// The host's own name: no DNS label.
const HOST: &str = "@host";

/// The name that callers use for a service: a DNS label, `[a-z]([a-z0-9-]*[a-z0-9])?`, at most 63 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

/// A text that is not a [`ServiceName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no service name: use 1 to 63 of a-z, 0-9 and '-', a letter first, no '-' last")]
pub struct InvalidName(String);

impl ServiceName {
    /// The name `name`, checked.
    ///
    /// # Errors
    /// [`InvalidName`] when it is no DNS label.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let bytes = name.as_bytes();
        let valid = bytes.len() <= MAX_NAME
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last() != Some(&b'-')
            && bytes.iter().copied().all(legal);
        if valid { Ok(Self(name.into())) } else { Err(InvalidName(name.into())) }
    }

    /// The name under which the host keeps data of its own. No service has it.
    pub fn of_host() -> Self {
        Self(HOST.into())
    }

    /// The name of one part of the host's own data, which is stored beside that of the services:
    /// `topic:orders.placed`. No service has such a name, because of the colon.
    pub fn of_host_part(kind: &str, name: &str) -> Self {
        Self(format!("{kind}:{name}").into())
    }

    /// The name that was stored as `text`: that of a service, or of data of the host.
    ///
    /// # Errors
    /// [`InvalidName`] when it is neither.
    pub fn stored(text: &str) -> Result<Self, InvalidName> {
        match text.split_once(':') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::of_host_part(kind, name)),
            _ if text == HOST => Ok(Self::of_host()),
            _ => Self::new(text),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a text that shares its memory.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a component's bytes. It names a revision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of a component's bytes.
    pub fn of(component: &[u8]) -> Self {
        Self(Sha256::digest(component).into())
    }

    /// A digest from its 64 hex digits; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
        let bytes: Vec<u8> =
            digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        (text.len() == 64).then_some(bytes)?.try_into().ok().map(Self)
    }

    /// The first 12 hex digits: enough to tell the revisions of one service apart.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "users", "users-2", &"a".repeat(63)] {
            assert_eq!(ServiceName::new(good).map(|n| n.to_string()), Ok(good.to_string()));
        }
        for bad in ["", "-a", "a-", "Users", "a_b", "a.b", "2a", "é", &"a".repeat(64)] {
            assert_eq!(ServiceName::new(bad), Err(InvalidName(bad.to_string())));
        }
    }

    #[test]
    fn a_digest_prints_as_hex() {
        let digest = Digest([0xab; 32]);
        assert_eq!(digest.to_string(), "ab".repeat(32));
        assert_eq!(digest.short(), "ab".repeat(6));
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for bad in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(Digest::parse(bad), None);
        }
    }
}
