//! Ejection: who goes, how many, how long.

use super::*;
use crate::balance::ejection::LONGEST_PAUSE;
use std::sync::Barrier;
use std::thread;

struct Pool {
    balancer: Balancer,
    loads: Vec<Load>,
    now: Instant,
}

impl Pool {
    fn new(endpoints: usize, ejection: Ejection) -> Self {
        let now = Instant::now();
        let balancer = Balancer::new(Settings { policy: Policy::Random, ejection, ..Settings::default() });
        let pool = Self { balancer, loads: loads(&vec![1; endpoints], now), now };
        pool.review();
        pool
    }

    /// A pick, which reviews if that is due: who was asked, all of them refusing.
    fn review(&self) -> Vec<usize> {
        choose(&self.balancer, &self.loads, self.now, &mut seeded(3), |_| false).1
    }

    /// A second passes in which each endpoint answers and fails so often; then a review.
    fn second(&mut self, of: impl Fn(usize) -> (u32, u32)) -> Vec<usize> {
        // The first call after a quiet time is picked too, so it finds what was before it forgotten.
        self.review();
        self.now += SECOND;
        for (endpoint, load) in self.loads.iter().enumerate() {
            let (answered, failed) = of(endpoint);
            calls(load, answered, failed, self.now);
        }
        self.review();
        self.ejected()
    }

    fn ejected(&self) -> Vec<usize> {
        (0..self.loads.len()).filter(|&endpoint| self.loads[endpoint].is_ejected(self.now)).collect()
    }
}

/// Good but for those named, which fail all calls.
fn failing(bad: &[usize]) -> impl Fn(usize) -> (u32, u32) {
    move |endpoint| if bad.contains(&endpoint) { (0, 20) } else { (20, 0) }
}

#[test]
fn one_that_fails_is_out_unless_it_is_alone() {
    for endpoints in 1..=10 {
        let out = Pool::new(endpoints, Ejection::default()).second(failing(&[0]));
        assert_eq!(out, if endpoints == 1 { vec![] } else { vec![0] }, "of {endpoints}");
    }
}

#[test]
fn where_all_fail_nobody_is_out() {
    for endpoints in 1..=10 {
        let out = Pool::new(endpoints, Ejection::default()).second(|_| (0, 20));
        assert_eq!(out, Vec::<usize>::new(), "of {endpoints}");
    }
}

#[test]
fn at_most_the_share_is_out_and_the_worst_go_first() {
    let most = [
        (50, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]),
        (100, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (10, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (0, [0; 10]),
    ];
    for (most, bounds) in most {
        for (endpoints, bound) in (1..=10).zip(bounds) {
            let mut pool = Pool::new(endpoints, Ejection { most, pause: LONGEST_PAUSE, ..Ejection::default() });
            let mut out = Vec::new();
            // The first endpoint is good; the others turn bad one after the other, 10 s apart.
            for second in 10..=10 * endpoints {
                let bad: Vec<usize> = (1..endpoints.min(second / 10 + 1)).collect();
                out = pool.second(failing(&bad));
                assert!(out.len() <= bound, "{} of {endpoints} at {most} %", out.len());
            }
            assert_eq!(out.len(), bound, "of {endpoints} at {most} %");
        }
    }
    let rates = [0, 0, 0, 0, 40, 100, 70, 50];
    let out = Pool::new(8, Ejection { most: 30, ..Ejection::default() })
        .second(|endpoint| (100 - rates[endpoint], rates[endpoint]));
    assert_eq!(out, [5, 6], "30 % of 8 are 2");
}

#[test]
fn only_enough_calls_and_enough_of_a_difference_make_an_outlier() {
    let out = |of: &dyn Fn(usize) -> (u32, u32)| Pool::new(3, Ejection::default()).second(of);
    let none = Vec::<usize>::new();
    assert_eq!(out(&|endpoint| if endpoint == 0 { (0, 19) } else { (20, 0) }), none, "19 calls are too few");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (71, 29) } else { (100, 0) }), none, "29 points");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (70, 30) } else { (100, 0) }), [0], "30 points");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (20, 80) } else { (50, 50) }), [0], "30 points above the others");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (0, 20) } else { (0, 0) }), none, "nobody to compare with");
    assert_eq!(
        out(&|endpoint| if endpoint == 0 { (20, 0) } else { (0, 20) }),
        none,
        "two of three: the median fails too"
    );
    let mut zero = Pool::new(3, Ejection { margin: 0, ..Ejection::default() });
    assert_eq!(zero.second(|_| (20, 0)), none, "nobody is worse than the others");
}

