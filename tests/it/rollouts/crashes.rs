//! Hosts that are killed in the middle of a rollout: the record explains what serves afterwards.

use super::*;

const PLAN: &str = "rollout = { canary = [\"10%\", \"50%\"], step = \"1h\" }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_on_after_a_crash_with_its_number_and_its_share() {
    let home = Home::new(&manifest(PLAN));
    let (atoll, http) = (home.start().await, Http::default());
    let (_, component) = revision(0, 0, 'b');
    let begun = begin(&http, &atoll, &component, "?why=faster").await.json();
    atoll.kill().await;
    let atoll = home.start().await;
    let rollout = last(&http, &atoll).await;
    assert_eq!((&rollout["phase"], &rollout["id"]), (&"canary".into(), &begun["rollout"]["id"]), "{rollout}");
    assert_eq!((&rollout["canary"]["share"], &rollout["why"]), (&10.into(), &"faster".into()));
    assert_eq!(rollout["digest"], begun["rollout"]["digest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_never_serves_again() {
    for how in ["abort", "rollback"] {
        let home = Home::new(&manifest(PLAN));
        let (atoll, http) = (home.start().await, Http::default());
        let (conduct, component) = revision(0, 0, 'b');
        assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
        assert_eq!(end(&http, &atoll, how).await.status, 200);
        atoll.kill().await;
        let atoll = home.start().await;
        let rollout = last(&http, &atoll).await;
        assert_ne!(rollout["phase"], "canary", "{rollout}");
        for _ in 0..100 {
            let answer = http.get(&format!("{}/http", atoll.gateway)).await;
            assert_ne!(answer.body, conduct.as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promoted_serves_after_a_crash() {
    let home = Home::new(&manifest(PLAN));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    assert_eq!(end(&http, &atoll, "promote").await.status, 200);
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    assert_eq!(last(&http, &atoll).await["phase"], "promoted");
}

/// The record as it is in each phase, written by hand: a kill cannot be timed between two of its writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_each_phase_explains_what_serves() {
    let home = Home::new(&manifest(PLAN));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    let file = home.folder.path().join(".atoll/history/services/fickle.json");
    let of_canary: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    atoll.kill().await;
    // Before the first call: the rollout is over, and says so.
    let mut prepared = of_canary.clone();
    prepared["open"]["step"] = Value::Null;
    fs::write(&file, prepared.to_string()).unwrap();
    let atoll = home.start().await;
    let rollout = last(&http, &atoll).await;
    assert_eq!(rollout["phase"], "aborted", "{rollout}");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
    atoll.kill().await;
    // Between the decision to promote, which is on the disk first, and the end of the rollout.
    let mut promoted = of_canary.clone();
    let manifests = host::base::Digest::of(&fs::read(super::component("fixture-fickle")).unwrap()).to_string();
    promoted["promoted"] = serde_json::json!({ "digest": of_canary["open"]["digest"], "manifest": manifests });
    fs::write(&file, promoted.to_string()).unwrap();
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    let rollout = last(&http, &atoll).await;
    assert_eq!(rollout["phase"], "promoted", "{rollout}");
    atoll.kill().await;
    // The component is gone: the manifest's serves, and the log says why.
    let digest = of_canary["open"]["digest"].as_str().unwrap();
    fs::write(home.folder.path().join(format!(".atoll/history/components/{digest}.wasm")), "damaged").unwrap();
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
    atoll.logged("is damaged").await;
}
