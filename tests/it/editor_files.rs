//! `atoll schema`, `completions`, `man` and `doctor`, through the binary.

use super::atoll::Home;
use serde_json::Value;
use std::fs;

async fn printed(home: &Home, arguments: &[&str]) -> String {
    let output = home.output(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn editors_and_shells_get_their_files() {
    let home = Home::new("");
    let schema: Value = serde_json::from_str(&printed(&home, &["schema"]).await).unwrap();
    let services = &schema["properties"]["service"]["additionalProperties"]["properties"];
    assert_eq!(services["state"]["type"], "boolean", "{services}");
    assert_eq!(schema["properties"]["route"]["type"], "array");
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef atoll"), ("fish", "complete -c atoll")] {
        let script = printed(&home, &["completions", shell]).await;
        assert!(script.contains(part) && script.contains("rollback"), "{shell}: {script}");
    }
    printed(&home, &["man", "pages"]).await;
    let page = |name: &str| fs::read_to_string(home.folder.path().join("pages").join(name)).unwrap();
    assert!(page("atoll.1").contains("microservices platform"));
    assert!(page("atoll-swap.1").contains("canary"));
}

#[tokio::test]
async fn the_doctor_names_what_is_missing_and_how_to_mend_it() {
    let manifest = "[service.hello]\ncomponent = \"{component:fixture-hello}\"\n";
    let home = Home::new(manifest);
    home.link_cache();
    let well = printed(&home, &["doctor"]).await;
    assert!(well.contains("atoll.toml: right, 1 service") && well.contains("cargo"), "{well}");

    home.write("[service.shop]\ncomponent = \"shop/shop.wasm\"\nbuild = \"npm run component\"\n");
    let without_tools = home.command(&["doctor"]).env("PATH", "/nowhere").output().await.unwrap();
    assert_eq!(without_tools.status.code(), Some(1), "{without_tools:?}");
    let text = String::from_utf8_lossy(&without_tools.stdout).into_owned();
    assert!(text.contains("WRONG  npm: missing, and `build` of shop needs it"), "{text}");
    // What is only not built yet is not wrong.
    let unbuilt = "note   atoll.toml: not built yet: shop\n       help: `atoll build shop` makes what is missing\n";
    assert!(text.contains("note   cargo: missing") && text.contains(unbuilt), "{text}");
    home.write("[service.shop]\ncomponent = \"shop/shop.wasm\"\nbuild = \"true\"\n");
    let looked = async |home: &Home| {
        let output = home.command(&["doctor"]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = looked(&home).await;
    assert!(text.contains(unbuilt) && !text.contains("WRONG  atoll.toml"), "{text}");
    // What is wrong beside it is.
    let pair = "{ cert = \"no.pem\", key = \"no.key\" }";
    let tls = format!("[gateway.tls]\nlisten = \"127.0.0.1:0\"\ncertificates = [{pair}]\n");
    home.write(&format!("[service.shop]\ncomponent = \"shop/shop.wasm\"\nbuild = \"true\"\n{tls}"));
    let text = looked(&home).await;
    assert!(text.contains("WRONG  atoll.toml: is wrong") && !text.contains("not built yet"), "{text}");
    home.write("[service.shop]\ncomponent = \"shop/shop.wasm\"\n");
    let wrong = home.command(&["doctor"]).output().await.unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("WRONG  atoll.toml: is wrong"), "{wrong:?}");
}
