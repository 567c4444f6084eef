//! The example of `docs/evolving-a-contract.md`: a contract in two versions, swapped while clients use the first.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::components::{component, workspace};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn guide() -> String {
    fs::read_to_string(workspace().join("docs/evolving-a-contract.md")).unwrap()
}

/// The blocks of the guide in this language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = guide.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// A host that serves the example, in its first version.
async fn start() -> (Home, Atoll) {
    let manifest = blocks(&guide(), "toml")[0].replace("notes.wasm", "{component:fixture-notes-1}");
    let home = Home::new(&manifest);
    let atoll = home.start().await;
    (home, atoll)
}

async fn swap(atoll: &Atoll, fixture: &str) -> Answer {
    let request = Request::post(format!("{}/v1/services/notes/swap", atoll.admin));
    let bytes: Bytes = fs::read(component(fixture)).unwrap().into();
    Http::default().send(request.header("content-type", "application/wasm"), bytes).await
}

async fn rollback(atoll: &Atoll) -> Answer {
    Http::default().send(Request::post(format!("{}/v1/services/notes/rollback", atoll.admin)), "").await
}

/// What a client of version 1 does. It reads the members that it knows.
async fn use_version_1(http: &Http, gateway: &str) {
    for new in [json!({"title": "a b"}), json!({"title": "a b", "stars": 3})] {
        let added = http.json(Method::POST, &format!("{gateway}/notes"), &new).await;
        assert_eq!(added.status, 200, "{added:?}");
        let note = added.json();
        let stars = new["stars"].as_u64().unwrap_or(0);
        assert_eq!((&note["id"], &note["title"], &note["stars"]), (&json!(3), &json!("a b"), &json!(stars)));
    }
    let found = http.get(&format!("{gateway}/notes/7")).await;
    assert_eq!((found.status.as_u16(), &found.json()["id"]), (200, &json!(7)), "{found:?}");
    assert_eq!(http.get(&format!("{gateway}/notes/0")).await.problem()["case"], "not_found");
}

#[test]
fn the_guide_shows_the_contracts_of_the_fixtures() {
    let shown = blocks(&guide(), "wit");
    for (version, text) in ["1", "2"].iter().zip(&shown) {
        let file = workspace().join(format!("components/fixtures/notes-{version}/wit/notes.wit"));
        assert_eq!(*text, fs::read_to_string(file).unwrap(), "version {version}");
    }
    assert_eq!(shown.len(), 2);
}

