//! The balancer's tests: each endpoint is asked at most once, no grant is missed, and what else holds for every policy.

mod averages;
mod fairness;
mod outliers;
mod traffic;

use super::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Uniform random numbers, the same in every run.
fn seeded(seed: u64) -> impl FnMut(usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    move |below| rng.random_range(0..below)
}

/// A balancer without slow start or ejection.
fn plain(policy: Policy) -> Balancer {
    let ejection = Ejection { most: 0, ..Ejection::default() };
    Balancer::new(Settings { policy, slow_start: Duration::ZERO, ejection })
}

fn loads(weights: &[u16], now: Instant) -> Vec<Load> {
    weights.iter().map(|&weight| Load::new(weight, now)).collect()
}

/// Makes one choice in which the endpoints in `granting` grant: the chosen endpoint, and all that were asked, in order.
fn choose(
    balancer: &Balancer,
    loads: &[Load],
    now: Instant,
    random: &mut dyn FnMut(usize) -> usize,
    granting: impl Fn(usize) -> bool,
) -> (Option<usize>, Vec<usize>) {
    let mut asked = Vec::new();
    let picked = balancer.pick(
        loads.len(),
        |endpoint| &loads[endpoint],
        |_| true,
        now,
        random,
        |endpoint| {
            asked.push(endpoint);
            granting(endpoint).then_some(endpoint)
        },
    );
    let picked = picked.map(|(endpoint, granted)| {
        assert_eq!(endpoint, granted);
        endpoint
    });
    (picked, asked)
}

/// Ends calls that were never counted as begun: the number of calls under way stays 0.
fn calls(load: &Load, answered: u32, failed: u32, now: Instant) {
    (0..answered).for_each(|_| load.end(LoadSample::Answered { took: MS }, now));
    (0..failed).for_each(|_| load.end(LoadSample::Failed { took: MS }, now));
}

/// How often each endpoint is chosen in `picks` choices, for calls that end at once and leave no sample.
fn shares(balancer: &Balancer, loads: &[Load], granting: &[bool], picks: u32, now: Instant, seed: u64) -> Vec<u32> {
    let mut random = seeded(seed);
    let mut shares = vec![0; loads.len()];
    for _ in 0..picks {
        if let (Some(endpoint), _) = choose(balancer, loads, now, &mut random, |endpoint| granting[endpoint]) {
            shares[endpoint] += 1;
        }
    }
    shares
}

fn policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(Policy::ALL.to_vec())
}

#[test]
fn every_policy_is_parsed_from_its_own_name() {
    for policy in Policy::ALL {
        assert_eq!(Policy::parse(policy.as_str()), Ok(policy));
        assert_eq!(policy.to_string(), policy.as_str());
    }
    let wrong = Policy::parse("Random").expect_err("names are lower case");
    let expected = "`Random` is no balancing policy: write `random`, `round-robin`, `least-request` or `peak-ewma`";
    assert_eq!(wrong.to_string(), expected);
    assert_eq!(Balancer::default().settings().policy, Policy::PeakEwma);
}

#[test]
fn a_choice_of_one_endpoint_or_none_draws_no_random_number() {
    let now = Instant::now();
    let mut random = |_: usize| panic!("there is nothing to draw");
    for policy in Policy::ALL {
        let balancer = Balancer::new(Settings { policy, ..Settings::default() });
        assert_eq!(choose(&balancer, &[], now, &mut random, |_| true), (None, vec![]));
        let one = loads(&[7], now);
        assert_eq!(choose(&balancer, &one, now, &mut random, |_| true), (Some(0), vec![0]));
        assert_eq!(choose(&balancer, &one, now, &mut random, |_| false), (None, vec![0]));
    }
}

#[test]
fn a_load_counts_calls_under_way_and_never_below_zero() {
    let now = Instant::now();
    let load = Load::new(0, now);
    assert_eq!((load.weight(), load.in_flight(), load.latency()), (1, 0, None));
    assert_eq!(Load::new(1_001, now).weight(), 1_000);
    load.begin();
    load.begin();
    load.end(LoadSample::Unused, now);
    assert_eq!((load.in_flight(), load.latency()), (1, None), "a call that was never sent leaves no sample");
    load.end(LoadSample::Answered { took: 5 * MS }, now);
    load.end(LoadSample::Unused, now);
    assert_eq!((load.in_flight(), load.latency()), (0, Some(5 * MS)), "one end too many does not wrap");
}

