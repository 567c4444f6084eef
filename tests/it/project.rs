//! `atoll new`, `atoll build` and `atoll dev` through the binary. The builds here copy components that exist: what the
//! tools of each language do is not the host's.

use super::atoll::{Home, Http, TIMEOUT, eventually};
use super::components::{component, workspace};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

/// A service whose build copies the component that `source` names.
const MANIFEST: &str = r#"
[service.hello]
component = "hello/hello.wasm"
build = "cp \"$(cat source)\" hello.wasm"
watch = ["source"]

[[route]]
prefix = "/"
service = "hello"

[gateway]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"
"#;

fn home(source: &Path) -> Home {
    let home = Home::new(MANIFEST);
    let folder = home.manifest().parent().unwrap().join("hello");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("source"), source.to_str().unwrap()).unwrap();
    home.link_cache();
    home
}

#[tokio::test]
async fn a_new_service_has_its_files_and_prints_its_sections() {
    let home = Home::new("");
    let made = home.output(&["new", "order-mailer", "--lang", "js"]).await;
    assert!(made.status.success(), "{made:?}");
    let sections = String::from_utf8(made.stdout).unwrap();
    assert!(sections.contains("[service.order-mailer]") && sections.contains("build = "), "{sections}");
    let folder = home.manifest().parent().unwrap().join("order-mailer");
    for file in ["wit/order-mailer.wit", "src/service.js", "package.json", "README.md", ".editorconfig"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let again = home.output(&["new", "order-mailer"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("order-mailer exists"), "{again:?}");
}

#[tokio::test]
async fn a_new_service_that_speaks_http_has_a_route_of_its_own_and_the_view_that_its_tool_takes() {
    let home = Home::new("");
    let made = home.output(&["new", "face", "--http", "--lang", "python"]).await;
    assert!(made.status.success(), "{made:?}");
    let sections = String::from_utf8(made.stdout).unwrap();
    assert!(sections.contains("strip_prefix = \"/face\"") && !sections.contains("wit ="), "{sections}");
    let folder = home.manifest().parent().unwrap().join("face");
    let view = ["wit", "view", "--tool", "componentize-py", "--wit", "face/wit", "--out", "face/target/wit"];
    let output = home.output(&view).await;
    assert!(output.status.success(), "{output:?}");
    let world = fs::read_to_string(folder.join("target/wit/world.wit")).unwrap();
    assert!(world.contains("export wasi:http/handler@0.3.2;"), "{world}");
    assert!(folder.join("target/wit/deps/wasi-http-0.3.2.wit").is_file(), "the host knows what it offers");

    // What a view no longer has is removed; what somebody else wrote stays.
    fs::write(folder.join("target/wit/deps/mine.wit"), "package a:mine;").unwrap();
    fs::write(folder.join("wit/face.wit"), "package example:face@0.1.0; world service { }").unwrap();
    assert!(home.output(&view).await.status.success());
    assert!(!folder.join("target/wit/deps/wasi-http-0.3.2.wit").exists());
    assert!(folder.join("target/wit/deps/mine.wit").exists());
}

#[tokio::test]
async fn a_new_service_that_speaks_http_in_c_implements_what_the_bindings_declare() {
    let home = Home::new("");
    let made = home.output(&["new", "face", "--http", "--lang", "c"]).await;
    assert!(made.status.success(), "{made:?}");
    let bound = home.output(&["wit", "bindings", "--lang", "c", "--wit", "face/wit", "--out", "out"]).await;
    assert!(bound.status.success(), "the host knows what it offers: {bound:?}");
    let folder = home.manifest().parent().unwrap().to_owned();
    for file in ["out/service.h", "face/service.c"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains("void exports_wasi_http_incoming_handler_handle("), "{file}: {text}");
    }
}

#[tokio::test]
async fn a_new_service_implements_a_contract_that_is_there() {
    let home = Home::new("");
    let contract = workspace().join("wit/products");
    let contract = contract.to_str().unwrap();
    let folder = home.manifest().parent().unwrap().to_owned();
    let unwritten = "`reserve-one` is not written yet";
    for (language, code, parts) in [
        ("ts", "src/service.ts", ["async reserveOne(id: Products.ProductId,", unwritten]),
        ("python", "service.py", ["async def reserve_one(self, id: int, key: str, reservation:", unwritten]),
        ("c", "service.c", ["bool exports_shop_products_products_reserve_one(", unwritten]),
        ("zig", "service.zig", ["export fn exports_shop_products_products_reserve_one(", unwritten]),
        ("go", "export_shop_products_products/service.go", ["func ReserveOne(id contract.ProductId,", unwritten]),
        ("rust", "src/lib.rs", ["async fn reserve_one(_id: products::ProductId,", "products::Error::Unavailable("]),
        ("js", "src/service.js", ["async reserveOne(id, key, reservation) {", "a 64-bit integer is\n// a BigInt"]),
    ] {
        // `go` and `rust` alone could be words of a language.
        let name = format!("stock-{language}");
        let made = home.output(&["new", &name, "--lang", language, "--contract", contract]).await;
        assert!(made.status.success(), "{made:?}");
        let sections = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(sections.contains(&format!("wit = \"{name}/wit\"")) && !sections.contains("route"), "{sections}");
        let text = fs::read_to_string(folder.join(&name).join(code)).unwrap();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        let copied = fs::read_to_string(folder.join(&name).join("wit/deps/shop-products-1.0.0.wit")).unwrap();
        assert!(copied.contains("reserve: async func(") && copied.contains("/// Takes the pieces"), "{copied}");
    }
    // A view in the folder of its own source would take its place.
    let view = ["wit", "view", "--tool", "componentize-js", "--wit", "stock-rust/wit", "--out", "stock-rust/wit"];
    let in_place = home.output(&view).await;
    let said = String::from_utf8_lossy(&in_place.stderr).into_owned();
    assert!(!in_place.status.success() && said.contains("is no view: name a folder"), "{said}");
    let keyword = home.output(&["new", "list", "--contract", contract]).await;
    let said = String::from_utf8_lossy(&keyword.stderr).into_owned();
    assert!(said.contains("`list` is a word of WIT") && !said.contains(contract), "{said}");
    let both = home.output(&["new", "other", "--http", "--contract", contract]).await;
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}

#[tokio::test]
async fn bindings_and_a_component_are_made_of_the_contract_of_a_new_service() {
    let home = Home::new("");
    assert!(home.output(&["new", "order-mailer", "--lang", "c"]).await.status.success());
    let folder = home.manifest().parent().unwrap().to_owned();
    let (wit, out) = ("order-mailer/wit", "order-mailer/target/bindings");
    let bind = ["wit", "bindings", "--lang", "c", "--wit", wit, "--out", out];
    let bound = home.output(&bind).await;
    assert!(bound.status.success(), "{bound:?}");
    // What the template's code implements is what the bindings declare.
    let header = fs::read_to_string(folder.join(out).join("service.h")).unwrap();
    let code = fs::read_to_string(folder.join("order-mailer/service.c")).unwrap();
    for text in [&header, &code] {
        assert!(text.contains("bool exports_example_order_mailer_order_mailer_greet("), "{text}");
    }
    let again = home.output(&bind).await;
    assert!(again.status.success() && again.stderr.is_empty(), "nothing is written again: {again:?}");

    // The service's own code has the name of a file of the bindings.
    let over = ["wit", "bindings", "--lang", "c", "--wit", wit, "--out", "order-mailer"];
    let refused = home.output(&over).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("service.c is no file of bindings"), "{refused:?}");
    assert_eq!(fs::read_to_string(folder.join("order-mailer/service.c")).unwrap(), code);

    // A module that has no such function, and a component, are refused with the reason.
    fs::write(folder.join("empty.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let hello = component("fixture-hello");
    for (module, part) in [("empty.wasm", "function `greet`"), (hello.to_str().unwrap(), "is a component already")] {
        let refused = home.output(&["wit", "component", module, "--wit", wit, "-o", "x.wasm"]).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(part), "{refused:?}");
    }
}

#[tokio::test]
async fn a_component_may_be_built_beside_its_manifest() {
    let made = component("fixture-hello");
    let made = made.to_str().unwrap();
    let home = Home::new(&format!("[service.hello]\ncomponent = \"hello.wasm\"\nbuild = \"cp '{made}' hello.wasm\"\n"));
    let built = home.output(&["build"]).await;
    assert!(built.status.success(), "{built:?}");
    assert!(home.manifest().with_file_name("hello.wasm").exists());
}

#[tokio::test]
async fn a_build_makes_what_is_missing_and_leaves_what_is_up_to_date() {
    let home = home(&component("fixture-hello"));
    let refused = home.output(&["check"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`atoll build hello` makes it"), "{refused:?}");
    // The verb without a manifest takes that of its own folder.
    let other = home.manifest().with_file_name("other.toml");
    std::fs::copy(home.manifest(), &other).unwrap();
    let refused = home.output(&["check", "other.toml"]).await;
    let named = "`atoll build hello --manifest other.toml` makes it";
    assert!(String::from_utf8_lossy(&refused.stderr).contains(named), "{refused:?}");
    let built = home.output(&["build"]).await;
    assert!(built.status.success() && String::from_utf8_lossy(&built.stderr).contains("hello: built in"), "{built:?}");
    assert!(home.output(&["check"]).await.status.success());
    let again = home.output(&["build", "hello"]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("hello: up to date"), "{again:?}");
    let blank = home.manifest().with_file_name("my shop.toml");
    let text = fs::read_to_string(home.manifest()).unwrap();
    fs::write(&blank, text.replace("hello/hello.wasm", "hello/other.wasm")).unwrap();
    let refused = home.output(&["check", "my shop.toml"]).await;
    let quoted = "`atoll build hello --manifest 'my shop.toml'` makes it";
    assert!(String::from_utf8_lossy(&refused.stderr).contains(quoted), "{refused:?}");
    // A tool that is missing is named, with the line that installs it.
    let text = fs::read_to_string(home.manifest()).unwrap();
    fs::write(home.manifest(), text.replace("build = \"", "build = \"npm --version && ")).unwrap();
    let failed = home.command(&["build", "--all"]).env("PATH", "/nowhere").output().await.unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains("hello: building\n") && said.contains("help: npm is missing: install Node.js"), "{said}");
    let unknown = home.output(&["build", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn a_change_is_built_and_swapped_in_and_a_failed_build_changes_nothing() {
    let home = home(&component("fixture-hello"));
    let source = home.manifest().parent().unwrap().join("hello/source");
    let mut command = home.command(&["dev"]);
    let mut dev = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(dev.stderr.take().unwrap()).lines();
    let gateway = loop {
        let line = lines.next_line().await.unwrap().expect("it serves");
        if let Some(address) = line.strip_prefix("gateway listening on ") {
            break address.to_owned();
        }
    };
    let http = Http::default();
    let hello = http.get(&format!("{gateway}/")).await;
    assert_eq!(hello.status, 200);

    fs::write(&source, "/nowhere/at/all.wasm").unwrap();
    let mut told = async |text: &str| {
        while let Some(line) = notes.next_line().await.unwrap() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("`{text}` is never said");
    };
    told("the build of `hello` failed").await;
    assert_eq!(http.get(&format!("{gateway}/")).await.status, 200);

    fs::write(&source, component("fixture-hostile").to_str().unwrap()).unwrap();
    told("serves, swapped in").await;
    let status = eventually("the other component answers", async || {
        Some(http.get(&format!("{gateway}/status/418")).await.status).filter(|status| status.as_u16() == 418)
    });
    assert_eq!(status.await, 418);
    dev.kill().await.unwrap();
}

/// The first build itself changes a source, once it has made the component: that is seen while the host starts, and no
/// other change follows.
#[tokio::test]
async fn what_changes_while_the_host_starts_is_swapped_in_when_it_serves() {
    let home = home(&component("fixture-hello"));
    let next = home.manifest().parent().unwrap().join("hello/next");
    fs::write(&next, component("fixture-hostile").to_str().unwrap()).unwrap();
    let text = fs::read_to_string(home.manifest()).unwrap();
    let build = r#"build = "cp \"$(cat source)\" hello.wasm; if [ -e next ]; then cat next > source; rm next; fi""#;
    let text = text.replace(r#"build = "cp \"$(cat source)\" hello.wasm""#, build);
    assert!(text.contains("cat next > source"), "{text}");
    fs::write(home.manifest(), text).unwrap();
    let mut command = home.command(&["dev"]);
    let mut dev = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(dev.stderr.take().unwrap()).lines();
    let swapped = async {
        while let Some(line) = notes.next_line().await.unwrap() {
            assert!(!line.contains("is not swapped"), "{line}");
            if line.contains("serves, swapped in") {
                return;
            }
        }
        panic!("it is never swapped in");
    };
    timeout(TIMEOUT, swapped).await.unwrap();
    let gateway = loop {
        let line = lines.next_line().await.unwrap().expect("it serves");
        if let Some(address) = line.strip_prefix("gateway listening on ") {
            break address.to_owned();
        }
    };
    let http = Http::default();
    let status = eventually("the other component answers", async || {
        Some(http.get(&format!("{gateway}/status/418")).await.status).filter(|status| status.as_u16() == 418)
    });
    assert_eq!(status.await, 418);
    dev.kill().await.unwrap();
}
