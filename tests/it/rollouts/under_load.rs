//! Swaps, canaries and rollbacks while calls of all kinds go on, and kills at any moment.

use super::*;
use std::collections::BTreeSet;

/// How many file descriptors the host has.
fn descriptors(atoll: &Atoll) -> usize {
    fs::read_dir(format!("/proc/{}/fd", atoll.pid())).unwrap().count()
}

/// `ATOLL_ROLLOUT_SWAPS=1000`: the whole proof, with 100 canaries and 50 rollbacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_canaries_and_rollbacks_fail_no_request_of_the_stable_revision() {
    let swaps = number("ATOLL_ROLLOUT_SWAPS", 20);
    let home =
        Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1s\", calls = 5 }\nretry = { tries = 0 }"));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    let (mut known, mut rollbacks) = (BTreeSet::from([STABLE.to_owned()]), 0);
    let mut before = 0;
    for swap in 0..swaps {
        // Of ten, one is a canary; of twenty, one is a canary that crashes.
        let (is_canary, crashes) = (swap % 10 == 9, swap % 20 == 19);
        // The time that it takes tells revisions apart, and 0 to 2 ms slow nobody down; so does the letter.
        let mark = char::from(b'a' + u8::try_from(swap % 24).unwrap() + 1);
        let (conduct, component) = revision(if crashes { 100 } else { 0 }, u32::try_from(swap / 24 % 3).unwrap(), mark);
        known.insert(conduct.clone());
        let begun = begin(&http, &atoll, &component, if is_canary { "" } else { "?now=true" }).await;
        assert_eq!(begun.status, 200, "{:?}", begun.body);
        if is_canary {
            let phase = ended(&http, &atoll).await["phase"].clone();
            assert_eq!(phase, if crashes { "rolled-back" } else { "promoted" });
            rollbacks += usize::from(crashes);
        }
        // After the first ones all that is made once is there.
        if swap == 10.min(swaps - 1) {
            before = descriptors(&atoll);
        }
    }
    let after = descriptors(&atoll);
    let answers = load.end().await;
    // A canary that crashes is out after 12 failed calls at a share of 50 %, and those under way.
    let failed = answers.iter().filter(|(status, _)| *status != 200).count();
    assert!(failed <= rollbacks * 20, "{failed} of {} failed, with {rollbacks} rollbacks", answers.len());
    for (_, body) in answers.iter().filter(|(status, _)| *status == 200) {
        assert!(known.contains(body.trim_matches('"')), "answered by one revision: {body}");
    }
    assert!(after <= before + 16, "{before} descriptors became {after}");
}

/// `ATOLL_ROLLOUT_KILLS=200`: more moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_leaves_what_the_record_explains() {
    let kills = number("ATOLL_ROLLOUT_KILLS", 5);
    let home = Home::new(&manifest("rollout = { canary = [\"10%\", \"50%\"], step = \"1h\" }\n[history]"));
    let http = Http::default();
    let mut atoll = home.start().await;
    let mut aborted = BTreeSet::new();
    for kill in 0..kills {
        let (conduct, component) =
            revision(0, u32::try_from(kill / 24 % 5).unwrap(), char::from(b'b' + u8::try_from(kill % 24).unwrap()));
        let orders = {
            let (admin, component) = (atoll.admin.clone(), component.clone());
            tokio::spawn(async move {
                let http = Http::default();
                let url = |rest: &str| format!("{admin}/v1/services/fickle/rollouts{rest}");
                let begin = Request::post(url("")).header("content-type", "application/wasm");
                let begun = http.try_send(begin.body(Full::from(component)).unwrap()).await;
                let how = if kill % 2 == 0 { "abort" } else { "promote" };
                let end = Request::post(url(&format!("/current/{how}"))).body(Full::default()).unwrap();
                let ended = http.try_send(end).await;
                (begun.is_ok_and(|answer| answer.status == 200), ended.is_ok_and(|answer| answer.status == 200))
            })
        };
        // The more probes, the later: from before the first write of the record to after the last one.
        for _ in 0..kill * 3 % 60 {
            let _ =
                http.try_send(Request::get(format!("{}/healthz", atoll.admin)).body(Full::default()).unwrap()).await;
        }
        atoll.kill().await;
        let (_, ended) = orders.await.unwrap();
        if ended && kill % 2 == 0 {
            aborted.insert(conduct.clone());
        }
        atoll = home.start().await;
        let last = last(&http, &atoll).await;
        let body = String::from_utf8(http.get(&format!("{}/http", atoll.gateway)).await.body.to_vec()).unwrap();
        assert!(!aborted.contains(&body), "what was aborted serves: {last}");
        if ended && kill % 2 == 1 {
            assert_eq!((body.as_str(), &last["phase"]), (conduct.as_str(), &"promoted".into()), "{last}");
        }
        if last["phase"] == "canary" {
            assert_eq!(end(&http, &atoll, "abort").await.status, 200);
            aborted.insert(conduct);
        }
    }
}
