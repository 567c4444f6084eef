//! Promotions that would leave no way back.

use super::keeper::{begin, get, put, revision};
use super::*;

const PLAN: &str = "rollout = { canary = [\"50%\"], step = \"1h\" }";

/// The one before fails in a share of its calls, and has to go on with the others: no circuit opens, however the coin
/// falls.
const BREAKER: &str = "breaker = { in_a_row = 1000, ratio = 100, least_calls = 1000 }";

async fn promote(http: &Http, atoll: &Atoll, query: &str) -> Answer {
    let url = format!("{}/v1/services/keeper/rollouts/current/promote{query}", atoll.admin);
    http.try_send(Request::post(url).body(Full::default()).unwrap()).await.unwrap()
}

/// Writes and reads until the canary has done both.
async fn use_both(http: &Http, atoll: &Atoll, keys: usize) {
    for number in 0..keys {
        let key = format!("w{number}");
        put(http, atoll, &key, "x").await;
        // The revision that reads is another one at times, and fails then.
        for _ in 0..6 {
            let _ = get(http, atoll, &key).await;
        }
    }
}

async fn last_of_keeper(http: &Http, atoll: &Atoll) -> Value {
    let url = format!("{}/v1/services/keeper/rollouts", atoll.admin);
    http.get(&url).await.json()["rollouts"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_whose_writings_the_one_before_cannot_read_is_not_promoted_unless_told() {
    let home = Home::new(&super::keeper::manifest(&format!(
        "record = {{ every = 1 }}\nretry = {{ tries = 0 }}\n{BREAKER}\n{PLAN}"
    )));
    let (atoll, http) = (home.start().await, Http::default());
    // A canary that keeps texts as the revision before does.
    assert_eq!(begin(&http, &atoll, &revision(1, "runs", 'b'), "").await.status, 200);
    use_both(&http, &atoll, 12).await;
    let promoted = promote(&http, &atoll, "").await;
    assert_eq!(promoted.status, 200, "{:?}", promoted.body);
    let sentence = last_of_keeper(&http, &atoll).await["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("; the revision before reads "), "{sentence}");
    // One that keeps them otherwise. The judge has nothing to say: a share of the reads fails at both.
    assert_eq!(begin(&http, &atoll, &revision(2, "runs", 'c'), "").await.status, 200);
    use_both(&http, &atoll, 12).await;
    let refused = promote(&http, &atoll, "").await;
    assert_eq!(refused.status, 409, "{:?}", refused.body);
    let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the revision before cannot read `w") && detail.contains("--no-way-back"), "{detail}");
    assert_eq!(last_of_keeper(&http, &atoll).await["phase"], "canary", "it is as it was");
    let printed = home.output(&["rollout", "keeper", "promote", "--no-way-back", "--admin", &atoll.admin]).await;
    assert!(printed.status.success(), "{printed:?}");
    let last = last_of_keeper(&http, &atoll).await;
    let sentence = last["sentence"].as_str().unwrap();
    assert!(last["phase"] == "promoted" && sentence.contains("no way back: "), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_recorder_nothing_is_claimed() {
    let home = Home::new(&super::keeper::manifest(PLAN));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(begin(&http, &atoll, &revision(1, "runs", 'b'), "").await.status, 200);
    use_both(&http, &atoll, 2).await;
    assert_eq!(promote(&http, &atoll, "").await.status, 200);
    let sentence = last_of_keeper(&http, &atoll).await["sentence"].as_str().unwrap().to_owned();
    assert!(
        sentence.ends_with("; the way back is not rehearsed: the recorder is off (`record` of the service)"),
        "{sentence}"
    );
}
