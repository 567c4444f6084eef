//! Random policies for the services of one seed.

use super::rng::SimRng;
use host::balance::{self, Ejection, Policy};
use host::breaker::{self, OpenTime, Probes, Trip, WindowedTrip};
use host::mesh::{BulkheadSettings, TrafficSettings};
use host::retry;
use std::time::Duration;

pub fn traffic(rng: &mut SimRng) -> TrafficSettings {
    let ejection = Ejection {
        most: rng.of(&[0, 0, 34, 50, 80]),
        least_calls: rng.between(5..=25) as u32,
        margin: rng.between(10..=40) as u8,
        pause: rng.millis(300..=2_000),
    };
    TrafficSettings {
        timeout: rng.millis(20..=900),
        total: rng.millis(50..=2_500),
        bulkhead: BulkheadSettings {
            concurrency: rng.of(&[1, 2, 4, 8, 64]),
            waiting: rng.of(&[0, 1, 4, 32]),
            wait: rng.millis(1..=150),
        },
        balance: balance::Settings {
            policy: rng.of(&Policy::ALL),
            slow_start: rng.of(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)]),
            ejection,
        },
        retry: retry::Settings {
            tries: rng.between(0..=3) as u32,
            backoff: rng.millis(1..=40),
            backoff_most: rng.millis(10..=250),
            budget: rng.of(&[0, 5, 20, 50, 100]),
            budget_floor: rng.of(&[0, 0, 1, 10]),
            body: rng.of(&[0, 8, 65_536]),
        },
    }
}

pub fn breaker(rng: &mut SimRng, timeout: Duration) -> breaker::Settings {
    let lease = timeout + Duration::from_secs(rng.of(&[0, 1]));
    if rng.percent(35) {
        return breaker::Settings::simple(rng.between(1..=5) as u32, rng.millis(50..=2_000), lease);
    }
    let full = WindowedTrip {
        in_a_row: rng.between(1..=6) as u32,
        window: rng.millis(500..=10_000),
        least_calls: rng.between(3..=25) as u32,
        ratio: rng.between(20..=80) as u8,
        slow_call: rng.percent(40).then(|| rng.millis(10..=200)),
        slow_ratio: rng.between(30..=90) as u8,
    };
    let least = rng.millis(50..=1_000);
    let open = OpenTime { least, most: least * rng.between(1..=4) as u32, jitter: rng.of(&[0, 50]) };
    let probes = Probes { at_a_time: rng.between(1..=3) as u32, successes: rng.between(1..=3) as u32, lease };
    breaker::Settings { trip: Trip::Full(full), open, probes }
}
