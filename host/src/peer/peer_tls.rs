//! The calling side of mutual TLS between nodes.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// The files by which a node proves who it is to the others. They are read for each new connection, of which there are
/// few, so that a renewed certificate is used from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// The certificate of the cluster's authority, a PEM file. A file of two carries a change from one to the other.
    pub authority: PathBuf,
    /// The node's certificate, a PEM file.
    pub certificate: PathBuf,
    /// Its private key, a PEM file.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The TLS library refuses what is in them.
    #[error("{path} cannot be used: {source}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Other nodes would refuse it.
    #[error("{path}: {why}, so other nodes refuse this one")]
    Unfit {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// What was last made of the files of each certificate that can be used: whoever renews a pair writes one file after
/// the other, and connections that are made in between use the pair before. A process has one pair, so this is small.
static LAST_GOOD: Mutex<BTreeMap<PathBuf, Arc<ClientConfig>>> = Mutex::new(BTreeMap::new());

impl PeerTls {
    /// As [`PeerTls::load`]; what was there before, while the files cannot be used.
    pub(crate) fn load_or_last(&self) -> Result<Arc<ClientConfig>, PeerTlsError> {
        let mut last = LAST_GOOD.lock().unwrap_or_else(PoisonError::into_inner);
        match self.load() {
            Ok(config) => {
                last.insert(self.certificate.clone(), Arc::clone(&config));
                Ok(config)
            }
            Err(error) => match last.get(&self.certificate) {
                Some(config) => {
                    tracing::warn!(%error, "the new certificate of this node cannot be used; the old one is used on");
                    Ok(Arc::clone(config))
                }
                None => Err(error),
            },
        }
    }

    /// Looks whether other nodes take this one for `node`: its certificate is for that name, the authority has signed
    /// it, it holds now, and the key is its own.
    ///
    /// # Errors
    /// Why they would not.
    pub fn proves(&self, node: &str) -> Result<(), PeerTlsError> {
        self.load()?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            roots.add(certificate).map_err(|source| refused(&self.authority, source))?;
        }
        let chain = certificates(&self.certificate)?;
        let (own, between) = chain.split_first().expect("a file without a certificate is refused");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unfit = |why: String| PeerTlsError::Unfit { path: self.certificate.clone(), why };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| unfit(error.to_string()))?;
        let name = ServerName::try_from(node.to_owned()).map_err(|error| unfit(error.to_string()))?;
        let verified = verifier.verify_server_cert(own, between, &name, &[], UnixTime::now());
        verified.map(drop).map_err(|error| {
            use rustls::CertificateError::{
                Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
                UnknownIssuer,
            };
            unfit(match error {
                rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "it has expired".to_owned(),
                rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
                    "it does not hold yet".to_owned()
                }
                rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
                    format!("it is not for the name `{node}`, which `node` of [cluster] is")
                }
                rustls::Error::InvalidCertificate(UnknownIssuer) => {
                    format!("{} has not signed it", self.authority.display())
                }
                error => error.to_string(),
            })
        })
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or the certificate and the key do not belong together.
    pub fn load(&self) -> Result<Arc<ClientConfig>, PeerTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            roots.add(certificate).map_err(|source| refused(&self.authority, source))?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| unread(&self.key, source))?;
        // The provider is named here, and not installed for the process: no dependency can replace it.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Both ends are Atoll, so no older version is needed.
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|source| refused(&self.authority, source))?.with_root_certificates(roots);
        let config = config.with_client_auth_cert(certificates(&self.certificate)?, key);
        let mut config = config.map_err(|source| refused(&self.certificate, source))?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Arc::new(config))
    }

    /// Makes the handshake, in which the other end proves that it is `node`.
    pub(super) async fn secure(&self, node: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let files = self.clone();
        let config = spawn_blocking(move || files.load_or_last()).await.map_err(io::Error::other)?;
        let name = ServerName::try_from(node.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config.map_err(io::Error::other)?).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("the node does not agree to speak HTTP/2"));
        }
        Ok(stream)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PeerTlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|source| unread(path, source))?;
    if read.is_empty() { Err(unread(path, pem::Error::NoItemsFound)) } else { Ok(read) }
}

fn unread(path: &Path, source: pem::Error) -> PeerTlsError {
    PeerTlsError::Read { path: path.into(), source }
}

fn refused(path: &Path, source: rustls::Error) -> PeerTlsError {
    PeerTlsError::Refused { path: path.into(), source }
}
