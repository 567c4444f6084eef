//! What was swapped in, and a manifest that would take its place and is refused.

use super::super::components::component;
use super::*;

const HISTORY: &str = "[history]\nrevisions = 5\n";

/// Two services, whose components are files of `home`; `other` has a plan for its rollouts.
fn two(first: &str, other: &str) -> String {
    format!(
        "[service.hello]\ncomponent = {first:?}\n[[route]]\npath = \"/hello\"\nservice = \"hello\"\n\
         [service.other]\ncomponent = \"other.wasm\"\nrollout = {{ canary = [\"10%\"], step = \"1h\" }}\n{other}\n\
         [[route]]\npath = \"/other\"\nservice = \"other\"\n{HISTORY}"
    )
}

async fn body(http: &Http, atoll: &Atoll) -> String {
    String::from_utf8_lossy(&http.get(&format!("{}/hello", atoll.gateway)).await.body).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_refused_forgets_nothing_that_was_swapped_in() {
    let home = Home::new("");
    let folder = home.folder.path().to_owned();
    for file in ["hello.wasm", "other.wasm"] {
        std::fs::copy(component("fixture-hello"), folder.join(file)).unwrap();
    }
    let promoted = hello_revision(b"revision-001-bbb", &folder);
    let newer = hello_revision(b"revision-002-ccc", &folder);
    write(&home, &two("hello.wasm", ""));
    let (atoll, http) = (home.start().await, Http::default());
    let swapped = home.output(&["swap", "hello", promoted.to_str().unwrap(), "--now"]).await;
    assert_eq!(swapped.status.code(), Some(0), "{}", err(&swapped));
    let canary = home.output(&["swap", "other", newer.to_str().unwrap()]).await;
    assert_eq!(canary.status.code(), Some(0), "{}", err(&canary));

    // It names another component for `hello`, and would change `other` under its canary.
    write(&home, &two(newer.to_str().unwrap(), "limits.timeout = \"5s\""));
    let refused = home.output(&["apply", "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    assert!(err(&refused).contains("has a rollout or a swap under way"), "{}", err(&refused));
    assert!(body(&http, &atoll).await.contains("revision-001-bbb"));
    write(&home, &two("hello.wasm", ""));
    atoll.stop().await;

    // A start that is refused does not forget it either.
    let wrong = "[[route]]\nmethod = \"GET\"\npath = \"/x\"\ncall = \"hello/nothing\"\n";
    write(&home, &format!("{wrong}{}", two(newer.to_str().unwrap(), "")));
    let refused = home.output(&["run", "atoll.toml"]).await;
    assert_ne!(refused.status.code(), Some(0), "{}", out(&refused));
    write(&home, &two("hello.wasm", ""));
    let atoll = home.start().await;
    assert!(body(&http, &atoll).await.contains("revision-001-bbb"), "what was swapped in lasts");

    // One that is applied does.
    let rolled = home.output(&["rollout", "other", "abort"]).await;
    assert_eq!(rolled.status.code(), Some(0), "{}", err(&rolled));
    write(&home, &two(newer.to_str().unwrap(), "limits.timeout = \"5s\""));
    apply(&home).await;
    assert!(body(&http, &atoll).await.contains("revision-002-ccc"));
    atoll.stop().await;
    write(&home, &two("hello.wasm", ""));
    let atoll = home.start().await;
    assert!(body(&http, &atoll).await.contains("revision-000-aaa"), "the manifest's own component serves again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_does_not_serve_again_after_its_file_became_the_manifests() {
    let home = Home::new("");
    let file = home.folder.path().join("hello.wasm");
    let one = |keys: &str| {
        format!(
            "[service.hello]\ncomponent = \"hello.wasm\"\n[[route]]\npath = \"/hello\"\nservice = \"hello\"\n\
             {HISTORY}{keys}\n"
        )
    };
    std::fs::copy(component("fixture-hello"), &file).unwrap();
    write(&home, &one(""));
    let (atoll, http) = (home.start().await, Http::default());
    // A deployment writes the new component over the manifest's, and swaps it in.
    let new = hello_revision(b"revision-001-bbb", home.folder.path());
    std::fs::copy(&new, &file).unwrap();
    let swapped = home.output(&["swap", "hello", "hello.wasm"]).await;
    assert_eq!(swapped.status.code(), Some(0), "{}", err(&swapped));

    write(&home, &one("[gateway]\ntimeout = \"7s\""));
    apply(&home).await;
    assert_eq!(service(&http, &atoll, "hello").await["differs_from_manifest"], false);
    let rolled = home.output(&["rollback", "hello"]).await;
    assert_eq!(rolled.status.code(), Some(0), "{}", err(&rolled));
    assert!(body(&http, &atoll).await.contains("revision-000-aaa"));
    atoll.stop().await;
    let atoll = home.start().await;
    assert!(body(&http, &atoll).await.contains("revision-000-aaa"), "the rollback lasts");
}
