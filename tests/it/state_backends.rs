//! State on a database server, through the real binary: what is refused and how, and real servers that are killed
//! under the host. Without a server (`just state-backends` installs them) those tests pass, and say so.

use super::atoll::{Atoll, Home, Http, ended, eventually};
use super::redis_server::RedisServer;
use super::state_server::StateServer;
use http::{Method, Request};
use rustix::process::Signal;
use serde_json::json;

const SERVICE: &str = r#"
[service.kv]
component = "{component:fixture-kv}"
state = true
breaker = { failure_threshold = 1000 }

[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"
"#;

#[tokio::test]
async fn what_a_backend_cannot_promise_is_refused_by_name_with_its_line() {
    let backend = "[state]\nbackend = 'postgres://127.0.0.1:1/shop'\nuser = 'atoll'\nshared = true\n\
                   encryption = { key = { from_env = 'KEY' } }\n\
                   [topic.orders]\n[limit.daily]\nquota = '5 / 1d'\n\
                   [[schedule]]\nname = 'nightly'\nevery = '1h'\ntopic = 'orders'\n";
    let home = Home::new(&format!("{backend}{SERVICE}"));
    for verb in ["check", "run"] {
        let mut command = home.command(&[verb, "atoll.toml"]);
        let output = ended(command.env("KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{verb}: {text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        for (place, says) in [
            ("atoll.toml:2:", "a backend stores values as they are, and `encryption` of [state] promises"),
            ("atoll.toml:4:", "the topic `orders` is kept by one host"),
            ("atoll.toml:4:", "the schedule `nightly` is kept by one host"),
            ("atoll.toml:4:", "the quota of the limit `daily` is kept by one host"),
        ] {
            assert!(text.contains(place) && text.contains(says), "{verb}: {says}: {text}");
        }
    }
}

/// Makes each promise a test of each kind of server.
macro_rules! over_each_server {
    ($($promise:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::StateServer::postgres() else { return };
                super::$promise(server).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::StateServer::redis() else { return };
                super::$promise(server).await;
            })*
        }
        mod valkey {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::StateServer::valkey() else { return };
                super::$promise(server).await;
            })*
        }
    };
}

over_each_server! {
    a_host_outlives_its_server_and_another_host_finds_its_data
    a_host_whose_data_another_one_has_had_ends_and_writes_over_nothing
}

