//! What refuses the commits of a call that came too late.

use super::name::ServiceName;

/// A key of the host's own data that must be absent whenever a guest commits on behalf of a call. A saga that turns
/// writes it: from then on no action of the saga changes any data, however late it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitGuard {
    /// The host's data in which the key is.
    pub bucket: ServiceName,
    /// The key.
    pub key: Vec<u8>,
}
