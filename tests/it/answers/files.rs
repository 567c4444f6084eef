//! Routes to a folder.

use super::{Edge, decoded};
use crate::it::atoll::Home;
use host::coding::ContentCoding;
use std::fs;
use std::os::unix::fs::symlink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUTES: &str = r#"
    [auth.staff]
    kind = "api-key"

    [[route]]
    prefix = "/app"
    strip_prefix = "/app"
    files = "site"
    fallback = "index.html"
    compress = true

    [[route]]
    prefix = "/docs"
    files = "site"

    [[route]]
    prefix = "/inner"
    strip_prefix = "/inner"
    files = "site"
    auth = "staff"
"#;

/// A site, and a secret beside it.
fn site(home: &Home) {
    let at = |path: &str| home.folder.path().join(path);
    fs::create_dir_all(at("site/docs")).unwrap();
    fs::write(at("secret.txt"), "secret").unwrap();
    fs::write(at("site/index.html"), "<html>home</html>").unwrap();
    fs::write(at("site/.env"), "secret").unwrap();
    fs::write(at("site/app.js"), "let a = 'a text that comes again and again';\n".repeat(100)).unwrap();
    fs::write(at("site/other.css"), "a {}\n".repeat(1000)).unwrap();
    fs::write(at("site/app.js.br"), "precompressed").unwrap();
    fs::write(at("site/docs/index.html"), "<html>docs</html>").unwrap();
    fs::write(at("site/long.bin"), vec![7; 300_000]).unwrap();
    symlink(at("secret.txt"), at("site/link.txt")).unwrap();
    symlink("..", at("site/up")).unwrap();
}

#[tokio::test]
async fn a_front_end_is_served_beside_its_api() {
    let edge = Edge::start_with(ROUTES, site).await;
    let home = edge.ask("GET", "/app/", &[]).await;
    assert_eq!((home.status.as_u16(), &home.body[..]), (200, &b"<html>home</html>"[..]));
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    let view = edge.ask("GET", "/app/orders/7", &[("accept-encoding", "gzip")]).await;
    assert_eq!((view.status.as_u16(), &view.body, view.header("etag")), (200, &home.body, home.header("etag")));
    let missing = edge.ask("GET", "/app/none.js", &[]).await;
    assert_eq!((missing.status.as_u16(), missing.problem()["type"].as_str()), (404, Some("urn:atoll:problem:no-file")));

    let folder = edge.ask("GET", "/docs/docs?a", &[]).await;
    assert_eq!((folder.status.as_u16(), folder.header("location")), (404, ""), "without `strip_prefix`: docs/docs");
    assert_eq!(&edge.ask("GET", "/docs/", &[]).await.body[..], b"<html>docs</html>");
    let folder = edge.ask("GET", "/docs?a", &[]).await;
    assert_eq!((folder.status.as_u16(), folder.header("location")), (308, "./docs/?a"));

    let long = edge.ask("GET", "/app/long.bin", &[]).await;
    assert_eq!(
        (long.body.len(), long.header("content-length"), long.header("accept-ranges")),
        (300_000, "300000", "bytes")
    );
    let tag = long.header("etag").to_owned();
    let part = edge.ask("GET", "/app/long.bin", &[("range", "bytes=299990-"), ("if-range", &tag)]).await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 10));
    assert_eq!(part.header("content-range"), "bytes 299990-299999/300000");
    let unchanged = edge.ask("GET", "/app/long.bin", &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    let since = [("if-modified-since", long.header("last-modified"))];
    assert_eq!(edge.ask("GET", "/app/long.bin", &since).await.status, 304);
    let beyond = edge.ask("GET", "/app/long.bin", &[("range", "bytes=300000-")]).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */300000"));
    let post = edge.ask("POST", "/app/app.js", &[]).await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD"));
    let head = edge.ask("HEAD", "/app/long.bin", &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "300000", 0));

    // A file that is compressed already, and one that the gateway compresses.
    let ready = edge.ask("GET", "/app/app.js", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!((ready.header("content-encoding"), &ready.body[..]), ("br", &b"precompressed"[..]));
    let made = edge.ask("GET", "/app/other.css", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!((made.header("content-encoding"), made.header("accept-ranges")), ("br", ""));
    assert!(made.header("etag").starts_with("W/\""), "{made:?}");
    assert_eq!(decoded(ContentCoding::Brotli, &made.body), "a {}\n".repeat(1000).into_bytes());

    assert_eq!(edge.ask("GET", "/inner/", &[]).await.status, 401, "`auth` is for files too");
    assert_eq!(edge.server.requests(), 0, "no service is called");
    let counted = edge.metrics(&["atoll_gateway_requests_total", "route=\"/app/*\"", "kind=\"no-file\""]).await;
    assert!(counted.len() == 1 && counted[0].ends_with(" 1"), "{counted:?}");
    let routes = edge.home.output(&["routes"]).await;
    assert!(String::from_utf8_lossy(&routes.stdout).contains("(files of "), "{routes:?}");
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder_or_to_a_hidden_file() {
    let edge = Edge::start_with(ROUTES, site).await;
    let address = edge.atoll.gateway.strip_prefix("http://").unwrap();
    for (path, status) in [
        ("/docs/../secret.txt", 400),
        ("/app/../secret.txt", 400),
        ("/app/%2e%2e/secret.txt", 400),
        ("/app/..%2fsecret.txt", 400),
        ("/app/..%5csecret.txt", 400),
        ("/app/..;/secret.txt", 400),
        ("/app/%00", 400),
        ("/app/link.txt", 404),
        ("/app/up/secret.txt", 404),
        ("/app/.env", 404),
        ("/app/%2eenv", 404),
        ("/app//etc/passwd", 404),
        ("/app/site/../../secret.txt", 400),
        ("/app/%252e%252e/secret.txt", 404),
    ] {
        // By hand: a client's library would resolve the dots.
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(!answer.contains("secret\n") && !answer.ends_with("secret") && !answer.contains("root:"), "{path}");
    }
}
