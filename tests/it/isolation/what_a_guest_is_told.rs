//! What guests of WASI 0.2 and 0.3 are told of a request, and the timeouts that they set for their own: the same.

use crate::it::atoll::{Home, Http, TIMEOUT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const GUESTS: [&str; 2] = ["endings", "endings02"];

fn manifest(upstream: &str) -> String {
    let service = |name: &str| {
        format!(
            r#"
[service.{name}]
component = "{{component:fixture-{name}}}"
calls = ["upstream"]
limits = {{ timeout = "1m", wait = "1m" }}
retry = {{ tries = 0 }}

[[route]]
prefix = "/{name}"
strip_prefix = "/{name}"
service = "{name}"
"#
        )
    };
    let services: String = GUESTS.map(service).concat();
    format!("[service.upstream]\nurls = [\"{upstream}\"]\nretry = {{ tries = 0 }}\n{services}")
}

/// The scheme, the authority and the count of `Host` headers that a guest reports (RFC 9110, section 7.2).
#[tokio::test]
async fn guests_of_both_versions_are_told_the_same_scheme_and_authority() {
    let home = Home::new(&manifest("http://127.0.0.1:9"));
    let atoll = home.start().await;
    for (target, host, authority) in [
        ("/told", "host: shop.example\r\n", "shop.example"),
        ("/told", "host: shop.example:8080\r\n", "shop.example:8080"),
        ("/told", "host: [::1]:80\r\n", "[::1]:80"),
        ("http://shop.example/GUEST/told", "host: shop.example\r\n", "shop.example"),
    ] {
        for guest in GUESTS {
            let target = match target.strip_prefix('/') {
                Some(path) => format!("/{guest}/{path}"),
                None => target.replace("GUEST", guest),
            };
            let mut stream = TcpStream::connect(atoll.gateway.trim_start_matches("http://")).await.unwrap();
            let request = format!("GET {target} HTTP/1.1\r\n{host}connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            timeout(TIMEOUT, stream.read_to_string(&mut answer)).await.expect("the answer ends").unwrap();
            let told = format!("Some(Scheme::Http) Some(\"{authority}\") 0");
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&told), "{guest} {target}: {answer:?}");
        }
    }
}

/// Answers each request with a head and the pieces that its path asks for, and then is silent: `/0` with the head
/// alone, `/2` with two pieces, `/whole` with a whole body.
async fn stalling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.is_ok_and(|count| count > 0)
                {}
                let request = String::from_utf8(request).unwrap();
                let rest = match request.split(' ').nth(1) {
                    Some("/0") => "",
                    Some("/2") => "1\r\na\r\n1\r\nb\r\n",
                    _ => "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
                };
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{rest}");
                let _ = stream.write_all(answer.as_bytes()).await;
                // Silent until the other side hangs up.
                let _ = stream.read_u8().await;
            });
        }
    });
    url
}

#[tokio::test]
async fn the_timeouts_that_a_guest_sets_for_the_bytes_of_an_answer_are_kept() {
    let home = Home::new(&manifest(&stalling().await));
    let (atoll, http) = (home.start().await, Http::default());
    for (path, first, between, said) in [
        ("/0", "", "100", ", then Some(ErrorCode::ConnectionReadTimeout)"),
        ("/2", "", "100", "ab, then Some(ErrorCode::ConnectionReadTimeout)"),
        ("/0", "300", "", ", then Some(ErrorCode::HttpResponseTimeout)"),
        ("/2", "60000", "100", "ab, then Some(ErrorCode::ConnectionReadTimeout)"),
        ("/whole", "60000", "60000", "ab"),
    ] {
        for guest in GUESTS {
            let url = format!(
                "{}/{guest}/fetch?from=http://upstream.internal{path}&first={first}&between={between}",
                atoll.gateway
            );
            let answer = timeout(TIMEOUT, http.get(&url)).await.expect("the guest's timeout ends the wait");
            // Wasmtime's `http-error-code` of 0.2 does not know the error codes of bodies.
            let said = match said.split_once("Some(") {
                Some((text, _)) if guest == "endings02" => format!("{text}None"),
                _ => said.to_owned(),
            };
            assert_eq!(String::from_utf8_lossy(&answer.body), said, "{guest} {path} {first} {between}");
        }
    }
}
