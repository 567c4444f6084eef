//! A swap that would break a saga is refused, with the step and the type.

use super::super::atoll::Home;
use super::super::components::component;
use super::{SERVICES, Shop};

const SAGA: &str = r#"
[saga.hold]

[[saga.hold.step]]
name = "reserve"
call = "products/reserve"
with = { key = "$saga.key", lines = [{ product = "1", quantity = 1 }] }
undo = "products/release"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_changes_a_function_of_a_step_is_refused_by_name() {
    let home = Home::new(&format!("{SERVICES}{SAGA}"));
    let host = home.start().await;
    let shop = Shop::of(&host);
    let file = component("fixture-products-changed");
    let output = home.output(&["swap", "products", &file.display().to_string(), "--admin", &shop.admin]).await;
    let told = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("step `reserve` of saga `hold`"), "{told}");
    host.stop().await;
}
