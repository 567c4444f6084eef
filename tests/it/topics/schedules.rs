//! Schedules through the real binary: typed calls and events at their times, also after `kill -9`.

use super::super::atoll::{Home, eventually};
use super::{Book, MANIFEST};
use serde_json::Value;

const SCHEDULES: &str = r#"
[[schedule]]
name = "tick"
every = "1s"
topic = "entries"
key = "k"
payload = '{"id":"tick","key":"k","mode":""}'

[[schedule]]
name = "call"
every = "1s"
call = "echoes/echoed"
payload = '{"id":"call","key":"k","mode":""}'
catch_up = "none"

[[schedule]]
name = "nightly"
cron = "0 3 * * *"
time_zone = "Europe/Berlin"
call = "echoes/echoed"
payload = '{"id":"night","key":"k","mode":""}'
"#;

async fn schedule(book: &Book, name: &str) -> Value {
    let all = book.admin("/v1/schedules").await;
    all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

async fn done(book: &Book, name: &str, times: u64) {
    eventually("it has fired", async || (schedule(book, name).await["done"].as_u64().unwrap() >= times).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_events_come_at_their_times_and_go_on_after_a_crash() {
    let home = Home::new(&format!("{MANIFEST}{SCHEDULES}"));
    let host = home.start().await;
    let book = Book::of(&host);
    done(&book, "tick", 2).await;
    done(&book, "call", 2).await;
    host.kill().await;
    let host = home.start().await;
    let book = Book::of(&host);
    done(&book, "tick", 1).await;
    done(&book, "call", 1).await;
    let called: u64 = book.value("echoes", "echoed/call").await.parse().unwrap();
    assert!(called >= 3, "{called}");
    book.settled("entries").await;
    let page = book.admin("/v1/topics/entries/events?limit=1000").await;
    let events = page["events"].as_array().unwrap();
    let seconds: Vec<_> = events.iter().map(|one| one["event"]["time"].as_str().unwrap()[..19].to_owned()).collect();
    assert!(events.iter().all(|one| one["event"]["publisher"] == "schedule tick"), "{page}");
    // The commit that publishes settles the due time: no second has two.
    assert!(seconds.len() >= 3 && seconds.is_sorted_by(|a, b| a < b), "{seconds:?}");
    assert!(book.value("reader", "seen/tick").await.parse::<u64>().unwrap() >= 3);
    let nightly = schedule(&book, "nightly").await;
    assert_eq!((&nightly["when"], &nightly["done"]), (&"0 3 * * * Europe/Berlin".into(), &0.into()));
    assert_eq!(nightly["next"].as_u64().unwrap() % 3_600_000, 0);
    let output = home.output(&["schedules", "--admin", &host.admin]).await;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.starts_with("SCHEDULE") && table.contains("echoes/echoed") && table.lines().count() == 4, "{table}");
    let metrics = book.http.get(&format!("{}/metrics", book.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for part in [
        r#"atoll_schedule_firings_total{schedule="nightly",outcome="done"} 0"#,
        r#"atoll_schedule_next_timestamp_seconds{schedule="nightly"} "#,
        r#"atoll_schedule_failures_total{schedule="call"} 0"#,
    ] {
        assert!(metrics.contains(part), "{part} is missing in\n{metrics}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_changes_nothing_and_a_component_without_the_function_is_refused() {
    let home = Home::new(&format!("{MANIFEST}{SCHEDULES}"));
    let host = home.start().await;
    let book = Book::of(&host);
    let wasm = super::super::components::component("fixture-events").display().to_string();
    let swapped = home.output(&["swap", "echoes", &wasm, "--admin", &host.admin]).await;
    assert!(swapped.status.success(), "{swapped:?}");
    let before = schedule(&book, "call").await["done"].as_u64().unwrap();
    done(&book, "call", before + 1).await;
    assert_eq!(schedule(&book, "call").await["failures"], 0);
    host.stop().await;
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_told_with_its_place() {
    for (keys, message, line) in [
        ("call = \"reader/echoed\"\npayload = '{\"id\":7}'", "/id must be", ":9:"),
        ("call = \"reader/echoed\"", "`echoed` has a parameter, and the schedule has no payload", ":8:"),
        ("call = \"reader/ecoed\"\npayload = '1'", "the component exports no function `ecoed`", ":8:"),
        ("topic = \"t\"\npayload = '{'", "JSON", ":9:"),
    ] {
        let home = Home::new(&format!(
            "[topic.t]\n[service.reader]\ncomponent = \"{{component:fixture-events}}\"\nstate = true\n\
             publish = [\"t\"]\n[[schedule]]\nname = \"s\"\n{keys}\nevery = \"1m\"\n"
        ));
        home.link_cache();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        let placed = complaint.contains(message) && complaint.contains(&format!("atoll.toml{line}"));
        assert!(placed, "{message}:\n{complaint}");
    }
}
