//! The operator's key, and the keys of services.

use std::fmt;

/// A key of 256 bits. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct StateKey([u8; Self::LENGTH]);

/// The operator's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The key with which the keys of services are wrapped.
    pub key: StateKey,
    /// The key before it, if it was replaced since the last start: what it has wrapped is wrapped again with `key`.
    pub previous: Option<StateKey>,
}

impl StateKey {
    /// Its length in bytes.
    pub const LENGTH: usize = 32;

    /// The key of these bytes. They must come from a random generator: they are not stretched.
    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(…)")
    }
}
