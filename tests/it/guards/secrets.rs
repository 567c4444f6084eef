//! The secrets of services: a component reads them, and nobody else sees them.

use super::super::atoll::{Home, Http};
use super::super::components::workspace;

const PLANTED: &str = "sk_live_3f9a0c51b2d4e6";

fn manifest(secrets: &str) -> String {
    let wit = workspace().join("wit/products");
    format!(
        r#"
[service.products]
component = "{{component:fixture-bad-products}}"
wit = "{}"
config = {{ page_size = "50" }}
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
        for path in ["/metrics", "/v1/services", "/v1/services/products", "/v1/routes", "/v1/limits"] {
            let shown = http.get(&format!("{}{path}", atoll.admin)).await;
            assert!(!String::from_utf8_lossy(&shown.body).contains(PLANTED), "{path}");
        }
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
