//! The recipes of `docs/edge.md` about answers pass `atoll check`.

use crate::it::atoll::Home;
use crate::it::components::workspace;
use std::fs;

#[tokio::test]
async fn each_recipe_about_answers_passes_the_check() {
    let text = fs::read_to_string(workspace().join("docs/edge.md")).unwrap();
    let section = text.split("\n## Answers and requests that a route changes\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let recipes: Vec<_> = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(recipes.len() >= 3, "{} recipes", recipes.len());
    for recipe in recipes {
        let services = ["orders", "orders-next"].map(|name| {
            if recipe.contains(&format!("[service.{name}]")) {
                String::new()
            } else {
                format!("[service.{name}]\nurls = [\"http://127.0.0.1:5001\"]\n")
            }
        });
        let home = Home::new(&format!("{recipe}\n{}", services.concat()));
        fs::create_dir(home.folder.path().join("public")).unwrap();
        fs::write(home.folder.path().join("public/index.html"), "").unwrap();
        let output = home.output(&["check", "atoll.toml"]).await;
        assert!(output.status.success(), "{recipe}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
