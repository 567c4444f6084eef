//! The recipes of `docs/edge.md` about TLS: each manifest there is right, and serves.

use super::super::atoll::Home;
use super::{Authority, TlsHome};

#[tokio::test]
async fn each_recipe_about_tls_serves() {
    let page = include_str!("../../../docs/edge.md");
    let (_, tls) = page.split_once("\n## TLS\n").expect("the page has the section");
    let section = tls.split("\n## ").next().unwrap();
    let recipes: Vec<_> = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(recipes.len(), 8, "a recipe without a test");
    for recipe in recipes {
        let home = TlsHome { home: Home::new(recipe), authority: Authority::new("servers") };
        for (name, host) in [("shop", "shop.example"), ("wild", "*.shop.example"), ("admin", "localhost")] {
            home.authority.sign(&[host]).write(home.folder(), name);
        }
        home.authority.write(&home.folder().join("clients.pem"));
        std::fs::write(home.folder().join("clients.crl"), home.authority.revocation_list(&[], 1)).unwrap();
        let check = home.home.output(&["check"]).await;
        assert!(check.status.success(), "{recipe}\n{}", String::from_utf8_lossy(&check.stderr));
        if recipe.contains("acme =") {
            // It would ask the authority; `acme.rs` has one of its own.
            continue;
        }
        let atoll = home.home.start().await;
        assert_eq!(atoll.secure.is_empty(), !recipe.contains("[gateway.tls]"), "{recipe}");
        assert_eq!(atoll.admin.starts_with("https://"), recipe.contains("[admin.tls]"), "{recipe}");
        atoll.stop().await;
    }
}
