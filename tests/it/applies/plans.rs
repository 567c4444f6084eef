//! Plans, refusals, and what the verbs say.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_shown_and_then_applied_as_a_whole_or_not_at_all() {
    let home = Home::new(&manifest("", ""));
    let (atoll, http) = (home.start().await, Http::default());
    let same = home.output(&["apply", "--dry-run"]).await;
    assert_eq!((same.status.code(), out(&same).as_str()), (Some(0), "nothing to change\n"), "{}", err(&same));
    assert_eq!(home.output(&["diff"]).await.status.code(), Some(0));

    let next = manifest("limits.timeout = \"5s\"", "[[route]]\npath = \"/new\"\nservice = \"hello\"");
    write(&home, &(next.clone() + "[gateway]\nconnections = 77\n"));
    let plan = home.output(&["apply", "--dry-run"]).await;
    assert_eq!(plan.status.code(), Some(2), "{}", err(&plan));
    let rows = ["restart  gateway.connections", "live     route /new", "live     service.hello.limits.timeout"];
    assert!(rows.iter().all(|row| out(&plan).contains(row)), "{}", out(&plan));
    let refused = home.output(&["apply", "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        err(&refused).contains("one change needs a restart of the host, so nothing was changed"),
        "{}",
        err(&refused)
    );
    assert_eq!(status(&http, &atoll, "/new").await, 404);

    write(&home, &next);
    let unasked = home.output(&["apply"]).await;
    assert_eq!(unasked.status.code(), Some(1));
    assert!(err(&unasked).contains("--yes"), "{}", err(&unasked));
    assert_eq!(status(&http, &atoll, "/new").await, 404);
    assert_eq!(home.output(&["diff"]).await.status.code(), Some(2));
    apply(&home).await;
    assert_eq!((status(&http, &atoll, "/new").await, status(&http, &atoll, "/hello").await), (200, 200));
    assert_eq!(home.output(&["apply", "--dry-run"]).await.status.code(), Some(0));

    // A service that comes or goes is one row.
    let with_more = format!("{next}\n[service.more]\ncomponent = \"{{component:fixture-hello}}\"\nreplicas = 2\n");
    write(&home, &with_more);
    let plan = out(&home.output(&["apply", "--dry-run"]).await);
    let rows: Vec<_> = plan.lines().skip(1).map(|row| row.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(rows, ["service.more"], "{plan}");
    // Back again: the route is gone, and so is what it served.
    write(&home, &manifest("", ""));
    apply(&home).await;
    assert_eq!((status(&http, &atoll, "/new").await, status(&http, &atoll, "/hello").await), (404, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_cannot_be_served_changes_nothing_and_is_explained() {
    let home = Home::new(&manifest("", ""));
    let (atoll, http) = (home.start().await, Http::default());
    let wrong = [
        ("[[route]]\npath = \"/x\"\nservice = \"nobody\"", "nobody"),
        ("[service.other]\ncomponent = \"no-such.wasm\"", "no-such.wasm"),
        ("[[route]]\npath = \"/x\"\ncall = \"hello/nothing\"", "nothing"),
        ("[gatway]", "gatway"),
    ];
    for (more, word) in wrong {
        write(&home, &manifest("", more));
        for arguments in [["apply", "--dry-run"], ["apply", "--yes"]] {
            let refused = home.output(&arguments).await;
            assert_eq!(refused.status.code(), Some(1), "{more}: {}", out(&refused));
            assert!(err(&refused).contains(word), "{more}: {}", err(&refused));
        }
        assert_eq!(status(&http, &atoll, "/hello").await, 200);
    }
    // Errors name the file that the operator has given, and not the host's own.
    let next = home.folder.path().join("my next.toml");
    std::fs::write(&next, manifest("", "[gatway]").replace("{component:fixture-hello}", "hello.wasm")).unwrap();
    for arguments in [["apply", "my next.toml"], ["diff", "my next.toml"]] {
        let refused = home.output(&arguments).await;
        assert!(err(&refused).contains("my next.toml:"), "{arguments:?}: {}", err(&refused));
        assert!(!err(&refused).contains("atoll.toml"), "{arguments:?}: {}", err(&refused));
        // Who only compares knows that.
        let says_so = err(&refused).contains("nothing was changed");
        assert_eq!(says_so, arguments[0] == "apply", "{arguments:?}: {}", err(&refused));
    }
    // By SIGHUP, too.
    atoll.signal(Signal::HUP);
    atoll.logged("the manifest was not applied; the one before serves on").await;
    assert_eq!(status(&http, &atoll, "/hello").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_applies_the_hosts_own_file() {
    let home = Home::new(&manifest("", ""));
    let (atoll, http) = (home.start().await, Http::default());
    write(&home, &manifest("", "[[route]]\npath = \"/new\"\nservice = \"hello\""));
    atoll.signal(Signal::HUP);
    eventually("the route serves", async || (status(&http, &atoll, "/new").await == 200).then_some(())).await;
    // It is noted when the services that went have left, a moment after the first request is routed anew.
    eventually("the change is noted, once", async || {
        let changes = http.get(&format!("{}/v1/changes?kind=manifest-applied", atoll.admin)).await.json();
        (changes.as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_component_is_a_swap_and_a_plan_of_before_it_is_refused() {
    let home = Home::new(&manifest("", ""));
    let (atoll, http) = (home.start().await, Http::default());
    let new = hello_revision(b"revision-001-bbb", home.folder.path());
    let text = std::fs::read_to_string(home.manifest()).unwrap();
    let next = text.replace(
        &super::super::components::component("fixture-hello").display().to_string(),
        &new.display().to_string(),
    );
    let plan = post(&http, &atoll, "dry_run=true", &next).await.json();
    let classes: Vec<_> = plan["changes"].as_array().unwrap().iter().map(|change| change["class"].clone()).collect();
    assert_eq!(classes, ["swap"], "{plan}");
    assert_eq!(plan["file_differs"], true);
    let base = plan["base"].as_str().unwrap();
    let applied = post(&http, &atoll, &format!("base={base}"), &next).await;
    assert_eq!(applied.status, 200, "{applied:?}");
    let body = http.get(&format!("{}/hello", atoll.gateway)).await.body;
    assert!(String::from_utf8_lossy(&body).contains("revision-001-bbb"), "{body:?}");
    // The base has moved.
    let stale = post(&http, &atoll, &format!("base={base}"), &text).await;
    assert_eq!(stale.status, 409, "{stale:?}");
    // The revision before is a rollback away, as after any swap.
    let rolled = home.output(&["rollback", "hello"]).await;
    assert_eq!(rolled.status.code(), Some(0), "{}", err(&rolled));
    // A manifest without the component's change brings the manifest's component back.
    let plan = post(&http, &atoll, "dry_run=true", &next).await.json();
    assert_eq!(plan["changes"][0]["class"], "swap", "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_a_canary_is_not_changed_under_it() {
    let plan = "rollout = { canary = [\"10%\"], step = \"1h\" }";
    let home = Home::new(&manifest(plan, ""));
    let (atoll, http) = (home.start().await, Http::default());
    let new = hello_revision(b"revision-001-bbb", home.folder.path());
    let swapped = home.output(&["swap", "hello", new.to_str().unwrap()]).await;
    assert_eq!(swapped.status.code(), Some(0), "{}", err(&swapped));
    write(&home, &manifest(&format!("{plan}\nlimits.timeout = \"5s\""), ""));
    let refused = home.output(&["apply", "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let told = err(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("nothing was changed: service `hello` has a rollout or a swap under way"), "{told}");
    assert!(told.contains("`atoll rollout hello promote`"), "{told}");
    // What does not touch it is applied beside it.
    write(&home, &manifest(plan, "[[route]]\npath = \"/new\"\nservice = \"hello\""));
    apply(&home).await;
    assert_eq!(status(&http, &atoll, "/new").await, 200);
    assert!(service(&http, &atoll, "hello").await["canary"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_needs_from_its_start_is_named() {
    let home = Home::new(&manifest("", ""));
    let _atoll = home.start().await;
    write(&home, &manifest("state = true", ""));
    let plan = home.output(&["apply", "--dry-run"]).await;
    assert!(out(&plan).contains("restart  state"), "{}{}", out(&plan), err(&plan));
    write(&home, &manifest("rollout = { canary = [\"10%\"] }", ""));
    let plan = home.output(&["apply", "--dry-run"]).await;
    assert!(out(&plan).contains("restart  history"), "{}{}", out(&plan), err(&plan));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_began_with_addresses_alone_takes_components_of_any_size() {
    let home = Home::new("[service.hello]\nurls = [\"http://127.0.0.1:9\"]\n");
    let atoll = home.start().await;
    let http = Http::default();
    for memory in ["64MiB", "1GiB"] {
        write(&home, &manifest(&format!("limits = {{ memory = \"{memory}\" }}"), ""));
        apply(&home).await;
        assert_eq!(status(&http, &atoll, "/hello").await, 200, "{memory}");
    }
}
