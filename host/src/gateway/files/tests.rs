//! Answers with files of a real folder.

use super::{FilePath, StaticFolder};
use crate::gateway::problem::Problem;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &[u8])], fallback: Option<&str>) -> (TempDir, Arc<StaticFolder>) {
    let root = tempfile::tempdir().expect("a folder");
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    let fallback = fallback.map(|path| FilePath::parse(path).expect("a path"));
    let folder = StaticFolder::new(root.path().to_owned(), fallback);
    (root, Arc::new(folder))
}

async fn ask(
    folder: &Arc<StaticFolder>,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<(Response<()>, Bytes), Problem> {
    let request = Request::builder().method(method).uri(path);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let head = request.body(()).expect("a request").into_parts().0;
    let path = head.uri.path();
    let answer = folder.answer(&head, (path, !path.ends_with('/')), Duration::from_secs(10)).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Ok((Response::from_parts(head, ()), body))
}

/// A route for all below `/f`, which strips that, makes `/` of the path `/f`. The references of a page there would begin
/// beside the folder and not in it.
#[tokio::test]
async fn a_folder_at_a_path_without_a_slash_is_redirected_to_whatever_a_route_has_stripped() {
    let (_root, folder) = folder(&[("index.html", b"page")], Some("/index.html"));
    let request = Request::get("/f?a=b").body(()).expect("a request").into_parts().0;
    let ask = |bare| folder.answer(&request, ("/", bare), Duration::from_secs(10));
    let answer = ask(true).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].as_bytes()), (308, &b"./f/?a=b"[..]));
    assert_eq!(ask(false).await.expect("the page").status(), StatusCode::OK);
}

async fn status(folder: &Arc<StaticFolder>, method: &str, path: &str, fields: &[(&str, &str)]) -> StatusCode {
    match ask(folder, method, path, fields).await {
        Ok((answer, _)) => answer.status(),
        Err(problem) => problem.status,
    }
}

#[tokio::test]
async fn a_file_is_sent_whole_in_part_or_not_at_all() {
    let (_root, folder) = folder(&[("a.txt", b"0123456789"), ("empty.txt", b"")], None);
    let (answer, body) = ask(&folder, "GET", "/a.txt", &[]).await.expect("a file");
    let field = |answer: &Response<()>, name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"0123456789"[..]));
    assert_eq!(field(&answer, "content-type"), "text/plain; charset=utf-8");
    assert_eq!((field(&answer, "content-length"), field(&answer, "accept-ranges")), ("10".into(), "bytes".into()));
    let (tag, date) = (field(&answer, "etag"), field(&answer, "last-modified"));
    let (head, body) = ask(&folder, "HEAD", "/a.txt", &[]).await.expect("a file");
    assert_eq!((head.headers(), body.len()), (answer.headers(), 0));

    for (range, content, said) in
        [("bytes=0-3", "0123", "bytes 0-3/10"), ("bytes=-2", "89", "bytes 8-9/10"), ("bytes=9-99", "9", "bytes 9-9/10")]
    {
        for condition in [&tag, &date] {
            let fields = [("range", range), ("if-range", condition)];
            let (answer, body) = ask(&folder, "GET", "/a.txt", &fields).await.expect("a part");
            assert_eq!((answer.status().as_u16(), field(&answer, "content-range")), (206, said.into()), "{range}");
            assert_eq!((&body[..], field(&answer, "content-length")), (content.as_bytes(), content.len().to_string()));
        }
    }
    for fields in [("if-none-match", &tag), ("if-modified-since", &date)] {
        let (answer, body) = ask(&folder, "GET", "/a.txt", &[(fields.0, fields.1)]).await.expect("a file");
        assert_eq!((answer.status().as_u16(), body.len(), field(&answer, "etag")), (304, 0, tag.clone()));
        assert!(!answer.headers().contains_key("content-length"));
    }
    assert_eq!(status(&folder, "GET", "/a.txt", &[("if-match", "\"b\"")]).await, 412);
    let refused = ask(&folder, "GET", "/a.txt", &[("range", "bytes=10-")]).await.expect_err("it is not there");
    assert_eq!(refused.status, 416);
    assert_eq!(status(&folder, "GET", "/empty.txt", &[]).await, 200);
    assert_eq!(status(&folder, "GET", "/empty.txt", &[("range", "bytes=0-")]).await, 416);
    assert_eq!(status(&folder, "POST", "/a.txt", &[]).await, 405);
}

