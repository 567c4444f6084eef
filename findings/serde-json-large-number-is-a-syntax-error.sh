#!/usr/bin/env bash
# serde_json 1: a number beyond the range of a double is reported as a fault of the JSON text's syntax.
#
# Behaviour: `1e400` is a number by the grammar of RFC 8259. Read into a `Value` or an `f64`, it gives an error whose
# category is `Syntax`, as for `1e` or `{`, and not `Data`, as for a number that does not fit a `u8`. Where the value is
# ignored, the same text is accepted.
# One would have guessed: `Data`, or infinity; RFC 8259, section 6, leaves the range to the reader. An edge that answers
# 400 for bad JSON and 422 for a value out of range gives the wrong one of the two, without a pointer to the member.
# With the feature `arbitrary_precision` the number is read, as a text.
# Source: run here; `serde_json/src/error.rs` (`ErrorCode::NumberOutOfRange` is classified as `Syntax`).
# Atoll: decides from the number's text; `docs/json-mapping.md`, test `a_number_beyond_a_double_…`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
serde = "=1.0.229"
serde_json = "=1.0.154"
TOML
cat >src/main.rs <<'RUST'
use serde::de::IgnoredAny;
use serde_json::{Value, error::Category, from_str};

fn main() {
    let number = "1e400";
    let seen = [
        ("Value", from_str::<Value>(number).map(drop)),
        ("f64", from_str::<f64>(number).map(drop)),
        ("u8 from 300, to compare", from_str::<u8>("300").map(drop)),
        ("ignored", from_str::<IgnoredAny>(number).map(drop)),
    ];
    for (into, result) in &seen {
        println!("{into}: {:?}", result.as_ref().map_err(|error| (error.classify(), error.to_string())));
    }
    let class = |at: usize| seen[at].1.as_ref().err().map(|error| error.classify());
    assert_eq!([class(0), class(1), class(2)], [Some(Category::Syntax), Some(Category::Syntax), Some(Category::Data)]);
    assert!(seen[3].1.is_ok());
}
RUST
cargo run --quiet
