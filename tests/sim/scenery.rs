//! The services of one seed: how many, where, and with which policies.

use super::dice::Dice;
use host::balance::{self, Ejection, Policy};
use host::breaker::{self, OpenTime, Probes, Trip, WindowedTrip};
use host::mesh::{BulkheadSettings, TrafficSettings};
use host::retry;
use std::time::Duration;

pub fn traffic(dice: &mut Dice) -> TrafficSettings {
    let ejection = Ejection {
        most: dice.of(&[0, 0, 34, 50, 80]),
        least_calls: dice.between(5..=25) as u32,
        margin: dice.between(10..=40) as u8,
        pause: dice.millis(300..=2_000),
    };
    TrafficSettings {
        timeout: dice.millis(20..=900),
        total: dice.millis(50..=2_500),
        bulkhead: BulkheadSettings {
            concurrency: dice.of(&[1, 2, 4, 8, 64]),
            waiting: dice.of(&[0, 1, 4, 32]),
            wait: dice.millis(1..=150),
        },
        balance: balance::Settings {
            policy: dice.of(&Policy::ALL),
            slow_start: dice.of(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)]),
            ejection,
        },
        retry: retry::Settings {
            tries: dice.between(0..=3) as u32,
            backoff: dice.millis(1..=40),
            backoff_most: dice.millis(10..=250),
            budget: dice.of(&[0, 5, 20, 50, 100]),
            budget_floor: dice.of(&[0, 0, 1, 10]),
            body: dice.of(&[0, 8, 65_536]),
        },
    }
}

pub fn breaker(dice: &mut Dice, timeout: Duration) -> breaker::Settings {
    let lease = timeout + Duration::from_secs(dice.of(&[0, 1]));
    if dice.percent(35) {
        return breaker::Settings::simple(dice.between(1..=5) as u32, dice.millis(50..=2_000), lease);
    }
    let full = WindowedTrip {
        in_a_row: dice.between(1..=6) as u32,
        window: dice.millis(500..=10_000),
        least_calls: dice.between(3..=25) as u32,
        ratio: dice.between(20..=80) as u8,
        slow_call: dice.percent(40).then(|| dice.millis(10..=200)),
        slow_ratio: dice.between(30..=90) as u8,
    };
    let least = dice.millis(50..=1_000);
    let open = OpenTime { least, most: least * dice.between(1..=4) as u32, jitter: dice.of(&[0, 50]) };
    let probes = Probes { at_a_time: dice.between(1..=3) as u32, successes: dice.between(1..=3) as u32, lease };
    breaker::Settings { trip: Trip::Full(full), open, probes }
}
