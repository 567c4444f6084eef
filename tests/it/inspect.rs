//! `atoll inspect`: what a component exports and imports, and whether it could replace a service's own component.

use super::atoll::Home;
use super::components::{component, shop_manifest};
use std::fs;

/// A folder with the shop's manifest.
fn shop() -> Home {
    let home = Home::new(&shop_manifest());
    home.link_cache();
    home
}

/// Runs `inspect` on a component. Returns the exit code, the report and the error text.
async fn inspect(home: &Home, name: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = component(name);
    let mut arguments = vec!["inspect", file.to_str().unwrap()];
    arguments.extend(more);
    let output = home.output(&arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The lines of one section of the report, without the column of titles.
fn section(report: &str, title: &str) -> Vec<String> {
    let mut lines = report.lines().skip_while(|line| !line.starts_with(&format!("{title} ")));
    let first = lines.next().map(|line| line[title.len()..].trim().to_owned());
    let more = lines.take_while(|line| line.starts_with("   ")).map(|line| line.trim().to_owned());
    first.into_iter().chain(more).collect()
}

#[tokio::test]
async fn inspect_describes_a_component_without_a_manifest() {
    let folder = Home::new("");
    fs::remove_file(folder.manifest()).unwrap();
    let (code, report, complaint) = inspect(&folder, "orders", &[]).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert_eq!(section(&report, "size"), [format!("{} bytes", fs::metadata(component("orders")).unwrap().len())]);
    assert_eq!(section(&report, "digest")[0].len(), 64);
    assert!(section(&report, "http")[0].starts_with("none"), "{report}");
    let exports = section(&report, "exports");
    assert_eq!(exports[0], "shop:orders/orders@1.1.0");
    assert_eq!(exports[1], "details: async func(id: order-id) -> result<order-details, error>");
    assert_eq!(exports[2], "get: async func(id: order-id) -> result<order, error>");
    let imports = section(&report, "imports");
    for line in [
        "shop:products/products@1.0.0: needs `calls` with a service that exports it",
        "reserve: async func(key: string, lines: list<line>) -> result<list<reserved-line>, error>",
        "atoll:state/transactions@0.2.0: needs `state = true`",
    ] {
        assert!(imports.iter().any(|import| import == line), "{line} is missing:\n{report}");
    }
    assert!(
        !imports.iter().any(|import| import.starts_with("create:")),
        "the component does not call `create`, so it must not be listed:\n{report}"
    );
    assert!(imports.last().unwrap().contains("wasi:cli@"), "{report}");
    let ends = section(&report, "not by state");
    for line in [
        "write: if a call uses `commit` of atoll:state/transactions@0.2.0",
        "unbounded-scan: if a call uses `scan` of atoll:state/transactions@0.2.0",
    ] {
        assert!(ends.iter().any(|end| end == line), "{line} is missing:\n{report}");
    }
    assert!(ends[0].starts_with("clock: if a call uses wasi:clocks/"), "{report}");
    assert_eq!(fs::read_dir(folder.folder.path()).unwrap().count(), 0, "`inspect` must write no file");

    let (_, report, _) = inspect(&folder, "users", &[]).await;
    assert!(section(&report, "http")[0].starts_with("wasi:http/handler@0.3."), "{report}");
    let (_, report, _) = inspect(&folder, "fixture-legacy02", &[]).await;
    assert!(section(&report, "http")[0].starts_with("wasi:http/incoming-handler@0.2."), "{report}");
}

#[tokio::test]
async fn inspect_against_a_service_that_fits_shows_its_grants_and_limits() {
    let home = shop();
    for name in ["products", "fixture-products-more"] {
        let (code, report, complaint) = inspect(&home, name, &["--against", "products"]).await;
        assert_eq!((code, complaint.as_str()), (Some(0), ""), "{report}");
        assert!(report.ends_with("\nfits: nothing would break\n"), "{report}");
    }
    let manifest = home.manifest();
    let more = ["--against", "orders", "--manifest", manifest.to_str().unwrap()];
    let (_, report, _) = inspect(&home, "orders", &more).await;
    assert_eq!(section(&report, "calls"), ["users: shop:users/users@1.0.0", "products: shop:products/products@1.0.0"]);
    assert_eq!(section(&report, "state"), ["its own data"]);
    assert_eq!(
        section(&report, "config"),
        ["page_size, sweep_after"],
        "the names of settings are shown, and never their values"
    );
    assert!(
        section(&report, "limits")[0].contains("64 MiB for each instance, 14s for each call; 2 replicas"),
        "{report}"
    );
    assert!(section(&report, "isolation")[0].starts_with("request:"), "{report}");
    assert!(!home.folder.path().join(".atoll").exists(), "`inspect` must open no store");
}

#[tokio::test]
async fn inspect_names_what_would_break_and_which_service_depends_on_it() {
    let home = shop();
    let (code, report, complaint) = inspect(&home, "fixture-products-changed", &["--against", "products"]).await;
    assert_eq!(code, Some(1), "{report}");
    assert!(complaint.contains("does not fit service `products`"), "{complaint}");
    let breaks = section(&report, "breaks");
    for (what, who) in [("has no function `release`", "service `orders`"), ("function `reserve`", "service `orders`")] {
        assert!(breaks.iter().any(|line| line.contains(what) && line.contains(who)), "{what} {who}:\n{report}");
    }
    // The manifest's `wit` has these functions, too.
    let refused = section(&report, "refused").join(" ");
    assert!(refused.contains("wit/products, the `wit` of its service") && !report.contains("fits:"), "{report}");
}

#[tokio::test]
async fn inspect_reports_all_reasons_for_a_refusal_at_once() {
    let home = shop();
    let (code, report, _) = inspect(&home, "orders", &["--against", "users"]).await;
    assert_eq!(code, Some(1), "{report}");
    let refused = section(&report, "refused").join("\n");
    assert!(refused.contains("`calls = [\"products\"]` in [service.users]"), "{report}");
    assert!(
        refused.contains("shop:users/users@1.0.0, which only the component exports that it would replace"),
        "{report}"
    );
    let breaks = section(&report, "breaks").join("\n");
    assert!(breaks.contains("exports no interface shop:users/users@1.0.0; service `orders` depends on it"), "{report}");
    assert!(breaks.contains("answers no HTTP by itself; route /api/users"), "{report}");

    let home = Home::new("[service.stateless]\ncomponent = \"{component:fixture-hello}\"\n");
    home.link_cache();
    let (code, report, _) = inspect(&home, "users", &["--against", "stateless"]).await;
    assert_eq!(code, Some(1), "{report}");
    assert!(section(&report, "refused")[0].contains("`state = true` in [service.stateless]"), "{report}");
}

#[tokio::test]
async fn inspect_accepts_a_component_that_replaces_a_broken_one() {
    let home = Home::new("[service.hello]\ncomponent = \"broken.wasm\"\n");
    fs::write(home.folder.path().join("broken.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    home.link_cache();
    let (code, report, complaint) = inspect(&home, "fixture-hello", &["--against", "hello"]).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{report}");
    let (code, report, complaint) = inspect(&home, "users", &["--against", "hello"]).await;
    assert_eq!((code, report.as_str()), (Some(1), ""));
    assert!(complaint.contains("atoll.toml:2:13") && complaint.contains("state = true"), "{complaint}");
}

#[tokio::test]
async fn inspect_says_why_a_file_or_a_service_cannot_be_inspected() {
    let home = Home::new("[service.plain]\nurls = [\"http://127.0.0.1:9\"]\n");
    fs::write(home.folder.path().join("text.wasm"), "this is no component").unwrap();
    fs::write(home.folder.path().join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let hello = component("fixture-hello");
    let hello = hello.to_str().unwrap();
    for (arguments, why) in [
        (vec!["missing.wasm"], "cannot read missing.wasm"),
        (vec!["text.wasm"], "text.wasm: it is not WebAssembly; a component is made of a core module by `wasm-tools"),
        (vec!["module.wasm"], "module.wasm: it is a core module and not a component; a component is made of"),
        (vec![hello, "--against", "plane"], "has no service `plane`; its services: plain"),
        (vec![hello, "--against", "plain"], "service `plain` has no component"),
        (vec![hello, "--against", "plain", "--manifest", "other.toml"], "other.toml"),
    ] {
        let output = home.output(&[vec!["inspect"], arguments].concat()).await;
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{complaint}");
        assert!(complaint.contains(why), "{why}:\n{complaint}");
    }
}

#[tokio::test]
async fn inspect_compares_with_what_the_running_host_serves_and_says_so() {
    let manifest = "[service.notes]\ncomponent = \"notes.wasm\"\n[[route]]\nmethod = \"POST\"\npath = \"/notes\"\n\
                    call = \"notes/add\"\n";
    let home = Home::new(manifest);
    let file = home.folder.path().join("notes.wasm");
    fs::copy(component("fixture-notes-2"), &file).unwrap();
    let atoll = home.start().await;
    let against = ["--against", "notes"];
    let (code, report, complaint) = inspect(&home, "fixture-notes-2", &against).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{report}");
    assert!(report.ends_with("\nfits: nothing would break\n"), "{report}");
    let compared = section(&report, "compared with").join("\n");
    assert!(compared.starts_with("revision ") && compared.contains(&atoll.admin), "{report}");
    assert!(section(&report, "limits")[0].contains("128 MiB for each instance"), "{report}");
    assert_eq!([section(&report, "env"), section(&report, "calls")], [["none"], ["none"]], "{report}");
    assert!(section(&report, "differs").is_empty(), "{report}");
    // The manifest is edited, and the host has not started again.
    let granted =
        "component = \"notes.wasm\"\nenv = { LOG = \"debug\" }\ncalls = [\"notes\"]\nlimits = { memory = \"1MiB\" }";
    fs::write(home.manifest(), manifest.replace("component = \"notes.wasm\"", granted)).unwrap();
    let (_, report, _) = inspect(&home, "fixture-notes-2", &against).await;
    let differs = section(&report, "differs");
    assert!(differs[0].starts_with("limits: ") && differs[0].contains("1 MiB for each"), "{report}");
    assert!(differs[1].ends_with("atoll.toml: LOG") && differs[2].ends_with("atoll.toml: notes"), "{report}");
    fs::write(home.manifest(), manifest).unwrap();

    // A rebuild: the file that the manifest names is another one than the host serves.
    fs::copy(component("fixture-notes-1"), &file).unwrap();
    let elsewhere = Home::new("");
    fs::remove_file(elsewhere.manifest()).unwrap();
    let (admin, path) = (atoll.admin.clone(), home.manifest().to_str().unwrap().to_owned());
    let (by_flag, by_manifest) = (["--admin", &admin], ["--manifest", &path]);
    for (folder, more) in [(&home, &[][..]), (&elsewhere, &by_flag), (&elsewhere, &by_manifest)] {
        let (code, report, complaint) = inspect(folder, "fixture-notes-1", &[&against[..], more].concat()).await;
        assert_eq!(code, Some(1), "{more:?}: {report}");
        assert!(complaint.contains("does not fit service `notes`"), "{complaint}");
        let breaks = section(&report, "breaks").join("\n");
        assert!(breaks.contains("holds u8 and not u32; route POST /notes depends on it"), "{report}");
    }
    let (_, _, complaint) = inspect(&home, "fixture-notes-1", &["--against", "nobody"]).await;
    assert!(complaint.contains("nobody"), "{complaint}");
    let (code, report, _) = inspect(&home, "users", &against).await;
    assert_eq!(code, Some(1), "{report}");
    assert!(section(&report, "refused")[0].contains("`state = true` in [service.notes]"), "{report}");

    atoll.stop().await;
    let (code, report, complaint) = inspect(&home, "fixture-notes-1", &against).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{report}");
    let compared = "the component that atoll.toml names, since no host of it is known to run";
    assert_eq!(section(&report, "compared with"), [compared]);

    // A host that ended without a trace; this process stands for one that got its number.
    let listened = admin.strip_prefix("http://").unwrap();
    fs::create_dir_all(home.folder.path().join(".atoll")).unwrap();
    fs::write(home.folder.path().join(".atoll/admin"), format!("{listened} {}\n", std::process::id())).unwrap();
    let (code, report, complaint) = inspect(&home, "fixture-notes-1", &against).await;
    assert_eq!(code, Some(0), "{report}");
    assert!(
        complaint.contains("cannot reach the admin at") && complaint.contains("the manifest is asked"),
        "{complaint}"
    );
    assert_eq!(section(&report, "compared with"), [compared]);
    let (code, _, complaint) = inspect(&home, "fixture-notes-1", &[&against[..], &by_flag].concat()).await;
    assert_eq!(code, Some(1), "a host that the user names must answer: {complaint}");
}
