//! Shares by weight, round robin, slow start.

use super::*;
use std::sync::Barrier;
use std::thread;

/// The policies in which equally idle endpoints get their shares at random.
fn random_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(vec![Policy::Random, Policy::LeastRequest, Policy::PeakEwma])
}

/// The tolerance is seven standard deviations of the binomial distribution: one false alarm in 10^11 draws.
fn assert_share(share: u32, picks: u32, part: f64) {
    let wanted = f64::from(picks) * part;
    let most = 7.0 * (wanted * (1.0 - part)).sqrt() + 1e-6;
    assert!((f64::from(share) - wanted).abs() <= most, "{share} of {picks}, not {wanted} ± {most}");
}

#[test]
fn round_robin_takes_turns_and_a_refused_turn_is_over() {
    let now = Instant::now();
    let (balancer, loads) = (plain(Policy::RoundRobin), loads(&[5, 5, 5], now));
    let next = |refusing: usize| {
        let picked = choose(&balancer, &loads, now, &mut |_| 0, |endpoint| endpoint != refusing);
        picked.0.expect("two of three grant")
    };
    assert_eq!([next(9), next(9), next(9), next(9)], [0, 1, 2, 0]);
    assert_eq!([next(1), next(1), next(1)], [2, 0, 2], "a refused turn is over");
    assert_eq!([next(9), next(9)], [0, 1]);
}

#[test]
fn round_robin_spreads_the_turns_of_a_heavy_endpoint() {
    let now = Instant::now();
    let (balancer, loads) = (plain(Policy::RoundRobin), loads(&[1, 3], now));
    let turns: Vec<_> = (0..8).filter_map(|_| choose(&balancer, &loads, now, &mut |_| 0, |_| true).0).collect();
    assert_eq!(turns, [0, 1, 1, 1, 0, 1, 1, 1]);
}

/// Within its slow start, an endpoint that was made some milliseconds later is lighter by as many ten-thousandths. It
/// has its first turn all the same, and many more: what it loses comes at the end of the pattern.
#[test]
fn round_robin_alternates_between_endpoints_that_began_almost_together() {
    let start = Instant::now();
    for difference in [11, 23, 60] {
        let loads = [Load::new(1, start), Load::new(1, start + difference * MS)];
        let now = start + (difference + 1) * MS;
        for first_request in [now, now + 7 * MS, now + SECOND] {
            let balancer = Balancer::new(Settings { policy: Policy::RoundRobin, ..Settings::default() });
            let turn = |n| choose(&balancer, &loads, first_request + n * MS, &mut |_| 0, |_| true).0;
            let turns: Vec<_> = (0..10).filter_map(turn).collect();
            assert_eq!(turns, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1], "{difference} ms apart");
        }
    }
}

#[test]
fn threads_share_the_turns_of_round_robin_exactly() {
    let now = Instant::now();
    let (balancer, loads) = (plain(Policy::RoundRobin), loads(&[1, 2, 2, 3], now));
    let barrier = Barrier::new(4);
    let totals = thread::scope(|scope| {
        let run = |seed| {
            let (balancer, loads, barrier) = (&balancer, &loads, &barrier);
            scope.spawn(move || {
                barrier.wait();
                shares(balancer, loads, &[true; 4], 20_000, now, seed)
            })
        };
        let handles: Vec<_> = (0..4).map(run).collect();
        handles.into_iter().fold(vec![0; 4], |mut totals: Vec<u32>, handle| {
            let shares = handle.join().expect("no panic");
            totals.iter_mut().zip(shares).for_each(|(total, share)| *total += share);
            totals
        })
    });
    assert_eq!(totals, [10_000, 20_000, 20_000, 30_000]);
}

