//! One test for each behaviour.

use super::rig::{Rig, full, full_with, ms, outcome, probing, s};
use crate::breaker::splitmix::splitmix;
use crate::breaker::*;
use std::time::{Duration, Instant};

use State::{Closed, HalfOpen, Open};
use Verdict::{EndpointFault, Neutral, RequestFault, Success, Throttled};

#[test]
fn the_defaults_are_those_of_the_guide() {
    let expected = Settings {
        trip: Trip::Full(WindowedTrip {
            in_a_row: 5,
            window: s(10),
            least_calls: 20,
            ratio: 50,
            slow_call: None,
            slow_ratio: 50,
        }),
        open: OpenTime { least: s(1), most: s(60), jitter: 50 },
        probes: Probes { at_a_time: 1, successes: 2, lease: s(11) },
    };
    assert_eq!(Settings::default(), expected);
}

#[test]
fn in_the_simple_form_every_fault_extends_the_streak_and_a_success_clears_it() {
    let mut rig = Rig::new(Settings::simple(3, s(5), s(6)));
    rig.calls(1, EndpointFault).calls(1, RequestFault).calls(1, Success).calls(1, RequestFault).calls(1, EndpointFault);
    rig.calls(9, Throttled).calls(9, Neutral).is(Closed).calls(1, RequestFault).is(Open).refused(s(5));
    rig.wait(s(5)).is(HalfOpen).calls(1, Success).is(Closed);
}

#[test]
fn a_429_fails_a_probe_in_both_forms() {
    for settings in [Settings::simple(1, s(1), s(6)), full_with(|full| full.in_a_row = 1)] {
        Rig::new(settings).calls(1, EndpointFault).wait(s(1)).calls(1, Throttled).is(Open);
    }
}

#[test]
fn in_the_full_model_only_endpoint_faults_extend_the_streak() {
    let quiet = |full: &mut WindowedTrip| full.least_calls = 1_000;
    let mut rig = Rig::new(full_with(quiet));
    rig.calls(20, RequestFault).calls(20, Throttled).is(Closed);
    rig.calls(2, EndpointFault).calls(1, RequestFault).calls(2, EndpointFault).is(Closed);
    rig.calls(5, Throttled).calls(5, Neutral).calls(1, EndpointFault).is(Open);
}

#[test]
fn the_ratio_counts_request_faults_and_429s_and_opens_when_it_is_reached() {
    for fault in [RequestFault, Throttled] {
        let mut rig = Rig::new(full_with(|full| full.least_calls = 10));
        rig.calls(5, Success).calls(4, fault).calls(40, Neutral).is(Closed).calls(1, fault).is(Open);
        let mut rig = Rig::new(full_with(|full| full.least_calls = 10));
        rig.calls(6, Success).calls(5, fault).is(Closed).calls(1, fault).is(Open);
    }
}