#[test]
fn calls_given_up_or_never_sent_are_no_evidence() {
    let mut pool = Pool::new(2, Ejection::default());
    for _ in 0..100 {
        pool.loads[0].end(LoadSample::GivenUp { after: SECOND }, pool.now);
        pool.loads[0].end(LoadSample::Unused, pool.now);
    }
    assert_eq!(pool.second(|endpoint| (20 * u32::from(endpoint == 1), 5)), Vec::<usize>::new());
}

#[test]
fn the_window_forgets_within_seconds() {
    // Steady 3 calls a second make 20 after a while, all of them bad at endpoint 0; 2 a second never do.
    let seconds_until_out = |rate: u32| {
        let mut pool = Pool::new(2, Ejection::default());
        (1..60).find(|_| !pool.second(|endpoint| if endpoint == 0 { (0, rate) } else { (20, 0) }).is_empty())
    };
    assert_eq!((seconds_until_out(20), seconds_until_out(2)), (Some(1), None));
    assert!(seconds_until_out(3).is_some_and(|seconds| seconds > 6), "{:?}", seconds_until_out(3));
    // What an idle pool did long ago is not held against it.
    let mut pool = Pool::new(2, Ejection::default());
    calls(&pool.loads[0], 0, 30, pool.now);
    calls(&pool.loads[1], 30, 0, pool.now);
    pool.now += 6 * SECOND;
    assert_eq!(pool.second(|_| (0, 0)), Vec::<usize>::new());
}

#[test]
fn a_review_comes_once_a_second() {
    let mut pool = Pool::new(2, Ejection::default());
    calls(&pool.loads[0], 0, 30, pool.now);
    calls(&pool.loads[1], 30, 0, pool.now);
    pool.now += 999 * MS;
    pool.review();
    assert_eq!(pool.ejected(), Vec::<usize>::new());
    pool.now += MS;
    pool.review();
    assert_eq!(pool.ejected(), [0]);
}

#[test]
fn a_pause_grows_with_the_row() {
    let pause = 100 * SECOND;
    let mut pool = Pool::new(2, Ejection { pause, ..Ejection::default() });
    let mut pauses = Vec::new();
    for _ in 0..5 {
        assert_eq!(pool.second(failing(&[0])), [0]);
        let until = (0..).map(|second| pool.now + second * SECOND).find(|&at| !pool.loads[0].is_ejected(at));
        let until = until.expect("it comes back");
        pauses.push((until - pool.now).as_secs());
        pool.now = until;
    }
    assert_eq!(pauses, [100, 200, 300, 300, 300]);
    assert_eq!(LONGEST_PAUSE, 300 * SECOND);
    // Too few calls to judge it do not end the row.
    assert_eq!(pool.second(|_| (1, 0)), Vec::<usize>::new());
    assert_eq!(pool.second(failing(&[0])), [0]);
    assert!(pool.loads[0].is_ejected(pool.now + 299 * SECOND));
}

#[test]
fn the_row_begins_anew_after_a_review_in_order() {
    let mut pool = Pool::new(2, Ejection::default());
    pool.second(failing(&[0]));
    pool.now += 10 * SECOND;
    pool.second(failing(&[]));
    pool.now += 100 * SECOND;
    assert_eq!(pool.second(failing(&[0])), [0]);
    assert!(!pool.loads[0].is_ejected(pool.now + 10 * SECOND), "the first of a new row");
}

