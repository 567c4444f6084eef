//! Streams of calls through pools of endpoints that are slow, fail or recover, on a clock that the test moves.

use super::*;
use std::collections::BTreeMap;

/// How an endpoint answers a call.
type Serve<'s> = &'s dyn Fn(usize, &mut StdRng) -> LoadSample;

struct World {
    balancer: Balancer,
    loads: Vec<Load>,
    random: StdRng,
    start: Instant,
    now: Instant,
    /// The calls under way, by the time of their end and their number.
    under_way: BTreeMap<(Instant, u32), (usize, LoadSample)>,
    calls: u32,
}

impl World {
    fn new(policy: Policy, weights: &[u16]) -> Self {
        let start = Instant::now();
        let (balancer, loads) = (plain(policy), loads(weights, start));
        Self {
            balancer,
            loads,
            random: StdRng::seed_from_u64(7),
            start,
            now: start,
            under_way: BTreeMap::new(),
            calls: 0,
        }
    }

    /// Ends the calls that are over by now.
    fn end(&mut self) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let ((at, _), (endpoint, sample)) = entry.remove_entry();
            self.loads[endpoint].end(sample, at);
        }
    }

    fn call(&mut self, serve: Serve<'_>) -> usize {
        let random = &mut self.random;
        let (picked, _) =
            choose(&self.balancer, &self.loads, self.now, &mut |below| random.random_range(0..below), |_| true);
        let endpoint = picked.expect("all grant");
        let sample = serve(endpoint, &mut self.random);
        let (LoadSample::Answered { took } | LoadSample::Failed { took } | LoadSample::GivenUp { after: took }) =
            sample
        else {
            panic!("every call here is sent");
        };
        self.loads[endpoint].begin();
        self.calls += 1;
        self.under_way.insert((self.now + took, self.calls), (endpoint, sample));
        endpoint
    }

    /// Makes a call every `gap` for `time`, whether or not the calls before have ended. Returns how many each endpoint
    /// got.
    fn open_loop(&mut self, gap: Duration, time: Duration, serve: Serve<'_>) -> Vec<u32> {
        let mut shares = vec![0; self.loads.len()];
        let until = self.now + time;
        while self.now < until {
            self.end();
            shares[self.call(serve)] += 1;
            self.now += gap;
        }
        shares
    }

    /// Makes `calls` calls, of which `at_a_time` are always under way. Returns how many each endpoint got.
    fn closed_loop(&mut self, at_a_time: usize, calls: u32, serve: Serve<'_>) -> Vec<u32> {
        let mut shares = vec![0; self.loads.len()];
        for _ in 0..calls {
            while self.under_way.len() >= at_a_time {
                self.now = self.under_way.first_key_value().expect("some are under way").0.0;
                self.end();
            }
            shares[self.call(serve)] += 1;
        }
        shares
    }
}

fn answered(millis: u64) -> LoadSample {
    LoadSample::Answered { took: Duration::from_millis(millis) }
}

/// Answers after 8 to 12 ms.
fn about_ten(_: usize, random: &mut StdRng) -> LoadSample {
    LoadSample::Answered { took: Duration::from_micros(random.random_range(8_000..12_000)) }
}

#[test]
fn under_load_the_shares_follow_the_weights() {
    for policy in Policy::ALL {
        for at_a_time in [1, 6, 60] {
            let shares = World::new(policy, &[1, 2, 3]).closed_loop(at_a_time, 30_000, &about_ten);
            // With one call at a time, peak-EWMA follows the latency, so the shares keep to the weights only roughly.
            let off = if policy == Policy::PeakEwma { 0.35 } else { 0.1 };
            for (share, weight) in shares.iter().zip([1.0, 2.0, 3.0]) {
                let wanted = 5_000.0 * weight;
                assert!((f64::from(*share) - wanted).abs() <= wanted * off, "{policy}, {at_a_time}: {shares:?}");
            }
        }
    }
}

#[test]
fn least_request_gives_a_slower_endpoint_fewer_calls() {
    let serve = |endpoint, _: &mut StdRng| answered(if endpoint == 0 { 100 } else { 10 });
    let shares = World::new(Policy::LeastRequest, &[1, 1]).closed_loop(22, 20_000, &serve);
    // Both endpoints have equally many calls under way, so the slower one gets a tenth as many calls.
    assert!((1_600..2_100).contains(&shares[0]), "{shares:?}");
}

