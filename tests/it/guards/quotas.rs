//! Quotas: what is used up survives restarts, and a crash gives nothing back.

use super::super::atoll::{Atoll, Home};
use super::super::plain_server::PlainServer;
use super::{get, left};

/// The window is so long that none ends while a test runs, but for one day in 366.
fn manifest(upstream: &PlainServer, more: &str) -> String {
    format!(
        r#"
[limit.yearly]
quota = "300/366d"
by = "header:x-client"
{more}
[service.legacy]
urls = ["http://{}"]

[[route]]
prefix = "/"
service = "legacy"
limit = ["yearly"]
"#,
        upstream.address
    )
}

async fn send(atoll: &Atoll, client: &str, count: usize) -> u64 {
    let mut last = 0;
    for _ in 0..count {
        let answer = get(atoll, "/", ("x-client", client)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        last = left(&answer, "yearly.quota");
    }
    last
}

#[tokio::test]
async fn a_quota_survives_kills_and_restarts_and_nobody_gets_any_of_it_back() {
    let upstream = PlainServer::start("only").await;
    let home = Home::new(&manifest(&upstream, ""));
    let mut atoll = home.start().await;
    // Three, a hundredth of the quota, are noted on disk at a time.
    let (mut sent, mut kills) = (0, 0);
    for round in 0..4_usize {
        let count = 7 + 4 * round;
        let left = send(&atoll, "one", count).await;
        sent += u64::try_from(count).unwrap();
        assert!(left <= 300 - sent, "{left} of 300 are left after {sent}: some were given back");
        assert!(left + sent + 3 * kills >= 300, "{left} of 300 are left after {sent} and {kills} kills");
        if round % 2 == 0 {
            atoll.kill().await;
        } else {
            atoll.stop().await;
        }
        kills += 1;
        atoll = home.start().await;
    }
    assert!(send(&atoll, "other", 1).await == 299, "another client has its own");
    let mut admitted = sent;
    let refused = loop {
        let answer = get(&atoll, "/", ("x-client", "one")).await;
        if answer.status == 429 {
            break answer;
        }
        admitted += 1;
    };
    assert!((300 - 3 * kills..=300).contains(&admitted), "{admitted} of 300 were admitted");
    assert_eq!(refused.problem()["violated-policies"], serde_json::json!(["yearly.quota"]));
    assert_eq!(refused.header("ratelimit-policy"), "\"yearly.quota\";q=300;w=31622400");
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(get(&atoll, "/", ("x-client", "one")).await.status, 429, "after the last kill, too");
}

#[tokio::test]
async fn with_encryption_the_counts_are_encrypted_too_and_found_again() {
    let upstream = PlainServer::start("only").await;
    let home = Home::new(&manifest(&upstream, ""));
    let atoll = home.start().await;
    let before = send(&atoll, "192.0.2.77", 20).await;
    atoll.stop().await;
    let file = std::fs::read(home.folder.path().join(".atoll/state.redb")).unwrap();
    assert!(!file.windows(10).any(|window| window == b"192.0.2.77"), "who counts is not on disk");
    std::fs::write(home.folder.path().join("key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    home.write(&(manifest(&upstream, "") + "\n[state]\nencryption = { key = { file = \"key\" } }\n"));
    let atoll = home.start().await;
    let after = send(&atoll, "192.0.2.77", 1).await;
    assert!((before - 4..before).contains(&after), "{before}, and {after} after the restart");
}
