//! Outside hosts: what they learn, and which addresses are never connected to.

use super::*;
use crate::egress::EgressRule;

fn client(host: &str, server: SocketAddr, rule: &str, private: bool) -> HttpClient {
    let rule = EgressRule::parse(&format!("http://{rule}:{}", server.port()), private).unwrap();
    HttpClient::checked(base("http", host, server, ""), rule, &dial())
}

#[tokio::test]
async fn a_forbidden_address_is_never_connected_to() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    // A name whose address is forbidden; an address that is not the rule's, as after DNS rebinding; an address in old
    // notation.
    for host in ["localhost", "127.0.0.1", "127.1"] {
        let TryError { kind, detail, .. } =
            get_text(&client(host, server.address, "localhost", false), "/").await.unwrap_err();
        assert_eq!(kind, ErrorKind::Denied, "{host}: {detail}");
        assert!(detail.contains("loopback") && detail.contains(host), "{detail}");
    }
    server.heads.close();
    assert_eq!(server.heads.recv().await, None);
}

#[tokio::test]
async fn a_private_rule_and_a_rule_with_the_very_address_reach_a_loopback_host() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    for (host, private) in [("localhost", true), ("127.0.0.1", false)] {
        let client = client(host, server.address, host, private);
        assert_eq!(get_text(&client, "/a?b").await.unwrap(), "hi");
        let (_, head) = server.head().await;
        assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "host"), Some(&*format!("{host}:{}", server.address.port())));
    }
}

#[tokio::test]
async fn an_outside_host_gets_no_id_deadline_or_depth_and_no_hop_by_hop_field_passes() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 1\r\n\
                          Content-Length: 2\r\n\r\nhi";
    let mut server = Server::start(ANSWER, Then::Keep, None).await;
    let client = client("localhost", server.address, "localhost", true);
    let mut request = get("https://intranet/x");
    for name in ["host", "x-request-id", "x-atoll-depth", "x-atoll-timeout-ms", "te", "x-end"] {
        request.headers_mut().insert(name, "1".parse().unwrap());
    }
    let answer = client.send(request, &long_deadline()).await.unwrap();
    let (_, head) = server.head().await;
    let mut names: Vec<&str> = head.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-end"], "{head}");
    assert_eq!(field(&head, "host"), Some(&*format!("localhost:{}", server.address.port())));
    let mut names: Vec<&str> = answer.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "x-end"]);
}

#[tokio::test]
async fn a_name_without_an_address_is_a_connect_failure() {
    // No label is longer than 63 bytes (RFC 1035), so the resolver fails without a name server.
    let host = "x".repeat(64);
    let (_held, nobody) = refusing();
    let TryError { kind, detail, .. } = get_text(&client(&host, nobody, "localhost", false), "/").await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect);
    assert!(detail.contains(&format!("cannot find `{host}`")), "{detail}");
}
