//! What the balancer promises: fairness, one question for each endpoint, nobody starved.

use super::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::thread;

/// Uniform numbers, the same in every run.
fn seeded(seed: u64) -> impl FnMut(usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    move |below| rng.random_range(0..below)
}

/// How often each endpoint is chosen in `picks` picks, when those in `granting` grant.
fn shares(balancer: &Balancer, granting: &[bool], picks: u32, seed: u64) -> Vec<u32> {
    let mut random = seeded(seed);
    let mut shares = vec![0; granting.len()];
    for _ in 0..picks {
        if let Some((endpoint, ())) =
            balancer.pick(granting.len(), &mut random, |endpoint| granting[endpoint].then_some(()))
        {
            shares[endpoint] += 1;
        }
    }
    shares
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::Random), Just(Policy::RoundRobin)]
}

#[test]
fn a_policy_reads_what_it_writes() {
    for policy in [Policy::Random, Policy::RoundRobin] {
        assert_eq!(Policy::parse(policy.as_str()), Ok(policy));
    }
    let wrong = Policy::parse("Random").expect_err("names are lower case");
    assert_eq!(wrong.to_string(), "`Random` is no balancing policy: write `random` or `round-robin`");
    assert_eq!(Balancer::default().policy(), Policy::Random);
}

#[test]
fn round_robin_takes_turns() {
    let balancer = Balancer::new(Policy::RoundRobin);
    let mut random = seeded(0);
    let mut next = |refusing: usize| {
        let picked = balancer.pick(3, &mut random, |endpoint| (endpoint != refusing).then_some(endpoint * 10));
        picked.expect("two of three grant")
    };
    assert_eq!([next(9), next(9), next(9), next(9)], [(0, 0), (1, 10), (2, 20), (0, 0)]);
    assert_eq!([next(1), next(1), next(1)], [(2, 20), (0, 0), (2, 20)], "a refused turn is over");
    assert_eq!([next(9), next(9)], [(0, 0), (1, 10)]);
}

#[test]
fn threads_share_the_turns_evenly() {
    let balancer = Balancer::new(Policy::RoundRobin);
    let totals = thread::scope(|scope| {
        let run = |seed| {
            scope.spawn({
                let balancer = &balancer;
                move || shares(balancer, &[true; 4], 1_000, seed)
            })
        };
        let handles: Vec<_> = (0..4).map(run).collect();
        handles.into_iter().fold(vec![0; 4], |mut totals: Vec<u32>, handle| {
            let shares = handle.join().expect("no panic");
            totals.iter_mut().zip(shares).for_each(|(total, share)| *total += share);
            totals
        })
    });
    assert_eq!(totals, [1_000; 4]);
}

proptest! {
    #[test]
    fn each_endpoint_is_asked_at_most_once_and_a_grant_is_found(
        policy in policy(),
        // Past 16 too, where the order moves to the heap.
        granting in prop::collection::vec(any::<bool>(), 0..24),
        before in 0..30_u32,
        seed in any::<u64>(),
    ) {
        let balancer = Balancer::new(policy);
        shares(&balancer, &granting, before, seed);
        let mut asked = Vec::new();
        let picked = balancer.pick(granting.len(), &mut seeded(seed), |endpoint| {
            asked.push(endpoint);
            granting[endpoint].then_some(endpoint)
        });
        match picked {
            Some((endpoint, granted)) => {
                prop_assert_eq!(endpoint, granted);
                prop_assert_eq!(asked.last(), Some(&endpoint), "nobody is asked after a grant");
                prop_assert_eq!(asked.iter().filter(|&&asked| granting[asked]).count(), 1);
            }
            None => {
                prop_assert!(!granting.contains(&true));
                prop_assert_eq!(asked.len(), granting.len());
            }
        }
        asked.sort_unstable();
        prop_assert!(asked.windows(2).all(|pair| pair[0] < pair[1]), "asked twice: {:?}", asked);
    }

    #[test]
    fn random_is_uniform_among_those_that_grant(granting in prop::collection::vec(any::<bool>(), 1..20), seed in any::<u64>()) {
        let wanted = 4_000.0;
        let granters = u32::try_from(granting.iter().filter(|&&grants| grants).count()).expect("fewer than 20");
        let shares = shares(&Balancer::new(Policy::Random), &granting, 4_000 * granters, seed);
        for (share, grants) in shares.into_iter().zip(granting) {
            // Seven standard deviations of the binomial distribution: a false alarm in 10^11 draws.
            let off = (f64::from(share) - wanted).abs();
            prop_assert!(if grants { off <= 7.0 * wanted.sqrt() } else { share == 0 }, "{} of {}", share, wanted);
        }
    }

    #[test]
    fn round_robin_gives_equal_shares_and_starves_nobody(granting in prop::collection::vec(any::<bool>(), 1..20), rounds in 1..9_u32) {
        let granters = u32::try_from(granting.iter().filter(|&&grants| grants).count()).expect("fewer than 20");
        let shares = shares(&Balancer::new(Policy::RoundRobin), &granting, rounds * granters, 0);
        let wanted: Vec<u32> = granting.iter().map(|&grants| if grants { rounds } else { 0 }).collect();
        prop_assert_eq!(shares, wanted);
    }

    /// Whoever grants at its turn gets it, however the others come and go.
    #[test]
    fn round_robin_asks_everybody_in_every_cycle(refusals in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 5..40)) {
        let balancer = Balancer::new(Policy::RoundRobin);
        let mut last_asked = [0; 5];
        for (now, granting) in (1..).zip(&refusals) {
            balancer.pick(5, &mut |_| 0, |endpoint| {
                last_asked[endpoint] = now;
                granting[endpoint].then_some(())
            });
            prop_assert!(last_asked.iter().all(|&asked| now - asked <= 5), "{:?} at {}", last_asked, now);
        }
    }
}
