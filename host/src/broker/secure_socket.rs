//! Connections to a broker: plain ones, and those that rustls secures with ring.

use super::error::BrokerError;
use super::settings::BrokerSettings;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes in both directions.
pub(super) trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for S {}

/// Connects to `server`, `host:port`.
///
/// # Errors
/// It cannot be reached, or does not prove who it is: then the inner error is one of rustls.
pub(super) async fn open(server: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Duplex>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}

/// What secures the connections; `None`: they are plain.
///
/// # Errors
/// [`BrokerError::Login`]: the certificates cannot be read.
pub(super) fn client_tls(settings: &BrokerSettings) -> Result<Option<Arc<ClientConfig>>, BrokerError> {
    if !settings.tls {
        return Ok(None);
    }
    let roots = match &settings.ca {
        Some(ca) => own_roots(ca)?,
        None => {
            let mut roots = RootCertStore::empty();
            // Systems have old roots that no library reads any more. They are left out.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    if roots.is_empty() {
        let what = "there are no root certificates: install those of the system, or name a PEM file with `ca`";
        return Err(BrokerError::Login(what.to_owned()));
    }
    // The provider is named here, and not installed for the process: no dependency can replace it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| BrokerError::Login(error.to_string()))?;
    Ok(Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

fn own_roots(pem: &Path) -> Result<RootCertStore, BrokerError> {
    let wrong = |error: &dyn std::error::Error| BrokerError::Login(format!("{}: {error}", pem.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(pem).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    Ok(roots)
}
