//! The bounds and the ends of connections hold with TLS as without.

use super::{GET, NotifyOnDrop, SHORT, TestServer, within};
use crate::base::{Body, full_body};
use crate::listen::server_tls::TlsLook;
use crate::listen::{CertificateFiles, Drain, Listener, Peer, ServerTls, Settings, TlsSettings};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A request whose answer ends the connection.
const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A server by TLS, and what a client needs to trust it.
struct SecureServer {
    server: TestServer,
    client: TlsConnector,
    tls: Arc<ServerTls>,
    folder: TempDir,
}

impl SecureServer {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.server.addr).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        within(self.client.connect(name, stream)).await.expect("a handshake")
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

async fn serve<S, F>(settings: Settings, service: S) -> SecureServer
where
    S: Fn(Request<Body>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate();
    let files = CertificateFiles { cert: folder.path().join("a.pem"), key: folder.path().join("a.key") };
    fs::write(&files.cert, pem("CERTIFICATE", &cert)).expect("a file");
    fs::write(&files.key, key).expect("a file");
    let tls = TlsSettings { certificates: vec![files], ..TlsSettings::default() };
    let tls = Arc::new(ServerTls::load(tls).expect("right files"));
    let listener = Listener::bind(settings).await.expect("port 0 is free").secured(Arc::clone(&tls));
    let (addr, drain) = (listener.local_addr().expect("it is bound"), Drain::new());
    let serving = tokio::spawn(listener.serve(service, drain.clone()));
    let server = TestServer { addr, drain, serving };
    SecureServer { server, client: connector(&cert), tls, folder }
}

/// A certificate for `localhost`, and its key in PEM.
fn certificate() -> (CertificateDer<'static>, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    (cert.der().clone(), pem("PRIVATE KEY", &KeyPair::serialize_der(&signing_key)))
}

