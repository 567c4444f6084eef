//! The keys about callers that can be found wrong late: when the files that they name are read.

/// A key whose file is read after the manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeFindingKey {
    /// `file` of `[audit]`.
    AuditFile,
    /// `keys` of `[gateway]`.
    ApiKeys,
    /// `jwks` of the policy of this name.
    KeySet(String),
    /// `ca` of the policy of this name.
    Ca(String),
    /// `certificate` of `[cluster]`.
    NodeCertificate,
}
