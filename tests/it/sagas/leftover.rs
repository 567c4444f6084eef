//! Sagas that have not ended when the manifest changes: they go on, or nothing starts without them.

use super::super::atoll::{Atoll, Home, Http, eventually};
use super::super::rollouts::revision;
use super::{SERVICES, Shop};
use http::Method;
use serde_json::{Value, json};
use std::fs;

/// A saga that calls a service without state, which crashes, and then waits for a person.
const ROLL: &str = r#"
[sagas]
backoff = "1ms"
backoff_most = "2ms"

[saga.roll]

[[saga.roll.step]]
name = "roll"
call = "fickle/dice#roll"
tries = 2
pivot = true
"#;

fn service(component: &str) -> String {
    format!("[service.fickle]\ncomponent = {component:?}\n")
}

async fn saga(http: &Http, host: &Atoll, id: &str) -> Value {
    http.get(&format!("{}/v1/sagas/{id}", host.admin)).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_goes_on_under_a_manifest_that_needs_no_database_and_is_never_left_behind() {
    let home = Home::new(&format!("{}{ROLL}", service("crashes.wasm")));
    for (file, traps) in [("crashes.wasm", 100), ("works.wasm", 0)] {
        fs::write(home.folder.path().join(file), revision(traps, 0, 'a').1).unwrap();
    }
    let (host, http) = (home.start().await, Http::default());
    let started = home.output(&["saga", "start", "roll", "{}", "--key", "k", "--admin", &host.admin]).await;
    assert!(started.status.success(), "{started:?}");
    let id = String::from_utf8_lossy(&started.stdout).split_whitespace().nth(2).unwrap().to_owned();
    eventually("it is parked", async || (saga(&http, &host, &id).await["state"] == "parked").then_some(())).await;
    host.stop().await;

    // The service is gone: no start without it, and the error says why.
    home.write("[service.other]\ncomponent = \"{component:fixture-hello}\"\n");
    home.link_cache();
    let refused = home.output(&["run", "atoll.toml"]).await;
    let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!refused.status.success(), "{told}");
    assert!(
        told.contains("sagas `roll` of an earlier manifest have not ended: they call `fickle/dice#roll`"),
        "{told}"
    );
    assert!(told.contains("keep the service until they have ended"), "{told}");

    // The service is there; no section of the manifest needs a database.
    home.write(&service("works.wasm"));
    let host = home.start().await;
    assert_eq!(saga(&http, &host, &id).await["state"], "parked");
    let retried = home.output(&["saga", "retry", &id, "--admin", &host.admin]).await;
    assert!(retried.status.success(), "{retried:?}");
    eventually("it completes", async || (saga(&http, &host, &id).await["state"] == "completed").then_some(())).await;
    host.logged("sagas of an earlier manifest have not ended: they go on").await;
    host.stop().await;

    // Nothing is left to do: the database stays closed, and the service may go.
    home.write("[service.other]\ncomponent = \"{component:fixture-hello}\"\n");
    let host = home.start().await;
    assert!(!host.log().iter().any(|line| line.contains("have not ended")));
    host.stop().await;
}

/// A saga whose one step charges, with this deadline.
fn charge(deadline: &str, more: &str) -> String {
    format!(
        r#"{SERVICES}
[sagas]
backoff = "5ms"
backoff_most = "20ms"

[saga.charge]
deadline = "{deadline}"

[[saga.charge.step]]
name = "charge"
call = "payments/charge"
with = {{ key = "$saga.key", user = "7", amount = {{ amount = 100, currency = "EUR" }} }}
timeout = "2s"
tries = 100

[[route]]
method = "POST"
path = "/charge"
saga = "charge"

[[route]]
method = "PUT"
path = "/payments/mode"
call = "payments/behave"
{more}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_definitions_of_one_saga_go_on_beside_each_other_after_an_apply() {
    let home = Home::new(&charge("1h", ""));
    let start = async |shop: &Shop| {
        let answer = shop.http.json(Method::POST, &format!("{}/charge", shop.gateway), &json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let host = home.start().await;
    let shop = Shop::of(&host);
    shop.behave("hangs", 100).await;
    let first = start(&shop).await;
    host.stop().await;
    // Another definition of the same steps.
    home.write(&charge("2h", ""));
    let host = home.start().await;
    let shop = Shop::of(&host);
    shop.behave("hangs", 100).await;
    let second = start(&shop).await;
    home.write(&charge("2h", "[[route]]\nmethod = \"GET\"\npath = \"/payments\"\ncall = \"payments/get\"\n"));
    home.link_cache();
    let applied = home.output(&["apply", "--yes", "--admin", &host.admin]).await;
    assert!(applied.status.success(), "{applied:?}");
    shop.behave("works", 100).await;
    for id in [&first, &second] {
        let ended = async || (saga(&shop.http, &host, id).await["state"] == "completed").then_some(());
        eventually("both definitions find their function", ended).await;
    }
    host.stop().await;
}
