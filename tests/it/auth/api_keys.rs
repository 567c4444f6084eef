//! API keys through the real binary: created, used, listed, revoked, and there again after `kill -9`.

use super::{Guarded, refusal, refused_lines};
use crate::it::atoll::{Home, eventually};
use serde_json::json;

const POLICY: &str = "[gateway]\ndefault_auth = [\"partner\"]\n\n[auth.partner]\nkind = \"api-key\"\n";

/// Creates a key by the verb, and returns it with its id.
async fn create(host: &Guarded, arguments: &[&str]) -> (String, String) {
    let shown = host.verb(&[&["key", "create"], arguments].concat()).await;
    let key = shown.lines().next().unwrap().to_owned();
    let id = shown.split("atoll key revoke ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    (key, id)
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_allow_until_it_is_revoked() {
    let host = Guarded::start(POLICY).await;
    let challenge = vec![r#"ApiKey realm="api", header="x-api-key""#.to_owned()];
    assert_eq!(refusal(&host.get("/x", &[]).await), (401, "unauthenticated".into(), challenge.clone()));
    assert_eq!(host.get("/open/x", &[]).await.status, 200, "`auth = \"none\"` is the exception");
    let (key, id) = create(&host, &["acme", "--scope", "orders:read", "--expires", "90d"]).await;
    let answer = host.get("/read/x", &[("x-api-key", &key), ("accept", "a/b")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json()["headers"].clone();
    assert_eq!((&seen["x-api-key"], &seen["accept"]), (&json!(null), &json!("a/b")), "the key must not go on: {seen}");

    let denied = host.get("/write/x", &[("x-api-key", &key)]).await;
    assert_eq!(refusal(&denied), (403, "forbidden".into(), vec![]));
    assert_eq!(denied.problem()["missing_scopes"], json!(["orders:write"]));
    assert!(denied.problem()["detail"].as_str().unwrap().contains("`orders:write`"));
    let mut guess = key.clone();
    guess.replace_range(54.., if key.ends_with('0') { "1" } else { "0" });
    for wrong in ["", "x", &guess, &key.replace("atoll_", "Atoll_"), &format!("{key} "), &key[..54]] {
        let status = host.get("/x", &[("x-api-key", wrong)]).await.status.as_u16();
        assert_eq!(status, if wrong.trim() == key { 200 } else { 401 }, "{wrong:?}");
    }
    assert_eq!(host.get("/x", &[("authorization", &format!("Bearer {key}"))]).await.status, 401, "another header");
    let twice = host.get("/x", &[("x-api-key", &key), ("x-api-key", &key)]).await;
    assert_eq!(refusal(&twice), (401, "unauthenticated".into(), challenge));

    let served = host.server.requests();
    let table = host.verb(&["key", "list"]).await;
    assert!(table.contains(&id) && table.contains("acme") && table.contains("orders:read"), "{table}");
    let json = host.verb(&["key", "list", "--json"]).await;
    assert!(!json.contains(&key[6..]) && !table.contains(&key[6..]), "a key is shown once");
    host.verb(&["key", "revoke", &id]).await;
    assert_eq!(host.get("/read/x", &[("x-api-key", &key)]).await.status, 401, "the next request is refused");
    assert_eq!(host.server.requests(), served, "a refused request must not reach the service");
    let again = host.home.output(&["key", "revoke", &id, "--admin", &host.atoll.admin]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("atoll key list"), "{again:?}");

    let routes = host.verb(&["routes"]).await;
    let row = |path: &str| routes.lines().find(|line| line.starts_with(path)).unwrap().to_owned();
    assert!(row("/read").contains("partner") && row("/read").contains("orders:read"), "{routes}");
    assert!(row("/open").contains("none"), "{routes}");
    let log = host.atoll.stop().await;
    let refused = refused_lines(&log);
    assert!(refused.iter().any(|line| line["policy"] == "partner" && line["reason"] == "no such key"), "{refused:?}");
}

#[tokio::test]
async fn keys_and_revocations_survive_kill_9_and_a_key_ends_by_itself() {
    let Guarded { home, atoll, http, server } = Guarded::start(POLICY).await;
    let host = Guarded { home, atoll, http, server };
    let (kept, _) = create(&host, &["kept"]).await;
    let (revoked, id) = create(&host, &["revoked"]).await;
    let (short, _) = create(&host, &["short", "--expires", "2s"]).await;
    host.verb(&["key", "revoke", &id]).await;
    let Guarded { home, atoll, http, server } = host;
    atoll.kill().await;
    let atoll = home.start().await;
    let host = Guarded { home, atoll, http, server };
    assert_eq!(host.get("/x", &[("x-api-key", &kept)]).await.status, 200);
    assert_eq!(host.get("/x", &[("x-api-key", &revoked)]).await.status, 401);
    eventually("the key of 2 s is refused", async || {
        let answer = host.get("/x", &[("x-api-key", &short)]).await;
        (answer.status == 401).then(|| assert_eq!(answer.problem()["detail"], "the credential has expired"))
    })
    .await;
}

#[tokio::test]
async fn keys_without_a_policy_for_them_are_refused_with_the_mend() {
    let home = Home::new("");
    let atoll = home.start().await;
    let verb = async |arguments: &[&str]| home.output(&[arguments, &["--admin", &atoll.admin]].concat()).await;
    let created = verb(&["key", "create", "acme"]).await;
    let errors = String::from_utf8_lossy(&created.stderr);
    assert!(created.status.code() == Some(1) && errors.contains("kind = \"api-key\""), "{errors}");
    assert_eq!(String::from_utf8_lossy(&verb(&["key", "list"]).await.stdout), "no keys\n");
}
