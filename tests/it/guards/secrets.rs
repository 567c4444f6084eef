//! The secrets of services: a component reads them, and nobody else sees them.

use super::super::atoll::{Home, Http};
use super::super::components::workspace;

const PLANTED: &str = "sk_live_3f9a0c51b2d4e6";

/// What the admin shows of a service, of requests, of failures with their trap reports, and of changes.
const SHOWN: [&str; 16] = [
    "/metrics",
    "/readyz",
    "/v1/services",
    "/v1/services/products",
    "/v1/services/products/why",
    "/v1/services/products/rollouts",
    "/v1/routes",
    "/v1/limits",
    "/v1/overview",
    "/v1/logs",
    "/v1/traps",
    "/v1/traces",
    "/v1/changes",
    "/v1/outside",
    "/v1/faults",
    "/v1/keys",
];

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn manifest(secrets: &str) -> String {
    let wit = workspace().join("wit/products");
    format!(
        r#"
[telemetry]
sample = 1

[audit]
file = ".atoll/audit.jsonl"

[history]

[service.products]
component = "{{component:fixture-bad-products}}"
wit = "{}"
config = {{ page_size = "50" }}
rollout = {{ canary = ["50%"] }}
secrets = {secrets}

[[route]]
path = "/products/{{id}}"
method = "GET"
call = "products/get"
"#,
        wit.display()
    )
}

#[tokio::test]
async fn a_component_reads_its_secrets_and_nothing_of_the_host_shows_them() {
    let home = Home::new(&manifest("{ mode = { env = \"SHOP_MODE\" }, stripe = { file = \"stripe.key\" } }"));
    std::fs::write(home.folder.path().join("stripe.key"), format!("{PLANTED}\n")).unwrap();
    // The fixture does what the setting `mode` says, here a secret.
    for (mode, status) in [("trap", 502), ("none", 503)] {
        let atoll = home.start_with(&[("SHOP_MODE", mode)]).await;
        let http = Http::default();
        let answer = http.get(&format!("{}/products/1", atoll.gateway)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!format!("{answer:?}").contains(PLANTED));
        for path in SHOWN {
            let shown = http.get(&format!("{}{path}", atoll.admin)).await;
            assert_eq!(shown.status, 200, "{path}: {shown:?}");
            assert!(!String::from_utf8_lossy(&shown.body).contains(PLANTED), "{path}");
        }
        // That is a change, or a refused one, and an entry of the audit file.
        let bytes = std::fs::read(super::super::components::component("fixture-bad-products")).unwrap();
        let swap = http::Request::post(format!("{}/v1/services/products/swap", atoll.admin));
        let swapped = http.send(swap.header("content-type", "application/wasm"), bytes).await;
        assert!(!format!("{swapped:?}").contains(PLANTED));
        let inspected = home
            .command(&["inspect", "--against", "products"])
            .arg(super::super::components::component("fixture-bad-products"))
            .env("SHOP_MODE", mode)
            .output()
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&inspected.stdout).contains(PLANTED), "{inspected:?}");
        let log = atoll.stop().await;
        assert!(log.iter().all(|line| !line.contains(PLANTED)), "the log shows a secret");
        for file in files(&home.folder.path().join(".atoll")) {
            let held = std::fs::read(&file).unwrap();
            let shown = held.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
            assert!(!shown, "{} holds a secret", file.display());
        }
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_stands_in_the_manifest_is_a_finding_that_does_not_show_it() {
    for (secrets, expected) in [
        ("{ stripe = { env = \"SHOP_GONE\" } }", "`secrets` has an entry `stripe`, but SHOP_GONE is not set"),
        (
            "{ stripe = \"sk_live_3f9a0c51b2d4e6\" }",
            "`secrets` has an entry `stripe`, which must not stand in the manifest",
        ),
        ("{ page_size = { file = \"stripe.key\" } }", "`config` and `secrets` have the same entry `page_size`"),
    ] {
        let home = Home::new(&manifest(secrets));
        std::fs::write(home.folder.path().join("stripe.key"), PLANTED).unwrap();
        let output = home.output(&["check"]).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(expected), "{errors}");
        assert!(!errors.contains(PLANTED) && !errors.contains("sk_live"), "{errors}");
    }
}
