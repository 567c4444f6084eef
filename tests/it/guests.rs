//! Services in Rust by the crate `atoll-guest`, built by cargo as their authors build them: the template, and the URL
//! shortener of `examples/`.

use super::atoll::{Home, Http};
use super::components::workspace;
use super::plain_server::PlainServer;
use http::Method;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds cost half a minute: what they share is kept here between tests and runs.
fn target() -> PathBuf {
    workspace().join("target/guests")
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("cargo");
    command.args(arguments).arg("--offline").current_dir(folder);
    command.env("CARGO_TARGET_DIR", target()).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = command.output().unwrap();
    assert!(built.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&built.stderr));
}

const SHORTENER: &str = r#"
[service.links]
component = "{built}/links.wasm"
wit = "{example}/wit"
state = true
calls = ["checker"]

[service.checker]
component = "{built}/checker.wasm"
egress = [{ to = "{outside}", private = true }]

[service.face]
component = "{built}/face.wasm"
calls = ["links"]

[[route]]
prefix = "/"
service = "face"
"#;

#[tokio::test]
async fn the_shortener_checks_keeps_redirects_and_counts() {
    let example = workspace().join("examples/shortener");
    cargo(&example, &["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2"]);
    let outside = PlainServer::start("outside").await;
    let pages = format!("http://{}", outside.address);
    let built = target().join("wasm32-wasip2/release");
    let manifest = SHORTENER.replace("{built}", built.to_str().unwrap()).replace("{outside}", &pages);
    let home = Home::new(&manifest.replace("{example}", example.to_str().unwrap()));
    let atoll = home.start().await;
    let http = Http::default();
    let links = format!("{}/links", atoll.gateway);
    let make = async |target: String| http.json(Method::POST, &links, &json!({ "target": target })).await;

    let made = make(format!("{pages}/a?b=c")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let short = format!("{}{}", atoll.gateway, made.header("location"));
    for visits in 0..3 {
        let slug = made.json()["slug"].as_str().unwrap().to_owned();
        let link = http.get(&format!("{links}/{slug}")).await;
        assert_eq!(link.json(), json!({ "target": format!("{pages}/a?b=c"), "visits": visits }));
        let followed = http.get(&short).await;
        assert_eq!((followed.status.as_u16(), followed.header("location")), (302, &*format!("{pages}/a?b=c")));
    }

    let gone = make(format!("{pages}/status/404")).await;
    assert_eq!((gone.status.as_u16(), &gone.problem()["errors"][0]["pointer"]), (422, &json!("/target")));
    assert_eq!(http.get(&format!("{}/unknown", atoll.gateway)).await.status, 404);
    assert_eq!(http.json(Method::POST, &links, &json!({ "target": 7 })).await.status, 422);
    // The host names the line of the manifest that is missing, and the client learns nothing of it.
    let denied = make("http://elsewhere.example/".to_owned()).await;
    assert_eq!(denied.status, 503, "{denied:?}");
    assert!(!String::from_utf8_lossy(&denied.body).contains("elsewhere"), "{denied:?}");
    atoll.logged("elsewhere.example").await;
}

/// Half of what three such services took without the crate, which were 160 lines beside their logic.
#[test]
fn the_shortener_has_few_lines() {
    let lines = |name: &str| {
        let text = fs::read_to_string(workspace().join(format!("examples/shortener/{name}/src/lib.rs"))).unwrap();
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).count()
    };
    let all: usize = ["links", "checker", "face"].map(lines).iter().sum();
    assert!(all <= 80, "{all} lines");
}

#[tokio::test]
async fn the_rust_template_is_built_tested_and_served() {
    let home = Home::new("");
    let made = home.output(&["new", "order-mailer", "--lang", "rust"]).await;
    assert!(made.status.success(), "{made:?}");
    home.write(&String::from_utf8(made.stdout).unwrap());
    let folder = home.folder.path().join("order-mailer");
    // The versions of this repository, and what other tests have compiled of them.
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::create_dir_all(target()).unwrap();
    std::os::unix::fs::symlink(target(), folder.join("target")).unwrap();
    let built = home.command(&["build"]).env("CARGO_NET_OFFLINE", "true").output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    cargo(&folder, &["test", "--quiet"]);

    let atoll = home.start().await;
    let http = Http::default();
    let greeted = http.get(&format!("{}/order-mailer/Ada", atoll.gateway)).await;
    assert_eq!((greeted.status.as_u16(), greeted.json()), (200, json!({ "text": "Hello, Ada!" })));
    assert_eq!(http.get(&format!("{}/order-mailer/nobody", atoll.gateway)).await.status, 404);
}
