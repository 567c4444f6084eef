//! Which certificate a client gets, what the service is told, and what becomes of handshakes that fail.

use super::super::atoll::{Http, eventually};
use super::{GET, TlsHome, exchange, metric};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CERTIFICATES: &str = "
[gateway.tls]
certificates = [
    { cert = 'shop.pem', key = 'shop.key' },
    { cert = 'wild.pem', key = 'wild.key' },
    { cert = 'eu.pem', key = 'eu.key' },
]
[service.hello]
component = '{component:fixture-hello}'
[[route]]
prefix = '/'
service = 'hello'
";

#[tokio::test]
async fn a_client_gets_the_certificate_of_the_host_that_it_names() {
    let home = TlsHome::with(CERTIFICATES);
    let (wild, eu) = (home.authority.sign(&["*.shop.example"]), home.authority.sign(&["eu.shop.example"]));
    wild.write(home.folder(), "wild");
    eu.write(home.folder(), "eu");
    let atoll = home.home.start().await;
    let client = home.client();
    for (name, own) in [("a.shop.example", &wild), ("eu.shop.example", &eu), ("EU.shop.example", &eu)] {
        let stream = client.connect(&atoll, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, own.certificate, "{name}");
        assert!(exchange(stream, &GET.replace("shop", "any")).await.unwrap().starts_with("HTTP/1.1 200"), "{name}");
    }
    // An address has no name (SNI): the first certificate. So has a host that none is for, and the client refuses it.
    assert!(client.ask(&atoll, "127.0.0.1", GET).await.unwrap().starts_with("HTTP/1.1 200"));
    let refused = client.connect(&atoll, "other.example").await.unwrap_err();
    assert!(refused.to_string().contains("not valid for name"), "{refused}");
    // The client says why, in an alert.
    eventually("the refusal is counted", async || {
        metric(&atoll, "tls_handshake_failures_total", ",reason=\"refused-by-client\"")
            .await
            .filter(|count| *count > 0.0)
    })
    .await;
    // The plain socket goes on as ever.
    assert_eq!(Http::default().get(&format!("{}/", atoll.gateway)).await.status, 200);
    assert!(metric(&atoll, "tls_certificate_seconds", "").await.unwrap() > 0.0);
}

#[tokio::test]
async fn both_versions_are_spoken_http_1_is_agreed_on_and_a_session_is_resumed() {
    let home = TlsHome::new("");
    let atoll = home.home.start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = home.client().only(version).changed(|config| config.alpn_protocols = vec![b"http/1.1".to_vec()]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = client.connect(&atoll, "shop.example").await.unwrap();
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(connection.handshake_kind(), Some(kind));
            // The session's tickets come with the answer.
            assert!(exchange(stream, GET).await.unwrap().starts_with("HTTP/1.1 200"));
        }
    }
    assert_eq!(metric(&atoll, "tls_handshakes_total", ",kind=\"full\"").await, Some(2.0));
    assert_eq!(metric(&atoll, "tls_handshakes_total", ",kind=\"resumed\"").await, Some(2.0));
    // A client that offers only another protocol gets no connection (RFC 7301, section 3.2).
    let other = home.client().changed(|config| config.alpn_protocols = vec![b"spdy/1".to_vec()]);
    assert!(other.connect(&atoll, "shop.example").await.is_err());
    // The client hears of the refusal before the host has counted it.
    let refused = async || metric(&atoll, "tls_handshake_failures_total", ",reason=\"nothing-shared\"").await;
    eventually("the refusal is counted", async || (refused().await == Some(1.0)).then_some(())).await;
}

#[tokio::test]
async fn a_handshake_that_fails_or_takes_too_long_is_counted_and_harms_nobody() {
    let home = TlsHome::new("handshake_timeout = '200ms'");
    let atoll = home.home.start().await;
    let address = atoll.secure.strip_prefix("https://").unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(GET.as_bytes()).await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut sink = Vec::new();
    assert_eq!(silent.read_to_end(&mut sink).await.unwrap(), 0, "the host ends a connection that says nothing");
    let _ = plain.read_to_end(&mut sink).await;
    assert!(!sink.starts_with(b"HTTP"), "no service sees the request");
    for reason in ["timeout", "not-tls"] {
        let count = metric(&atoll, "tls_handshake_failures_total", &format!(",reason=\"{reason}\"")).await;
        assert_eq!(count, Some(1.0), "{reason}");
    }
    assert!(home.client().ask(&atoll, "shop.example", GET).await.unwrap().starts_with("HTTP/1.1 200"));
    let log = atoll.stop().await;
    assert!(!log.iter().any(|line| line.contains("handshake")), "it is a debug line: {log:?}");
}

#[tokio::test]
async fn a_service_is_told_https_and_answers_arrive_whole() {
    let server = super::super::plain_server::PlainServer::start("plain").await;
    let home = TlsHome::with(&format!(
        "[gateway.tls]\ncertificates = [{{ cert = 'shop.pem', key = 'shop.key' }}]\n\
         [service.new]\ncomponent = '{{component:fixture-endings}}'\n\
         [service.old]\ncomponent = '{{component:fixture-endings02}}'\n\
         [service.plain]\nurls = ['http://{}']\n\
         [[route]]\nprefix = '/new'\nstrip_prefix = '/new'\nservice = 'new'\n\
         [[route]]\nprefix = '/old'\nstrip_prefix = '/old'\nservice = 'old'\n\
         [[route]]\nprefix = '/plain'\nstrip_prefix = '/plain'\nservice = 'plain'\n",
        server.address
    ));
    let atoll = home.home.start().await;
    let client = home.client();
    let get = |path: &str| GET.replace("GET /", &format!("GET {path}"));
    for service in ["new", "old"] {
        let answer = client.ask(&atoll, "shop.example", &get(&format!("/{service}/told"))).await.unwrap();
        assert!(answer.contains("Some(Scheme::Https) Some(\"shop.example\") 0"), "{service}: {answer}");
        let plain = Http::default().get(&format!("{}/{service}/told", atoll.gateway)).await;
        assert!(String::from_utf8_lossy(&plain.body).contains("Some(Scheme::Http) "), "{service}: {plain:?}");
    }
    let seen = client.ask(&atoll, "shop.example", &get("/plain/seen")).await.unwrap();
    assert!(seen.contains(r#""x-forwarded-proto":"https""#), "{seen}");
    assert!(seen.contains(r#"host=\"shop.example\";proto=https"#), "{seen}");
    // An absolute target says the scheme too.
    let absolute = |scheme: &str| GET.replace("GET /", &format!("GET {scheme}://shop.example/plain/seen"));
    assert!(client.ask(&atoll, "shop.example", &absolute("https")).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(client.ask(&atoll, "shop.example", &absolute("http")).await.unwrap().starts_with("HTTP/1.1 421"));
    // Any host is served that a route admits, whatever certificate was shown.
    let other = get("/plain/seen").replace("shop.example", "other.example");
    assert!(client.ask(&atoll, "shop.example", &other).await.unwrap().starts_with("HTTP/1.1 200"));
    // More than the buffers of the connection and of TLS hold, both ways.
    const LENGTH: usize = 4 << 20;
    let large = client.ask(&atoll, "shop.example", &get(&format!("/plain/large/{LENGTH}"))).await.unwrap();
    let (_, body) = large.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), LENGTH);
}
