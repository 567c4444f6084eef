//! `wasi:keyvalue` 0.2.0-draft: the data of an unmodified component is private to its service, and is on disk.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::{Method, Request};
use serde_json::json;

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
    assert_eq!(send(&atoll, Method::GET, "/kv/keys?cursor=0", "").await.json()["keys"], json!(["a", "b", "n"]));
    let refused = send(&atoll, Method::GET, "/kv/keys?cursor=9", "").await;
    assert_eq!(refused.status, 500);
    assert!(refused.body.ends_with(b"list from the start"), "it was never given");
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
    let ready = async || Http::default().get(&format!("{}/readyz", atoll.admin)).await;
    assert_eq!(ready().await.json(), json!({ "status": "ready" }));
    atoll.limit_file_size(Some(4096));
    for round in 0..4 {
        let refused = send(&atoll, Method::PUT, "/kv/bucket/default/a", "two").await;
        // The fixture answers so for the error `other` of the store alone.
        assert_eq!((refused.status.as_u16(), refused.header("content-type")), (500, "application/octet-stream"));
        for key in ["a", "b"] {
            let read = send(&atoll, Method::GET, &format!("/kv/bucket/default/{key}"), "").await;
            assert_eq!((read.status.as_u16(), &*read.body), (200, &b"one"[..]), "round {round}");
        }
        assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/c", "").await.status, 404, "round {round}");
        assert_eq!(send(&atoll, Method::GET, "/kv/keys", "").await.body, listed, "round {round}");
        // It stays ready, since reads go on.
        let ready = ready().await;
        assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (200, &json!("degraded")), "round {round}");
        assert!(ready.json()["store"].as_str().unwrap().starts_with("takes no writes"), "round {round}");
    }
    let metrics = async || Http::default().get(&format!("{}/metrics", atoll.admin)).await.body.to_vec();
    let text = String::from_utf8(metrics().await).unwrap();
    assert!(text.contains("\natoll_state_degraded 1\n"), "{text}");
    let full = "atoll_state_failed_commits_total{cause=\"full\"} ";
    let full = text.lines().find_map(|line| line.strip_prefix(full)).unwrap().parse::<u32>();
    assert!(full.as_ref().is_ok_and(|full| *full >= 4), "each commit that failed is counted: {full:?}");
    assert!(text.contains("\natoll_state_failed_commits_total{cause=\"io\"} 0\n"), "and by its cause: {text}");
    atoll.limit_file_size(None);
    let put = async || send(&atoll, Method::PUT, "/kv/bucket/default/a", "three").await.status;
    eventually("a write", async || (put().await == 204).then_some(())).await;
    assert_eq!(put().await, 204, "from the first one that succeeds on, each does");
    assert_eq!(ready().await.json(), json!({ "status": "ready" }));
    assert!(String::from_utf8(metrics().await).unwrap().contains("\natoll_state_degraded 0\n"));
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body, "three");
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.body, "three");
    assert_eq!(send(&atoll, Method::GET, "/kv/bucket/default/b", "").await.body, "one");
}

/// The keys of one page, and its cursor.
async fn page(atoll: &Atoll, cursor: Option<u64>) -> (Vec<String>, Option<u64>) {
    let cursor = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
    let page = send(atoll, Method::GET, &format!("/kv/keys{cursor}"), "").await.json();
    (serde_json::from_value(page["keys"].clone()).unwrap(), page["cursor"].as_u64())
}

async fn put_all(atoll: &Atoll, keys: &[String]) {
    let pairs: serde_json::Map<_, _> = keys.iter().map(|key| (key.clone(), json!(""))).collect();
    let request = Request::put(format!("{}/kv/many", atoll.gateway));
    assert_eq!(Http::default().send(request, serde_json::Value::Object(pairs).to_string()).await.status, 204);
}

#[tokio::test]
async fn keys_that_nobody_touched_are_listed_once_while_the_pages_are_deleted_and_others_come() {
    let home = Home::new(MANIFEST);
    let mut atoll = home.start().await;
    let all: Vec<String> = (0..2500).map(|number| format!("k{number:04}")).collect();
    for keys in all.chunks(1000) {
        put_all(&atoll, keys).await;
    }
    let (mut listed, mut cursor) = page(&atoll, None).await;
    for number in 0.. {
        let Some(given) = cursor else { break };
        // Before the first page, within it and behind all keys.
        put_all(&atoll, &[format!("a{number}"), format!("k0000-{number}"), format!("z{number}")]).await;
        let page_before = listed[listed.len() - 1000..].to_vec();
        for keys in page_before.chunks(100) {
            let path = format!("/kv/many?keys={}", keys.join(","));
            assert_eq!(send(&atoll, Method::DELETE, &path, "").await.status, 204);
        }
        let (keys, next) = page(&atoll, Some(given)).await;
        listed.extend(keys);
        cursor = next;
    }
    let untouched: Vec<_> = listed.iter().filter(|key| key.len() == 5).cloned().collect();
    assert_eq!(untouched, all);

    // A cursor outlives a restart as long as its key is there.
    for keys in all.chunks(1000) {
        put_all(&atoll, keys).await;
    }
    let (first, cursor) = page(&atoll, None).await;
    atoll.kill().await;
    atoll = home.start().await;
    let (second, _) = page(&atoll, cursor).await;
    assert!(first.last() < second.first() && second.len() == 1000);
}

#[tokio::test]
async fn a_damaged_database_is_one_error_that_says_what_to_do() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    for key in 0..100 {
        let path = format!("/kv/bucket/default/{key}");
        assert_eq!(send(&atoll, Method::PUT, &path, "a value of some length").await.status, 204);
    }
    atoll.stop().await;
    let path = home.folder.path().join(".atoll/state.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page says where the others are.
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let output = home.output(&["run", "atoll.toml"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is damaged") && said.contains("backup"), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
}

#[tokio::test]
async fn a_component_that_was_written_for_another_host_opens_its_store_by_that_name() {
    let home = Home::new(&MANIFEST.replacen("state = true\n", "state = true\nbucket = \"in_memory\"\n", 1));
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::PUT, "/kv/bucket/in_memory/a", "one").await.status, 204);
    for bucket in ["default", "kv", "in_memory"] {
        assert_eq!(send(&atoll, Method::GET, &format!("/kv/bucket/{bucket}/a"), "").await.body, "one", "{bucket}");
    }
    let denied = send(&atoll, Method::GET, "/neighbour/bucket/other/a", "").await.status;
    assert_eq!(
        send(&atoll, Method::GET, "/neighbour/bucket/in_memory/a", "").await.status,
        denied,
        "its own name alone"
    );
    assert_ne!(denied, 404, "it is not that there is no such key");
}
