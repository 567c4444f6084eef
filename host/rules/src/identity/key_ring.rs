//! The API keys that a host knows.

use super::api_key::KeyHash;
use crate::base::{Identity, IdentityFields, ProofKind};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a host keeps of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public id, by which it is listed and revoked.
    pub id: String,
    /// Whose key it is: the subject of its calls.
    pub name: String,
    /// The policy that it belongs to: the `NAME` of `[auth.NAME]`.
    pub policy: String,
    /// What it may do.
    pub scopes: BTreeSet<String>,
    /// When it was created, in seconds since 1970.
    pub created: u64,
    /// When it ends; `None`: never.
    pub expires: Option<u64>,
    /// The hash of the key.
    pub hash: KeyHash,
}

/// Why a key proves nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It has not the form of a key, or a wrong checksum.
    Malformed,
    /// No such key is known for this policy: it was never created, or it was revoked.
    Unknown,
    /// Its time is over.
    Expired,
}

/// All keys, by their hashes. It is replaced as a whole when a key is created or revoked.
#[derive(Debug, Default)]
pub struct KeyRing(HashMap<KeyHash, RingEntry>);

#[derive(Debug)]
struct RingEntry {
    expires: Option<u64>,
    identity: Arc<Identity>,
}

impl KeyRing {
    /// The ring of these keys.
    pub fn new<'a>(records: impl IntoIterator<Item = &'a KeyRecord>) -> Self {
        let entry = |record: &KeyRecord| {
            let identity = Identity {
                subject: record.name.clone(),
                policy: record.policy.clone(),
                proof: ProofKind::ApiKey,
                scopes: record.scopes.clone(),
                claims: "{}".to_owned(),
                told: IdentityFields::default(),
            };
            (record.hash, RingEntry { expires: record.expires, identity: Arc::new(identity) })
        };
        Self(records.into_iter().map(entry).collect())
    }

    /// Who the key `presented` proves for `policy` at `now`.
    ///
    /// The look-up compares hashes, and their prefixes in time that depends on them. That tells nothing: who does not
    /// know a key cannot choose its hash.
    ///
    /// # Errors
    /// Why it proves nobody.
    pub fn find(&self, policy: &str, presented: &[u8], now: u64) -> Result<&Arc<Identity>, KeyRefusal> {
        let hash = KeyHash::of_presented(presented).ok_or(KeyRefusal::Malformed)?;
        let entry = self.0.get(&hash).filter(|entry| entry.identity.policy == policy).ok_or(KeyRefusal::Unknown)?;
        match entry.expires {
            Some(end) if end <= now => Err(KeyRefusal::Expired),
            _ => Ok(&entry.identity),
        }
    }
}

impl KeyRefusal {
    /// A stable text for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "it has not the form of a key",
            Self::Unknown => "no such key",
            Self::Expired => "the key has expired",
        }
    }
}
