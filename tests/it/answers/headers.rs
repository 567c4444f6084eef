//! What a route changes in header sections.

use super::Edge;
use crate::it::atoll::Home;

const ROUTES: &str = r#"
    [[route]]
    prefix = "/"
    service = "legacy"
    compress = true
    security_headers = true
    cors.origins = ["https://shop.example"]
    request_headers.set = { X-Env = "prod", User-Agent = "atoll" }
    request_headers.add = { X-Tag = "two" }
    request_headers.remove = ["X-Debug", "Cookie"]
    answer_headers.set = { Cache-Control = "no-cache", Vary = "Cookie" }
    answer_headers.add = { Link = "</app.css>; rel=preload" }
    answer_headers.remove = ["X-Method", "ETag"]

    [[route]]
    prefix = "/files"
    files = "."
    answer_headers.set = { Cache-Control = "max-age=60" }
    security_headers = true
"#;

#[tokio::test]
async fn headers_are_set_added_and_removed_in_both_directions() {
    let edge = Edge::start(ROUTES).await;
    let fields = [("x-debug", "1"), ("cookie", "a=b"), ("x-tag", "one"), ("user-agent", "curl"), ("x-env", "test")];
    let answer = edge.ask("GET", "/users", &fields).await;
    let seen = &answer.json()["headers"];
    assert_eq!((&seen["x-env"], &seen["user-agent"]), (&"prod".into(), &"atoll".into()));
    assert_eq!((seen.get("x-debug"), seen.get("cookie")), (None, None));
    assert_eq!(seen["x-tag"], "two", "the last of two lines, as the test's server shows them");
    assert_eq!((answer.header("cache-control"), answer.header("link")), ("no-cache", "</app.css>; rel=preload"));
    assert_eq!(answer.headers.get("x-method"), None);
    // Problems have the edits, too; and what an answer depends on stays said.
    let text = edge.ask("GET", "/text/20000", &[("accept-encoding", "gzip")]).await;
    let varies: Vec<_> = text.headers.get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!((varies, text.header("content-encoding")), (vec!["Cookie", "Origin", "Accept-Encoding"], "gzip"));
    edge.server.behave(crate::it::plain_server::Behaviour::ResetsAfterHead);
    let problem = edge.ask("POST", "/users", &[]).await;
    assert_eq!((problem.status.as_u16(), problem.header("cache-control")), (502, "no-cache"));
    assert_eq!(problem.header("x-content-type-options"), "nosniff");
    let file = edge.ask("GET", "/files/none", &[]).await;
    assert_eq!((file.status.as_u16(), file.header("cache-control")), (404, "max-age=60"));
    assert_eq!(
        (file.header("x-frame-options"), file.header("referrer-policy")),
        ("SAMEORIGIN", "strict-origin-when-cross-origin")
    );
    assert_eq!(file.header("content-security-policy"), "frame-ancestors 'self'");
    assert_eq!(file.header("cross-origin-opener-policy"), "same-origin");
    edge.server.behave(crate::it::plain_server::Behaviour::Works);
    let own = edge.ask("GET", "/text/10?content-security-policy=none", &[]).await;
    assert_eq!(own.header("content-security-policy"), "none", "the service knows better");
}

#[tokio::test]
async fn fields_of_the_framing_and_of_the_connection_are_refused_at_load() {
    let service = "[service.a]\nurls = [\"http://127.0.0.1:9\"]\n[[route]]\nprefix = \"/\"\nservice = \"a\"\n";
    for (line, message) in [
        (
            "request_headers.set = { Transfer-Encoding = \"chunked\" }",
            "no route may change the header `transfer-encoding`",
        ),
        ("request_headers.set = { Content-Length = \"0\" }", "no route may change the header `content-length`"),
        ("request_headers.add = { Host = \"a\" }", "no route may change the header `host`"),
        ("request_headers.remove = [\"X-Forwarded-For\"]", "no route may change the header `x-forwarded-for`"),
        ("request_headers.set = { X-Atoll-Subject = \"admin\" }", "no route may change the header `x-atoll-subject`"),
        ("answer_headers.remove = [\"Connection\"]", "no route may change the header `connection`"),
        ("answer_headers.set = { Content-Encoding = \"br\" }", "no route may change the header `content-encoding`"),
        ("answer_headers.set = { X-Request-Id = \"1\" }", "no route may change the header `x-request-id`"),
        ("answer_headers.set = { X = \"a\\nb\" }", "the value of a header"),
        ("answer_headers.set = { \"a b\" = \"c\" }", "not the name of a header"),
        ("decompress_ratio = 5", "`decompress_ratio` has no effect without `decompress`"),
        ("mirror_share = \"5%\"", "`mirror_share` has no effect without `mirror`"),
        ("mirror = \"b\"", "no service `b`"),
    ] {
        let home = Home::new(&format!("{service}{line}\n"));
        let output = home.output(&["check", "atoll.toml"]).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(message), "{line}\n{text}");
        assert!(text.contains("atoll.toml:6:"), "{line}\n{text}");
    }
}
