#!/usr/bin/env bash
# prometheus-client 0.25.2: the bucket that ends a histogram of one's own is written as a number, not as `+Inf`.
#
# Behaviour: the crate's own `Histogram` marks its last bucket with the bound `f64::MAX`, and that is written as `+Inf`
# only since the encoder of that type says so. A metric type of one's own that hands the same buckets to
# `encode_histogram` gets `le="1.7976931348623157e308"`: OpenMetrics demands a bucket `+Inf`, so a strict parser refuses
# the whole scrape. With `f64::INFINITY` the line is right.
# One would have guessed: the two ways to write a histogram treat the crate's own mark for the last bucket alike.
# Source: run here; `prometheus_client::encoding::MetricEncoder::encode_histogram`; OpenMetrics 1.0, "Histogram".
# Atoll: `host/rules/src/telemetry/histogram.rs` ends with an infinite bound.
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
prometheus-client = "=0.25.2"
TOML
cat >src/main.rs <<'RUST'
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::{MetricType, histogram::Histogram};
use prometheus_client::registry::Registry;

/// One observation of 1.0 above the only bound, 0.5, as a metric type of one's own.
#[derive(Debug)]
struct Own(f64);

impl EncodeMetric for Own {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        encoder.encode_histogram::<NoLabelSet>(1.0, 1, &[(0.5, 0), (self.0, 1)], None)
    }
    fn metric_type(&self) -> MetricType { MetricType::Histogram }
}

fn last_bucket(name: &str, registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text.lines().filter(|line| line.starts_with(name) && line.contains("_bucket")).last().unwrap().to_owned()
}

fn main() {
    let mut registry = Registry::default();
    let crates = Histogram::new([0.5]);
    crates.observe(1.0);
    registry.register("crates", "h", crates);
    registry.register("most", "h", Own(f64::MAX));
    registry.register("infinite", "h", Own(f64::INFINITY));
    let lines = ["crates", "most", "infinite"].map(|name| last_bucket(name, &registry));
    lines.iter().for_each(|line| println!("{line}"));
    let ends = lines.map(|line| line.contains("+Inf"));
    assert_eq!(ends, [true, false, true], "the behaviour has changed");
}
RUST
cargo run --quiet
