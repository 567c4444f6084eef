//! Tokens that their issuer is asked about (RFC 7662).

use super::issuer::{AUDIENCE, ISSUER, IssuerServer, now};
use super::{Guarded, refusal};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn an_issuer_is_asked_once_about_a_token_and_its_word_counts() {
    let server = IssuerServer::start(None).await;
    let policy = format!(
        r#"
[gateway]
default_auth = ["opaque"]
[auth.opaque]
kind = "introspection"
endpoint = "http://{}/introspect"
client_id = "gate way"
client_secret = {{ file = "secret" }}
issuer = "{ISSUER}"
audience = ["{AUDIENCE}"]
"#,
        server.address
    );
    let host = Guarded::start_with(&policy, &[], &[("secret", "h:u/s h\n")]).await;
    assert_eq!(refusal(&host.bearer("/x", "t1").await).0, 503, "the issuer is away");
    let good = json!({
        "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now() + 300, "scope": "orders:read",
    });
    let foreign = json!({ "active": true, "iss": ISSUER, "aud": "bank", "sub": "ada" });
    let tokens = BTreeMap::from([("t1".to_owned(), good), ("t2".to_owned(), foreign)]);
    server.with(|state| (state.tokens, state.asked) = (Some(tokens), Vec::new()));
    let all = join_all((0..30).map(|_| host.bearer("/read/x", "t1"))).await;
    assert!(all.iter().all(|answer| answer.status == 200), "{all:?}");
    assert_eq!(server.asked("/introspect"), 1, "one question for all requests with a token");
    // RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined.
    assert_eq!(server.with(|state| state.asked[0].1.clone()), "Basic Z2F0ZSUyMHdheTpoJTNBdSUyRnMlMjBo");
    assert_eq!(host.bearer("/write/x", "t1").await.status, 403);
    for (token, asked) in [("t2", 2), ("t3", 3), ("t3", 3)] {
        assert_eq!(refusal(&host.bearer("/x", token).await).0, 401, "{token}");
        assert_eq!(server.asked("/introspect"), asked, "{token}");
    }
    assert_eq!(host.bearer("/x", "no token at all").await.status, 401);
    server.with(|state| state.tokens = None);
    assert_eq!(host.bearer("/read/x", "t1").await.status, 200, "what was said counts for a while");
    assert_eq!(refusal(&host.bearer("/x", "t4").await), (503, "auth-unavailable".into(), vec![]));
}
