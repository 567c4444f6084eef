//! `atoll new`, `atoll build` and `atoll dev` through the binary. The builds here copy components that exist: what the
//! tools of each language do is not the host's.

use super::atoll::{Home, Http, eventually};
use super::components::component;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

/// A service whose build copies the component that `source` names.
const MANIFEST: &str = r#"
[service.hello]
component = "hello/hello.wasm"
build = "cp \"$(cat source)\" hello.wasm"
watch = ["source"]

[[route]]
prefix = "/"
service = "hello"

[gateway]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"
"#;

fn home(source: &Path) -> Home {
    let home = Home::new(MANIFEST);
    let folder = home.manifest().parent().unwrap().join("hello");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("source"), source.to_str().unwrap()).unwrap();
    home.link_cache();
    home
}

#[tokio::test]
async fn a_new_service_has_its_files_and_prints_its_sections() {
    let home = Home::new("");
    let made = home.output(&["new", "order-mailer", "--lang", "js"]).await;
    assert!(made.status.success(), "{made:?}");
    let sections = String::from_utf8(made.stdout).unwrap();
    assert!(sections.contains("[service.order-mailer]") && sections.contains("build = "), "{sections}");
    let folder = home.manifest().parent().unwrap().join("order-mailer");
    for file in ["wit/order-mailer.wit", "src/service.js", "package.json", "README.md"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let again = home.output(&["new", "order-mailer"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("order-mailer exists"), "{again:?}");
}

#[tokio::test]
async fn a_build_makes_what_is_missing_and_leaves_what_is_up_to_date() {
    let home = home(&component("fixture-hello"));
    let refused = home.output(&["check"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`atoll build hello` makes it"), "{refused:?}");
    let built = home.output(&["build"]).await;
    assert!(built.status.success() && String::from_utf8_lossy(&built.stderr).contains("hello: built in"), "{built:?}");
    assert!(home.output(&["check"]).await.status.success());
    let again = home.output(&["build", "hello"]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("hello: up to date"), "{again:?}");
    let unknown = home.output(&["build", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn a_change_is_built_and_swapped_in_and_a_failed_build_changes_nothing() {
    let home = home(&component("fixture-hello"));
    let source = home.manifest().parent().unwrap().join("hello/source");
    let mut command = home.command(&["dev"]);
    let mut dev = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(dev.stderr.take().unwrap()).lines();
    let gateway = loop {
        let line = lines.next_line().await.unwrap().expect("it serves");
        if let Some(address) = line.strip_prefix("gateway listening on ") {
            break address.to_owned();
        }
    };
    let http = Http::default();
    let hello = http.get(&format!("{gateway}/")).await;
    assert_eq!(hello.status, 200);

    fs::write(&source, "/nowhere/at/all.wasm").unwrap();
    let mut told = async |text: &str| {
        while let Some(line) = notes.next_line().await.unwrap() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("`{text}` is never said");
    };
    told("the build of `hello` failed").await;
    assert_eq!(http.get(&format!("{gateway}/")).await.status, 200);

    fs::write(&source, component("fixture-hostile").to_str().unwrap()).unwrap();
    told("serves, swapped in").await;
    let status = eventually("the other component answers", async || {
        Some(http.get(&format!("{gateway}/status/418")).await.status).filter(|status| status.as_u16() == 418)
    });
    assert_eq!(status.await, 418);
    dev.kill().await.unwrap();
}
