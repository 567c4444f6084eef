//! A secret is planted wherever one can be, and is then found nowhere.

use super::Guarded;
use super::issuer::{EcKey, IssuerServer, by_secret, claims, encode, jwks, now};
use serde_json::json;
use std::fmt::Display;

/// Texts that occur nowhere else.
const SHARED: &str = "planted-shared-secret-0123456789abcdef";
const CLIENT: &str = "planted-client-secret";
const HEADER: &str = "planted-header";

/// A policy of each kind that has a secret.
fn policies(address: impl Display) -> String {
    format!(
        r#"
[log]
repeats = 1000
[gateway]
default_auth = ["keys", "signed", "shared", "asked"]
[auth.keys]
kind = "api-key"
[auth.signed]
kind = "jwt"
issuer = "https://id.example"
audience = ["shop"]
algorithms = ["ES256"]
jwks = "jwks.json"
[auth.shared]
kind = "jwt"
issuer = "https://id.example"
audience = ["shop"]
algorithms = ["HS256"]
secret = {{ from_env = "SHARED" }}
[auth.asked]
kind = "introspection"
endpoint = "http://{}/introspect"
client_id = "gateway"
client_secret = {{ file = "client" }}
"#,
        address
    )
}

#[tokio::test]
async fn no_credential_and_no_secret_gets_into_a_log_a_metric_an_answer_or_a_problem() {
    let (key, server) = (EcKey::new("k1"), IssuerServer::start(None).await);
    let policy = policies(server.address);
    let files = [("jwks.json", &*jwks(&[key.jwk()])), ("client", CLIENT)];
    let variables = [("SHARED", SHARED), ("ATOLL_LOG", "trace,h2=off")];
    let host = Guarded::start_with(&policy, &variables, &files).await;
    let api_key = host.verb(&["key", "create", "acme"]).await.lines().next().unwrap().to_owned();

    let mut secrets = vec![SHARED.to_owned(), CLIENT.to_owned(), HEADER.to_owned(), api_key[6..].to_owned()];
    let tokens = [
        key.token(&claims(json!({}))),
        key.token(&claims(json!({ "exp": now() - 100 }))),
        EcKey::new("k1").token(&claims(json!({}))),
        by_secret(SHARED.as_bytes(), &claims(json!({}))),
        by_secret(b"guess", &claims(json!({}))),
        format!("{}.{HEADER}.x", encode("{\"alg\":\"none\"}")),
        format!("opaque-{HEADER}"),
    ];
    // The last part of each token, its signature, is what nobody may learn.
    secrets.extend(tokens.iter().filter_map(|token| token.rsplit_once('.')).map(|(_, last)| last.to_owned()));
    secrets.retain(|secret| secret.len() > 8);
    let mut told = Vec::new();
    for path in ["/x", "/write/x", "/tenant/x", "/open/x", "/nowhere?y"] {
        for token in &tokens {
            told.push(host.bearer(path, token).await);
        }
        for (name, value) in
            [("x-api-key", api_key.as_str()), ("x-api-key", &api_key[..54]), ("x-api-key", HEADER), ("cookie", HEADER)]
        {
            told.push(host.get(path, &[(name, value)]).await);
        }
        told.push(host.get(path, &[("authorization", HEADER), ("authorization", HEADER)]).await);
    }
    for path in ["metrics", "readyz", "v1/services", "v1/routes", "v1/keys", "v1/faults", "v1/outside", "v1/nothing"] {
        told.push(host.http.get(&format!("{}/{path}", host.atoll.admin)).await);
    }
    let verbs = [host.verb(&["routes"]).await, host.verb(&["key", "list"]).await, host.verb(&["ps"]).await];
    let kept = std::fs::read_to_string(host.home.folder.path().join(".atoll/keys.json")).unwrap();
    let seen: Vec<_> = host.server.seen().iter().map(ToString::to_string).collect();
    let log = host.atoll.stop().await;
    assert!(log.iter().any(|line| line.contains("TRACE")) && log.len() > 100, "everything is logged");
    // A service gets the headers that are no credentials, and a route without policies passes all on.
    let told = told.iter().filter(|answer| answer.header("x-method").is_empty());
    let told: Vec<_> =
        told.map(|answer| format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))).collect();
    assert!(told.len() > 30 && !seen.is_empty());
    for secret in secrets {
        for text in told.iter().chain(&log).chain(&verbs).chain([&kept]) {
            assert!(!text.contains(&secret), "{secret} is in: {text}");
        }
    }
}