#[tokio::test]
async fn a_compressed_file_is_sent_to_who_takes_it() {
    let files: [(&str, &[u8]); 6] = [
        ("app.js", b"plain"),
        ("app.js.br", b"as br"),
        ("app.js.gz", b"as gzip"),
        ("app.js.zst", b"as zstd"),
        ("a.png", b"image"),
        ("a.png.gz", b"never"),
    ];
    let (root, folder) = folder(&files, None);
    let mut tags = std::collections::BTreeSet::new();
    for (accepted, content, coding) in [
        ("", "plain", None),
        ("deflate", "plain", None),
        ("gzip", "as gzip", Some("gzip")),
        ("gzip, br", "as br", Some("br")),
        ("gzip, br;q=0.5", "as gzip", Some("gzip")),
        ("zstd, *;q=0", "as zstd", Some("zstd")),
        ("*", "as br", Some("br")),
    ] {
        let (answer, body) = ask(&folder, "GET", "/app.js", &[("accept-encoding", accepted)]).await.expect("a file");
        let sent = answer.headers().get("content-encoding").map(|coding| coding.to_str().expect("text"));
        assert_eq!((sent, &body[..]), (coding, content.as_bytes()), "{accepted}");
        assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        tags.insert((sent.map(str::to_owned), answer.headers()["etag"].clone().as_bytes().to_vec()));
    }
    assert_eq!(tags.len(), 4, "one tag for each coding");
    assert_eq!(tags.iter().map(|(_, tag)| tag).collect::<std::collections::BTreeSet<_>>().len(), 4);
    let (answer, body) = ask(&folder, "GET", "/a.png", &[("accept-encoding", "gzip")]).await.expect("a file");
    assert_eq!((answer.headers().get("vary"), &body[..]), (None, &b"image"[..]));
    fs::remove_file(root.path().join("app.js.br")).expect("removed");
    let (_, body) = ask(&folder, "GET", "/app.js", &[("accept-encoding", "br, gzip")]).await.expect("a file");
    assert_eq!(&body[..], b"as gzip", "the next best that is there");
}

#[tokio::test]
async fn a_folder_has_a_page_and_a_view_of_an_application_has_its_page() {
    let files: [(&str, &[u8]); 4] =
        [("index.html", b"home"), ("docs/index.html", b"docs"), ("empty/a.txt", b""), (".env", b"secret")];
    let (_root, plain) = folder(&files, None);
    assert_eq!(ask(&plain, "GET", "/", &[]).await.expect("a page").1, "home");
    assert_eq!(ask(&plain, "GET", "/docs/", &[]).await.expect("a page").1, "docs");
    let (answer, _) = ask(&plain, "GET", "/docs?a=/b", &[]).await.expect("a redirection");
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].as_bytes()), (308, &b"./docs/?a=/b"[..]));
    for path in ["/none", "/none.js", "/empty/", "/index.html/", "/.env", "//index.html", "/a/b/c"] {
        assert_eq!(status(&plain, "GET", path, &[]).await, 404, "{path}");
    }
    let (_root, single) = folder(&files, Some("/index.html"));
    for path in ["/none", "/users/john.doe", "/empty/", "/a/b/c"] {
        let (answer, body) = ask(&single, "GET", path, &[]).await.expect("the page");
        assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"home"[..]), "{path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    }
    // What a page refers to is there or not; and no hidden file becomes the page.
    for path in ["/none.js", "/a/none.css", "/none.png", "/.env"] {
        assert_eq!(status(&single, "GET", path, &[]).await, 404, "{path}");
    }
}

#[tokio::test]
async fn a_long_file_is_read_piece_by_piece_and_a_short_one_breaks_off() {
    let content: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let (root, folder) = folder(&[("long.bin", &content)], None);
    let (_, body) = ask(&folder, "GET", "/long.bin", &[]).await.expect("a file");
    assert_eq!(body, content);
    let (_, part) = ask(&folder, "GET", "/long.bin", &[("range", "bytes=65535-131072")]).await.expect("a part");
    assert_eq!(part, content[65_535..=131_072]);
    let head = Request::get("/long.bin").body(()).expect("a request").into_parts().0;
    let answer = folder.answer(&head, ("/long.bin", true), Duration::from_secs(10)).await.expect("a file");
    let mut body = answer.into_body();
    let first = body.frame().await.expect("a piece").expect("a whole one").into_data().expect("data");
    assert_eq!(first.len(), 64 << 10);
    fs::write(root.path().join("long.bin"), "short").expect("written");
    assert!(body.frame().await.expect("an end").is_err(), "its length was announced");
}
