//! TLS: which certificates the client trusts.

use super::super::tls::{Tls, TlsError};
use super::*;
use crate::egress::EgressRule;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::io::Write as _;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// A certificate authority.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let der = STANDARD.encode(issuer.der());
        let pem = file(&format!("A comment.\n-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"));
        Self { issuer, pem }
    }

    /// Starts a server with a certificate for these names and addresses.
    async fn server(&self, names: &[&str], answer: &'static str, then: Then) -> Server {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Server::start(answer, then, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    fn dial(&self) -> Dial {
        Dial { tls: Some(Tls::with_ca(self.pem.path()).unwrap()), ..dial() }
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

async fn fetch(host: &str, server: &Server, dial: &Dial) -> Result<String, TryError> {
    let client = HttpClient::fixed(base("https", host, server.address, ""), server.address, dial);
    get_text(&client, "/").await
}

#[tokio::test]
async fn a_certificate_must_be_for_the_host_of_the_url() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut server = ours.server(&["users.example", "192.0.2.7"], OK, Then::Keep).await;
    for host in ["users.example", "192.0.2.7"] {
        assert_eq!(fetch(host, &server, &ours.dial()).await.unwrap(), "hi");
        let (_, head) = server.head().await;
        assert_eq!(field(&head, "host"), Some(&*format!("{host}:{}", server.address.port())));
    }
    let refused = [
        ("orders.example", ours.dial(), "not valid for name"),
        ("127.0.0.1", ours.dial(), "not valid for name"),
        ("users.example", theirs.dial(), "UnknownIssuer"),
        ("users.example", dial(), "it was not set up"),
    ];
    for (host, dial, why) in refused {
        let TryError { kind, detail, .. } = fetch(host, &server, &dial).await.unwrap_err();
        assert_eq!(kind, ErrorKind::Connect, "{detail}");
        assert!(detail.contains(why), "{detail}");
    }
    server.heads.close();
    assert_eq!(server.heads.recv().await, None, "no byte of a request was sent");
}

#[tokio::test]
async fn the_certificate_of_an_outside_host_is_checked_too() {
    let ours = Authority::new("ours");
    let server = ours.server(&["localhost"], OK, Then::Keep).await;
    let rule = EgressRule::parse(&format!("https://localhost:{}", server.address.port()), true).unwrap();
    for (dial, reached) in [(ours.dial(), true), (Authority::new("theirs").dial(), false)] {
        let client = HttpClient::checked(base("https", "localhost", server.address, ""), rule.clone(), &dial);
        assert_eq!(get_text(&client, "/").await.is_ok(), reached);
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_a_tls_close_is_a_broken_answer() {
    let ours = Authority::new("ours");
    let server = ours.server(&["users.example"], "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", Then::Close).await;
    assert_eq!(fetch("users.example", &server, &ours.dial()).await.unwrap_err().kind, ErrorKind::Reset);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_no_connection() {
    let silent = Server::start("", Then::Keep, None).await;
    let dial = Dial { connect: Duration::from_millis(50), ..Authority::new("theirs").dial() };
    let TryError { kind, detail, .. } = fetch("users.example", &silent, &dial).await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect);
    assert!(detail.contains("no connection to `users.example` within 50ms"), "{detail}");
}

#[test]
fn a_file_without_root_certificates_is_refused() {
    let missing = Tls::with_ca(std::path::Path::new("/nowhere/ca.pem")).unwrap_err();
    assert!(matches!(missing, TlsError::Read { .. }), "{missing}");
    let empty = Tls::with_ca(file("nothing here").path()).unwrap_err();
    assert!(empty.to_string().ends_with("it holds no certificate"), "{empty}");
    for text in ["aGk=", "%%%"] {
        let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        assert!(Tls::with_ca(file(&text).path()).is_err(), "{text}");
    }
}
