//! Addresses with DNS names, and addresses by TLS.

use super::super::atoll::{Home, eventually};
use super::super::plain_server::PlainServer;
use super::{Host, kind, route, says};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, lookup_host};
use tokio_rustls::TlsAcceptor;

fn named(url: &str, keys: &str) -> String {
    format!("[service.legacy]\nurls = [{url:?}]\n{keys}\n{}", route("/plain", "legacy"))
}

#[tokio::test]
async fn each_address_of_a_dns_name_is_an_endpoint_and_keeps_its_counters() {
    let plain = PlainServer::start("plain").await;
    let port = plain.address.port();
    let addresses: BTreeSet<IpAddr> =
        lookup_host(("localhost", port)).await.unwrap().map(|address| address.ip()).collect();
    let host = Host::start(&named(&format!("http://localhost:{port}"), "")).await;
    for _ in 0..4 {
        let answer = host.get("/plain/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let addresses_shown = host.endpoints("legacy", "place").await;
    let addresses_shown: BTreeSet<_> =
        addresses_shown.iter().map(|address| address.as_str().unwrap().to_owned()).collect();
    let expected = addresses.iter().map(|ip| format!("http://localhost:{port}/ at {ip}")).collect();
    assert_eq!(addresses_shown, expected);
    let ids = host.endpoints("legacy", "id").await;
    assert!(ids.contains(&Value::from("legacy-url-0@127.0.0.1")), "{ids:?}");
    // The name is resolved again every second. That must lose no state of an endpoint.
    let host = Host::start(&named(&format!("http://localhost:{port}"), "dns = \"1s\"")).await;
    let began = tokio::time::Instant::now();
    while began.elapsed().as_millis() < 2500 {
        assert_eq!(host.status("/plain/x").await, 200);
    }
    let resolved = host.atoll.log().iter().filter(|line| line.contains("resolved")).count();
    assert_eq!(resolved, 1, "only a change of the addresses must be logged");
    let counts = host.endpoints("legacy", "requests").await;
    assert!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>() >= 20, "{counts:?}");
}

#[tokio::test]
async fn an_unknown_dns_name_stops_only_its_own_endpoint() {
    let plain = PlainServer::start("plain").await;
    let more = format!(
        "[service.other]\nurls = [\"http://nowhere.invalid:81\", \"http://{}\"]\n{}",
        plain.address,
        route("/other", "other")
    );
    let host = Host::start(&(named("http://nowhere.invalid:81", "") + &more)).await;
    let unavailable = host.get("/plain/x").await;
    assert_eq!((unavailable.status.as_u16(), kind(&unavailable)), (503, "no-endpoint".to_owned()));
    assert!(unavailable.problem()["detail"].as_str().unwrap().contains("`legacy`"));
    let line: Value = serde_json::from_str(&host.atoll.logged("a name was not resolved").await).unwrap();
    assert_eq!((&line["level"], &line["host"]), (&"WARN".into(), &"nowhere.invalid".into()), "{line}");
    for _ in 0..4 {
        assert_eq!(host.status("/other/x").await, 200, "the address that can be resolved must serve");
    }
}

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        let der = STANDARD.encode(self.0.der());
        format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
    }

    /// A server with a certificate for `name`.
    pub(super) async fn server(&self, name: &str) -> PlainServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        PlainServer::serve_by("secure", listener, Some(TlsAcceptor::from(self.config(name))))
    }

    /// What a server with a certificate for `name` needs.
    pub(super) fn config(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

/// A host that calls `server` by the name `host`, and trusts this authority.
async fn secure(server: &PlainServer, host: &str, authority: &Authority) -> Host {
    let url = format!("https://{host}:{}", server.address.port());
    let home = Home::new(&named(&url, "ca = \"certs/ca.pem\"\nhealth = { path = \"/healthz\", interval = \"1m\" }"));
    fs::create_dir(home.folder.path().join("certs")).unwrap();
    fs::write(home.folder.path().join("certs/ca.pem"), authority.pem()).unwrap();
    Host::at(home).await
}

#[tokio::test]
async fn a_tls_address_needs_a_trusted_certificate_for_its_name() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = ours.server("localhost").await;
    let host = secure(&server, "localhost", &ours).await;
    for _ in 0..4 {
        let answer = host.get("/plain/x?y").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &"/x?y".into()), "{answer:?}");
        assert_eq!(answer.json()["headers"]["host"], format!("localhost:{}", server.address.port()));
    }
    assert!(server.connections() < 4, "connections must be reused: {} connections", server.connections());
    eventually("the health check goes by TLS", async || (server.checks() > 0).then_some(())).await;

    let requests = server.requests();
    for (name, authority, why) in [("localhost", &theirs, "UnknownIssuer"), ("127.0.0.1", &ours, "not valid for name")]
    {
        let host = secure(&server, name, authority).await;
        let distrusted = host.get("/plain/x").await;
        assert_eq!((distrusted.status.as_u16(), kind(&distrusted)), (502, "connect".to_owned()));
        assert!(!distrusted.problem().to_string().contains(why), "the answer must not show the internal reason");
        let line = host.atoll.logged("a call failed").await;
        assert!(line.contains(why), "{line}");
        assert!(line.contains(&format!("no TLS with `{name}`")), "{line}");
    }
    assert_eq!(server.requests(), requests, "no request must reach a server that is not trusted");
}

/// Runs `atoll VERB` with a file of root certificates that is missing, and with one that holds none.
async fn assert_roots_are_refused(verb: &str) {
    let home = Home::new(&named("https://localhost:1", "ca = \"ca.pem\""));
    home.link_cache();
    for (text, why) in [(None, "cannot find the certificates `ca.pem`"), (Some(""), "it holds no certificate")] {
        if let Some(text) = text {
            fs::write(home.folder.path().join("ca.pem"), text).unwrap();
        }
        let refused = home.output(&[verb]).await;
        let complaint = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{complaint}");
        assert!(says(&complaint, why) && says(&complaint, "atoll.toml:3:6"), "{complaint}");
    }
}

#[tokio::test]
async fn run_refuses_missing_or_empty_root_certificates() {
    assert_roots_are_refused("run").await;
}

#[tokio::test]
async fn check_refuses_missing_or_empty_root_certificates() {
    assert_roots_are_refused("check").await;
}
