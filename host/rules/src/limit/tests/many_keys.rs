//! Many keys at once: memory stays as it was made, and each gets its rate.

use super::hash;
use crate::limit::token_bucket_table::TokenBucketTable;
use crate::limit::{Limiter, Rate};
use std::time::{Duration, Instant};

/// The `at`th number of a sequence that looks random (SplitMix64).
fn random(at: u64) -> u64 {
    let mut number = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[test]
fn ten_million_clients_take_the_memory_of_the_table_and_refill_nobody() {
    // One in ten thousand of them comes again and again, and must not get more for it.
    let (origin, rate) = (Instant::now(), Rate::new(10, Duration::from_secs(3600), 3).expect("legal"));
    let limiter = Limiter::new(rate, 65_536, origin);
    let bytes = TokenBucketTable::new(65_536).bytes();
    assert_eq!(bytes, 65_536 * 18, "{bytes}");
    let mut regular = [0_u32; 100];
    for (at, admitted) in regular.iter_mut().enumerate() {
        *admitted += u32::from(limiter.admit(hash(at as u64), origin).admitted);
    }
    for client in 100..10_000_000_u64 {
        let _ = limiter.admit(hash(client), origin);
        if client.is_multiple_of(10_000) {
            let at = usize::try_from(client / 10_000 % 100).expect("below 100");
            regular[at] += u32::from(limiter.admit(hash(at as u64), origin).admitted);
        }
    }
    assert_eq!(regular, [3; 100], "a flood of others refills nobody's bucket, and uses up nobody's");
    assert!(limiter.in_use(origin) <= 65_536);
}

#[test]
fn a_hundred_clients_at_once_get_their_rate_within_one_percent() {
    let (origin, rate) = (Instant::now(), Rate::new(100, Duration::from_secs(10), 20).expect("legal"));
    let limiter = Limiter::new(rate, 65_536, origin);
    let mut admitted = [0_u32; 100];
    // Four minutes. Each client asks at random moments, about three times as often as it may.
    for millis in 0..240_000_u64 {
        for (client, admitted) in (0_u64..).zip(&mut admitted) {
            let dice = random(millis * 100 + client);
            if dice % 100 < 3 {
                let now = origin + Duration::from_millis(millis) + Duration::from_nanos((dice >> 32) % 1_000_000);
                *admitted += u32::from(limiter.admit(hash(client), now).admitted);
            }
        }
    }
    // 10 a second, and the burst once.
    for (client, admitted) in admitted.iter().enumerate() {
        assert!(admitted.abs_diff(2420) <= 24, "client {client}: {admitted}");
    }
}
