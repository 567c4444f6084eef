//! What is ordered, from whom, and where it is kept.

use std::fmt;
use std::path::PathBuf;

/// A certificate that the host keeps valid.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host names of the certificate, 1 to 100, in lower case.
    pub names: Vec<String>,
    /// The address of the authority's directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// A PEM file of the authorities that sign the certificate of the directory itself; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// How the authority may reach the operator: `mailto:ops@shop.example`.
    pub contact: Vec<String>,
    /// How the names are proved.
    pub challenge: AcmeChallengeKind,
    /// The profile of the certificate, one that the directory names; `None`: the authority chooses.
    pub profile: Option<String>,
    /// The account that the operator has with the authority already; `None`: it asks for none.
    pub external_account: Option<ExternalAccount>,
    /// Where account, certificate and times are kept.
    pub folder: PathBuf,
}

/// How a name is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeChallengeKind {
    /// In a handshake at port 443 (RFC 8737).
    TlsAlpn01,
    /// By a request to port 80 (RFC 8555, section 8.3).
    Http01,
}

impl AcmeChallengeKind {
    /// As the protocol names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// An account at the authority that was made elsewhere, which the new account is bound to (RFC 8555, section 7.3.4).
#[derive(Clone)]
pub struct ExternalAccount {
    /// Its name there.
    pub id: String,
    /// The key that proves it.
    pub key: Vec<u8>,
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}
