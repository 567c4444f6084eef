//! Micro-benchmarks of the hot path of a call, with criterion: `cargo bench -p bench --bench micro [-- FILTER]`.
//!
//! Each benchmark takes nanoseconds. It shows the effect of a change, and whether a cost grows with its input as it
//! should. `./just bench` measures what a whole request costs.

mod balance;
mod breaker;
mod bulkhead;
mod engine_fixture;
mod exposition;
mod json;
mod lease;
mod registry;
mod route;
mod typed_call;

use criterion::Criterion;
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    route::bench(&mut criterion);
    registry::bench(&mut criterion);
    balance::bench(&mut criterion);
    breaker::bench(&mut criterion);
    bulkhead::bench(&mut criterion);
    json::bench(&mut criterion);
    lease::bench(&mut criterion);
    typed_call::bench(&mut criterion);
    exposition::bench(&mut criterion);
    criterion.final_summary();
}
