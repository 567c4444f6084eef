//! Candidates that must not serve, each caught at the earliest phase that can know it, while the stable one serves on.

use super::super::components::dummy;
use super::*;

/// Two services: `fickle` with a typed route, `web` by HTTP alone.
fn both(plan: &str) -> String {
    let web =
        "[service.web]\ncomponent = \"{component:fixture-hello}\"\n\n[[route]]\nprefix = \"/web\"\nservice = \"web\"";
    format!("{}\n{web}\n", manifest(plan))
}

/// What is refused before anything serves differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_serve_is_refused_before_its_first_call_and_says_what_to_do() {
    let home = Home::new(&both("rollout = { canary = [\"50%\"], step = \"1h\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    let (_, good) = revision(0, 0, 'b');
    let wit = "package a:b@1.0.0; interface other { f: func() -> string; } world service { export other; }";
    let file = |name: &str| Bytes::from(fs::read(component(name)).unwrap());
    let candidates: [(&str, &str, Bytes, &str); 6] = [
        ("fickle", "truncated", good.slice(..good.len() / 2), "it "),
        ("fickle", "no component", Bytes::from_static(b"#!/bin/sh\n"), "it "),
        ("fickle", "a module", Bytes::from_static(b"\0asm\x01\0\0\0"), "it "),
        ("fickle", "another world", dummy(wit).into(), "route "),
        ("fickle", "another contract", file("fixture-hello"), "docs/evolving-a-contract.md"),
        ("web", "does not start", file("fixture-broken-start"), "it does not start"),
    ];
    for (service, what, bytes, says) in candidates {
        let url = format!("{}/v1/services/{service}/rollouts?canary=50%25", atoll.admin);
        let request = Request::post(url).header("content-type", "application/wasm");
        let refused = http.try_send(request.body(Full::from(bytes)).unwrap()).await.unwrap();
        assert_eq!(refused.status, 422, "{what}: {:?}", refused.body);
        let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("the component is refused: ") && detail.contains(says), "{what}: {detail}");
        let rollouts = http.get(&format!("{}/v1/services/{service}/rollouts", atoll.admin)).await.json();
        assert_eq!(rollouts["rollouts"].as_array().unwrap().len(), 0, "{what}: {rollouts}");
    }
    let answers = load.end().await;
    assert!(!answers.is_empty() && answers.iter().all(|(status, body)| *status == 200 && body.contains(STABLE)));
}

/// What shows only in calls: it is found by them, and by the signal that it is worse in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_now_and_then_or_needs_more_memory_is_taken_back_by_its_calls() {
    let home = Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1h\" }\nretry = { tries = 0 }"));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    for (what, (conduct, candidate), signal) in [
        ("it traps in 3 % of its calls", revision(3, 0, 'b'), ""),
        ("it needs 4 MiB more", revision(0, 0, 'M'), "calls that need much memory: "),
    ] {
        assert_eq!(begin(&http, &atoll, &candidate, "").await.status, 200, "{what}");
        let rollout = ended(&http, &atoll).await;
        assert_eq!(rollout["phase"], "rolled-back", "{what}: {rollout}");
        let sentence = rollout["sentence"].as_str().unwrap();
        assert!(sentence.starts_with(signal) && sentence.contains("of the stable revision; evidence "), "{sentence}");
        let after = http.get(&format!("{}/http", atoll.gateway)).await;
        assert_eq!(after.body, STABLE.as_bytes(), "{what}: not {conduct}");
    }
    let answers = load.end().await;
    // The stable one never notices: what failed was the candidate's own.
    let failed = answers.iter().filter(|(status, _)| *status != 200).count();
    assert!(failed > 0 && failed * 20 < answers.len(), "{failed} of {}", answers.len());
}

/// The rollout once it has ended, or each revision has had so many calls: however long that takes while there are more.
async fn after_calls(http: &Http, atoll: &Atoll, wanted: u64) -> Value {
    let mut reached = 0;
    loop {
        let rollout = eventually("the canary gets more calls", async || {
            let rollout = last(http, atoll).await;
            let of = |side: &str| rollout["canary"][side]["calls"].as_u64().unwrap_or_default();
            let calls = of("of_canary").min(of("of_stable"));
            (rollout["phase"] != "canary" || calls > reached).then_some((rollout, calls))
        });
        let (rollout, calls) = rollout.await;
        if rollout["phase"] != "canary" || calls >= wanted {
            return rollout;
        }
        reached = calls;
    }
}

/// Kept instances have the memory of all their calls, so what tells a leak is what they grow by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaks_in_instances_that_are_kept_is_taken_back_by_what_they_grow_by() {
    let home = Home::new(&manifest(
        "isolation = \"reuse\"\nreuse = { idle_timeout = \"1h\", max_requests = 400 }\n\
         rollout = { canary = [\"50%\"], step = \"1h\" }",
    ));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    // One that is no worse stays, though its instances are younger than those of the stable revision.
    assert_eq!(begin(&http, &atoll, &revision(0, 0, 'b').1, "").await.status, 200);
    let judged = after_calls(&http, &atoll, 1500).await;
    assert_eq!(judged["phase"], "canary", "{judged}");
    assert_eq!(end(&http, &atoll, "promote").await.status, 200);
    let (_, leaking) = revision(0, 0, '7');
    assert_eq!(begin(&http, &atoll, &leaking, "").await.status, 200);
    let rollout = ended(&http, &atoll).await;
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    let sentence = rollout["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("calls that need much memory: "), "{sentence}");
    let answers = load.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "it was found before it hurt anybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes the calls of some minutes on a busy machine: `just rollouts-long` runs it"]
async fn what_is_twice_as_slow_is_taken_back_by_its_calls() {
    let home = Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1h\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(begin(&http, &atoll, &revision(0, 20, 's').1, "?now=true").await.status, 200);
    let load = Load::begin(&atoll);
    assert_eq!(begin(&http, &atoll, &revision(0, 40, 'b').1, "").await.status, 200);
    let rollout = ended(&http, &atoll).await;
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    assert!(rollout["sentence"].as_str().unwrap().starts_with("slow calls: "), "{rollout}");
    assert!(load.end().await.iter().all(|(status, _)| *status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_its_health_check_is_taken_back_before_anybody_calls_it() {
    let health = "health = { path = \"/healthz\", interval = \"500ms\", timeout = \"500ms\", down = 1 }";
    let home = Home::new(&manifest(&format!("rollout = {{ canary = [\"50%\"], step = \"1h\" }}\n{health}")));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(begin(&http, &atoll, &revision(100, 0, 'b').1, "").await.status, 200);
    let rollout = ended(&http, &atoll).await;
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    let sentence = rollout["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("none of its endpoints passes the health check"), "{sentence}");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
    // One that passes it stays.
    assert_eq!(begin(&http, &atoll, &revision(0, 0, 'c').1, "").await.status, 200);
    assert_eq!(end(&http, &atoll, "promote").await.status, 200);
}
