//! Changes: by requests that are not safe, and by operators.

use super::*;

fn tagged(head: &http::request::Parts, before: usize) -> Script {
    let name = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut script = numbered(&[("cache-control", "max-age=60"), ("cache-tag", &format!("all, {name}"))], before);
    match head.uri.query() {
        Some("fails") => script.0 = 500,
        Some(location) if head.method == Method::POST => script.1.push(("location", location.to_owned())),
        _ => {}
    }
    script
}

#[tokio::test]
async fn a_request_that_changes_something_takes_what_is_kept_of_it() {
    let host = Cached::start("", tagged).await;
    let kept = async |path: &str| text(&host.get(path, &[]).await).to_owned();
    assert_eq!((kept("/cached/a").await, kept("/cached/b").await), ("answer 0".into(), "answer 1".into()));
    // It failed: nothing has changed.
    host.send(Method::PUT, "/cached/a?fails", &[]).await;
    assert_eq!((kept("/cached/a").await, kept("/cached/b").await), ("answer 0".into(), "answer 1".into()));
    host.send(Method::DELETE, "/cached/a", &[]).await;
    assert_eq!(kept("/cached/a").await, "answer 4");
    // By `Location`, and only of the same host.
    host.send(Method::POST, "/cached?/cached/b", &[]).await;
    assert_eq!((kept("/cached/b").await, kept("/cached/a").await), ("answer 6".into(), "answer 4".into()));
    host.send(Method::POST, "/cached?http://other.example/cached/b", &[]).await;
    assert_eq!(kept("/cached/b").await, "answer 6");
}

#[tokio::test]
async fn a_change_while_an_answer_is_fetched_leaves_no_old_answer_behind() {
    let host = std::sync::Arc::new(Cached::start("", tagged).await);
    host.origin.open(false);
    let reader = std::sync::Arc::clone(&host);
    let read = tokio::spawn(async move { reader.get("/cached/a", &[]).await });
    eventually("the read is under way", async || (host.origin.requests() == 1).then_some(())).await;
    // Its answer is lost, so nobody knows whether it has changed anything: it counts as if it had.
    let writer = std::sync::Arc::clone(&host);
    let write = tokio::spawn(async move { writer.send(Method::PUT, "/cached/a", &[]).await });
    eventually("the write is under way", async || (host.origin.requests() == 2).then_some(())).await;
    write.abort();
    drop(write.await);
    let purged = host.http.send(Request::delete(format!("{}/v1/cache", host.atoll.admin)), "").await;
    assert_eq!(purged.status, 200);
    host.origin.open(true);
    assert_eq!(text(&read.await.unwrap()), "answer 0");
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 2", "the first answer was not kept");
}

#[tokio::test]
async fn an_operator_takes_answers_out_by_tag_path_and_prefix() {
    let host = Cached::start("", tagged).await;
    let atoll = async |arguments: &[&str]| {
        let output = host.home.command(arguments).env("ATOLL_ADMIN", &host.atoll.admin).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for path in ["/cached/a", "/cached/a?x", "/cached/a/b", "/cached/ab"] {
        host.get(path, &[]).await;
    }
    let shown = atoll(&["cache", "show"]).await;
    assert!(shown.starts_with("4 answers in 0.0 of 64.0 MiB"), "{shown}");
    assert_eq!(atoll(&["cache", "purge", "--path", "/cached/a"]).await, "2 answers have been taken out");
    assert_eq!(atoll(&["cache", "purge", "--prefix", "/cached/a"]).await, "1 answer has been taken out");
    assert_eq!(atoll(&["cache", "purge", "--tag", "a"]).await, "0 answers have been taken out");
    assert_eq!(atoll(&["cache", "purge", "--tag", "ab"]).await, "1 answer has been taken out");
    host.get("/cached/a", &[]).await;
    assert_eq!(atoll(&["cache", "purge", "--all"]).await, "1 answer has been taken out");
    assert_eq!(host.http.get(&format!("{}/v1/cache", host.atoll.admin)).await.json()["answers"], 0);
    assert_eq!(host.origin.requests(), 5);
}

#[tokio::test]
async fn where_no_route_has_a_cache_the_admin_says_so() {
    let home = Home::new("[service.a]\nurls = [\"http://127.0.0.1:9\"]\n");
    let atoll = home.start().await;
    let answer = Http::default().get(&format!("{}/v1/cache", atoll.admin)).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.problem()["detail"].as_str().unwrap().contains("no route"));
    let metrics = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    assert!(!String::from_utf8_lossy(&metrics.body).contains("atoll_cache"), "what is off is not seen");
}