#[test]
fn a_new_endpoint_climbs_from_a_tenth_to_the_whole() {
    let start = Instant::now();
    for policy in Policy::ALL {
        let settings =
            Settings { policy, ejection: Ejection { most: 0, ..Ejection::default() }, ..Settings::default() };
        // The old endpoint's slow start of 10 s was over before the new endpoint came.
        let created = start + 10 * SECOND;
        for (age, weight) in [(0, 0.1), (2_500, 0.325), (5_000, 0.55), (9_000, 0.91), (10_000, 1.0), (60_000, 1.0)] {
            let balancer = Balancer::new(settings);
            let loads = [Load::new(4, start), Load::new(4, created)];
            let share = shares(&balancer, &loads, &[true; 2], 20_000, created + age * MS, 1)[1];
            assert_share(share, 20_000, weight / (1.0 + weight));
        }
        let balancer = Balancer::new(settings);
        let share = shares(&balancer, &loads(&[4, 4], start), &[true; 2], 20_000, start + MS, 1)[1];
        assert_share(share, 20_000, 0.5);
        // To a thread whose clock lies behind the creation of an endpoint, the endpoint is just new.
        let share =
            shares(&balancer, &[Load::new(4, start), Load::new(4, created + 5 * MS)], &[true; 2], 20_000, created, 1)
                [1];
        assert_share(share, 20_000, 1.0 / 11.0);
    }
}

/// The endpoints' weights, and whether each grants; at least one grants.
fn pool() -> impl Strategy<Value = Vec<(u16, bool)>> {
    let pool = prop::collection::vec((1..=9_u16, any::<bool>()), 1..20);
    pool.prop_filter("an endpoint grants", |pool| pool.iter().any(|&(_, grants)| grants))
}

fn weight_that_grants(pool: &[(u16, bool)]) -> u32 {
    pool.iter().filter(|(_, grants)| *grants).map(|&(weight, _)| u32::from(weight)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Property: of idle endpoints, those that grant share the calls by their weights, whichever others refuse.
    #[test]
    fn idle_endpoints_that_grant_get_their_shares_by_weight(
        policy in random_policy(),
        pool in pool(),
        seed in any::<u64>(),
    ) {
        let now = Instant::now();
        let (weights, granting): (Vec<u16>, Vec<bool>) = pool.iter().copied().unzip();
        let shares = shares(&plain(policy), &loads(&weights, now), &granting, 20_000, now, seed);
        let all = f64::from(weight_that_grants(&pool));
        for (share, (weight, grants)) in shares.into_iter().zip(pool) {
            assert_share(share, 20_000, if grants { f64::from(weight) / all } else { 0.0 });
        }
    }

    /// Property: after as many rounds as the heaviest endpoint weighs, each endpoint has had exactly as many turns as
    /// it weighs. At every choice before that, its turns differ from its share by at most the number of endpoints plus
    /// one.
    #[test]
    fn round_robin_gives_exact_shares(pool in pool(), rounds in 1..4_u32) {
        let now = Instant::now();
        let (weights, granting): (Vec<u16>, Vec<bool>) = pool.iter().copied().unzip();
        let (balancer, loads) = (plain(Policy::RoundRobin), loads(&weights, now));
        let mut shares = vec![0_u32; pool.len()];
        let all = weight_that_grants(&pool);
        for pick in 1..=rounds * all {
            let (picked, _) = choose(&balancer, &loads, now, &mut |_| 0, |endpoint| granting[endpoint]);
            shares[picked.expect("an endpoint grants")] += 1;
            for (&share, &(weight, _)) in shares.iter().zip(&pool).filter(|(_, (_, grants))| *grants) {
                let wanted = f64::from(pick) * f64::from(weight) / f64::from(all);
                prop_assert!((f64::from(share) - wanted).abs() <= pool.len() as f64 + 1.0);
            }
        }
        let turns = |&(weight, grants): &(u16, bool)| if grants { rounds * u32::from(weight) } else { 0 };
        let wanted: Vec<u32> = pool.iter().map(turns).collect();
        prop_assert_eq!(shares, wanted);
    }

    /// Property: every endpoint is asked at least once in five choices of a pool of five, however the others grant and
    /// refuse.
    #[test]
    fn round_robin_asks_every_endpoint_in_every_cycle(
        refusals in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 5..40),
    ) {
        let now = Instant::now();
        let (balancer, loads) = (plain(Policy::RoundRobin), loads(&[2; 5], now));
        let mut last_asked = [0; 5];
        for (pick, granting) in (1..).zip(&refusals) {
            let (_, asked) = choose(&balancer, &loads, now, &mut |_| 0, |endpoint| granting[endpoint]);
            asked.into_iter().for_each(|endpoint| last_asked[endpoint] = pick);
            prop_assert!(last_asked.iter().all(|&asked| pick - asked <= 5), "{:?} at {}", last_asked, pick);
        }
    }
}
