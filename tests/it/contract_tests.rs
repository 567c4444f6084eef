//! `atoll test`: planted faults are found and made small; examples, fakes and faults of the shop.

use super::atoll::Home;
use super::components::shop_manifest;
use std::fs;
use std::process::Output;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A contract with a good function and two bad ones, and examples in its docs.
const WIT: &str = r#"
package test:planted@1.0.0;

interface planted {
  enum color { red, green }

  /// Half of a number.
  ///
  /// Example: {"n": 10} => 5
  half: func(n: u8) -> u8;

  /// Traps from 200 on.
  trapping: func(n: u8) -> u8;

  /// Above 100 its answer is no color.
  ///
  /// Example: {"n": 1} => "red"
  paint: func(n: u8) -> color;
}

world service {
  export planted;
  /// What a toolchain leaves behind. It traps, and is nobody's contract.
  export init: func(n: u8) -> u8;
}
"#;

const MODULE: &str = r#"
(module
  (func (export "init") (param i32) (result i32) unreachable)
  (func (export "test:planted/planted@1.0.0#half") (param i32) (result i32)
    (i32.shr_u (local.get 0) (i32.const 1)))
  (func (export "test:planted/planted@1.0.0#trapping") (param i32) (result i32)
    (if (i32.ge_u (local.get 0) (i32.const 200)) (then unreachable))
    (local.get 0))
  (func (export "test:planted/planted@1.0.0#paint") (param i32) (result i32)
    (select (i32.const 7) (i32.const 1) (i32.gt_u (local.get 0) (i32.const 100)))))
"#;

fn planted(module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("planted.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// The service `planted`, and `consumer`, which expects something of it.
fn home(module: &str, expectation: &str) -> Home {
    let manifest = "[service.planted]\ncomponent = \"planted.wasm\"\nwit = \"wit\"\n\
                    [service.consumer]\ncomponent = \"planted.wasm\"\ntests = \"expectations\"\n";
    let home = Home::new(manifest);
    let folder = home.folder.path();
    fs::write(folder.join("planted.wasm"), planted(module)).unwrap();
    for name in ["wit", "expectations"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("wit/planted.wit"), WIT).unwrap();
    fs::write(folder.join("expectations/planted.toml"), expectation).unwrap();
    home.link_cache();
    home
}

fn lines(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// Issue 21, must show 3: a trap on one input, an answer outside of the type, a broken expectation of a consumer.
#[tokio::test]
async fn planted_faults_are_found_and_made_small() {
    let broken = "[[example]]\nname = \"half of ten\"\ncall = \"planted/half\"\narguments = { n = 10 }\nanswer = 6\n";
    let home = home(MODULE, broken);
    let tested = home.output(&["test", "planted", "--seed", "1", "--junit", "report.xml"]).await;
    assert_eq!(tested.status.code(), Some(1));
    let said = lines(&tested);
    for part in [
        "ok      planted: half with 100 made-up inputs",
        "ok      planted: example 1 in the docs of half",
        "FAILED  planted: trapping with 100 made-up inputs",
        "arguments: {\"n\":200}",
        "FAILED  planted: paint with 100 made-up inputs",
        "arguments: {\"n\":101}",
        "FAILED  planted: example 1 in the docs of paint",
        "should be \"red\", and is \"green\"",
        "FAILED  planted: consumer expects: half of ten",
        "should be 6, and is 5",
        "4 of 6 cases failed, with --seed 1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let report = fs::read_to_string(home.folder.path().join("report.xml")).unwrap();
    assert!(report.contains("<testsuite name=\"planted\" tests=\"6\" failures=\"4\">"), "{report}");
    assert_eq!(lines(&home.output(&["test", "planted", "--seed", "1"]).await), said, "a seed repeats all of it");
}

#[tokio::test]
async fn a_component_is_tested_before_it_is_deployed() {
    let good = "[[example]]\ncall = \"planted/half\"\narguments = { n = 10 }\nanswer = 5\n";
    let home = home(MODULE, good);
    let mended = MODULE.replace("i32.const 200", "i32.const 256").replace("i32.const 7", "i32.const 0");
    let mended = mended.replace("i32.const 1) (i32.gt_u", "i32.const 0) (i32.gt_u");
    fs::write(home.folder.path().join("mended.wasm"), planted(&mended)).unwrap();
    let tested = home.output(&["test", "planted", "--component", "mended.wasm"]).await;
    assert!(tested.status.success(), "{}", lines(&tested));
    let wrong = home.output(&["test", "--component", "mended.wasm"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{}", lines(&wrong));
    fs::write(home.folder.path().join("expectations/planted.toml"), "[[example]]\ncal = 1\n").unwrap();
    let unreadable = lines(&home.output(&["test"]).await);
    assert!(unreadable.contains("planted.toml") && unreadable.contains("line 2"), "{unreadable}");
}

/// What orders does while users does not answer, and with neighbours of one line each.
const ORDERS: &str = r#"
[[example]]
name = "without users nothing is ordered"
call = "orders/place"
arguments = { key = "a-key-of-an-order-1", order = { user = 1, lines = [{ product = 1, quantity = 2 }] } }
error = { unavailable = "users: service `users` did not answer: connect" }
fault = ["users"]

[[example]]
name = "an order has the price of its product"
call = "orders/place"
arguments = { key = "a-key-of-an-order-2", order = { user = 1, lines = [{ product = 5, quantity = 2 }] } }
answer = { user = 1, total = { amount = 20, currency = "EUR" } }
[example.fake]
"users/get" = { ok = { id = 1, name = "Ada", email = "ada@example.org" } }
"products/reserve".ok = [
    { product = 5, quantity = 2, sku = "A-1", name = "Tea", price = { amount = 10, currency = "EUR" }, stock = 3 },
]

[[example]]
name = "there is no such user"
call = "users/get"
arguments = { id = 7 }
error = "not_found"
"#;

#[tokio::test]
async fn the_shop_keeps_its_contracts_with_faults_and_fakes() {
    let manifest = shop_manifest().replace("[service.orders]", "[service.orders]\ntests = \"tests\"");
    let home = Home::new(&manifest);
    fs::create_dir(home.folder.path().join("tests")).unwrap();
    fs::write(home.folder.path().join("tests/orders.toml"), ORDERS).unwrap();
    home.link_cache();
    let tested = home.output(&["test", "--inputs", "20", "--seed", "7"]).await;
    assert!(tested.status.success(), "{}", lines(&tested));
    let said = lines(&tested);
    assert!(said.contains("ok      users: orders expects: there is no such user"), "{said}");
    assert!(said.contains("ok      orders: an order has the price of its product"), "{said}");
    assert!(said.contains("ok      orders: place with 20 made-up inputs"), "{said}");
    // Nothing of it is left in the manifest's own state.
    assert!(!home.folder.path().join(".atoll/state.redb").exists());
}
