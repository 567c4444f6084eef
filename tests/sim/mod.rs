//! Seeded simulation: balancer and breakers together, through thousands of calls of endpoints that die, flap and come back.
//!
//! Time is a number that the simulation moves, so an hour takes no time and a seed is the whole story: a failure prints it, and
//! `ATOLL_SIM_SEED=N` runs that one again. What must hold is checked at every step.

use host::balance::{Balancer, Policy};
use host::breaker::{Breaker, Permit, Settings, State, Verdict};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SEEDS: u64 = 200;
/// Calls in each seed.
const CALLS: usize = 2_000;
const THRESHOLD: u32 = 3;
const RECOVERY: Duration = Duration::from_millis(500);
/// Longer than any call, so that no probe here overstays it.
const LEASE: Duration = Duration::from_secs(1);
const LONGEST_CALL: u64 = 60;

struct Endpoint {
    breaker: Arc<Breaker>,
    healthy: bool,
    /// When its circuit was last seen to open.
    opened: Option<Instant>,
    /// The probe under way.
    probe: Option<usize>,
    calls: usize,
}

/// A call under way: it ends at its key in the schedule.
struct Call {
    number: usize,
    endpoint: usize,
    permit: Permit,
    succeeds: bool,
    cancelled: bool,
}

struct World {
    random: SmallRng,
    now: Instant,
    balancer: Balancer,
    endpoints: Vec<Endpoint>,
    /// By the moment of the end; the number tells calls apart that end at once.
    under_way: BTreeMap<(Instant, usize), Call>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let settings = Settings { failure_threshold: THRESHOLD, recovery_timeout: RECOVERY, probe_lease: LEASE };
        let endpoint = |_| Endpoint {
            breaker: Arc::new(Breaker::new(settings)),
            healthy: true,
            opened: None,
            probe: None,
            calls: 0,
        };
        let endpoints = (0..random.random_range(1..6)).map(endpoint).collect();
        let policy = if random.random() { Policy::Random } else { Policy::RoundRobin };
        Self { random, now: Instant::now(), balancer: Balancer::new(policy), endpoints, under_way: BTreeMap::new() }
    }

    /// One call arrives; those that are over by then have ended.
    fn step(&mut self, number: usize) {
        self.now += Duration::from_micros(self.random.random_range(100..20_000));
        self.end_until(self.now);
        if self.random.random_bool(0.01) {
            let endpoint = self.random.random_range(0..self.endpoints.len());
            self.endpoints[endpoint].healthy ^= true;
        }
        self.call(number);
    }

    fn call(&mut self, number: usize) {
        let (now, endpoints, random) = (self.now, &self.endpoints, &mut self.random);
        let before: Vec<State> = endpoints.iter().map(|endpoint| endpoint.breaker.state(now)).collect();
        let picked = self.balancer.pick(endpoints.len(), &mut |below| random.random_range(0..below), |index| {
            endpoints[index].breaker.try_acquire(now).ok()
        });
        let Some((index, permit)) = picked else {
            for (endpoint, state) in self.endpoints.iter().zip(before) {
                let busy = state == State::HalfOpen && endpoint.probe.is_some();
                assert!(state == State::Open || busy, "refused although an endpoint would grant: {state}");
            }
            return;
        };
        let endpoint = &mut self.endpoints[index];
        endpoint.calls += 1;
        assert_ne!(before[index], State::Open, "a call went through an open circuit");
        if before[index] == State::HalfOpen {
            assert!(endpoint.probe.is_none(), "two probes at once");
            let opened = endpoint.opened.expect("it was seen to open");
            assert!(now - opened >= RECOVERY, "a probe {:?} after the circuit opened", now - opened);
            endpoint.probe = Some(number);
        }
        let (succeeds, cancelled) = (endpoint.healthy, self.random.random_bool(0.05));
        let end = now + Duration::from_millis(self.random.random_range(1..LONGEST_CALL));
        self.under_way.insert((end, number), Call { number, endpoint: index, permit, succeeds, cancelled });
    }

    fn end_until(&mut self, until: Instant) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((end, _), call) = entry.remove_entry();
            let endpoint = &mut self.endpoints[call.endpoint];
            let before = endpoint.breaker.state(end);
            match (call.cancelled, call.succeeds) {
                (true, _) => drop(call.permit),
                (false, true) => call.permit.record(Verdict::Success, end),
                (false, false) => call.permit.record(Verdict::Failure, end),
            }
            let after = endpoint.breaker.state(end);
            if call.cancelled {
                assert_eq!(before, after, "a cancelled call is neutral");
            }
            let was_probe = endpoint.probe == Some(call.number);
            if was_probe {
                endpoint.probe = None;
            } else if before != State::Closed {
                assert_eq!(before, after, "a verdict from before the circuit opened is stale");
            }
            if after == State::Open && before != State::Open {
                endpoint.opened = Some(end);
            }
        }
    }

    /// Everybody is well again: every circuit closes, and every endpoint gets its share.
    fn recover(&mut self) {
        self.end_until(self.now + Duration::from_millis(LONGEST_CALL));
        for endpoint in &mut self.endpoints {
            endpoint.healthy = true;
            endpoint.calls = 0;
        }
        self.now += Duration::from_millis(LONGEST_CALL) + RECOVERY;
        for number in 0..400 {
            self.now += Duration::from_millis(LONGEST_CALL);
            self.end_until(self.now);
            self.call(CALLS + number);
        }
        self.end_until(self.now + Duration::from_millis(LONGEST_CALL));
        for endpoint in &self.endpoints {
            assert_eq!(endpoint.breaker.state(self.now), State::Closed, "a circuit that stays open for no reason");
            assert!(endpoint.calls * self.endpoints.len() * 3 > 400, "{} of 400 calls: starved", endpoint.calls);
        }
    }
}

#[test]
fn balancer_and_breakers_keep_their_promises() {
    let one: Option<u64> =
        std::env::vars().find(|(name, _)| name == "ATOLL_SIM_SEED").and_then(|(_, seed)| seed.parse().ok());
    for seed in one.map_or(0..SEEDS, |seed| seed..seed + 1) {
        // The test's output is shown when it fails, and its last line is the seed.
        println!("ATOLL_SIM_SEED={seed}");
        let mut world = World::new(seed);
        for number in 0..CALLS {
            world.step(number);
        }
        world.recover();
    }
}
