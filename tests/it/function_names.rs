//! The names of functions in the manifest: a swap takes no component that the same manifest cannot start with, and the
//! names that an error proposes are taken where it proposes them.

use super::atoll::{Atoll, Home, Http};
use super::components::dummy;
use std::fs;

/// A component that exports these interfaces, each with the function `create`.
fn exporting(interfaces: &[&str]) -> Vec<u8> {
    let (mut packages, mut exports) = (String::new(), String::new());
    for interface in interfaces {
        let (path, version) = interface.split_once('@').unwrap();
        let (package, name) = path.split_once('/').unwrap();
        packages +=
            &format!("package {package}@{version} {{ interface {name} {{ create: func() -> result<_, string>; }} }}\n");
        exports += &format!("export {interface}; ");
    }
    dummy(&format!("package test:root;\n{packages}\nworld w {{ {exports} }}"))
}

/// A component that imports this interface, and exports a function `run`.
fn importing(interface: &str) -> Vec<u8> {
    let (path, version) = interface.split_once('@').unwrap();
    let (package, name) = path.split_once('/').unwrap();
    dummy(&format!(
        "package test:user;\ninterface user {{ run: func(); }}\n\
         package {package}@{version} {{ interface {name} {{ create: func() -> result<_, string>; }} }}\n\
         world w {{ import {interface}; export user; }}"
    ))
}

const LINKS: &str = "[service.links]\ncomponent = \"links.wasm\"\n";

/// The keys that name a function, each with `NAME` in place of the name.
const PLACES: [&str; 3] = [
    "idempotent = [\"NAME\"]\n",
    "health = { call = \"NAME\" }\n",
    "[[route]]\nmethod = \"POST\"\npath = \"/links\"\ncall = \"links/NAME\"\n",
];

/// A folder with this manifest and `component` as its `links.wasm`.
fn home(manifest: &str, component: &[u8]) -> Home {
    let home = Home::new(manifest);
    fs::write(home.folder.path().join("links.wasm"), component).unwrap();
    home.link_cache();
    home
}

async fn check(home: &Home) -> Result<(), String> {
    let output = home.output(&["check"]).await;
    if output.status.success() { Ok(()) } else { Err(squeezed(&String::from_utf8(output.stderr).unwrap())) }
}

async fn swap(atoll: &Atoll, service: &str, component: Vec<u8>) -> Result<(), String> {
    let url = format!("{}/v1/services/{service}/swap", atoll.admin);
    let answer =
        Http::default().send(http::Request::post(url).header("content-type", "application/wasm"), component).await;
    match answer.status.as_u16() {
        200 => Ok(()),
        422 => Err(squeezed(answer.problem()["detail"].as_str().unwrap())),
        _ => panic!("{answer:?}"),
    }
}

/// The text without what the terminal adds: the breaks of its lines.
fn squeezed(text: &str) -> String {
    text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_refuses_a_name_that_a_start_refuses_with_the_same_text() {
    const OLD: &[&str] = &["short:links/links@1.0.0"];
    for (new, short) in [
        (&["short:links/links@1.0.0", "short:links/links@1.1.0"][..], "create"),
        (&["short:links/links@1.0.0", "short:links/links@1.1.0"], "links#create"),
        (&["short:links/links@1.0.0", "short:links/links@2.0.0"], "short:links/links#create"),
        (&["short:links/links@1.0.0", "other:links/links@1.0.0"], "links#create"),
        (&["short:links/links@1.0.0", "other:links/more@1.0.0"], "create"),
    ] {
        for place in PLACES {
            let manifest = format!("{LINKS}{}", place.replace("NAME", short));
            let home = home(&manifest, &exporting(OLD));
            let atoll = home.start().await;
            let refused = swap(&atoll, "links", exporting(new)).await.expect_err(&manifest);
            let said = format!("several interfaces have a function `{short}`");
            assert!(refused.contains(&said), "{manifest}{refused}");

            fs::write(home.folder.path().join("links.wasm"), exporting(new)).unwrap();
            let complaint = check(&home).await.expect_err(&manifest);
            assert!(complaint.contains(&said), "{manifest}{complaint}");

            // Every name that the two propose is taken in the same place.
            let (_, help) = complaint.split_once("write one of ").unwrap();
            assert!(refused.contains(help), "{help}\n{refused}");
            let proposed: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
            assert_eq!(proposed.len(), 2, "{help}");
            for name in proposed {
                let pasted = place.replace("links/NAME", name).replace("NAME", name);
                home.write(&format!("{LINKS}{pasted}"));
                home.link_cache();
                check(&home).await.unwrap_or_else(|complaint| panic!("{pasted}{complaint}"));
            }
            home.start().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_its_version_is_answered_by_the_same_component_at_a_start_and_in_a_swap() {
    for place in PLACES {
        let manifest = format!("{LINKS}{}", place.replace("NAME", "short:links/links@1.0.0#create"));
        let home = home(&manifest, &exporting(&["short:links/links@1.0.0"]));
        let atoll = home.start().await;
        for (new, fits) in [("short:links/links@1.4.0", true), ("short:links/links@2.0.0", false)] {
            fs::write(home.folder.path().join("links.wasm"), exporting(&[new])).unwrap();
            let (started, swapped) = (check(&home).await, swap(&atoll, "links", exporting(&[new])).await);
            assert_eq!((started.is_ok(), swapped.is_ok()), (fits, fits), "{manifest}{new}\n{started:?}\n{swapped:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_gives_an_import_of_another_service_two_providers_is_refused() {
    const MANIFEST: &str = "[service.user]\ncomponent = \"user.wasm\"\ncalls = [\"links\", \"more\"]\n\
                            [service.more]\ncomponent = \"more.wasm\"\n";
    let home = home(&format!("{LINKS}{MANIFEST}"), &exporting(&["short:links/links@1.0.0"]));
    let write = |name: &str, bytes: Vec<u8>| fs::write(home.folder.path().join(name), bytes).unwrap();
    write("user.wasm", importing("short:links/links@1.0.0"));
    write("more.wasm", exporting(&["short:links/more@1.0.0"]));
    let atoll = home.start().await;
    let both = exporting(&["short:links/more@1.0.0", "short:links/links@1.2.0"]);
    write("both.wasm", both.clone());
    let refused = swap(&atoll, "more", both.clone()).await.unwrap_err();
    let said = "imports short:links/links@1.0.0, which links, more export";
    assert!(refused.contains(said) && refused.contains("service `user`"), "{refused}");
    let output = home.output(&["inspect", "both.wasm", "--against", "more"]).await;
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && report.contains(said), "{report}");

    write("more.wasm", both);
    let complaint = check(&home).await.unwrap_err();
    assert!(complaint.contains(said), "{complaint}");
}
