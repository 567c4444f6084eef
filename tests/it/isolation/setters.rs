//! Every setter of `wasi:http` that a guest can call is kept, or refused as its WIT allows, in 0.2 and in 0.3. The
//! table in `docs/services.md` ("What a service may set") has those of the other interfaces too.

use crate::it::atoll::{Home, Http, TIMEOUT};
use crate::it::plain_server::PlainServer;
use serde_json::json;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const GUESTS: [&str; 2] = ["endings", "endings02"];

/// A setter, a value for it, and what comes of it in both versions; in 0.2 something else if the last text is there.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

/// 0.2 does not have it.
const NOWHERE: Option<&str> = Some("no such setter");

const SETTERS: &[Row] = &[
    // request-options: kept, and `none` takes the value away.
    ("options.connect", "1000000", "kept Some(1000000)", None),
    ("options.connect", "none", "kept None", None),
    ("options.first-byte", "1000000", "kept Some(1000000)", None),
    ("options.first-byte", "none", "kept None", None),
    ("options.between-bytes", "18446744073709551615", "kept Some(18446744073709551615)", None),
    ("options.between-bytes", "none", "kept None", None),
    ("sent-options.connect", "1", "refused RequestOptionsError::Immutable", NOWHERE),
    ("sent-options.first-byte", "1", "refused RequestOptionsError::Immutable", NOWHERE),
    ("sent-options.between-bytes", "1", "refused RequestOptionsError::Immutable", NOWHERE),
    // request and outgoing-request: what is no part of a request is refused.
    ("request.method", "PATCH", "kept Method::Patch", None),
    ("request.method", "BREW", "kept Method::Other(\"BREW\")", None),
    ("request.method", "a b", "refused ()", None),
    ("request.path", "/x?y=1", "kept Some(\"/x?y=1\")", None),
    ("request.path", "none", "kept None", None),
    ("request.path", "x", "refused ()", None),
    ("request.path", "/a b", "refused ()", None),
    ("request.scheme", "https", "kept Some(Scheme::Https)", None),
    ("request.scheme", "ftp", "kept Some(Scheme::Other(\"ftp\"))", None),
    ("request.scheme", "none", "kept None", None),
    ("request.scheme", "a b", "refused ()", None),
    ("request.authority", "a.example:8080", "kept Some(\"a.example:8080\")", None),
    ("request.authority", "none", "kept None", None),
    ("request.authority", "a b", "refused ()", None),
    // A port that is none is seen when the request is sent, in 0.2: see below.
    ("request.authority", "a:b", "refused ()", Some("kept Some(\"a:b\")")),
    // response and outgoing-response.
    ("response.status", "404", "kept 404", None),
    ("response.status", "99", "refused ()", None),
    ("response.status", "1000", "refused ()", None),
    ("response.status", "600", "refused ()", Some("kept 600")),
    // fields: kept, but for names and values that are none, and for fields of the connection.
    ("fields.set", "x-set=1", "kept \"1,two\"", None),
    ("fields.append", "x-set=1", "kept \"one,1\"", None),
    ("fields.append", "x-other=1", "kept \"1\"", None),
    ("fields.delete", "x-set", "kept \"\"", None),
    ("fields.get-and-delete", "x-set", "kept \"\"", NOWHERE),
    ("fields.from-list", "x-other=1", "kept \"a list\"", None),
    ("fields.set", "a b=1", "refused HeaderError::InvalidSyntax", None),
    ("fields.set", "x-set=a\nb", "refused HeaderError::InvalidSyntax", None),
    ("fields.append", "a b=1", "refused HeaderError::InvalidSyntax", None),
    ("fields.append", "x-set=a\nb", "refused HeaderError::InvalidSyntax", None),
    ("fields.delete", "a b", "refused HeaderError::InvalidSyntax", None),
    ("fields.from-list", "a b=1", "refused HeaderError::InvalidSyntax", None),
    ("fields.set", "content-length=1", "refused HeaderError::InvalidSyntax", None),
    ("copied-fields.set", "x-set=1", "kept \"1,two\"", None),
    // The sections of what came in and of what was made are not changed.
    ("received-fields.set", "x-set=1", "refused HeaderError::Immutable", None),
    ("received-fields.append", "x-set=1", "refused HeaderError::Immutable", None),
    ("received-fields.delete", "x-set", "refused HeaderError::Immutable", None),
    ("sent-fields.set", "x-set=1", "refused HeaderError::Immutable", None),
    ("sent-fields.append", "x-set=1", "refused HeaderError::Immutable", None),
    ("sent-fields.delete", "x-set", "refused HeaderError::Immutable", None),
    ("sent-fields.get-and-delete", "x-set", "refused HeaderError::Immutable", NOWHERE),
    ("answered-fields.set", "x-set=1", "refused HeaderError::Immutable", None),
    ("answered-fields.append", "x-set=1", "refused HeaderError::Immutable", None),
    ("answered-fields.delete", "x-set", "refused HeaderError::Immutable", None),
];

/// The fields of a connection (RFC 9110, section 7.6.1), and `Host`, which the authority says.
const FORBIDDEN: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "host",
    "http2-settings",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn manifest(egress: &[String]) -> String {
    let service = |name: &str| {
        format!(
            "[service.{name}]\ncomponent = \"{{component:fixture-{name}}}\"\negress = {egress:?}\n\
             limits = {{ timeout = \"1m\" }}\nretry = {{ tries = 0 }}\nbreaker = {{ failure_threshold = 1000 }}\n\
             [[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n"
        )
    };
    GUESTS.map(service).concat()
}

