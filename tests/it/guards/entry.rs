//! Who is let in: by address, by the number of connections, and during maintenance.

use super::super::atoll::{Home, Http, TIMEOUT, eventually};
use super::super::plain_server::PlainServer;
use super::{get, verb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn manifest(upstream: &PlainServer, gateway: &str) -> String {
    format!(
        r#"
[gateway]
trusted_proxies = ["127.0.0.1"]
{gateway}

[service.legacy]
urls = ["http://{}"]

[[route]]
prefix = "/"
service = "legacy"

[[route]]
prefix = "/inside"
service = "legacy"
allow = ["10.0.0.0/8", "2001:db8::/32"]
deny = ["10.66.0.0/16"]
"#,
        upstream.address
    )
}

#[tokio::test]
async fn lists_of_addresses_hold_for_the_client_behind_the_proxies() {
    let upstream = PlainServer::start("only").await;
    let home = Home::new(&manifest(&upstream, "deny = [\"198.51.100.0/24\", \"2001:db8:bad::/48\"]"));
    let atoll = home.start().await;
    for (client, path, status) in [
        ("192.0.2.1", "/", 200),
        ("198.51.100.9", "/", 403),
        ("198.51.101.9", "/", 200),
        ("2001:db8:bad::1", "/inside", 403),
        ("192.0.2.1", "/inside", 403),
        ("10.1.2.3", "/inside", 200),
        ("10.66.2.3", "/inside", 403),
        ("2001:db8::1", "/inside", 200),
        ("::ffff:10.1.2.3", "/inside", 200),
        // What stands before the address that the proxy has appended is the client's word.
        ("10.1.2.3, 192.0.2.1", "/inside", 403),
    ] {
        let answer = get(&atoll, path, ("x-forwarded-for", client)).await;
        assert_eq!(answer.status, status, "{client} at {path}: {answer:?}");
        if status == 403 {
            let problem = answer.problem();
            assert_eq!(problem["type"], "urn:atoll:problem:address-refused");
            assert!(!problem.to_string().contains("10.0.0.0"), "no list is the client's business");
        }
    }
    let metrics = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let counted = |route: &str| {
        let of = |line: &&str| line.contains("address-refused") && line.contains(&format!("route=\"{route}\""));
        metrics.lines().find(of).and_then(|line| line.rsplit(' ').next()).unwrap_or("none").to_owned()
    };
    assert_eq!((counted("(none)"), counted("/inside/*")), ("2".to_owned(), "3".to_owned()));
}

#[tokio::test]
async fn maintenance_is_switched_while_the_host_runs_and_begins_anew_with_the_manifest() {
    let upstream = PlainServer::start("only").await;
    let operators = "[gateway.maintenance]\nallow = [\"10.0.0.0/8\"]\nretry_after = \"15m\"";
    let home = Home::new(&manifest(&upstream, operators));
    let atoll = home.start().await;
    let ask = async |client: &str| get(&atoll, "/", ("x-forwarded-for", client)).await;
    assert_eq!(verb(&home, &atoll, &["maintenance", "show"]).await, "maintenance is off: requests are answered\n");
    assert_eq!(ask("192.0.2.1").await.status, 200);
    let said = verb(&home, &atoll, &["maintenance", "on"]).await;
    assert!(said.contains("`Retry-After: 900`"), "{said}");
    let refused = ask("192.0.2.1").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "900"));
    assert_eq!(refused.problem()["type"], "urn:atoll:problem:maintenance");
    assert_eq!(ask("10.1.2.3").await.status, 200, "operators look before everybody else");
    verb(&home, &atoll, &["maintenance", "on", "--retry-after", "30s"]).await;
    assert_eq!(ask("192.0.2.1").await.header("retry-after"), "30");
    let ready = Http::default().get(&format!("{}/readyz", atoll.admin)).await;
    assert_eq!(ready.status, 200, "a host under maintenance answers, and is not taken out of the balance");
    verb(&home, &atoll, &["maintenance", "off"]).await;
    assert_eq!(ask("192.0.2.1").await.status, 200);
    verb(&home, &atoll, &["maintenance", "on"]).await;
    atoll.stop().await;
    let atoll = home.start().await;
    assert_eq!(get(&atoll, "/", ("x-forwarded-for", "192.0.2.1")).await.status, 200, "a restart takes the manifest");
    atoll.stop().await;
    home.write(&manifest(&upstream, &format!("{operators}\non = true")));
    let atoll = home.start().await;
    assert_eq!(get(&atoll, "/", ("x-forwarded-for", "192.0.2.1")).await.status, 503);
    assert_eq!(verb(&home, &atoll, &["maintenance", "off"]).await, "maintenance is off: requests are answered\n");
    assert_eq!(get(&atoll, "/", ("x-forwarded-for", "192.0.2.1")).await.status, 200);
}

/// Whether the connection is served: it gets an answer, and stays open.
async fn is_served(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 12];
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let exchange = async {
        stream.write_all(request).await?;
        stream.read_exact(&mut answer).await
    };
    timeout(TIMEOUT, exchange).await.expect("an answer or an end").is_ok() && &answer == b"HTTP/1.1 200"
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_no_more() {
    let upstream = PlainServer::start("only").await;
    let text = manifest(&upstream, "connections_per_address = 2");
    let home = Home::new(&text.replace("trusted_proxies = [\"127.0.0.1\"]\n", ""));
    let atoll = home.start().await;
    let address = atoll.gateway.strip_prefix("http://").unwrap().to_owned();
    let connect = async || TcpStream::connect(&address).await.unwrap();
    let (mut one, mut two) = (connect().await, connect().await);
    assert!(is_served(&mut one).await && is_served(&mut two).await);
    for _ in 0..3 {
        assert!(!is_served(&mut connect().await).await, "the third is closed without an answer");
    }
    drop(one);
    eventually("the place of the closed connection is free", async || {
        let mut again = connect().await;
        is_served(&mut again).await.then_some(())
    })
    .await;
    atoll.stop().await;
    // A trusted proxy brings the connections of many clients.
    home.write(&text);
    let atoll = home.start().await;
    let address = atoll.gateway.strip_prefix("http://").unwrap().to_owned();
    let mut all = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        assert!(is_served(&mut stream).await);
        all.push(stream);
    }
}
