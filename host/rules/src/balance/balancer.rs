//! The balancer of one service.

use super::candidates::{Candidate, Candidates};
use super::ejection::Ejection;
use super::load::Load;
use super::outlier_review::OutlierReview;
use super::policy::Policy;
use super::weighted_round_robin::WeightedRoundRobin;
use std::time::{Duration, Instant};

/// For up to so many endpoints a choice allocates nothing. A service seldom has more.
const INLINE: usize = 16;

/// How the endpoints of a service share its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How an endpoint is chosen. Default: peak-EWMA.
    pub policy: Policy,
    /// How long the effective weight of a new endpoint climbs, from a tenth to the whole. Weights are relative: if all
    /// endpoints are equally new, none is held back. Zero: no slow start. Default 10 s.
    pub slow_start: Duration,
    /// When an endpoint leaves the choice.
    pub ejection: Ejection,
}

impl Default for Settings {
    fn default() -> Self {
        Self { policy: Policy::default(), slow_start: Duration::from_secs(10), ejection: Ejection::default() }
    }
}

/// Chooses endpoints for one service; lives as long as the service, through every snapshot of its endpoints.
#[derive(Debug, Default)]
pub struct Balancer {
    settings: Settings,
    round_robin: WeightedRoundRobin,
    review: OutlierReview,
}

impl Balancer {
    /// A balancer that follows `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { settings, round_robin: WeightedRoundRobin::default(), review: OutlierReview::default() }
    }

    /// The settings that the balancer follows.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Chooses one of the endpoints `0..endpoints` for which `admit` grants, and returns it with the grant; `None`
    /// when `admit` grants for none of them.
    ///
    /// `admit` is called at most once for each endpoint, and not again after it has granted: a grant may be the only
    /// probe of a half-open circuit, and must not be taken and thrown away. It is called first for the policy's choice
    /// (the better of two, then the other one), then for the rest in random order by weight (round robin: in turn),
    /// then for the endpoints out of the choice: the ejected ones, and those that are not `open_to_calls`.
    ///
    /// `open_to_calls` takes nothing, and says whether an endpoint is likely to grant. Without it, an endpoint that
    /// refuses could be drawn as one of two, and the other one would get the call however bad it is.
    ///
    /// `load` answers the load of an endpoint, always the same one. `random(n)` answers a number below `n`, each as
    /// likely as the others. The caller must tell the load of the chosen endpoint that a call [begins](Load::begin).
    pub fn pick<'a, P>(
        &self,
        endpoints: usize,
        load: impl Fn(usize) -> &'a Load,
        open_to_calls: impl Fn(usize) -> bool,
        now: Instant,
        random: &mut dyn FnMut(usize) -> usize,
        mut admit: impl FnMut(usize) -> Option<P>,
    ) -> Option<(usize, P)> {
        if endpoints == 0 {
            return None;
        }
        self.review.run_if_due(&self.settings.ejection, endpoints, &load, now);
        if endpoints == 1 {
            return admit(0).map(|granted| (0, granted));
        }
        let mut inline = [Candidate::default(); INLINE];
        let mut heap = Vec::new();
        let space = if endpoints <= INLINE {
            &mut inline[..endpoints]
        } else {
            heap.resize(endpoints, Candidate::default());
            &mut heap[..]
        };
        let mut candidates = Candidates::new(space, &load, open_to_calls, self.settings.slow_start, now);
        let chosen = match self.settings.policy {
            Policy::Random => None,
            Policy::RoundRobin => {
                let endpoints = candidates.len();
                self.round_robin.pick(candidates.take_choice(), endpoints, &mut admit)
            }
            Policy::LeastRequest => better_of_two(&mut candidates, random, &mut admit, |first, second| {
                let (first, second) = requests_by_weight(&load, first, second);
                second < first
            }),
            Policy::PeakEwma => better_of_two(&mut candidates, random, &mut admit, |first, second| {
                let (first_requests, second_requests) = requests_by_weight(&load, first, second);
                let (first, second) = expected_latencies(&load, first, second, now);
                second * second_requests < first * first_requests
            }),
        };
        chosen.or_else(|| at_random(&mut candidates, random, &mut admit)).or_else(|| {
            candidates.fall_back_to_the_rest();
            at_random(&mut candidates, random, &mut admit)
        })
    }
}

/// Draws endpoints by weight until one grants or none is left.
fn at_random<P>(
    candidates: &mut Candidates<'_>,
    random: &mut dyn FnMut(usize) -> usize,
    mut admit: impl FnMut(usize) -> Option<P>,
) -> Option<(usize, P)> {
    while let Some(Candidate { endpoint, .. }) = candidates.draw(random) {
        if let Some(granted) = admit(endpoint) {
            return Some((endpoint, granted));
        }
    }
    None
}

/// The power of two choices: draws two endpoints by weight, asks the better one, then the other. If both are equally
/// good, it asks the first one first, so such endpoints get their shares by weight.
fn better_of_two<P>(
    candidates: &mut Candidates<'_>,
    random: &mut dyn FnMut(usize) -> usize,
    mut admit: impl FnMut(usize) -> Option<P>,
    second_is_better: impl FnOnce(Candidate, Candidate) -> bool,
) -> Option<(usize, P)> {
    let first = candidates.draw(random)?;
    let order = match candidates.draw(random) {
        Some(second) if second_is_better(first, second) => [Some(second), Some(first)],
        second => [Some(first), second],
    };
    order.into_iter().flatten().find_map(|drawn| admit(drawn.endpoint).map(|granted| (drawn.endpoint, granted)))
}

/// How busy each of two endpoints would be with one more call: (calls under way + 1) / weight, both multiplied by the
/// same factor.
///
/// One exception: for the first endpoint, the call to come counts no more than for the second one. By the formula
/// alone, the lighter of two idle endpoints would never get a call, whatever its share. With the exception it gets the
/// calls for which it was drawn first, and these are its share.
#[expect(clippy::cast_precision_loss, reason = "a weight has 20 bits: 2³³ calls would have to be under way")]
fn requests_by_weight<'a>(load: impl Fn(usize) -> &'a Load, first: Candidate, second: Candidate) -> (f64, f64) {
    let under_way = [first, second].map(|drawn| load(drawn.endpoint).in_flight());
    let lighter = first.weight.min(second.weight);
    // Both are multiplied by both weights, so that they are integers and equal means equal.
    let of_first = under_way[0].saturating_mul(second.weight).saturating_add(lighter);
    let of_second = under_way[1].saturating_add(1).saturating_mul(first.weight);
    (of_first as f64, of_second as f64)
}

/// The expected latency of a call to each of two endpoints. An endpoint that was never measured counts as fast as the
/// other one: it gets its share of the calls under way and no more, whether the others take microseconds or seconds.
fn expected_latencies<'a>(
    load: impl Fn(usize) -> &'a Load,
    first: Candidate,
    second: Candidate,
    now: Instant,
) -> (f64, f64) {
    let [first, second] = [first, second].map(|drawn| load(drawn.endpoint).expected_latency(now).map(f64::from));
    match (first, second) {
        (Some(first), Some(second)) => (first, second),
        _ => (1.0, 1.0),
    }
}