/// The past of an endpoint: (weight, age in ms, calls under way, (answered, failed), latency in µs).
fn history() -> impl Strategy<Value = (u16, u64, usize, (u32, u32), u64)> {
    (1..=1000_u16, 0..20_000_u64, 0..30_usize, (0..40_u32, 0..40_u32), 0..2_000_000_u64)
}

proptest! {
    /// Property: whatever the policy and the past of the endpoints, a choice asks each endpoint at most once, asks
    /// none after a grant, finds a grant if there is one, and asks ejected endpoints last.
    #[test]
    fn each_endpoint_is_asked_at_most_once_and_a_grant_is_found(
        policy in policy(),
        // Also more than 16, for which the candidates are on the heap.
        endpoints in prop::collection::vec((history(), any::<bool>()), 0..24),
        before in 0..30_usize,
        seed in any::<u64>(),
    ) {
        let start = Instant::now();
        let now = start + 20 * SECOND;
        let balancer = Balancer::new(Settings { policy, ..Settings::default() });
        let granting: Vec<bool> = endpoints.iter().map(|&(_, grants)| grants).collect();
        let created = |age| now - MS * u32::try_from(age).expect("small");
        let ages = endpoints.iter().map(|&((weight, age, ..), _)| (weight, created(age)));
        let loads: Vec<Load> = ages.map(|(weight, created)| Load::new(weight, created)).collect();
        // The first choice starts the time of the reviews, so that later choices eject some endpoints.
        choose(&balancer, &loads, start, &mut seeded(seed), |_| false);
        for (load, &((_, _, in_flight, (answered, failed), took), _)) in loads.iter().zip(&endpoints) {
            (0..in_flight).for_each(|_| load.begin());
            (0..answered).for_each(|_| {
                load.begin();
                load.end(LoadSample::Answered { took: Duration::from_micros(took) }, now);
            });
            (0..failed).for_each(|_| {
                load.begin();
                load.end(LoadSample::Failed { took: MS }, now);
            });
        }
        let mut random = seeded(seed);
        for _ in 0..before {
            choose(&balancer, &loads, now, &mut random, |endpoint| granting[endpoint]);
        }
        let (picked, mut asked) = choose(&balancer, &loads, now, &mut random, |endpoint| granting[endpoint]);
        match picked {
            Some(endpoint) => {
                prop_assert_eq!(asked.last(), Some(&endpoint), "no endpoint is asked after a grant");
                prop_assert_eq!(asked.iter().filter(|&&asked| granting[asked]).count(), 1);
            }
            None => {
                prop_assert!(!granting.contains(&true));
                prop_assert_eq!(asked.len(), granting.len());
            }
        }
        let out: Vec<bool> = asked.iter().map(|&endpoint| loads[endpoint].is_ejected(now)).collect();
        prop_assert!(out.is_sorted(), "ejected ones are asked last: {:?}", out);
        asked.sort_unstable();
        prop_assert!(asked.windows(2).all(|pair| pair[0] < pair[1]), "asked twice: {:?}", asked);
    }

    /// Property: the two endpoints that are drawn are distinct, so the better one of them is never the busiest of all.
    #[test]
    fn the_busiest_endpoint_is_never_asked_first(
        policy in prop::sample::select(vec![Policy::LeastRequest, Policy::PeakEwma]),
        endpoints in 2..20_usize,
        busiest in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let now = Instant::now();
        let (balancer, loads, busiest) = (plain(policy), loads(&vec![1; endpoints], now), busiest.index(endpoints));
        loads[busiest].begin();
        let mut random = seeded(seed);
        for _ in 0..200 {
            let (_, asked) = choose(&balancer, &loads, now, &mut random, |_| false);
            prop_assert_ne!(asked[0], busiest);
        }
    }
}
