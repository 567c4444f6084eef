//! The nouns on a call's way, one by one, by criterion: `cargo bench -p bench --bench nouns [-- FILTER]`.
//!
//! A noun costs nanoseconds, so these show what a change to it does and whether its cost grows as it should; what a request costs as a whole,
//! `./just bench` measures.

mod balance;
mod breaker;
mod bulkhead;
mod house;
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
    criterion.final_summary();
}
