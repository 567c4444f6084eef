//! Signed tokens through the real binary: what each attack of RFC 8725 gets, as a table.

use super::issuer::{EcKey, ISSUER, RSA_PEM, by_secret, claims, encode, jwks, now, rsa, rsa_jwk, rsa_sign, signed};
use super::{Guarded, refusal, refused_lines};
use http_body_util::Full;
use serde_json::{Value, json};

/// One token, and what a request with it gets.
struct Case {
    name: &'static str,
    token: String,
    /// The status, and for the log why; an empty text: the token is let in.
    reason: &'static str,
}

fn case(name: &'static str, token: String, reason: &'static str) -> Case {
    Case { name, token, reason }
}

/// The attacks on a policy of ES256 and RS256, whose keys are `key` and the RSA key.
fn attacks(key: &EcKey) -> Vec<Case> {
    let good = claims(json!({}));
    let header = json!({ "alg": "ES256", "kid": key.id });
    let evil = EcKey::new("evil");
    let with_header = |header: Value| key.token_with(&header, &good);
    let unsigned = |alg: &str| format!("{}.{}.", encode(json!({ "alg": alg }).to_string()), encode(good.to_string()));
    let (valid, rsa) = (key.token(&good), rsa());
    let by_rsa = signed(&json!({ "alg": "RS256", "kid": "rsa" }), &good, |text| rsa_sign(&rsa, text));
    let (head, rest) = valid.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let richer = encode(claims(json!({ "scope": "orders:read orders:write" })).to_string());
    let twice = good.to_string().replacen('{', r#"{"sub":"eve","#, 1);
    let twice = format!("{}.{}", encode(header.to_string()), encode(twice));
    let twice = format!("{twice}.{}", encode(key.sign(twice.as_bytes())));
    let algorithm = "the algorithm is not one of the policy, or not that of the key";
    let confused = json!({ "alg": "ES256", "kid": "rsa" });
    vec![
        case("a good token", valid.clone(), ""),
        case("a good token by RSA", by_rsa, ""),
        case("alg none", unsigned("none"), algorithm),
        case("alg None", unsigned("None"), algorithm),
        case("no alg", with_header(json!({ "kid": key.id })), algorithm),
        case("HS256 with the public key in PEM", by_secret(RSA_PEM.as_bytes(), &good), algorithm),
        case("HS256 with the JWK", by_secret(key.jwk().to_string().as_bytes(), &good), algorithm),
        case("an algorithm that is not the key's", key.token_with(&confused, &good), algorithm),
        case("an algorithm of nobody", with_header(json!({ "alg": "ES256K", "kid": key.id })), algorithm),
        case("the signature left out", format!("{head}.{payload}."), "the signature is wrong"),
        case("another signature", format!("{head}.{payload}.{}", encode([7; 64])), "the signature is wrong"),
        case("a signature of zeros", format!("{head}.{payload}.{}", encode([0; 64])), "the signature is wrong"),
        case("other claims under the signature", format!("{head}.{richer}.{signature}"), "the signature is wrong"),
        case("a key of one's own", evil.token_with(&header, &good), "the signature is wrong"),
        case("a key of one's own in the header", evil.token_with(&with(&header, "jwk", evil.jwk()), &good), SIGNATURE),
        case("jku", evil.token_with(&with(&header, "jku", json!("https://evil.example/jwks")), &good), SIGNATURE),
        case("an unknown kid", key.token_with(&with(&header, "kid", json!("../../dev/null")), &good), UNKNOWN),
        case("a kid that is SQL", key.token_with(&with(&header, "kid", json!("' OR 1=1 --")), &good), UNKNOWN),
        case("a kid that is no text", key.token_with(&with(&header, "kid", json!(7)), &good), MALFORMED),
        case("crit", with_header(with(&header, "crit", json!(["exp"]))), "its header has `crit`"),
        case(
            "b64",
            with_header(with(&with(&header, "crit", json!(["b64"])), "b64", json!(false))),
            "its header has `crit`",
        ),
        case("a member twice", twice, MALFORMED),
        case("no iss", key.token(&claims(json!({ "iss": null }))), "it is of another issuer"),
        case("another iss", key.token(&claims(json!({ "iss": format!("{ISSUER}.evil") }))), "it is of another issuer"),
        case("no aud", key.token(&claims(json!({ "aud": null }))), "it is for another audience"),
        case("another aud", key.token(&claims(json!({ "aud": ["bank"] }))), "it is for another audience"),
        case("no exp", key.token(&claims(json!({ "exp": null }))), "it has no `exp`"),
        case("exp as a text", key.token(&claims(json!({ "exp": "9999999999" }))), "it has no `exp`"),
        case("expired", key.token(&claims(json!({ "exp": now() - 61 }))), "it has expired"),
        case("expired within the leeway", key.token(&claims(json!({ "exp": now() - 5 }))), ""),
        case("not yet valid", key.token(&claims(json!({ "nbf": now() + 300 }))), "it is not valid yet"),
        case("issued in the future", key.token(&claims(json!({ "iat": now() + 300 }))), "it is not valid yet"),
        case("bound to a key", key.token(&claims(json!({ "cnf": { "jkt": "x" } }))), BOUND),
        case("nobody", key.token(&claims(json!({ "sub": null }))), "it has no `sub`"),
        case("padding", format!("{valid}="), MALFORMED),
        case("standard base64", valid.replacen('.', "+.", 1), MALFORMED),
        case("four parts", format!("{valid}.x"), MALFORMED),
        case("encrypted", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..a.b.c".into(), MALFORMED),
        case("no token", "x".into(), MALFORMED),
        case("16 KiB", format!("{head}.{}.{signature}", "a".repeat(16 << 10)), "the token is too long"),
    ]
}

const SIGNATURE: &str = "the signature is wrong";
const UNKNOWN: &str = "no key has its `kid`";
const MALFORMED: &str = "it is no signed token";
const BOUND: &str = "it is bound to a key (`cnf`), and was sent as a bearer's";

fn with(header: &Value, member: &str, value: Value) -> Value {
    let mut header = header.clone();
    header[member] = value;
    header
}

const POLICY: &str = r#"
[gateway]
default_auth = "staff"

[log]
repeats = 1000

[auth.staff]
kind = "jwt"
issuer = "https://id.example"
audience = ["shop"]
algorithms = ["ES256", "RS256"]
jwks = "jwks.json"
"#;

#[tokio::test]
async fn each_attack_on_tokens_gets_401_at_once_and_never_reaches_the_service() {
    let key = EcKey::new("k1");
    let set = jwks(&[key.jwk(), rsa_jwk(&rsa())]);
    let host = Guarded::start_with(POLICY, &[], &[("jwks.json", &set)]).await;
    let mut reached = 0;
    let mut reasons = Vec::new();
    for Case { name, token, reason } in attacks(&key) {
        let answer = host.bearer("/x", &token).await;
        if reason.is_empty() {
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert_eq!(answer.json()["headers"]["authorization"], json!(null), "{name}");
            reached += 1;
        } else {
            let challenge = vec![r#"Bearer realm="api", error="invalid_token""#.to_owned()];
            assert_eq!(refusal(&answer), (401, "unauthenticated".into(), challenge), "{name}");
            let detail = answer.problem()["detail"].clone();
            let told = if name == "expired" { "the credential has expired" } else { "the credential is not accepted" };
            assert_eq!(detail, told, "{name}");
            reasons.push((name, reason));
        }
        assert_eq!(host.server.requests(), reached, "{name}: a refused request reached the service");
    }
    // Headers without a token, and a token that the header section has no room for.
    let bare = vec![r#"Bearer realm="api""#.to_owned()];
    for headers in [&[][..], &[("authorization", "Basic eDp5")], &[("x-token", "x")]] {
        assert_eq!(refusal(&host.get("/x", headers).await), (401, "unauthenticated".into(), bare.clone()));
    }
    let twice = [("authorization", "Bearer x"), ("authorization", "Bearer y")];
    assert_eq!(host.get("/x", &twice).await.status, 401);
    // A token of 1 MB is larger than a header section may be: 431, or the connection is closed while it is being sent.
    let huge = http::Request::get(format!("{}/x", host.atoll.gateway));
    let huge = huge.header("authorization", format!("Bearer {}", "a".repeat(1 << 20))).body(Full::default()).unwrap();
    let outcome = host.http.try_send(huge).await;
    assert!(outcome.as_ref().map_or(true, |answer| answer.status == 431), "{outcome:?}");
    assert_eq!(host.server.requests(), reached);

    let log = host.atoll.stop().await;
    let lines = refused_lines(&log);
    assert_eq!(lines.len(), reasons.len() + 1, "one line for each refused token: {lines:?}");
    for ((name, reason), line) in reasons.iter().zip(&lines) {
        assert_eq!((&line["reason"], &line["policy"]), (&json!(reason), &json!("staff")), "{name}: {line}");
    }
    assert!(log.iter().all(|line| !line.contains("eyJ")), "no line has a token");
}

#[tokio::test]
async fn scopes_and_claims_decide_what_a_token_opens() {
    let key = EcKey::new("k1");
    let host = Guarded::start_with(POLICY, &[], &[("jwks.json", &jwks(&[key.jwk()]))]).await;
    let cases = [
        ("/read", json!({}), 200),
        ("/read", json!({ "scope": null, "scp": ["orders:read"] }), 200),
        ("/read", json!({ "scope": null, "scp": "orders:read x" }), 200),
        ("/read", json!({ "scope": "orders:readx orders" }), 403),
        ("/read", json!({ "scope": null }), 403),
        ("/write", json!({}), 403),
        ("/write", json!({ "scope": "orders:write orders:read" }), 200),
        ("/tenant", json!({}), 200),
        ("/tenant", json!({ "tenant": ["x", "umbrella"] }), 200),
        ("/tenant", json!({ "tenant": "Acme" }), 403),
        ("/tenant", json!({ "tenant": null }), 403),
    ];
    for (path, changes, status) in cases {
        let answer = host.bearer(&format!("{path}/x"), &key.token(&claims(changes.clone()))).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {changes}: {answer:?}");
    }
    let routes = host.verb(&["routes"]).await;
    assert!(routes.lines().any(|line| line.starts_with("/tenant") && line.contains("claim:tenant")), "{routes}");
    let denied = host.bearer("/write/x", &key.token(&claims(json!({ "scope": "" })))).await;
    let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:read orders:write""#;
    assert_eq!(refusal(&denied), (403, "forbidden".into(), vec![challenge.to_owned()]));
    assert_eq!(denied.problem()["missing_scopes"], json!(["orders:read", "orders:write"]));
    // The refusals are counted by the route, each kind from its first one on.
    let metrics = host.http.get(&format!("{}/metrics", host.atoll.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let has = |parts: [&str; 3]| metrics.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(["route=\"/write/*\"", "kind=\"forbidden\"", "status=\"403\""]), "{metrics}");
    assert!(!has(["route=\"/read/*\"", "kind=\"auth-unavailable\"", ""]), "{metrics}");
    assert!(has(["atoll_gateway_failures_total", "route=\"/read/*\"", "} 0"]), "{metrics}");
    assert!(!has(["/open/*", "kind=\"unauthenticated\"", ""]), "{metrics}");
}
