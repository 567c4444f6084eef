//! The recipes of `docs/edge.md` about callers: each manifest passes `atoll check`, and the commands work.

use crate::it::atoll::Home;
use crate::it::components::workspace;
use std::fs;

#[tokio::test]
async fn each_recipe_about_callers_passes_the_check() {
    let text = fs::read_to_string(workspace().join("docs/edge.md")).unwrap();
    let section = text.split("\n## Who calls\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let recipes: Vec<_> = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(recipes.len() >= 5, "{} recipes", recipes.len());
    for recipe in recipes {
        let service = "[service.orders]\nurls = [\"http://127.0.0.1:5001\"]\n";
        let home = Home::new(&format!("{recipe}\n{service}"));
        fs::write(home.folder.path().join("jwks.json"), r#"{"keys":[]}"#).unwrap();
        fs::write(home.folder.path().join("internal-ca.pem"), "").unwrap();
        fs::write(home.folder.path().join("introspection.secret"), "hush").unwrap();
        let mut check = home.command(&["check"]);
        let output = check.env("SHOP_JWT_SECRET", "0123456789abcdef0123456789abcdef").output().await.unwrap();
        assert!(output.status.success(), "{recipe}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