fn connector(trusted: &CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring has both versions").with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A body without an end.
fn endless(held: NotifyOnDrop) -> Body {
    let pieces = stream::repeat_with(move || {
        let _held = &held;
        Ok(Frame::data(Bytes::from(vec![7; 64 * 1024])))
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[tokio::test]
async fn the_service_learns_what_the_handshake_has_shown() {
    let server = serve(Settings::default(), |_, peer: Peer| async move {
        let secure = peer.secure.expect("the connection has TLS");
        Response::new(full_body(format!("{:?} {:?}", secure.sni, secure.certificate.is_some())))
    })
    .await;
    let mut wire = server.connect().await;
    wire.write_all(LAST.as_bytes()).await.expect("bytes are taken");
    let mut answer = String::new();
    within(wire.read_to_string(&mut answer)).await.expect("an answer that ends in order");
    assert!(answer.ends_with(r#"Some("localhost") false"#), "{answer}");
}

#[tokio::test]
async fn a_peer_that_takes_an_answer_too_slowly_is_cut_off() {
    let slow = Settings { min_download_rate: 1 << 20, rate_grace: SHORT, ..Settings::default() };
    let silent = Settings { min_download_rate: 0, write_timeout: SHORT, ..Settings::default() };
    for settings in [slow, silent] {
        let (told, mut seen) = mpsc::channel(1);
        let server = serve(settings, move |_, peer: Peer| {
            let (told, (gone, mut dropped)) = (told.clone(), mpsc::channel(1));
            let body = endless(NotifyOnDrop(gone));
            tokio::spawn(async move {
                dropped.recv().await;
                let _ = told.send(peer.was_too_slow()).await;
            });
            async move { Response::new(body) }
        })
        .await;
        let mut wire = server.connect().await;
        wire.write_all(GET.as_bytes()).await.expect("bytes are taken");
        assert_eq!(within(seen.recv()).await, Some(true));
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_of_the_last_records_is_cut_off() {
    // The service is done, and hyper too: what is left waits in the session of TLS.
    let settings = Settings { write_timeout: SHORT, min_download_rate: 0, connections: 1, ..Settings::default() };
    for length in [3 << 20, 6 << 20, 9 << 20] {
        let server =
            serve(settings.clone(), move |_, _| async move { Response::new(full_body(vec![7; length])) }).await;
        let mut wire = server.connect().await;
        wire.write_all(GET.as_bytes()).await.expect("bytes are taken");
        // The one permit is free again once the first connection has ended.
        let mut next = server.connect().await;
        next.write_all(LAST.as_bytes()).await.expect("bytes are taken");
        let mut answer = Vec::new();
        within(next.read_to_end(&mut answer)).await.expect("an answer that ends in order");
        assert!(answer.len() > length, "{length}: {}", answer.len());
        drop(wire);
    }
}

#[tokio::test]
async fn a_request_is_dropped_when_its_peer_says_goodbye_and_goes_away() {
    // `true`: by a message of TLS; `false`: by the end of TCP alone.
    for in_order in [true, false] {
        let (gone, mut dropped) = mpsc::channel(1);
        let arrived = Arc::new(Notify::new());
        let settings = Settings { half_closed_timeout: SHORT, ..Settings::default() };
        let server = serve(settings, {
            let arrived = arrived.clone();
            move |_, _| {
                let guard = NotifyOnDrop(gone.clone());
                arrived.notify_one();
                async move {
                    let _held = guard;
                    std::future::pending().await
                }
            }
        })
        .await;
        let mut wire = server.connect().await;
        wire.write_all(GET.as_bytes()).await.expect("bytes are taken");
        within(arrived.notified()).await;
        if in_order {
            wire.shutdown().await.expect("it is sent");
        } else {
            wire.get_mut().0.shutdown().await.expect("it is sent");
        }
        assert_eq!(within(dropped.recv()).await, Some(()), "in order: {in_order}");
    }
}

#[tokio::test]
async fn a_peer_that_closes_its_half_gets_its_answer_and_an_end_in_order() {
    let (arrived, permission) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = serve(Settings::default(), {
        let (arrived, permission) = (arrived.clone(), permission.clone());
        move |_, _| {
            let (arrived, permission) = (arrived.clone(), permission.clone());
            async move {
                arrived.notify_one();
                permission.notified().await;
                Response::new(full_body("finished"))
            }
        }
    })
    .await;
    let mut wire = server.connect().await;
    wire.write_all(GET.as_bytes()).await.expect("bytes are taken");
    wire.shutdown().await.expect("it is sent");
    within(arrived.notified()).await;
    permission.notify_one();
    let mut answer = String::new();
    // Without `close_notify` this is an error.
    within(wire.read_to_string(&mut answer)).await.expect("an end in order");
    assert!(answer.ends_with("finished"), "{answer}");
}

#[tokio::test]
async fn a_drain_ends_idle_connections_in_order() {
    let server = serve(Settings::default(), |_, _| async { Response::new(full_body("well")) }).await;
    let mut idle = server.connect().await;
    idle.write_all(GET.as_bytes()).await.expect("bytes are taken");
    let mut answer = Vec::new();
    while !answer.ends_with(b"well") {
        assert!(within(idle.read_buf(&mut answer)).await.expect("an answer") > 0);
    }
    server.server.drain.start(Duration::from_secs(60));
    assert_eq!(within(idle.read_buf(&mut answer)).await.expect("an end in order"), 0);
    assert_eq!(within(server.server.serving).await.expect("it ends"), 0);
}

#[tokio::test]
async fn a_handshake_that_goes_nowhere_makes_room_for_a_new_connection() {
    let settings = Settings { connections: 1, ..Settings::default() };
    let server = serve(settings, |_, _| async { Response::new(full_body("well")) }).await;
    let mut silent = TcpStream::connect(server.server.addr).await.expect("a connection");
    let mut wire = server.connect().await;
    wire.write_all(GET.as_bytes()).await.expect("bytes are taken");
    let mut answer = vec![0; 4096];
    assert!(within(wire.read(&mut answer)).await.expect("an answer") > 0);
    assert_eq!(within(silent.read(&mut answer)).await.expect("an end"), 0);
    assert!(!server.tls.is_stale());
}

#[tokio::test]
async fn a_pair_of_files_that_is_half_written_is_looked_at_once_more() {
    let server = serve(Settings::default(), |_, _| async { Response::new(full_body("well")) }).await;
    let (tls, (cert, key)) = (&server.tls, certificate());
    let before = tls.config();
    assert!(matches!(tls.look("gateway", false).await, TlsLook::Unchanged));
    fs::write(server.folder.path().join("a.pem"), pem("CERTIFICATE", &cert)).expect("a file");
    assert!(matches!(tls.look("gateway", false).await, TlsLook::Broken(_)));
    assert!(!tls.is_stale(), "the second look decides");
    assert!(matches!(tls.look("gateway", false).await, TlsLook::Unchanged), "it was seen");
    tls.take("gateway", tls.look("gateway", true).await);
    assert!(tls.is_stale() && Arc::ptr_eq(&before, &tls.config()));

    fs::write(server.folder.path().join("a.key"), key).expect("a file");
    tls.take("gateway", tls.look("gateway", false).await);
    assert!(!tls.is_stale() && !Arc::ptr_eq(&before, &tls.config()));
}

#[tokio::test]
async fn a_certificate_that_is_obtained_may_come_late_and_serves_on_when_its_file_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("obtained.pem");
    let settings = TlsSettings { obtained: Some(path.clone()), ..TlsSettings::default() };
    let tls = Arc::new(ServerTls::load(settings).expect("it may come late"));
    assert!(tls.is_bare() && !tls.is_stale());
    let (cert, key) = certificate();
    fs::write(&path, pem("CERTIFICATE", &cert) + &key).expect("a file");
    tls.take("gateway", tls.look("gateway", false).await);
    assert!(!tls.is_bare());
    let served = tls.config();
    fs::remove_file(&path).expect("it was there");
    let look = tls.look("gateway", false).await;
    assert!(matches!(&look, TlsLook::Broken(errors) if errors[0].to_string().ends_with("is gone")));
    tls.take("gateway", look);
    assert!(Arc::ptr_eq(&served, &tls.config()) && tls.is_stale() && !tls.is_bare());
    assert!(matches!(tls.look("gateway", false).await, TlsLook::Unchanged), "it is told once");
    fs::write(&path, pem("CERTIFICATE", &cert) + &key).expect("a file");
    tls.take("gateway", tls.look("gateway", false).await);
    assert!(!tls.is_stale());
}