#[tokio::test]
async fn every_setter_is_kept_or_refused_as_its_wit_allows() {
    let home = Home::new(&manifest(&[]));
    let (atoll, http) = (home.start().await, Http::default());
    let mut broken = Vec::new();
    let mut check = async |what: &str, value: &str, expected: [&str; 2]| {
        for (guest, expected) in GUESTS.into_iter().zip(expected) {
            let url = format!("{}/{guest}/set?what={what}&value={}", atoll.gateway, encoded(value));
            let answer = http.get(&url).await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            if said != expected {
                broken.push(format!("{guest}: {what} {value:?}: {said}, and not {expected}"));
            }
        }
    };
    for (what, value, expected, in_0_2) in SETTERS {
        check(what, value, [expected, in_0_2.unwrap_or(expected)]).await;
    }
    for name in FORBIDDEN {
        for setter in ["set", "append", "delete", "from-list"] {
            check(&format!("fields.{setter}"), &format!("{name}=a"), ["refused HeaderError::Forbidden"; 2]).await;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn a_section_of_fields_has_a_bound() {
    let home = Home::new(&manifest(&[]));
    let (atoll, http) = (home.start().await, Http::default());
    let large = async |guest: &str| {
        http.get(&format!("{}/{guest}/set?what=fields.large&value=x%3D1000000", atoll.gateway)).await
    };
    assert_eq!(large("endings").await.body, "refused HeaderError::SizeExceeded");
    // 0.2 has no error for it, so the guest ends.
    let ended = large("endings02").await;
    assert!(ended.status.is_server_error(), "{ended:?}");
}

#[tokio::test]
async fn what_was_set_of_a_request_is_what_its_server_gets() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    let home = Home::new(&manifest(std::slice::from_ref(&url)));
    let (atoll, http) = (home.start().await, Http::default());
    let denied = "ErrorCode::HttpRequestDenied";
    let authority = plain.address.to_string();
    for (part, value, expected) in [
        ("method", "PATCH", Ok(("PATCH", "/"))),
        ("method", "BREW", Ok(("BREW", "/"))),
        ("path", "/x?y=1&z", Ok(("GET", "/x?y=1&z"))),
        // Wasmtime 48 makes no path of none, so the request goes nowhere.
        ("path", "none", Err(&["ErrorCode::HttpRequestUriInvalid", "ErrorCode::HttpProtocolError"][..])),
        ("authority", &authority, Ok(("GET", "/"))),
        // A setting that leads elsewhere is kept: so the request goes there, or nowhere.
        ("authority", "other.example", Err(&[denied][..])),
        ("authority", "none", Err(&[denied, "ErrorCode::HttpRequestUriInvalid"])),
        ("authority", "a:b", Err(&["refused ()", "ErrorCode::HttpRequestUriInvalid", denied])),
        ("scheme", "https", Err(&[denied])),
        ("scheme", "ftp", Err(&["ErrorCode::HttpProtocolError"])),
    ] {
        for guest in GUESTS {
            let before = plain.seen().len();
            let target = format!("{}/{guest}/send?to={url}/&part={part}&value={}", atoll.gateway, encoded(value));
            let answer = http.get(&target).await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            match expected {
                Ok((method, path)) => {
                    assert_eq!(said, "answered 200", "{guest} {part} {value}");
                    let seen = plain.seen().pop().unwrap();
                    assert_eq!((&seen["method"], &seen["target"]), (&json!(method), &json!(path)), "{guest}: {seen}");
                    assert_eq!(
                        (&seen["headers"]["x-set"], &seen["headers"]["host"]),
                        (&json!("one"), &json!(authority))
                    );
                }
                Err(errors) => {
                    assert!(errors.contains(&&*said), "{guest} {part} {value}: {said}");
                    assert_eq!(plain.seen().len(), before, "{guest} {part} {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_set_of_an_answer_is_what_its_client_gets() {
    let home = Home::new(&manifest(&[]));
    let (atoll, http) = (home.start().await, Http::default());
    for guest in GUESTS {
        for status in [200, 204, 304, 404, 418, 599] {
            let answer = http.get(&format!("{}/{guest}/respond?status={status}", atoll.gateway)).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-set")), (status, "one"), "{guest}");
        }
        // An interim answer is no answer (RFC 9110, section 15.2), and nobody has asked to switch protocols.
        for status in [100, 101, 103, 199] {
            let answer = http.get(&format!("{}/{guest}/respond?status={status}", atoll.gateway)).await;
            assert_eq!(answer.status, 502, "{guest} {status}: {answer:?}");
            assert_eq!(answer.problem()["type"], "urn:atoll:problem:bad-answer", "{guest} {status}");
        }
    }
}

/// A listener whose queue is full: the kernel answers no further connection. The streams fill it.
async fn without_room() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(listener.local_addr().unwrap())).await
    {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100, "the kernel takes any number");
    }
    (listener, waiting)
}

#[tokio::test]
async fn the_timeout_that_a_guest_sets_for_a_connection_is_kept() {
    let (listener, _waiting) = without_room().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    let home = Home::new(&manifest(std::slice::from_ref(&url)));
    let (atoll, http) = (home.start().await, Http::default());
    for guest in GUESTS {
        let target = format!("{}/{guest}/fetch?from={url}/&connect=100", atoll.gateway);
        let get = http.get(&target);
        let answer = timeout(TIMEOUT, get).await.expect("the guest's timeout ends the wait");
        assert_eq!(answer.body, "head: ErrorCode::ConnectionTimeout", "{guest}");
    }
}
