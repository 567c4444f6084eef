//! TLS to the server: over ring, with a certificate that is checked.

use crate::state::error::StateError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The settings of connections with TLS. `ca` is a PEM file of roots; without it those of the system count.
///
/// # Errors
/// [`StateError::Unfit`]: there is no root.
pub(in crate::state) fn tls_settings(place: &str, ca: Option<&Path>) -> Result<ClientConfig, StateError> {
    let unfit = |problem: String| StateError::Unfit { place: place.into(), problem };
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let read = CertificateDer::pem_file_iter(path).and_then(|all| all.collect::<Result<Vec<_>, _>>());
            let read = read.map_err(|error| unfit(format!("`ca` cannot be read: {error}")))?;
            for certificate in read {
                roots.add(certificate).map_err(|error| unfit(format!("a certificate in `ca` is none: {error}")))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(unfit("there are no root certificates: name a PEM file of them in `ca`".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