#[test]
fn peak_ewma_gives_a_slower_endpoint_few_calls_but_still_some() {
    let serve = |endpoint, random: &mut StdRng| if endpoint == 0 { answered(100) } else { about_ten(1, random) };
    for pool in [2, 3, 10] {
        let shares = World::new(Policy::PeakEwma, &vec![1; pool]).open_loop(5 * MS, 120 * SECOND, &serve);
        assert!((3..240).contains(&shares[0]), "1 % at most: {shares:?}");
    }
}

#[test]
fn an_endpoint_that_was_slow_for_a_while_gets_its_share_again() {
    let mut world = World::new(Policy::PeakEwma, &[1, 1]);
    let slow = |endpoint, random: &mut StdRng| if endpoint == 0 { answered(3_000) } else { about_ten(1, random) };
    let before = world.open_loop(5 * MS, 5 * SECOND, &slow);
    assert!(before[0] < 50, "{before:?}");
    // A latency of 3 s fades below 10 ms in 57 s.
    world.open_loop(5 * MS, 70 * SECOND, &about_ten);
    let after = world.open_loop(5 * MS, 60 * SECOND, &about_ten);
    assert!(after[0] > 12_000 / 4, "{after:?}");
}

#[test]
fn an_endpoint_that_fails_fast_attracts_no_traffic() {
    // (latency of the good endpoint in ms, time between two calls in ms)
    for (good, gap) in [(10, 1), (10, 10), (100, 10), (500, 50), (500, 1_000), (1_000, 1_000)] {
        let serve = |endpoint, _: &mut StdRng| {
            if endpoint == 0 { LoadSample::Failed { took: MS } } else { answered(good) }
        };
        let shares = World::new(Policy::PeakEwma, &[1, 1]).open_loop(gap * MS, 200 * SECOND, &serve);
        assert!(shares[0] * 5 < shares[1], "{good} ms, every {gap} ms: {shares:?}");
    }
}

#[test]
fn an_unmeasured_endpoint_gets_calls_but_not_all_of_them() {
    for took in [1, 1_000] {
        let mut world = World::new(Policy::PeakEwma, &[1, 1, 1]);
        world.open_loop(20 * MS, 20 * SECOND, &|_, _| answered(took));
        world.loads[0] = Load::new(1, world.start);
        // The new endpoint answers no call during the test.
        let shares =
            world.open_loop(20 * MS, 2 * SECOND, &|endpoint, _| answered(if endpoint == 0 { 60_000 } else { took }));
        assert!(shares[0] > 0 && shares[0] <= 40, "{took} ms: {shares:?}");
    }
}

#[test]
fn an_endpoint_closed_to_calls_does_not_pass_its_share_to_a_bad_one() {
    for policy in [Policy::LeastRequest, Policy::PeakEwma] {
        let now = Instant::now();
        let (balancer, loads) = (plain(policy), loads(&[1, 1, 1], now));
        // Endpoint 0 is slow and busy, 1 refuses every call, 2 is well.
        loads[0].end(LoadSample::Answered { took: 300 * MS }, now);
        loads[2].end(LoadSample::Answered { took: MS }, now);
        (0..4).for_each(|_| loads[0].begin());
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..1000 {
            let mut asked = Vec::new();
            let picked = balancer.pick(
                3,
                |endpoint| &loads[endpoint],
                |endpoint| endpoint != 1,
                now,
                &mut |below| random.random_range(0..below),
                |endpoint| {
                    asked.push(endpoint);
                    (endpoint != 1).then_some(())
                },
            );
            assert_eq!((picked, asked), (Some((2, ())), vec![2]), "{policy}");
        }
        let mut asked = Vec::new();
        let none: Option<(usize, ())> = balancer.pick(
            3,
            |endpoint| &loads[endpoint],
            |endpoint| endpoint != 1,
            now,
            &mut |_| 0,
            |endpoint| {
                asked.push(endpoint);
                None
            },
        );
        assert_eq!((none, asked.len(), asked[2]), (None, 3, 1), "endpoint 1 is asked, and last");
    }
}
