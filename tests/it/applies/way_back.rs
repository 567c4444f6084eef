//! What a rollback returns to after a manifest was applied, on a host without a history.

use super::super::components::component;
use super::super::plain_server::PlainServer;
use super::*;

/// A service whose component is this file, with these further keys of its section.
fn manifest_of(file: &std::path::Path, keys: &str) -> String {
    format!(
        "[service.hello]\ncomponent = {:?}\n{keys}\n[[route]]\nprefix = \"/hello\"\nstrip_prefix = \"/hello\"\n\
         service = \"hello\"\n",
        file.display().to_string()
    )
}

async fn roll_back(home: &Home) {
    let rolled = home.output(&["rollback", "hello"]).await;
    assert_eq!(rolled.status.code(), Some(0), "{}", err(&rolled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_of_a_swap_outlasts_a_manifest_that_names_what_serves() {
    let home = Home::new("");
    let new = hello_revision(b"revision-001-bbb", home.folder.path());
    let old = component("fixture-hello");
    // What changes beside the component: nothing that an instance has, its endpoints, what it may use, what it may do.
    for keys in ["", "replicas = 2", "limits.timeout = \"7s\"", "env = { LOG = \"debug\" }"] {
        write(&home, &manifest_of(&old, ""));
        let (atoll, http) = (home.start().await, Http::default());
        let text = async || {
            let body = http.get(&format!("{}/hello", atoll.gateway)).await.body;
            String::from_utf8_lossy(&body).into_owned()
        };
        let swapped = home.output(&["swap", "hello", new.to_str().unwrap()]).await;
        assert_eq!(swapped.status.code(), Some(0), "{}", err(&swapped));
        write(&home, &manifest_of(&new, keys));
        apply(&home).await;
        assert!(text().await.contains("revision-001-bbb"), "{keys}");
        assert_eq!(service(&http, &atoll, "hello").await["differs_from_manifest"], false, "{keys}");
        roll_back(&home).await;
        assert!(text().await.contains("revision-000-aaa"), "{keys}");
        assert_eq!(service(&http, &atoll, "hello").await["differs_from_manifest"], true, "{keys}");
        roll_back(&home).await;
        assert!(text().await.contains("revision-001-bbb"), "{keys}");
        atoll.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_returns_no_right_that_the_manifest_has_taken_away() {
    let outside = PlainServer::start("outside").await;
    let url = format!("http://{}", outside.address);
    let home = Home::new("");
    let guest = component("fixture-hostile");
    write(&home, &manifest_of(&guest, &format!("egress = [{{ to = {url:?}, private = true }}]")));
    let (atoll, http) = (home.start().await, Http::default());
    let call = async || {
        let request = http::Request::post(format!("{}/hello/fetch?url={url}/x", atoll.gateway));
        http.send(request, "").await.status.as_u16()
    };
    assert_eq!(call().await, 200);
    let calls = outside.requests();

    // The manifest has another component, and `egress` no more.
    write(&home, &manifest_of(&component("fixture-hello"), ""));
    apply(&home).await;
    roll_back(&home).await;
    assert_eq!(call().await, 502);
    assert_eq!(outside.requests(), calls);
}
