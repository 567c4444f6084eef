//! Why a policy does not prove who calls.

/// Why a policy does not prove who calls. The later ones tell a client more than the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PolicyRefusal {
    /// There is no credential of this policy.
    Absent,
    /// The credential is a token of another issuer: one of another policy, perhaps.
    Foreign,
    /// The credential proves nobody.
    Refused {
        /// Whether it did until its time was over.
        expired: bool,
        /// For the log.
        reason: &'static str,
    },
    /// Whether it proves somebody cannot be known now. For the log: why.
    Unavailable(&'static str),
}

impl PolicyRefusal {
    /// For the log: why the credential proves nobody; `None` if there is none.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::Foreign => Some("it is of another issuer"),
            Self::Refused { reason, .. } | Self::Unavailable(reason) => Some(reason),
        }
    }
}
