//! The dashboard: what the admin serves of it, to whom, and that what is committed was built from what is committed.

use super::atoll::{Home, Http};
use host::base::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/"
service = "hello"
"#;

/// Files beside the sources that the build reads, too.
const BUILD_FILES: [&str; 5] = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];

#[tokio::test]
async fn the_dashboard_needs_no_token_and_may_load_nothing_from_elsewhere() {
    let home = Home::new(MANIFEST);
    let token = "0123456789abcdef0123456789abcdef";
    let (atoll, http) = (home.start_with(&[("ATOLL_ADMIN_TOKEN", token)]).await, Http::default());
    for (path, media_type, text) in [
        ("/", "text/html; charset=utf-8", "<title>Atoll</title>"),
        ("/dashboard.js", "text/javascript; charset=utf-8", "/v1/services"),
        ("/dashboard.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/dashboard.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = http.get(&format!("{}{path}", atoll.admin)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media_type), "{path}");
        assert!(std::str::from_utf8(&answer.body).unwrap().contains(text), "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
    }
    assert_eq!(http.get(&format!("{}/v1/services", atoll.admin)).await.status, 401);
    // This host keeps no audit file.
    let authorized = http::Request::builder().uri(format!("{}/v1/audit", atoll.admin));
    let authorized = authorized.header("authorization", format!("Bearer {token}"));
    assert_eq!(http.send(authorized, String::new()).await.problem()["type"], "urn:atoll:problem:no-audit");
}

/// Whoever changes a source and forgets `./just dashboard` would ship the old page.
#[test]
fn what_is_served_was_built_from_these_sources() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    let listed = std::fs::read_to_string(web.join("dist/sources.sha256")).unwrap();
    let listed: BTreeMap<&str, &str> =
        listed.lines().filter_map(|line| line.split_once("  ")).map(|(digest, file)| (file, digest)).collect();
    let mut sources = files_below(&web.join("src"));
    sources.extend(files_below(&web.join("public")));
    sources.extend(BUILD_FILES.map(|name| web.join(name)));
    for path in &sources {
        let name = path.strip_prefix(&web).unwrap().to_str().unwrap();
        let digest = Digest::of(&std::fs::read(path).unwrap()).to_string();
        assert_eq!(listed.get(name), Some(&digest.as_str()), "{name} has changed: run `./just dashboard`");
    }
    assert_eq!(listed.len(), sources.len(), "a source has gone: run `./just dashboard`");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