#[test]
fn the_ejected_are_asked_last_and_only_then() {
    for policy in Policy::ALL {
        let mut pool = Pool::new(5, Ejection::default());
        pool.balancer = Balancer::new(Settings { policy, ..Settings::default() });
        pool.review();
        assert_eq!(pool.second(failing(&[1, 3])), [1, 3]);
        let mut random = seeded(5);
        let mut first = [0; 5];
        for _ in 0..300 {
            let (_, asked) = choose(&pool.balancer, &pool.loads, pool.now, &mut random, |_| false);
            let mut last = asked[3..].to_vec();
            last.sort_unstable();
            assert_eq!((asked.len(), last), (5, vec![1, 3]), "{policy}");
            let (picked, _) = choose(&pool.balancer, &pool.loads, pool.now, &mut random, |_| true);
            first[picked.expect("all grant")] += 1;
        }
        assert!([0, 2, 4].iter().all(|&endpoint| first[endpoint] > 50), "{policy}: {first:?}");
        let (found, _) = choose(&pool.balancer, &pool.loads, pool.now, &mut random, |endpoint| endpoint == 3);
        assert_eq!(found, Some(3), "better an outlier than a refusal");
    }
}

#[test]
fn who_comes_back_is_judged_by_what_it_does_then() {
    let mut pool = Pool::new(2, Ejection { pause: SECOND, ..Ejection::default() });
    assert_eq!(pool.second(|endpoint| if endpoint == 0 { (0, 1_000) } else { (1_000, 0) }), [0]);
    assert_eq!(pool.second(failing(&[])), Vec::<usize>::new());
}

#[test]
fn where_all_are_out_the_policy_chooses_among_them() {
    let mut pool = Pool::new(4, Ejection::default());
    assert_eq!(pool.second(failing(&[0, 1])), [0, 1]);
    pool.loads.truncate(2);
    pool.loads[0].begin();
    let (balancer, mut random) = (plain(Policy::LeastRequest), seeded(2));
    for _ in 0..100 {
        let (_, asked) = choose(&balancer, &pool.loads, pool.now, &mut random, |_| false);
        assert_eq!(asked, [1, 0], "the one with fewer calls under way first");
    }
}

#[test]
fn a_pool_that_shrinks_takes_some_back() {
    for most in [50, 100] {
        let mut pool = Pool::new(4, Ejection { most, ..Ejection::default() });
        assert_eq!(pool.second(failing(&[0, 1])), [0, 1]);
        pool.loads.truncate(2);
        assert_eq!(pool.second(|_| (0, 0)).len(), 1, "one of two may be out");
        pool.loads.swap(0, 1);
        pool.loads.truncate(1);
        assert_eq!(pool.second(|_| (0, 0)), Vec::<usize>::new(), "never the last one");
    }
}

#[test]
fn threads_that_find_a_review_due_keep_its_bounds() {
    let mut pool = Pool::new(300, Ejection { most: 1, ..Ejection::default() });
    for round in 0..100 {
        // A quiet time ends every pause, a good second every row.
        pool.now += 1_000 * SECOND;
        assert_eq!(pool.second(failing(&[])), Vec::<usize>::new());
        pool.now += 100 * SECOND;
        pool.review();
        for (endpoint, load) in pool.loads.iter().enumerate() {
            let (answered, failed) = failing(&[1, 3, 5, 7])(endpoint);
            calls(load, answered, failed, pool.now);
        }
        pool.now += SECOND;
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (pool, barrier) = (&pool, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    pool.review();
                    // Whoever had to give way may be here before the one who reviews.
                    assert!(pool.ejected().len() <= 3, "round {round}");
                });
            }
        });
        assert_eq!(pool.ejected().len(), 3, "round {round}");
        pool.now += 10 * SECOND;
        assert_eq!(pool.ejected(), Vec::<usize>::new(), "ejected twice at once, in round {round}");
    }
}

proptest! {
    /// Whatever happens: never more than the share is out, never all, and nobody who did as well as the median.
    #[test]
    fn ejection_keeps_its_bounds(
        endpoints in 1..=10_usize,
        most in 0..=100_u8,
        seconds in prop::collection::vec(prop::collection::vec((0..60_u32, 0..60_u32), 10), 1..40),
    ) {
        let mut pool = Pool::new(endpoints, Ejection { most, ..Ejection::default() });
        for counts in seconds {
            let before = pool.ejected();
            let out = pool.second(|endpoint| counts[endpoint]);
            prop_assert!(out.len() <= (endpoints * usize::from(most) / 100).min(endpoints - 1), "{:?} of {}", out, endpoints);
            prop_assert!(before.iter().all(|endpoint| out.contains(endpoint) || !pool.loads[*endpoint].is_ejected(pool.now)));
        }
    }
}
