//! The gateway keeps to its own description: what `/openapi.json` allows is accepted, and a `Location` can be followed.

use super::{Answer, Typed, runtime};
use http::Request;
use serde_json::{Value, json};

const MANIFEST: &str = r#"
[gateway]
openapi = { title = "Things & Places", version = "2026-11", description = "Where things are." }

[service.types]
component = "{component:fixture-types}"

[[route]]
method = "POST"
path = "/things"
call = "types/requests#place"
location = "/things/{name}"

[[route]]
method = "PUT"
path = "/things/{name}"
call = "types/requests#place"
"#;

async fn start(manifest: &str) -> Typed {
    Typed::start(&(manifest.to_owned() + &runtime(""))).await
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A request with these fields and this body.
async fn send(host: &Typed, line: &str, fields: &[(&str, &str)], body: &'static str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(host.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.http.send(request, body).await
}

#[tokio::test]
async fn a_location_is_sent_only_if_it_can_be_followed() {
    let host = start(MANIFEST).await;
    let create = async |name: &str| {
        let answer = send(&host, &format!("POST /things?name={}", encoded(name)), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (201, json!({"name": name, "at": null})), "{name:?}");
        answer
    };
    for name in ["a/b", "/", "a\\b", "a\0", ".", "..", "..;x", ""] {
        let answer = create(name).await;
        assert!(!answer.headers.contains_key("location"), "{name:?}: {answer:?}");
    }
    for name in ["a b", "a%2Fb", "...", ".a", ";", "é", "?#&+", "%"] {
        let answer = create(name).await;
        let followed = send(&host, &format!("PUT {}", answer.header("location")), &[], "").await;
        assert_eq!((followed.status.as_u16(), followed.json()), (200, answer.json()), "{name:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_may_be_absent_is_described_so_and_may_be_absent() {
    let host = start(MANIFEST).await;
    let document = host.get("/openapi.json").await.json();
    assert_eq!(document["paths"]["/things"]["post"]["requestBody"]["required"], false, "{document}");
    let (there, absent) = (json!({"x": 1, "y": -2}), Value::Null);
    let body = r#"{"x": 1, "y": -2}"#;
    let json_fields: &[_] = &[("content-type", "application/json")];
    let text: &[_] = &[("content-type", "text/plain")];
    for (fields, body, status, at) in [
        (&[][..], "", 200, &absent),
        (text, "", 200, &absent),
        (json_fields, "null", 200, &absent),
        (json_fields, body, 200, &there),
        (&[][..], body, 415, &absent),
        (text, body, 415, &absent),
        (json_fields, "[1]", 422, &absent),
    ] {
        let answer = send(&host, "PUT /things/a", fields, body).await;
        assert_eq!(answer.status, status, "{fields:?} {body:?}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.json(), json!({"name": "a", "at": at}), "{fields:?} {body:?}");
        }
    }
}

#[tokio::test]
async fn the_description_has_the_name_and_the_version_of_the_manifest() {
    let host = start(MANIFEST).await;
    let info = json!({"title": "Things & Places", "version": "2026-11", "description": "Where things are."});
    assert_eq!(host.get("/openapi.json").await.json()["info"], info);
    // Without them they are those of the host.
    let host = start(MANIFEST.split_once("\n\n").unwrap().1).await;
    let info = &host.get("/openapi.json").await.json()["info"];
    assert_eq!((&info["title"], &info["version"]), (&json!("Atoll"), &json!(env!("CARGO_PKG_VERSION"))), "{info}");
}
