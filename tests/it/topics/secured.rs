//! Brokers with TLS: the host checks who the server is, and speaks with no other.

use super::super::atoll::{Home, eventually};
use super::kafka_server::KafkaServer;
use super::nats_server::NatsServer;
use super::rabbit_server::RabbitServer;
use super::{Book, MANIFEST, refused};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A folder with an authority (`ca.pem`), what it has signed for `localhost` (`cert.pem`, `key.pem`), and another
/// authority (`other.pem`).
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join(name), issuer.pem()).unwrap();
        issuer
    };
    let (ca, _other) = (authority("ca.pem"), authority("other.pem"));
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    folder
}

/// Publishes and handles an event over a server at `address`, and shows that another authority does not do.
async fn holds_over(address: &str, files: &TempDir) {
    let ca = |name: &str| format!("ca = '{}'", files.path().join(name).display());
    let home = Home::new(&format!("[events]\nbroker = '{address}'\n{}\n{MANIFEST}", ca("ca.pem")));
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("secured", "k", "").await;
    eventually("it is handled", async || (book.value("reader", "order/k").await == "secured ").then_some(())).await;
    host.stop().await;
    for keys in [&*ca("other.pem"), ""] {
        let complaint = refused(address, keys, &[]).await;
        assert!(complaint.contains("the broker refuses the connection"), "{complaint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_spoken_to_by_tls() {
    let files = certificates();
    let file = |name: &str| files.path().join(name).display().to_string();
    let Some(server) =
        NatsServer::start_with(&["--tls", "--tlscert", &file("cert.pem"), "--tlskey", &file("key.pem")]).await
    else {
        return;
    };
    holds_over(&server.address().replace("nats://127.0.0.1", "tls://localhost"), &files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_spoken_to_by_tls() {
    let files = certificates();
    let folder = files.path().display();
    let configuration = format!(
        "listeners.ssl.1 = 127.0.0.1:{{tls}}\nssl_options.cacertfile = {folder}/ca.pem\nssl_options.certfile = \
         {folder}/cert.pem\nssl_options.keyfile = {folder}/key.pem\nssl_options.verify = verify_none\n"
    );
    let Some(server) = RabbitServer::start_with(&configuration).await else { return };
    holds_over(&server.secure_address(), &files).await;
}

/// Takes connections with TLS, and hands their bytes on to a server that speaks none.
async fn secure(listener: TcpListener, port: u16, files: &TempDir) {
    let file = |name: &str| files.path().join(name);
    let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kafka_protocol_is_spoken_by_tls() {
    let files = certificates();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = format!("localhost:{}", listener.local_addr().unwrap().port());
    // Its own TLS takes a certificate or a key, and not both.
    let Some(server) = KafkaServer::tansu_at(&told).await else { return };
    secure(listener, server.port(), &files).await;
    holds_over(&format!("kafkas://{told}"), &files).await;
}
