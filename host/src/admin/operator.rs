//! Operators: who they are, and what they may do.

use super::token::Token;
use http::Method;
use std::sync::Arc;

/// An operator with a token of its own.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Whose token it is: this name stands in the audit file and beside each change.
    pub name: Arc<str>,
    /// What the operator may do.
    pub role: Role,
    /// How the operator proves who it is.
    pub token: Token,
}

/// What an operator may do: each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything.
    Read,
    /// Change how services are served: swaps, rollbacks, circuits, faults.
    Operate,
    /// Decide who may call (make and revoke API keys), and do what cannot be undone: erase data, replace its key.
    Admin,
}

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// The role that a request needs. A resource that is not known here needs more and not less: reading aside, what is
    /// not an API key's is a change of services.
    pub(super) fn needed(method: &Method, path: &str) -> Self {
        match *method {
            // What callers have sent, masked by rule alone.
            Method::GET if path.starts_with("/v1/recordings/") => Self::Operate,
            // All that callers have ever stored, as it is.
            Method::GET | Method::HEAD if path.ends_with("/data") => Self::Admin,
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Read,
            _ if path == "/v1/keys" || path.starts_with("/v1/keys/") => Self::Admin,
            // What cannot be undone.
            _ if path == "/v1/state/key" || path.ends_with("/data") || path.ends_with("/rebuild") => Self::Admin,
            // It changes everything.
            _ if path == "/v1/apply" => Self::Admin,
            // It writes a file of the manifest.
            _ if path.ends_with("/adopt") => Self::Admin,
            _ => Self::Operate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_needs_the_role_of_what_it_does() {
        for (method, path, role) in [
            (Method::GET, "/v1/services", Role::Read),
            (Method::HEAD, "/metrics", Role::Read),
            (Method::GET, "/v1/keys", Role::Read),
            (Method::GET, "/v1/recordings", Role::Read),
            (Method::GET, "/v1/recordings/7", Role::Operate),
            (Method::POST, "/v1/services/users/swap", Role::Operate),
            (Method::POST, "/v1/services/users/trial", Role::Operate),
            (Method::DELETE, "/v1/faults", Role::Operate),
            (Method::PUT, "/v1/whatever-comes", Role::Operate),
            (Method::POST, "/v1/keys", Role::Admin),
            (Method::DELETE, "/v1/keys/k1", Role::Admin),
            (Method::PUT, "/v1/maintenance", Role::Operate),
            (Method::DELETE, "/v1/services/users/data", Role::Admin),
            (Method::GET, "/v1/services/users/data", Role::Admin),
            (Method::HEAD, "/v1/services/users/data", Role::Admin),
            (Method::POST, "/v1/services/users/data", Role::Admin),
            (Method::GET, "/v1/services/users/data/snapshots", Role::Read),
            (Method::POST, "/v1/services/users/data/snapshots", Role::Operate),
            (Method::POST, "/v1/state/key", Role::Admin),
            (Method::POST, "/v1/apply", Role::Admin),
            (Method::POST, "/v1/services/sales/rebuild", Role::Admin),
            (Method::POST, "/v1/services/users/adopt", Role::Admin),
        ] {
            assert_eq!(Role::needed(&method, path), role, "{method} {path}");
        }
        assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
    }
}
