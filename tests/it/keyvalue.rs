//! `wasi:keyvalue` 0.2.0-draft: the data of an unmodified component is private to its service, and is on disk.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::{Method, Request};
use serde_json::json;
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
[service.kv]
component = "{component:fixture-kv}"
state = true

[service.neighbour]
component = "{component:fixture-kv}"
state = true

[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"

[[route]]
prefix = "/neighbour"
strip_prefix = "/neighbour"
service = "neighbour"
"#;

async fn send(atoll: &Atoll, method: Method, path: &str, body: &'static str) -> Answer {
    Http::default().send(Request::builder().method(method).uri(format!("{}{path}", atoll.gateway)), body).await
}

#[tokio::test]
async fn a_value_stays_until_it_is_deleted_and_survives_a_kill() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.status, 404);
    for bucket in ["", "default", "kv"] {
        assert_eq!(send(&atoll, Method::PUT, &format!("/kv/bucket/{bucket}/a"), "one").await.status, 204, "{bucket:?}");
        assert_eq!(
            send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body,
            "one",
            "{bucket:?} is the same bucket"
        );
    }
    for expected in ["5", "10"] {
        assert_eq!(send(&atoll, Method::POST, "/kv/increment/n?delta=5", "").await.body, expected);
    }
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body, "one");
    assert_eq!(send(&atoll, Method::POST, "/kv/increment/n", "").await.body, "11");
    assert_eq!(send(&atoll, Method::DELETE, "/kv/bucket/default/a", "").await.status, 204);
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.status, 404);
}

#[tokio::test]
async fn a_service_cannot_read_the_keys_of_another_service() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::PUT, "/kv/bucket/default/secret", "mine").await.status, 204);
    for bucket in ["kv", "users", "Default", "../kv"] {
        let path = format!("/neighbour/many?keys=secret&bucket={bucket}");
        assert_eq!(send(&atoll, Method::GET, &path, "").await.status, 403, "{bucket}");
    }
    assert_eq!(send(&atoll, Method::GET, "/neighbour/bucket/default/secret", "").await.status, 404);
}

#[tokio::test]
async fn concurrent_increments_are_all_counted_and_key_lists_end() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    let calls = (0..64).map(|_| send(&atoll, Method::POST, "/kv/increment/n", ""));
    let mut sums: Vec<u64> = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|answer| std::str::from_utf8(&answer.body).unwrap().parse().unwrap())
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=64).collect::<Vec<_>>());
    assert_eq!(send(&atoll, Method::PUT, "/kv/many", r#"{"b":"2","a":"1"}"#).await.status, 204);
    assert_eq!(
        send(&atoll, Method::GET, "/kv/many?keys=a,x,b", "").await.json(),
        json!([["a", "1"], null, ["b", "2"]])
    );
    assert_eq!(
        send(&atoll, Method::GET, "/kv/keys", "").await.json(),
        json!({ "keys": ["a", "b", "n"], "cursor": null })
    );
    assert_eq!(
        send(&atoll, Method::GET, "/kv/keys?cursor=2", "").await.json(),
        json!({ "keys": ["n"], "cursor": null })
    );
    assert_eq!(send(&atoll, Method::GET, "/kv/keys?cursor=9", "").await.json(), json!({ "keys": [], "cursor": null }));
    assert_eq!(send(&atoll, Method::DELETE, "/kv/many?keys=a,b", "").await.status, 204);
    assert_eq!(send(&atoll, Method::GET, "/kv/keys", "").await.json()["keys"], json!(["n"]));
}

#[tokio::test]
async fn with_a_full_disk_reads_and_lists_go_on_and_writes_fail_until_there_is_room() {
    // The fixture answers 500 for a failed write. The circuit must not open: the reads are the subject here.
    let manifest = MANIFEST.replacen("state = true\n", "state = true\nbreaker = { failure_threshold = 1000 }\n", 1);
    let home = Home::new(&manifest);
    let atoll = home.start_without_file_size_signal().await;
    for key in ["a", "b"] {
        assert_eq!(send(&atoll, Method::PUT, &format!("/kv/bucket/default/{key}"), "one").await.status, 204);
    }
    let listed = send(&atoll, Method::GET, "/kv/keys", "").await.body;
    atoll.limit_file_size(Some(4096));
    for round in 0..4 {
        let refused = send(&atoll, Method::PUT, "/kv/bucket/default/a", "two").await;
        assert!(refused.status.is_server_error(), "round {round}: {refused:?}");
        for key in ["a", "b"] {
            let read = send(&atoll, Method::GET, &format!("/kv/bucket/default/{key}"), "").await;
            assert_eq!((read.status.as_u16(), &*read.body), (200, &b"one"[..]), "round {round}");
        }
        assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/c", "").await.status, 404, "round {round}");
        assert_eq!(send(&atoll, Method::GET, "/kv/keys", "").await.body, listed, "round {round}");
    }
    atoll.limit_file_size(None);
    let room = Instant::now();
    eventually("a write", async || {
        (send(&atoll, Method::PUT, "/kv/bucket/default/a", "three").await.status == 204).then_some(())
    })
    .await;
    assert!(room.elapsed() < Duration::from_secs(10), "{:?} after there was room", room.elapsed());
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body, "three");
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body, "three");
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/b", "").await.body, "one");
}
