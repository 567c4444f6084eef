//! Revisions that bring the data of their service into another format.

use super::keeper::{begin, data, fill, format, get, manifest, put, revision};
use super::*;

/// The values of an export, without their versions.
fn values(lines: &[Value]) -> Vec<(String, String)> {
    let value = |line: &Value| Some((line["key"].as_str()?.to_owned(), line["value"].as_str()?.to_owned()));
    lines.iter().filter_map(value).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_migrates_the_data_once_and_what_is_older_is_refused() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 12).await;
    assert_eq!(format(&http, &atoll).await, 1);
    let second = revision(2, "runs", 'a');
    assert_eq!(begin(&http, &atoll, &second, "").await.status, 200);
    let after = data(&http, &atoll).await;
    assert!(values(&after).iter().all(|(_, value)| value.starts_with('2')), "{after:?}");
    assert_eq!((after[0]["format"].clone(), after.len()), (2.into(), 14), "{after:?}");
    assert_eq!(get(&http, &atoll, "k003").await.json(), "text 3");
    // Another revision of the same format migrates nothing.
    assert_eq!(begin(&http, &atoll, &revision(2, "errs", 'b'), "").await.status, 200);
    assert_eq!(data(&http, &atoll).await[1..], after[1..], "the same versions");
    // Going back would be to a revision that reads none of it.
    let url = format!("{}/v1/services/keeper/rollback", atoll.admin);
    assert_eq!(http.try_send(Request::post(url).body(Full::default()).unwrap()).await.unwrap().status, 200);
    let older = begin(&http, &atoll, &revision(1, "runs", 'c'), "").await;
    assert_eq!(older.status, 409, "{:?}", older.body);
    let detail = older.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("have format 2, and this revision keeps format 1"), "{detail}");
    atoll.stop().await;
    // The manifest's component is of format 1, and what was promoted serves after a restart.
    let atoll = home.start().await;
    assert_eq!(get(&http, &atoll, "k003").await.json(), "text 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_fails_refuses_the_swap_and_changes_nothing() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 12).await;
    let before = data(&http, &atoll).await;
    for (does, says) in [
        ("errs", "the text `k005` cannot be brought from format 1"),
        ("trap", "as the revision says"),
        ("call", "reaches its own data alone, and this one would call example:keeper/outside"),
    ] {
        for query in ["", "?canary=50%25"] {
            let refused = begin(&http, &atoll, &revision(2, does, 'a'), query).await;
            assert_eq!(refused.status, 422, "{does} {query}: {:?}", refused.body);
            let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(says) || does == "trap", "{detail}");
            assert!(detail.contains("Nothing has changed"), "{detail}");
            assert_eq!(data(&http, &atoll).await, before, "{does} {query}");
        }
    }
    assert_eq!(get(&http, &atoll, "k003").await.json(), "text 3");
    // An applied manifest is whole or not at all, which no migration is.
    let next = home.folder.path().join("next.wasm");
    fs::write(&next, revision(2, "runs", 'd')).unwrap();
    let text = fs::read_to_string(home.manifest()).unwrap();
    let own = component("fixture-keeper").display().to_string();
    assert!(text.contains(&own), "{text}");
    let request = Request::post(format!("{}/v1/apply", atoll.admin)).header("content-type", "application/toml");
    let refused = http.send(request, text.replace(&own, &next.display().to_string())).await;
    let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("swap it in first"), "{detail}");
    assert_eq!(data(&http, &atoll).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_migrates_when_it_is_promoted_and_a_start_migrates_before_it_serves() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 12).await;
    let begun = begin(&http, &atoll, &revision(2, "runs", 'a'), "?canary=1%25&hold=true").await;
    assert_eq!(begun.status, 200, "{:?}", begun.body);
    assert_eq!(format(&http, &atoll).await, 1, "it was tried and not made");
    let url = format!("{}/v1/services/keeper/rollouts/current/promote", atoll.admin);
    assert_eq!(http.try_send(Request::post(url).body(Full::default()).unwrap()).await.unwrap().status, 200);
    assert_eq!(format(&http, &atoll).await, 2);
    atoll.stop().await;
    // A manifest with a third format.
    let third = home.folder.path().join("third.wasm");
    fs::write(&third, revision(3, "runs", 'a')).unwrap();
    let text = fs::read_to_string(home.manifest()).unwrap();
    fs::write(home.manifest(), text.replace(&component("fixture-keeper").display().to_string(), "third.wasm")).unwrap();
    let atoll = home.start().await;
    assert_eq!(get(&http, &atoll, "k003").await.json(), "text 3");
    assert_eq!(format(&http, &atoll).await, 3);
    atoll.stop().await;
    // One that fails is left out, and its data are as they were.
    fs::write(&third, revision(4, "errs", 'a')).unwrap();
    let atoll = home.start().await;
    atoll.logged("cannot be brought from format 3").await;
    assert_eq!(http.get(&format!("{}/readyz", atoll.admin)).await.status, 503);
    let lines = data(&http, &atoll).await;
    assert!(values(&lines).iter().all(|(_, value)| value.starts_with('3')), "{lines:?}");
}

pub async fn erase(http: &Http, atoll: &Atoll) {
    let url = format!("{}/v1/services/keeper/data", atoll.admin);
    assert_eq!(http.try_send(Request::delete(url).body(Full::default()).unwrap()).await.unwrap().status, 200);
}

/// How many kills, and how many texts: `ATOLL_MIGRATION_KILLS=100 just rollouts-long`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_the_data_before_the_migration_or_after_it() {
    let kills = super::number("ATOLL_MIGRATION_KILLS", 4);
    let home = Home::new(&manifest(""));
    let http = Http::default();
    let mut atoll = home.start().await;
    fill(&http, &atoll, 60).await;
    let mut format_now = 1;
    for kill in 0..kills {
        if format_now == 9 {
            // There is no tenth digit: the data begin anew.
            erase(&http, &atoll).await;
            atoll.stop().await;
            fs::remove_dir_all(home.folder.path().join(".atoll/history")).unwrap();
            atoll = home.start().await;
            fill(&http, &atoll, 60).await;
            format_now = 1;
        }
        let next = revision(format_now + 1, "runs", 'k');
        let url = format!("{}/v1/services/keeper/rollouts", atoll.admin);
        let swap = tokio::spawn({
            let http = Http::default();
            let request = Request::post(url).header("content-type", "application/wasm");
            async move { http.try_send(request.body(Full::from(next)).unwrap()).await }
        });
        // Somewhere in between: the more probes, the later.
        for _ in 0..kill * 97 % 400 {
            http.get(&format!("{}/healthz", atoll.admin)).await;
        }
        atoll.kill().await;
        drop(swap.await);
        atoll = home.start().await;
        let lines = data(&http, &atoll).await;
        let noted = lines[0]["format"].as_u64().unwrap();
        let digits: std::collections::BTreeSet<_> =
            values(&lines).iter().map(|(_, value)| value[..1].to_owned()).collect();
        assert_eq!(digits, [noted.to_string()].into(), "one format, and the note says which");
        assert_eq!((lines.len(), get(&http, &atoll, "k007").await.json()), (62, "text 7".into()));
        format_now = u32::try_from(noted).unwrap();
        put(&http, &atoll, "k007", "text 7").await;
    }
}
