//! What an ACME server looks at to see that the names of a certificate lead here (RFC 8555, section 8).

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The protocol by which an ACME server proves a name in a handshake (RFC 8737, section 4).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// The proofs that are offered now. There are some for seconds, while a certificate is ordered; at all other times a
/// handshake pays one load for them.
#[derive(Default)]
pub struct AcmeChallenges {
    proofs: Mutex<Proofs>,
    /// For handshakes that are such a proof. `None`: there is nothing to prove.
    tls: ArcSwapOption<ServerConfig>,
}

#[derive(Default, Clone)]
struct Proofs {
    /// The certificate that proves a name.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// What is answered for a token by HTTP.
    by_token: HashMap<String, String>,
}

/// Offers one proof until it is dropped.
#[must_use]
pub struct OfferedProof {
    challenges: Arc<AcmeChallenges>,
    key: ProofKey,
}

enum ProofKey {
    Name(String),
    Token(String),
}

impl AcmeChallenges {
    /// Shows `certificate` to whoever proves `name` by `acme-tls/1`.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn offer_certificate(
        self: &Arc<Self>,
        name: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<OfferedProof, rustls::Error> {
        let key = default_provider().key_provider.load_private_key(key)?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
        let name = name.to_ascii_lowercase();
        self.change(|proofs| _ = proofs.by_name.insert(name.clone(), certified));
        Ok(OfferedProof { challenges: Arc::clone(self), key: ProofKey::Name(name) })
    }

    /// Answers `answer` to whoever asks for `token` by HTTP (RFC 8555, section 8.3).
    pub fn offer_answer(self: &Arc<Self>, token: &str, answer: &str) -> OfferedProof {
        self.change(|proofs| _ = proofs.by_token.insert(token.to_owned(), answer.to_owned()));
        OfferedProof { challenges: Arc::clone(self), key: ProofKey::Token(token.to_owned()) }
    }

    /// What proves `token` by HTTP; `None`: it is none of ours, or no longer.
    pub fn answer(&self, token: &str) -> Option<String> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner).by_token.get(token).cloned()
    }

    /// The configuration of handshakes that are a proof.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.load_full()
    }

    fn change(&self, change: impl FnOnce(&mut Proofs)) {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut proofs);
        let config = (!proofs.by_name.is_empty()).then(|| Arc::new(configuration(proofs.by_name.clone())));
        // Within the lock, so that of two changes the later one is seen.
        self.tls.store(config);
    }
}

/// The names of the proofs alone: keys do not print.
impl fmt::Debug for AcmeChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("AcmeChallenges").field("names", &proofs.by_name.keys()).finish_non_exhaustive()
    }
}

impl Drop for OfferedProof {
    fn drop(&mut self) {
        self.challenges.change(|proofs| match &self.key {
            ProofKey::Name(name) => _ = proofs.by_name.remove(name),
            ProofKey::Token(token) => _ = proofs.by_token.remove(token),
        });
    }
}

/// Whether a client offers `acme-tls/1` and nothing else, as whoever checks a name does (RFC 8737, section 3).
pub(super) fn is_proof(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|offered| offered.eq([ACME_TLS]))
}

/// Without the clients' authorities of the listener: whoever checks a name has no certificate. No session is resumed.
fn configuration(by_name: HashMap<String, Arc<CertifiedKey>>) -> ServerConfig {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&versions);
    let config = config.expect("ring has suites for both versions").with_no_client_auth();
    let mut config = config.with_cert_resolver(Arc::new(ProofResolver(by_name)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// The certificate that proves the name of a handshake.
#[derive(Debug)]
struct ProofResolver(HashMap<String, Arc<CertifiedKey>>);

impl ResolvesServerCert for ProofResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_offered_until_it_is_dropped() {
        let challenges = Arc::new(AcmeChallenges::default());
        assert!(challenges.tls().is_none() && challenges.answer("token").is_none());
        let answer = challenges.offer_answer("token", "token.thumbprint");
        assert_eq!(challenges.answer("token").as_deref(), Some("token.thumbprint"));
        assert!(challenges.tls().is_none(), "an answer by HTTP is none in a handshake");

        let made = rcgen::generate_simple_self_signed(vec!["shop.example".into()]).expect("a certificate");
        let key = || PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let offer = |name| challenges.offer_certificate(name, made.cert.der().clone(), key()).expect("a key");
        let (first, second) = (offer("Shop.Example"), offer("other.example"));
        assert_eq!(challenges.tls().expect("there are some").alpn_protocols, [ACME_TLS]);
        assert_eq!(format!("{challenges:?}").matches("shop.example").count(), 1);
        drop(first);
        assert!(challenges.tls().is_some());
        drop((second, answer));
        assert!(challenges.tls().is_none() && challenges.answer("token").is_none());
    }
}
