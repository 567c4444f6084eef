//! The client's side of TLS, and the root certificates that it trusts.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// TLS 1.2 and 1.3 with trusted roots, and the sessions that may be resumed; cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Why there are no roots to check certificates against.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has none, or none that can be read.
    #[error("the system has no root certificates{0}")]
    NoSystemRoots(String),
    /// The file cannot be read, or is not PEM.
    #[error("cannot read the certificates in {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file holds no certificate, or one that cannot be a root.
    #[error("{path} is no list of root certificates: {why}")]
    NotRoots {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("cannot set TLS up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// How to correct it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoSystemRoots(_) => {
                "install them (`ca-certificates`), or name a PEM file of root certificates with `ca`"
            }
            _ => "name a PEM file of root certificates with `ca`",
        }
    }
}

impl Tls {
    /// Trusts the roots of the system, as they are now. It reads some hundred files, or one of some hundred KB: call it
    /// once.
    ///
    /// # Errors
    /// The system has no root that can be read, as in an image without `ca-certificates`.
    pub fn system() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems have old roots that no library reads any more. They are left out.
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            return Err(TlsError::NoSystemRoots(why));
        }
        Self::with_roots(roots)
    }

    /// Trusts the certificates in the file `pem`, and no others.
    ///
    /// # Errors
    /// The file cannot be read, holds no certificate, or holds one that cannot be a root.
    pub fn with_ca(pem: &Path) -> Result<Self, TlsError> {
        let unread = |source| TlsError::Read { path: pem.into(), source };
        let wrong = |why: String| TlsError::NotRoots { path: pem.into(), why };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(pem).map_err(unread)? {
            roots.add(certificate.map_err(unread)?).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("it holds no certificate".into()));
        }
        Self::with_roots(roots)
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, TlsError> {
        // The provider is named here, and not installed for the process: no dependency can replace it.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Makes the handshake, in which the server proves that it is `host`: a name, or an address without brackets.
    /// `http2`: and agrees to speak HTTP/2.
    ///
    /// # Errors
    /// The host is no name; the server does not prove that it is `host`, or does not agree; the connection broke.
    pub async fn secure(&self, host: &str, stream: TcpStream, http2: bool) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        if !http2 {
            return TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await;
        }
        // There are few such connections. Sessions are shared with those of HTTP/1.1.
        let mut config = (*self.0).clone();
        config.alpn_protocols = vec![HTTP2.to_vec()];
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("the server does not agree to speak HTTP/2"));
        }
        Ok(stream)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