#[tokio::test]
async fn a_swap_to_a_contract_that_clients_do_not_notice_brings_its_new_parts_to_the_routes() {
    let (_home, atoll) = start().await;
    let http = Http::default();
    let notes = format!("{}/notes", atoll.gateway);
    let document = async || http.get(&format!("{}/openapi.json", atoll.gateway)).await;
    let coloured = json!({"title": "a b", "stars": 300, "colour": "red"});
    use_version_1(&http, &atoll.gateway).await;
    let refused = http.json(Method::POST, &notes, &coloured).await;
    assert_eq!(refused.status, 422, "version 1 does not know the colour: {refused:?}");
    let before = document().await;
    assert!(!before.json().to_string().contains("colour"));

    let swapped = swap(&atoll, "fixture-notes-2").await;
    assert_eq!(swapped.status, 200, "{swapped:?}");
    use_version_1(&http, &atoll.gateway).await;
    let added = http.json(Method::POST, &notes, &coloured).await;
    let expected = json!({"id": 3, "title": "a b", "stars": 255, "colour": "red", "words": ["a", "b"]});
    assert_eq!((added.status.as_u16(), added.json()), (200, expected));
    let found = http.get(&format!("{notes}/5000000000?language=de")).await.json();
    assert_eq!((&found["id"], &found["colour"]), (&json!(5_000_000_000_u64), &json!("weiß")));
    let gone = http.get(&format!("{notes}/13")).await;
    assert_eq!((gone.status.as_u16(), &gone.problem()["case"]), (500, &json!("gone")));
    let after = document().await;
    assert_ne!(before.header("etag"), after.header("etag"));
    let schemas = &after.json()["components"]["schemas"];
    assert_eq!(schemas["NewNote"]["properties"]["stars"]["anyOf"][0]["maximum"], u32::MAX);
    assert_eq!(schemas["NewNote"]["additionalProperties"], false);
    assert_eq!(schemas["Note"]["additionalProperties"], Value::Null, "an answer may get more members");
    let find = &after.json()["paths"]["/notes/{id}"]["get"]["parameters"];
    assert!(find.as_array().unwrap().iter().any(|parameter| parameter["name"] == "language"), "{find}");
    let routes = http.get(&format!("{}/v1/routes", atoll.admin)).await;
    assert!(routes.json().to_string().contains("notes#find"), "{routes:?}");

    let back = swap(&atoll, "fixture-notes-1").await;
    assert_eq!(back.status, 422, "{back:?}");
    let detail = back.problem()["detail"].as_str().unwrap().to_owned();
    for part in [
        "parameter `note`: field `stars` of record `new-note` holds u8 and not u32; route POST /notes depends on it",
        "parameter `id` is u32 and not u64; route GET,HEAD /notes/{id} depends on it",
        "docs/evolving-a-contract.md",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    // The guide shows the beginning and the end of this refusal, on lines of its own width.
    let shown = blocks(&guide(), "text")[0].replace('\n', " ");
    let (begin, end) = shown.trim().split_once(" … ").unwrap();
    assert!(detail.starts_with(begin) && detail.ends_with(end), "{detail}\n{shown}");

    let returned = rollback(&atoll).await;
    assert_eq!(returned.status, 200, "{returned:?}");
    use_version_1(&http, &atoll.gateway).await;
    assert_eq!(http.json(Method::POST, &notes, &coloured).await.status, 422);
    assert_eq!(document().await.json(), before.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_of_either_version_fails_while_swaps_and_rollbacks_go_on() {
    let (_home, atoll) = start().await;
    let ends = Arc::new(AtomicBool::new(false));
    let clients = (0..4).map(|_| {
        let (ends, gateway) = (Arc::clone(&ends), atoll.gateway.clone());
        tokio::spawn(async move {
            let http = Http::default();
            while !ends.load(Ordering::Relaxed) {
                use_version_1(&http, &gateway).await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let (taken, not_taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let newer = {
        let (ends, gateway) = (Arc::clone(&ends), atoll.gateway.clone());
        let (taken, not_taken) = (Arc::clone(&taken), Arc::clone(&not_taken));
        tokio::spawn(async move {
            let (http, new) = (Http::default(), json!({"title": "a", "colour": "red"}));
            while !ends.load(Ordering::Relaxed) {
                let answer = http.json(Method::POST, &format!("{gateway}/notes"), &new).await;
                // Never a half: the colour is taken and answered, or it is refused.
                match answer.status.as_u16() {
                    200 => assert_eq!(answer.json()["colour"], "red"),
                    422 => assert_eq!(answer.problem()["errors"][0]["pointer"], "/colour"),
                    _ => panic!("{answer:?}"),
                }
                let count = if answer.status == 200 { &taken } else { &not_taken };
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let met = async |seen: &AtomicUsize| {
        let before = seen.load(Ordering::Relaxed);
        let what = "a request meets this revision";
        eventually(what, async || (seen.load(Ordering::Relaxed) > before || newer.is_finished()).then_some(())).await;
    };
    for _ in 0..10 {
        let swapped = swap(&atoll, "fixture-notes-2").await;
        assert_eq!(swapped.status, 200, "{swapped:?}");
        met(&taken).await;
        let returned = rollback(&atoll).await;
        assert_eq!(returned.status, 200, "{returned:?}");
        met(&not_taken).await;
    }
    ends.store(true, Ordering::Relaxed);
    newer.await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
}
