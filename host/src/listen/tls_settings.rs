//! What a listener serves by TLS: the files that it reads, and the bounds.

use std::path::PathBuf;
use std::time::Duration;

/// A certificate with its chain, and its key: two PEM files, which may be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate first, then those that lead to an authority.
    pub cert: PathBuf,
    /// The private key, not encrypted.
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client may show one; a wrong one is refused.
    Optional,
    /// A client without one is refused.
    Required,
}

/// What a listener serves by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificates, at least one, or `obtained`. A client gets the one that is for the host that it names (SNI),
    /// by an exact name or by a wildcard; the first, if none is.
    pub certificates: Vec<CertificateFiles>,
    /// A certificate that the host obtains by itself, with its key in the same file. It stands after the others. As
    /// long as there is no file, the listener serves without it; without any certificate each handshake fails.
    pub obtained: Option<PathBuf>,
    /// The authorities of the clients' certificates, a PEM file. `None`: no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// The revocation lists of these authorities, a PEM file. `None`: no certificate is looked for in a list.
    pub client_crl: Option<PathBuf>,
    /// Whether a client must show a certificate, where `client_ca` is named.
    pub client_auth: ClientAuth,
    /// Whether clients may speak HTTP/2, if they offer it (ALPN).
    pub http2: bool,
    /// How often the files are looked at.
    pub reload: Duration,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            obtained: None,
            client_ca: None,
            client_crl: None,
            client_auth: ClientAuth::Required,
            http2: false,
            reload: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
        }
    }
}
