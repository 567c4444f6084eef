//! Which certificate a client gets: by the name of the host that it asks for (SNI, RFC 6066, section 3).

use super::certificate_facts::SubjectName;
use super::certificate_files::ReadCertificate;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The certificates of a listener by host name.
#[derive(Debug)]
pub(super) struct SniResolver {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`: the star stands for one label.
    wild: HashMap<String, Arc<CertifiedKey>>,
    /// For a client that names no host, or one that no certificate is for.
    default: Option<Arc<CertifiedKey>>,
}

impl SniResolver {
    /// The first certificate is the default. Of two that are for one name the first counts. Without a certificate every
    /// handshake fails.
    pub(super) fn new(certificates: &[ReadCertificate]) -> Self {
        let (mut exact, mut wild) = (HashMap::new(), HashMap::new());
        for ReadCertificate { key, facts, .. } in certificates {
            for name in &facts.names {
                let SubjectName::Dns(name) = name else { continue };
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wild, parent),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| Arc::clone(key));
            }
        }
        Self { exact, wild, default: certificates.first().map(|first| Arc::clone(&first.key)) }
    }

    /// The certificate for a host; `name` is as the client sends it.
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return self.default.as_ref() };
        let wild = || name.split_once('.').and_then(|(_, parent)| self.wild.get(parent));
        self.exact.get(&name).or_else(wild).or(self.default.as_ref())
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::certificate_facts::CertificateFacts;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;

    fn certificate(names: &[&str]) -> ReadCertificate {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let key = KeyPair::generate().expect("a key");
        let made = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
        let facts = CertificateFacts::read(made.der()).expect("it is one");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
        let key = Arc::new(CertifiedKey::new(vec![made.der().clone()], key));
        ReadCertificate { key, facts, path: "a.pem".into() }
    }

    #[test]
    fn the_certificate_is_that_of_the_exact_name_then_of_the_wildcard_then_the_first() {
        let all = [
            certificate(&["first.example"]),
            certificate(&["*.shop.example", "Shop.Example"]),
            certificate(&["eu.shop.example", "shop.example"]),
        ];
        let resolver = SniResolver::new(&all);
        for (name, index) in [
            (None, 0),
            (Some("first.example"), 0),
            (Some("other.example"), 0),
            (Some("shop.example"), 1),
            (Some("SHOP.example"), 1),
            (Some("a.shop.example"), 1),
            (Some("a.b.shop.example"), 0),
            (Some("eu.shop.example"), 2),
        ] {
            assert!(Arc::ptr_eq(resolver.find(name).expect("one"), &all[index].key), "{name:?}");
        }
        assert!(SniResolver::new(&[]).find(Some("shop.example")).is_none());
    }
}