async fn send(atoll: &Atoll, method: Method, path: &str, body: &'static str) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("{}{path}", atoll.gateway));
    let answer = Http::default().send(request, body).await;
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

async fn a_host_outlives_its_server_and_another_host_finds_its_data(mut server: StateServer) {
    let manifest = format!("{}{SERVICE}", server.section());
    let home = server.home(&manifest);
    let atoll = home.start().await;
    let put =
        async |atoll: &Atoll, key: &str| send(atoll, Method::PUT, &format!("/kv/bucket/default/{key}"), "one").await.0;
    let get = async |atoll: &Atoll, key: &str| send(atoll, Method::GET, &format!("/kv/bucket/default/{key}"), "").await;
    assert_eq!(put(&atoll, "a").await, 204);
    assert_eq!(send(&atoll, Method::POST, "/kv/increment/n?delta=5", "").await.1, "5");
    let ready = async |atoll: &Atoll| Http::default().get(&format!("{}/readyz", atoll.admin)).await.json();
    assert_eq!(ready(&atoll).await, json!({ "status": "ready" }));
    server.kill();
    let away = json!("is away: services with state can neither read nor write; the log says why");
    eventually("the host says so", async || (ready(&atoll).await["store"] == away).then_some(())).await;
    assert!(put(&atoll, "b").await >= 500 && get(&atoll, "a").await.0 >= 500);
    let metrics =
        String::from_utf8(Http::default().get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
    assert!(metrics.contains("\natoll_state_degraded 1\n"), "{metrics}");
    server.start_again();
    eventually("the host is well", async || (ready(&atoll).await == json!({ "status": "ready" })).then_some(())).await;
    assert_eq!((get(&atoll, "a").await.1.as_str(), get(&atoll, "b").await.0), ("one", 404));
    assert_eq!(put(&atoll, "c").await, 204);
    let log = atoll.log().join("\n");
    assert!(log.contains("the store is away") && !log.contains(server.password()), "{log}");
    atoll.kill().await;
    let elsewhere = server.home(&manifest);
    let atoll = elsewhere.start().await;
    assert_eq!(get(&atoll, "c").await.1, "one");
    assert_eq!(send(&atoll, Method::POST, "/kv/increment/n", "").await.1, "6");
    atoll.stop().await;
}

/// The first host is paused while its server restarts, and a second one has the data meanwhile.
async fn a_host_whose_data_another_one_has_had_ends_and_writes_over_nothing(mut server: StateServer) {
    let manifest = format!("{}{SERVICE}", server.section());
    let (home, elsewhere) = (server.home(&manifest), server.home(&manifest));
    let mut first = home.start().await;
    let increment = async |atoll: &Atoll| send(atoll, Method::POST, "/kv/increment/n", "").await.1;
    assert_eq!(increment(&first).await, "1");
    first.signal(Signal::STOP);
    server.kill();
    server.start_again();
    let second = elsewhere.start().await;
    assert_eq!(increment(&second).await, "2");
    second.stop().await;
    first.signal(Signal::CONT);
    let status = first.wait().await;
    assert_eq!(status.code(), Some(1), "whoever watches over it starts it again");
    first.logged("the data are this host's no longer").await;
    let third = home.start().await;
    assert_eq!(increment(&third).await, "3");
    third.stop().await;
}

async fn store_says(atoll: &Atoll, says: &str) {
    let ready = async || Http::default().get(&format!("{}/readyz", atoll.admin)).await.json();
    let said = async || ready().await["store"].as_str().is_some_and(|store| store.contains(says)).then_some(());
    eventually(says, said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cause_of_an_outage_is_in_the_log() {
    let Some(mut server) = RedisServer::any() else { return };
    let home = server.home(&format!("{}{SERVICE}", server.section()));
    let atoll = home.start().await;
    server.kill();
    atoll.logged("the store is away").await;
    // It is there again, and lets the host in no more.
    let before = server.start_with_password("another");
    atoll.logged("WRONGPASS").await;
    store_says(&atoll, "is away").await;
    server.kill();
    server.start_with_password(&before);
    atoll.logged("the store is there again").await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_are_damaged_are_named_by_the_export_and_by_readyz() {
    let Some(server) = RedisServer::any() else { return };
    let home = server.home(&format!("{}{SERVICE}", server.section()));
    let atoll = home.start().await;
    assert_eq!(send(&atoll, Method::PUT, "/kv/bucket/default/a", "one").await.0, 204);
    server.ask(&["DEL", "atoll:values:kv"]);
    let exported = home.output(&["state", "export", "kv", "-", "--admin", &atoll.admin]).await;
    let said = String::from_utf8(exported.stderr).unwrap();
    let says = "the data are damaged: atoll:values:kv has 0 values, and atoll:keys:kv has 1 keys";
    assert!(!exported.status.success() && said.contains(says), "{said}");
    assert!(!said.contains("is not the admin") && exported.stdout.is_empty(), "{said}");
    // By the export alone.
    store_says(&atoll, "has damaged data").await;
    atoll.logged("the store has damaged data").await;
    assert!(send(&atoll, Method::GET, "/kv/bucket/default/a", "").await.0 >= 500, "it is not as if it were deleted");
    let erased = home.output(&["state", "erase", "kv", "--yes", "--admin", &atoll.admin]).await;
    assert!(erased.status.success(), "{erased:?}");
    atoll.logged("the store is there again").await;
    assert_eq!(send(&atoll, Method::PUT, "/kv/bucket/default/a", "one").await.0, 204);
    atoll.stop().await;
}