#[test]
fn a_bucket_counts_for_ten_ticks_and_not_a_moment_longer() {
    let mut rig = Rig::new(full());
    rig.calls(3, RequestFault).wait(s(10) - Duration::from_nanos(1)).calls(1, RequestFault).is(Open);
    let mut rig = Rig::new(full());
    rig.calls(3, RequestFault).wait(s(10)).calls(3, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
}

#[test]
fn slow_calls_open_the_circuit_whatever_their_verdict() {
    let slow = |verdict| Outcome { took: s(2), ..outcome(verdict) };
    let settings = full_with(|full| full.slow_call = Some(s(2)));
    let mut rig = Rig::new(settings);
    rig.calls(2, Success).outcomes(1, slow(Success)).is(Closed).outcomes(1, slow(Success)).is(Open);
    let nearly = Outcome { took: s(2) - Duration::from_nanos(1), ..outcome(Success) };
    Rig::new(settings).outcomes(50, nearly).is(Closed);
    Rig::new(full()).outcomes(50, slow(Success)).is(Closed);
    let only_slow = full_with(|full| (full.slow_call, full.ratio) = (Some(s(2)), 101));
    Rig::new(only_slow).outcomes(3, slow(RequestFault)).is(Closed).outcomes(1, slow(Throttled)).is(Open);
    Rig::new(settings).calls(3, EndpointFault).wait(s(1)).outcomes(1, slow(Success)).is(Open).refused(s(2));
}

#[test]
fn a_quick_success_never_opens_the_circuit() {
    Rig::new(full()).calls(3, RequestFault).calls(1, Success).is(Closed).calls(1, RequestFault).is(Open);
}

#[test]
fn the_open_time_doubles_up_to_its_longest_and_starts_again_after_a_close() {
    let mut rig = Rig::new(full());
    rig.calls(3, EndpointFault);
    for open in [1, 2, 4, 8, 8] {
        rig.is(Open)
            .refused(s(open))
            .wait(s(open) - ms(1))
            .is(Open)
            .refused(ms(1))
            .wait(ms(1))
            .is(HalfOpen)
            .calls(1, EndpointFault);
    }
    rig.wait(s(8)).calls(1, Success).is(Closed).calls(3, EndpointFault).refused(s(1));
}

#[test]
fn the_jitter_is_added_to_the_open_time_and_follows_from_the_seed() {
    let settings = Settings { open: OpenTime { least: s(1), most: s(8), jitter: 50 }, ..full() };
    let wait = |seed| {
        let (breaker, now) = (std::sync::Arc::new(Breaker::new(settings, seed)), Instant::now());
        for _ in 0..3 {
            breaker.try_acquire(now).expect("closed").record(outcome(EndpointFault), now);
        }
        breaker.try_acquire(now).expect_err("open").retry_after.expect("a wait")
    };
    let waits: Vec<Duration> = (0..200).map(wait).collect();
    assert_eq!(waits, (0..200).map(wait).collect::<Vec<_>>(), "the same seed, the same wait");
    assert!(waits.iter().all(|wait| (s(1)..s(1) + ms(500)).contains(wait)), "{waits:?}");
    let shortest = waits.iter().min().expect("some");
    let longest = waits.iter().max().expect("some");
    assert!(*shortest < ms(1_020) && *longest > ms(1_480), "{shortest:?} to {longest:?}");
}

#[test]
fn splitmix_gives_the_numbers_of_the_reference_implementation() {
    // The first numbers of the reference implementation for this seed.
    let numbers: Vec<u64> = (0..3).map(|index| splitmix(1_234_567, index)).collect();
    assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}

#[test]
fn retry_after_extends_the_open_time_up_to_its_longest() {
    for (asked, open) in [(ms(10), s(1)), (s(3), s(3)), (s(100), s(8))] {
        let asks = Outcome { retry_after: Some(asked), ..outcome(EndpointFault) };
        let mut rig = Rig::new(full());
        rig.calls(2, EndpointFault).outcomes(1, asks).refused(open);
        rig.wait(open).outcomes(1, asks).refused(open.max(s(2)));
    }
}

#[test]
fn probes_are_bounded_at_a_time_and_enough_successes_close_the_circuit() {
    let mut rig = Rig::new(probing(2, 3));
    rig.calls(3, EndpointFault).wait(s(1)).begin().wait(s(1)).begin().refused(s(10));
    rig.end(0, Success).begin().refused(s(11)).end(1, Success).is(HalfOpen).end(2, Success).is(Closed);
    let mut rig = Rig::new(probing(2, 3));
    rig.calls(3, EndpointFault)
        .wait(s(1))
        .begin()
        .begin()
        .end(0, RequestFault)
        .is(Open)
        .end(1, Success)
        .is(Open)
        .refused(s(2));
}

#[test]
fn a_permit_says_whether_it_is_a_probe() {
    let mut rig = Rig::new(full());
    assert!(!rig.breaker.try_acquire(rig.now).expect("closed").is_probe());
    rig.calls(3, EndpointFault).wait(s(1));
    assert!(rig.breaker.try_acquire(rig.now).expect("half-open").is_probe());
}

#[test]
fn a_probe_without_a_verdict_frees_its_slot() {
    let mut rig = Rig::new(full());
    rig.calls(3, EndpointFault).wait(s(1)).begin().refused(s(11)).cancel(0);
    rig.calls(1, Neutral).is(HalfOpen).calls(1, Success).is(Closed);
}

#[test]
fn a_probe_that_outlives_its_lease_loses_its_slot_and_its_outcome_does_not_count() {
    let mut rig = Rig::new(full());
    rig.calls(3, EndpointFault).wait(s(1)).begin().wait(s(11) - Duration::from_nanos(1)).refused(ms(1));
    rig.wait(Duration::from_nanos(1)).begin().end(0, Success).is(HalfOpen).refused(s(11));
    rig.end(1, Success).is(Closed);
    let mut rig = Rig::new(full());
    rig.calls(3, EndpointFault)
        .wait(s(1))
        .begin()
        .wait(s(11))
        .end(0, EndpointFault)
        .is(HalfOpen)
        .begin()
        .cancel(1)
        .begin();
}

#[test]
fn a_probe_of_an_earlier_half_open_stretch_does_not_count_in_a_later_one() {
    let mut rig = Rig::new(probing(3, 1));
    rig.calls(3, EndpointFault).wait(s(1)).begin().begin().begin().end(0, RequestFault).is(Open);
    rig.wait(s(2)).begin().begin().begin().end(1, Success).is(HalfOpen).refused(s(11));
    rig.cancel(2).refused(s(11)).end(3, Success).is(Closed);
}

#[test]
fn outcomes_of_calls_from_before_a_transition_decide_nothing() {
    let mut rig = Rig::new(full());
    (0..8).for_each(|_| _ = rig.begin());
    rig.calls(3, EndpointFault)
        .end(0, Success)
        .is(Open)
        .wait(s(1))
        .begin()
        .end(1, EndpointFault)
        .is(HalfOpen)
        .end(8, Success);
    rig.calls(2, EndpointFault).end(2, EndpointFault).is(Closed).end(3, Success).calls(1, EndpointFault).is(Open);
}

#[test]
fn a_stale_outcome_is_not_counted_in_the_window() {
    let mut rig = Rig::new(full());
    (0..3).for_each(|_| _ = rig.begin());
    rig.calls(3, EndpointFault).wait(s(1)).calls(1, Success).is(Closed);
    (0..3).for_each(|call| _ = rig.end(call, RequestFault));
    rig.calls(3, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
}

#[test]
fn an_operator_holds_the_circuit_open_until_a_reset() {
    let mut rig = Rig::new(full());
    rig.begin().force(Forced::Open).wait(s(1_000)).is(Open);
    assert_eq!(rig.breaker.view(rig.now), View { state: Open, forced: Some(Forced::Open) });
    assert_eq!(rig.breaker.try_acquire(rig.now).expect_err("forced").retry_after, None);
    rig.end(0, Success).is(Open).reset().is(Closed).calls(1, Success);
    assert_eq!(rig.breaker.view(rig.now), View { state: Closed, forced: None });
}

#[test]
fn while_an_operator_holds_the_circuit_closed_no_outcome_counts() {
    let mut rig = Rig::new(full());
    rig.calls(3, EndpointFault).is(Open).force(Forced::Closed).calls(50, EndpointFault).begin();
    assert_eq!(rig.breaker.view(rig.now), View { state: Closed, forced: Some(Forced::Closed) });
    rig.reset().end(0, EndpointFault).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault).is(Open).refused(s(1));
}

#[test]
fn a_reset_forgets_every_count_and_the_doubled_open_time() {
    let mut rig = Rig::new(full());
    rig.calls(1, RequestFault)
        .calls(2, EndpointFault)
        .reset()
        .calls(2, EndpointFault)
        .calls(1, RequestFault)
        .is(Closed);
    rig.calls(1, RequestFault)
        .is(Open)
        .wait(s(1))
        .calls(1, EndpointFault)
        .refused(s(2))
        .reset()
        .is(Closed)
        .calls(3, EndpointFault)
        .refused(s(1));
}

#[test]
fn settings_of_zero_or_of_the_largest_number_do_no_harm() {
    let none = Settings {
        trip: Trip::Full(WindowedTrip {
            in_a_row: 0,
            window: Duration::ZERO,
            least_calls: 0,
            ratio: 0,
            slow_call: None,
            slow_ratio: 0,
        }),
        open: OpenTime { least: Duration::ZERO, most: Duration::ZERO, jitter: 0 },
        probes: Probes { at_a_time: 0, successes: 0, lease: Duration::ZERO },
    };
    let mut rig = Rig::new(none);
    rig.calls(9, Success).is(Closed).calls(1, RequestFault).is(HalfOpen).begin();
    let endless = Settings {
        trip: Trip::Full(WindowedTrip {
            in_a_row: u32::MAX,
            window: Duration::MAX,
            least_calls: 2,
            ratio: 255,
            slow_call: Some(Duration::MAX),
            slow_ratio: 255,
        }),
        open: OpenTime { least: Duration::MAX, most: Duration::MAX, jitter: 255 },
        probes: Probes { at_a_time: u32::MAX, successes: u32::MAX, lease: Duration::MAX },
    };
    Rig::new(endless).calls(50, EndpointFault).is(Closed);
    let mut rig = Rig::new(Settings { trip: Trip::Simple { failure_threshold: 0 }, ..endless });
    rig.calls(1, EndpointFault).refused(Duration::MAX);
}

#[test]
fn a_now_from_before_the_latest_one_does_no_harm() {
    let mut rig = Rig::new(full());
    let start = rig.now;
    rig.wait(s(100)).calls(1, RequestFault);
    // Both times are outside of the window, so these calls are not counted.
    let early = |rig: &Rig, now| rig.breaker.try_acquire(now).expect("closed").record(outcome(RequestFault), now);
    rig.wait(s(100));
    rig.calls(1, RequestFault);
    for _ in 0..20 {
        early(&rig, start);
        early(&rig, rig.now - s(10));
    }
    rig.is(Closed);
    // These times are some ticks ago, inside the window: each call counts in its own tick.
    early(&rig, rig.now - s(9));
    early(&rig, rig.now - s(1));
    rig.is(Closed).calls(1, RequestFault).is(Open);
    assert_eq!(rig.breaker.try_acquire(start).expect_err("open").retry_after, Some(s(1)));
}

#[test]
fn a_refusal_names_its_reason() {
    let wait = Refused { retry_after: Some(s(2)) };
    assert_eq!(wait.to_string(), "the circuit lets no call through for another 2s");
    assert_eq!(Refused { retry_after: None }.to_string(), "an operator holds the circuit open");
}
