//! The recipes of `docs/edge.md` about callers pass `atoll check`, and the tests that its tables name are there.

use super::issuer::{EcKey, jwks};
use crate::it::atoll::Home;
use crate::it::components::workspace;
use crate::it::tls::pem;
use std::fs;
use std::path::{Path, PathBuf};

#[tokio::test]
async fn each_recipe_about_callers_passes_the_check() {
    let text = fs::read_to_string(workspace().join("docs/edge.md")).unwrap();
    let section = text.split("\n## Who calls\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let recipes: Vec<_> = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(recipes.len() >= 5, "{} recipes", recipes.len());
    let made = rcgen::generate_simple_self_signed(vec!["id.internal".into()]).unwrap();
    for recipe in recipes {
        let service = "[service.orders]\nurls = [\"http://127.0.0.1:5001\"]\n";
        let home = Home::new(&format!("{recipe}\n{service}"));
        for (name, text) in [
            ("jwks.json", jwks(&[EcKey::new("k1").jwk()])),
            ("internal-ca.pem", pem("CERTIFICATE", made.cert.der())),
            ("clients.pem", pem("CERTIFICATE", made.cert.der())),
            ("shop.pem", pem("CERTIFICATE", made.cert.der())),
            ("shop.key", pem("PRIVATE KEY", &made.signing_key.serialize_der())),
            ("introspection.secret", "hush".to_owned()),
        ] {
            fs::write(home.folder.path().join(name), text).unwrap();
        }
        let mut check = home.command(&["check"]);
        let output = check.env("SHOP_JWT_SECRET", "0123456789abcdef0123456789abcdef").output().await.unwrap();
        assert!(output.status.success(), "{recipe}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn each_test_that_the_tables_of_risks_name_is_there() {
    let text = fs::read_to_string(workspace().join("docs/edge.md")).unwrap();
    let tables = text.split("\n## Risks").nth(1).unwrap();
    let named: Vec<_> = tables.split('`').filter(|word| word.matches('_').count() > 3 && !word.contains('/')).collect();
    assert!(named.len() >= 20, "{named:?}");
    let sources = ["host/src", "host/rules/src", "tests/it"].map(|folder| sources(&workspace().join(folder))).concat();
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test is called {name}");
    }
}

/// The text of all Rust files in a folder.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap(),
        _ => String::new(),
    };
    entries.map(text).collect()
}
