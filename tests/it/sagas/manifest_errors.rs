//! What a manifest can get wrong about sagas is an error with its line and column.

use super::super::atoll::Home;
use super::SERVICES;

/// The steps of a saga, what `atoll check` says, and the column at which it points in the line of the steps.
const CASES: [(&str, &str, u32); 12] = [
    (r#"{ name = "a", call = "products/reserv" }"#, "exports no function `reserv`", 30),
    (r#"{ name = "a", call = "produkts/reserve" }"#, "there is no service `produkts`", 30),
    (r#"{ name = "a", call = "products/release" }"#, "gets no argument for its parameter `key`", 30),
    (r#"{ name = "a", call = "products/release", with = { key = "$input.user" } }"#, "`$input.user`: ", 65),
    (r#"{ name = "a", call = "products/release", with = { key = "$input.name" } }"#, "no field `name`", 65),
    (r#"{ name = "a", call = "products/release", with = { key = "$later.x" } }"#, "there is no step `later`", 65),
    (r#"{ name = "a", call = "products/release", with = { key = 7 } }"#, "`key` cannot be 7", 65),
    (r#"{ name = "a", call = "products/release", with = { key = "k", more = 1 } }"#, "no parameter `more`", 77),
    (r#"{ name = "a", call = "products/release", with = { key = "$saga" } }"#, "`$saga` is no path", 65),
    (r#"{ name = "input", pause = "1s" }"#, "`input` is no name of a step", 18),
    (r#"{ name = "a" }"#, "a step has one of `call`, `pause` and `wait`", 9),
    (r#"{ name = "a", pause = "1s", with = {} }"#, "`with` has no effect without `call`", 9),
];

#[tokio::test]
async fn each_mistake_is_told_with_its_line_and_column() {
    for (step, message, column) in CASES {
        let saga = "[saga.checkout]\ninput = \"shop:checkout/checkout#checkout\"\n";
        let kept = r#"{ name = "z", call = "checkout/cancel", with = { key = "$saga.key" } }"#;
        let home = Home::new(&format!("{SERVICES}{saga}step = [{step}, {kept}]\n"));
        home.link_cache();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{step}: {complaint}");
        assert!(complaint.contains(message), "{message}:\n{complaint}");
        let line = SERVICES.lines().count() + 3;
        assert!(complaint.contains(&format!(":{line}:{column}")), "{step}: {line}:{column} in {complaint}");
    }
}

#[tokio::test]
async fn one_mistake_is_told_once_and_not_what_follows_from_it() {
    let reserve = r#"undo = "products/release", with = { key = "$saga.key", lines = "$input.lines" } }"#;
    for (steps, message) in [
        (
            format!(
                r#"{{ name = "a", call = "products/reserv", {reserve},
                {{ name = "b", call = "checkout/quote", with = {{ lines = "$a" }} }}"#
            ),
            "exports no function `reserv`",
        ),
        (
            r#"{ name = "a", call = "products/release", with = { kei = "$saga.key" } }"#.to_owned(),
            "has no parameter `kei`",
        ),
        (
            r#"{ name = "a", call = "products/reserve", undo = "products/release",
                with = { key = "$input.user", lines = "$input.lines" } }"#
                .to_owned(),
            "`$input.user`: ",
        ),
    ] {
        let saga = "[saga.checkout]\ninput = \"shop:checkout/checkout#checkout\"\n";
        // The last step has the type of the input.
        let kept = r#"{ name = "z", call = "checkout/cancel", with = { key = "$saga.key" } }"#;
        let home = Home::new(&format!("{SERVICES}{saga}step = [{}, {kept}]\n", steps.replace('\n', " ")));
        home.link_cache();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains(message), "{message}:\n{complaint}");
        let place = format!(":{}:", SERVICES.lines().count() + 3);
        assert_eq!(complaint.matches(&place).count(), 1, "{steps}:\n{complaint}");
    }
}
