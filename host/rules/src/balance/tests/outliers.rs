//! Ejection: which endpoints are ejected, how many, and for how long.

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

    /// Makes a choice in which every endpoint refuses; it reviews the pool if a review is due. Returns the endpoints
    /// in the order in which they were asked.
    fn review(&self) -> Vec<usize> {
        choose(&self.balancer, &self.loads, self.now, &mut seeded(3), |_| false).1
    }

    /// Lets a second pass in which each endpoint answers and fails this often, then reviews the pool. Returns the
    /// ejected endpoints.
    fn second(&mut self, of: impl Fn(usize) -> (u32, u32)) -> Vec<usize> {
        // As in traffic, the first call after a quiet time reviews the pool before its own outcome counts: older calls
        // are forgotten.
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

/// Every endpoint answers all calls, except those in `bad`, which fail all calls.
fn failing(bad: &[usize]) -> impl Fn(usize) -> (u32, u32) {
    move |endpoint| if bad.contains(&endpoint) { (0, 20) } else { (20, 0) }
}

#[test]
fn an_endpoint_that_fails_is_ejected_unless_it_is_alone() {
    for endpoints in 1..=10 {
        let out = Pool::new(endpoints, Ejection::default()).second(failing(&[0]));
        assert_eq!(out, if endpoints == 1 { vec![] } else { vec![0] }, "of {endpoints}");
    }
}

#[test]
fn where_all_endpoints_fail_none_is_ejected() {
    for endpoints in 1..=10 {
        let out = Pool::new(endpoints, Ejection::default()).second(|_| (0, 20));
        assert_eq!(out, Vec::<usize>::new(), "of {endpoints}");
    }
}

#[test]
fn at_most_the_share_is_ejected_and_the_worst_go_first() {
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
            // The first endpoint is good. The others begin to fail one after the other, 10 s apart.
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
fn an_outlier_needs_enough_calls_and_a_large_enough_difference() {
    let out = |of: &dyn Fn(usize) -> (u32, u32)| Pool::new(3, Ejection::default()).second(of);
    let none = Vec::<usize>::new();
    assert_eq!(out(&|endpoint| if endpoint == 0 { (0, 19) } else { (20, 0) }), none, "19 calls are too few");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (71, 29) } else { (100, 0) }), none, "29 points");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (70, 30) } else { (100, 0) }), [0], "30 points");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (20, 80) } else { (50, 50) }), [0], "30 points above the others");
    assert_eq!(out(&|endpoint| if endpoint == 0 { (0, 20) } else { (0, 0) }), none, "no endpoint to compare with");
    assert_eq!(
        out(&|endpoint| if endpoint == 0 { (20, 0) } else { (0, 20) }),
        none,
        "two of three: the median fails too"
    );
    let mut zero = Pool::new(3, Ejection { margin: 0, ..Ejection::default() });
    assert_eq!(zero.second(|_| (20, 0)), none, "no endpoint is worse than the others");
}

#[test]
fn calls_that_were_given_up_or_never_sent_are_no_failures() {
    let mut pool = Pool::new(2, Ejection::default());
    for _ in 0..100 {
        pool.loads[0].end(LoadSample::GivenUp { after: SECOND }, pool.now);
        pool.loads[0].end(LoadSample::Unused, pool.now);
    }
    assert_eq!(pool.second(|endpoint| (20 * u32::from(endpoint == 1), 5)), Vec::<usize>::new());
}

#[test]
fn a_failure_window_forgets_old_calls_within_seconds() {
    // All calls of endpoint 0 fail. At a steady 3 calls a second the window reaches 20 calls after a while; at 2 a
    // second it never does.
    let seconds_until_out = |rate: u32| {
        let mut pool = Pool::new(2, Ejection::default());
        (1..60).find(|_| !pool.second(|endpoint| if endpoint == 0 { (0, rate) } else { (20, 0) }).is_empty())
    };
    assert_eq!((seconds_until_out(20), seconds_until_out(2)), (Some(1), None));
    assert!(seconds_until_out(3).is_some_and(|seconds| seconds > 6), "{:?}", seconds_until_out(3));
    // The calls of a pool that was idle since then do not count against it.
    let mut pool = Pool::new(2, Ejection::default());
    calls(&pool.loads[0], 0, 30, pool.now);
    calls(&pool.loads[1], 30, 0, pool.now);
    pool.now += 6 * SECOND;
    assert_eq!(pool.second(|_| (0, 0)), Vec::<usize>::new());
}

