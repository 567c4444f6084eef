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

/// The last files of each certificate that could be used, as a whole: whoever renews a pair writes one file after the
/// other, and what is done in between is done with the pair before. A process has one pair, so this is small.
static LAST_GOOD: Mutex<BTreeMap<PathBuf, Arc<NodeProof>>> = Mutex::new(BTreeMap::new());

/// What the files are good for, together: authority, certificate and key.
#[derive(Debug)]
struct NodeProof {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
}

/// What a look at the files has found.
#[derive(Debug)]
pub struct ProofLook {
    /// Why the files cannot be used as they are now: those before are used on.
    pub unusable: Option<PeerTlsError>,
    /// Why other nodes refuse this one, by what is in use.
    pub unproved: Option<PeerTlsError>,
}

impl PeerTls {
    /// As [`PeerTls::load`]; what was there before, while the files cannot be used.
    ///
    /// # Errors
    /// They cannot be used, and never could.
    pub fn load_or_last(&self) -> Result<Arc<ClientConfig>, PeerTlsError> {
        self.proof_in_use().map(|(proof, _)| Arc::clone(&proof.config))
    }

    /// The files as they are, or as they last could be used, with the reason why they cannot now.
    fn proof_in_use(&self) -> Result<(Arc<NodeProof>, Option<PeerTlsError>), PeerTlsError> {
        let read = self.read();
        let mut last = LAST_GOOD.lock().unwrap_or_else(PoisonError::into_inner);
        match (read, last.get(&self.certificate)) {
            (Ok(proof), _) => {
                let proof = Arc::new(proof);
                last.insert(self.certificate.clone(), Arc::clone(&proof));
                Ok((proof, None))
            }
            (Err(error), Some(proof)) => {
                tracing::debug!(%error, "the files of this node's certificate cannot be used; those before are");
                Ok((Arc::clone(proof), Some(error)))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Looks at the files again: whether they can be used, and whether other nodes take this one for `node`.
    pub fn look(&self, node: &str) -> ProofLook {
        match self.proof_in_use() {
            Ok((proof, unusable)) => ProofLook { unusable, unproved: self.verify(&proof, node).err() },
            Err(error) => ProofLook { unusable: None, unproved: Some(error) },
        }
    }

    /// Looks whether other nodes take this one for `node`: its certificate is for that name, the authority has signed
    /// it, it holds now, and the key is its own.
    ///
    /// # Errors
    /// Why they would not.
    pub fn proves(&self, node: &str) -> Result<(), PeerTlsError> {
        self.verify(&self.read()?, node)
    }

    fn verify(&self, proof: &NodeProof, node: &str) -> Result<(), PeerTlsError> {
        let (own, between) = proof.chain.split_first().expect("a file without a certificate is refused");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unfit = |why: String| PeerTlsError::Unfit { path: self.certificate.clone(), why };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&proof.roots), provider).build();
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
        self.read().map(|proof| proof.config)
    }

    fn read(&self) -> Result<NodeProof, PeerTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            roots.add(certificate).map_err(|source| refused(&self.authority, source))?;
        }
        let (roots, chain) = (Arc::new(roots), certificates(&self.certificate)?);
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| unread(&self.key, source))?;
        // The provider is named here, and not installed for the process: no dependency can replace it.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Both ends are Atoll, so no older version is needed.
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|source| refused(&self.authority, source))?;
        let config = config.with_root_certificates(Arc::clone(&roots));
        let config = config.with_client_auth_cert(chain.clone(), key);
        let mut config = config.map_err(|source| refused(&self.certificate, source))?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(NodeProof { config: Arc::new(config), roots, chain })
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
