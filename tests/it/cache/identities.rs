//! Whose answers are given to whom.

use super::*;
use futures_util::future::join_all;

#[tokio::test]
async fn an_answer_to_credentials_or_with_a_cookie_is_not_given_to_others() {
    let host = Cached::start("", |head, before| {
        let control = if head.uri.path().ends_with("public") { "public, max-age=60" } else { "max-age=60" };
        let mut script = numbered(&[("cache-control", control)], before);
        if head.uri.path().contains("cookie") {
            script.1.push(("set-cookie", format!("session={before}")));
        }
        script
    })
    .await;
    let alice = [("authorization", "Bearer alice")];
    let bob = [("authorization", "Bearer bob")];
    let kept = host.get("/cached/a", &alice).await;
    assert_eq!(status(&kept), "atoll; fwd=uri-miss; detail=credentials");
    assert_eq!(text(&host.get("/cached/a", &bob).await), "answer 1");
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 2", "the first one that may be kept");
    assert_eq!(text(&host.get("/cached/public", &alice).await), "answer 3");
    assert_eq!(text(&host.get("/cached/public", &bob).await), "answer 3");
    let cookie = host.get("/cached/cookie", &[]).await;
    assert_eq!(
        (cookie.header("set-cookie"), status(&cookie).as_str()),
        ("session=4", "atoll; fwd=uri-miss; detail=set-cookie")
    );
    assert_eq!(host.get("/cached/cookie", &[]).await.header("set-cookie"), "session=5");
}

#[tokio::test]
async fn requests_with_other_credentials_at_the_same_time_do_not_share_an_answer() {
    let host = Cached::start("", |head, _| {
        let who = head.headers.get("authorization").map_or("nobody", |value| value.to_str().unwrap());
        (200, vec![("cache-control", "max-age=60".into())], who.to_owned())
    })
    .await;
    let who = ["alice", "bob", "carol", "dave"];
    for _ in 0..5 {
        let asked = who.map(|name| async move { (name, name) });
        let answers = join_all(asked.map(|name| async {
            let (name, _) = name.await;
            (name, host.get("/cached/me", &[("authorization", name)]).await)
        }));
        for (name, answer) in answers.await {
            assert_eq!(text(&answer), name);
        }
    }
}

#[tokio::test]
async fn vary_and_the_routes_key_tell_requests_apart() {
    let host = Cached::start(r#"{ ttl = "1h", key = ["header:X-Tenant", "cookie:lang"] }"#, |head, before| {
        let vary = [("cache-control", "max-age=60"), ("vary", "Accept-Language")];
        numbered(if head.uri.path().starts_with("/cached") { &vary } else { &[] }, before)
    })
    .await;
    let german = [("accept-language", "de, en")];
    assert_eq!(text(&host.get("/cached/a", &german).await), "answer 0");
    let other = host.get("/cached/a", &[("accept-language", "fr")]).await;
    assert_eq!((text(&other), status(&other).as_str()), ("answer 1", "atoll; fwd=vary-miss; stored"));
    assert_eq!(text(&host.get("/cached/a", &[("accept-language", "EN,de")]).await), "answer 0");
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 2");
    assert_eq!(text(&host.get("/told/a", &[("x-tenant", "one")]).await), "answer 3");
    assert_eq!(text(&host.get("/told/a", &[("x-tenant", "two")]).await), "answer 4");
    assert_eq!(text(&host.get("/told/a", &[("x-tenant", "one"), ("cookie", "lang=de")]).await), "answer 5");
    assert_eq!(text(&host.get("/told/a", &[("x-tenant", "one")]).await), "answer 3");
    assert_eq!(text(&host.get("/told/a", &[("cookie", "x=1; lang=de"), ("x-tenant", "one")]).await), "answer 5");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_host_that_it_tells_is_part_of_the_key() {
    let origin = Origin::start(|_, before| numbered(&[("cache-control", "max-age=60")], before)).await;
    let text_of = manifest(&origin, "");
    let home = Home::new(&format!("[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n{text_of}"));
    let trusting = Cached { atoll: home.start().await, http: Http::default(), origin, home };
    let told = |host: &'static str| [("x-forwarded-host", host)];
    assert_eq!(text(&trusting.get("/cached/a", &told("a.example")).await), "answer 0");
    assert_eq!(text(&trusting.get("/cached/a", &told("b.example")).await), "answer 1");
    assert_eq!(text(&trusting.get("/cached/a", &[("x-forwarded-proto", "https")]).await), "answer 2");
    assert_eq!(text(&trusting.get("/cached/a", &told("a.example")).await), "answer 0");
    // What a client says that is no trusted proxy reaches no service, and so tells nothing apart.
    let host = Cached::start("", |_, before| numbered(&[("cache-control", "max-age=60")], before)).await;
    assert_eq!(text(&host.get("/cached/a", &told("a.example")).await), "answer 0");
    assert_eq!(text(&host.get("/cached/a", &told("b.example")).await), "answer 0");
    assert_eq!(host.home.folder.path().exists(), trusting.home.folder.path().exists());
}
