//! `atoll run --partial`: a host that serves without the services and the routes that it cannot serve.

use super::atoll::{Home, Http};
use std::fs;

/// `missing` and `types` cannot be served, nor can `relay`, which imports what `types` would export; the second route
/// of `more` cannot be served, and the first one can. `hello` may call a service that is left out, and does not import
/// it.
const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
calls = ["missing"]
[service.missing]
component = "missing.wasm"
urls = ["http://127.0.0.1:9"]
[service.types]
component = "broken.wasm"
[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
[service.more]
component = "{component:fixture-types}"
[[route]]
prefix = "/hello"
service = "hello"
[[route]]
prefix = "/missing"
service = "missing"
[[route]]
method = "GET"
path = "/relay"
call = "relay/no-matter"
[[route]]
method = "POST"
path = "/more"
call = "more/echo-person"
[[route]]
method = "GET"
path = "/more/{id}"
call = "more/no-such-function"
"#;

fn home() -> Home {
    let home = Home::new(MANIFEST);
    fs::write(home.folder.path().join("broken.wasm"), "this is no component").unwrap();
    home.link_cache();
    home
}

#[tokio::test]
async fn without_the_flag_nothing_is_served_and_the_error_names_the_flag() {
    let output = home().output(&["run"]).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{complaint}");
    for part in ["`missing.wasm`", "WebAssembly component", "no-such-function", "nothing is served", "run --partial"] {
        assert!(complaint.contains(part), "{part}:\n{complaint}");
    }
    // What is wrong with the text itself is refused with the flag too.
    let home = Home::new("[gateway]\nlissen = 1\n[service.missing]\ncomponent = \"missing.wasm\"\n");
    let output = home.output(&["run", "--partial"]).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("`lissen`") && complaint.contains("missing.wasm"), "{complaint}");
    assert!(!complaint.contains("--partial"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_flag_the_rest_is_served_and_what_is_left_out_is_told_to_operators_alone() {
    let home = home();
    let (atoll, http) = (home.start_with_arguments(&["--partial"]).await, Http::default());
    assert_eq!(http.get(&format!("{}/hello", atoll.gateway)).await.status, 200);
    let left_out = ["service missing", "service relay", "service types", "route GET,HEAD /more/{id}"];
    let ready = http.get(&format!("{}/readyz", atoll.admin)).await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(ready.json(), serde_json::json!({ "status": "ready", "left_out": left_out }));

    for (path, service) in
        [("/missing", "missing"), ("/missing/x", "missing"), ("/relay", "relay"), ("/more/7", "more")]
    {
        let answer = http.get(&format!("{}{path}", atoll.gateway)).await;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        let problem = answer.problem();
        assert_eq!(problem["type"], "urn:atoll:problem:no-endpoint");
        assert_eq!(problem["service"], service);
        for secret in ["wasm", "left out", "atoll.toml", "no-such-function"] {
            assert!(!problem.to_string().contains(secret), "{secret}: {problem}");
        }
    }
    let ps = home.command(&["ps"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    let ps = String::from_utf8(ps.stdout).unwrap();
    for note in [
        "x missing is left out: atoll.toml:6:13: cannot find the component `missing.wasm`",
        "x types is left out: atoll.toml:9:13: service `types`: the component is not a valid WebAssembly component",
        "x relay is left out: it needs service `types`, which is left out",
    ] {
        assert!(ps.contains(note), "{note}\n{ps}");
        let logged = atoll.log().into_iter().filter(|line| line.contains("WARN") && line.contains("left out")).count();
        assert_eq!(logged, left_out.len());
    }
    let routes = home.command(&["routes"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    let routes = String::from_utf8(routes.stdout).unwrap();
    let note = "is answered with 503: atoll.toml:32:8: the component exports no function `no-such-function`";
    assert!(routes.contains(note), "{routes}");

    let component = fs::read(super::components::component("fixture-hello")).unwrap();
    let url = format!("{}/v1/services/missing/swap", atoll.admin);
    let answer = http.send(http::Request::post(url).header("content-type", "application/wasm"), component).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.problem()["detail"].as_str().unwrap().contains("start the host again"), "{answer:?}");
}
