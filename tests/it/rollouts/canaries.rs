//! What becomes of a canary.

use super::*;

/// Steps of a second: the least that the manifest takes.
const QUICK: &str = "rollout = { canary = [\"20%\", \"50%\"], step = \"1s\", calls = 20 }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_no_worse_is_promoted_and_no_request_fails() {
    let home = Home::new(&manifest(QUICK));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    let (conduct, component) = revision(0, 0, 'b');
    let begun = begin(&http, &atoll, &component, "?why=a%20test").await;
    assert_eq!(begun.status, 200, "{:?}", begun.body);
    assert_eq!(begun.json()["rollout"]["canary"]["share"], 20);
    let services = http.get(&format!("{}/v1/services/fickle", atoll.admin)).await.json();
    assert_eq!(services["canary"]["phase"], "canary", "{services}");
    assert_eq!(services["endpoints"].as_array().unwrap().len(), 4, "two of the canary");
    let rollout = ended(&http, &atoll).await;
    assert_eq!((&rollout["phase"], &rollout["why"]), (&"promoted".into(), &"a test".into()), "{rollout}");
    let sentence = rollout["sentence"].as_str().unwrap();
    assert!(sentence.contains("excluded at 99 %: that it fails more than"), "{sentence}");
    let answers = load.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{:?}", answers.iter().find(|one| one.0 != 200));
    let of_canary = answers.iter().filter(|(_, body)| body.contains(&conduct)).count();
    assert!(of_canary > 0 && of_canary < answers.len(), "{of_canary} of {}", answers.len());
    // The typed route too.
    assert!(answers.iter().any(|(_, body)| body == &format!("\"{conduct}\"")), "a typed answer of the canary");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_crashes_is_taken_back_after_a_few_calls() {
    let home = Home::new(&manifest("rollout = { canary = [\"5%\"], step = \"1h\" }\nretry = { tries = 0 }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (_, component) = revision(100, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    let load = Load::begin(&atoll);
    let rollout = ended(&http, &atoll).await;
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    let sentence = rollout["sentence"].as_str().unwrap();
    assert!(sentence.contains(" of the stable revision; evidence "), "{sentence}");
    let answers = load.end().await;
    // Three decide; the others were under way by then.
    let failed = answers.iter().filter(|(status, _)| *status != 200).count();
    assert!((2..=7).contains(&failed), "{failed} of {}", answers.len());
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
    atoll.logged("a canary was taken back").await;
    // It can be tried again, under a new number.
    let again = begin(&http, &atoll, &component, "").await.json();
    assert_eq!(again["rollout"]["id"], rollout["id"].as_u64().unwrap() + 1);
    assert_eq!(end(&http, &atoll, "abort").await.status, 200);
    assert_eq!(last(&http, &atoll).await["phase"], "aborted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_a_share_of_its_calls_is_taken_back_and_a_stable_one_that_does_is_not() {
    let home = Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1h\", max_errors = \"5%\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (_, component) = revision(30, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    let load = Load::begin(&atoll);
    assert_eq!(ended(&http, &atoll).await["phase"], "rolled-back");
    // Now both fail alike: nothing speaks against the new one.
    let (conduct, component) = revision(30, 0, 'c');
    assert_eq!(begin(&http, &atoll, &component, "?now=true").await.status, 200);
    let (_, component) = revision(30, 0, 'd');
    assert_eq!(begin(&http, &atoll, &component, "?hold=true").await.status, 200);
    let judged = eventually("200 calls of the canary are judged", async || {
        let rollout = last(&http, &atoll).await;
        let calls = rollout["canary"]["of_canary"]["calls"].as_u64();
        (rollout["phase"] != "canary" || calls >= Some(200)).then_some(rollout)
    })
    .await;
    assert_eq!(judged["phase"], "canary", "{judged}");
    drop(load.end().await);
    assert_eq!(end(&http, &atoll, "rollback").await.status, 200);
    let body = async || String::from_utf8_lossy(&http.get(&format!("{}/http", atoll.gateway)).await.body).into_owned();
    eventually("the stable one answers", async || (body().await == conduct).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_names_the_pace_of_steps_begins_a_canary() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    let (_, component) = revision(0, 0, 'b');
    let begun = begin(&http, &atoll, &component, "?step_ms=30000&calls=500").await.json();
    assert_eq!(begun["rollout"]["phase"], "canary", "{begun}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_requests_the_canary_gets_exactly_its_share_of_each_kind() {
    let home = Home::new(&manifest("rollout = { canary = [\"7%\"], step = \"1h\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    for path in ["/roll", "/http"] {
        let mut of_canary = 0;
        for _ in 0..100 {
            let answer = http.get(&format!("{}{path}", atoll.gateway)).await;
            of_canary += usize::from(String::from_utf8_lossy(&answer.body).contains(&conduct));
        }
        assert_eq!(of_canary, 7, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_sticky_cookie_stays_with_one_revision() {
    let home = Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1h\", sticky = \"cookie:session\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    let ask = async |session: usize, path: &str| {
        let request = Request::get(format!("{}{path}", atoll.gateway));
        let answer = http.send(request.header("cookie", format!("a=b; session=s{session}")), "").await;
        String::from_utf8_lossy(&answer.body).contains(&conduct)
    };
    let mut of_canary = 0;
    for session in 0..40 {
        let first = ask(session, "/http").await;
        assert_eq!(ask(session, "/roll").await, first, "the typed route, session {session}");
        assert_eq!(ask(session, "/http").await, first);
        of_canary += usize::from(first);
    }
    // 40 fair coins: outside of these bounds once in 10,000 runs, and the hash is the same in each run.
    assert!((8..=32).contains(&of_canary), "{of_canary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_too_few_calls_a_canary_waits_and_then_asks() {
    let home = Home::new(&manifest("rollout = { canary = [\"5%\"], step = \"1s\", ask = \"1s\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    atoll.logged("too few calls for a verdict").await;
    let rollout = last(&http, &atoll).await;
    assert_eq!((&rollout["phase"], &rollout["canary"]["asks"]), (&"canary".into(), &true.into()));
    let printed = home.output(&["rollout", "fickle", "--admin", &atoll.admin]).await;
    assert!(String::from_utf8_lossy(&printed.stdout).contains("promote it or roll it back"), "{printed:?}");
    let printed = home.output(&["rollout", "fickle", "promote", "--admin", &atoll.admin]).await;
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    assert!(last(&http, &atoll).await["sentence"].as_str().unwrap().starts_with("promoted by loopback; "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_revision_supersedes_the_canary_when_it_has_passed_its_checks() {
    let home = Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1h\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let (_, second) = revision(0, 0, 'b');
    let first = begin(&http, &atoll, &second, "").await.json()["rollout"]["id"].clone();
    let refused = begin(&http, &atoll, &Bytes::from_static(b"no component"), "").await;
    assert_eq!(refused.status, 422);
    assert_eq!(last(&http, &atoll).await["id"], first, "a broken one ends nothing");
    let (conduct, third) = revision(0, 0, 'c');
    let next = begin(&http, &atoll, &third, "").await.json()["rollout"]["id"].clone();
    let url = format!("{}/v1/services/fickle/rollouts/{first}", atoll.admin);
    assert_eq!(http.get(&url).await.json()["phase"], "superseded");
    assert_eq!(last(&http, &atoll).await["id"], next);
    // The cure of a bad stable one needs no canary's leave.
    let (cure, fourth) = revision(0, 0, 'd');
    assert_eq!(begin(&http, &atoll, &fourth, "?now=true").await.status, 200);
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, cure.as_bytes());
    let url = format!("{}/v1/services/fickle/rollouts/{next}", atoll.admin);
    assert_eq!(http.get(&url).await.json()["phase"], "superseded", "{conduct}");
    assert_eq!(end(&http, &atoll, "promote").await.status, 404, "none is under way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atoll_swap_waits_for_the_end_of_the_rollout() {
    let home = Home::new(&manifest(QUICK));
    let atoll = home.start().await;
    let [good, bad] = [("good.wasm", revision(0, 0, 'b').1), ("bad.wasm", revision(100, 0, 'c').1)];
    for (name, component) in [&good, &bad] {
        fs::write(home.folder.path().join(name), component).unwrap();
    }
    let load = Load::begin(&atoll);
    let path = |name: &str| home.folder.path().join(name).display().to_string();
    let swap =
        async |file: &str| home.output(&["swap", "fickle", &path(file), "--wait", "--admin", &atoll.admin]).await;
    let promoted = swap(good.0).await;
    assert_eq!(promoted.status.code(), Some(0), "{promoted:?}");
    assert!(String::from_utf8_lossy(&promoted.stdout).contains(": promoted"), "{promoted:?}");
    let taken_back = swap(bad.0).await;
    assert_eq!(taken_back.status.code(), Some(1), "{taken_back:?}");
    assert!(String::from_utf8_lossy(&taken_back.stderr).contains("rolled-back"), "{taken_back:?}");
    drop(load.end().await);
    let table = home.output(&["history", "fickle", "--admin", &atoll.admin]).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("promoted") && table.contains("rolled-back") && table.contains("* "), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_a_swap_is_at_once_and_lasts_until_the_host_restarts() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    let begun = begin(&http, &atoll, &component, "").await.json();
    assert!(begun["rollout"].is_null(), "{begun}");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    assert!(!home.folder.path().join(".atoll/history").exists(), "no history without a word of the manifest");
    atoll.stop().await;
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
}