#[test]
fn a_pool_is_reviewed_at_most_once_a_second() {
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
fn a_pause_grows_with_each_consecutive_ejection_up_to_five_minutes() {
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
    // A review with too few calls to judge the endpoint does not end the streak.
    assert_eq!(pool.second(|_| (1, 0)), Vec::<usize>::new());
    assert_eq!(pool.second(failing(&[0])), [0]);
    assert!(pool.loads[0].is_ejected(pool.now + 299 * SECOND));
}

#[test]
fn a_review_that_finds_the_endpoint_in_order_ends_the_streak() {
    let mut pool = Pool::new(2, Ejection::default());
    pool.second(failing(&[0]));
    pool.now += 10 * SECOND;
    pool.second(failing(&[]));
    pool.now += 100 * SECOND;
    assert_eq!(pool.second(failing(&[0])), [0]);
    assert!(!pool.loads[0].is_ejected(pool.now + 10 * SECOND), "the first pause of a new streak");
}

#[test]
fn ejected_endpoints_are_asked_last_and_only_if_the_others_refuse() {
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
fn an_endpoint_that_comes_back_is_judged_by_its_later_calls_only() {
    let mut pool = Pool::new(2, Ejection { pause: SECOND, ..Ejection::default() });
    assert_eq!(pool.second(|endpoint| if endpoint == 0 { (0, 1_000) } else { (1_000, 0) }), [0]);
    assert_eq!(pool.second(failing(&[])), Vec::<usize>::new());
}

#[test]
fn where_all_endpoints_are_ejected_the_policy_chooses_among_them() {
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
fn a_pool_that_shrinks_takes_ejected_endpoints_back() {
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
fn threads_that_find_a_review_due_at_once_keep_its_bounds() {
    let mut pool = Pool::new(300, Ejection { most: 1, ..Ejection::default() });
    for round in 0..100 {
        // A quiet time ends every pause, and a second without failures ends every streak.
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
                    // A thread that lost the race for the review may get here before the reviewing thread is done.
                    assert!(pool.ejected().len() <= 3, "round {round}");
                });
            }
        });
        assert_eq!(pool.ejected().len(), 3, "round {round}");
        pool.now += 10 * SECOND;
        assert_eq!(pool.ejected(), Vec::<usize>::new(), "an endpoint was ejected twice at once, in round {round}");
    }
}

proptest! {
    /// Property: whatever the endpoints answer, never more than the share of the pool is out and never all of it, and
    /// an ejected endpoint stays out for its pause of 10 s or longer.
    #[test]
    fn ejection_keeps_its_bounds(
        endpoints in 1..=10_usize,
        most in 0..=100_u8,
        seconds in prop::collection::vec(prop::collection::vec((0..60_u32, 0..60_u32), 10), 1..40),
    ) {
        let mut pool = Pool::new(endpoints, Ejection { most, ..Ejection::default() });
        let mut out_since = [None; 10];
        for (second, counts) in seconds.iter().enumerate() {
            let out = pool.second(|endpoint| counts[endpoint]);
            let bound = (endpoints * usize::from(most) / 100).min(endpoints - 1);
            prop_assert!(out.len() <= bound, "{:?} of {}", out, endpoints);
            for (endpoint, since) in out_since.iter_mut().enumerate() {
                match (*since, out.contains(&endpoint)) {
                    (None, true) => *since = Some(second),
                    (Some(first), false) => {
                        prop_assert!(second - first >= 10, "{} came back after {} s", endpoint, second - first);
                        *since = None;
                    }
                    (None, false) | (Some(_), true) => {}
                }
            }
        }
    }
}
