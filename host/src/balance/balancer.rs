//! The balancer of one service.

use super::candidate::{Candidate, Candidates};
use super::ejection::{Ejection, Reviews};
use super::load::Load;
use super::policy::Policy;
use super::turns::WeightedRoundRobin;
use std::time::{Duration, Instant};

/// Up to so many endpoints a choice needs no allocation; a service seldom has more.
const INLINE: usize = 16;

/// How the endpoints of a service share its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How one is chosen. Default: peak-EWMA.
    pub policy: Policy,
    /// So long the effective weight of a new endpoint climbs, from a tenth to the whole. It counts in relation to the others: if all are
    /// equally new, none is held back. Zero: no slow start. Default 10 s.
    pub slow_start: Duration,
    /// When one leaves the choice.
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
    turns: WeightedRoundRobin,
    reviews: Reviews,
}

impl Balancer {
    /// A balancer that follows `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { settings, turns: WeightedRoundRobin::default(), reviews: Reviews::default() }
    }

    /// What it follows.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Chooses one of the endpoints `0..endpoints` that `admit` grants, with what it granted; `None` when it grants none of them.
    ///
    /// `admit` is asked at most once for each endpoint and not again after it granted one: a grant may be the only probe of a
    /// half-open circuit, and must not be taken to be thrown away. It is asked first for the policy's choice (the better of two, then
    /// the other one), then for the rest in random order by weight (round robin: in turn), then for those out of the choice: the ejected
    /// ones, and those that are not `open_to_calls`, which takes nothing and says whether an endpoint is likely to grant. If one that
    /// refuses were drawn as one of two, the other would get the call however bad it is.
    ///
    /// `load` answers the load of each, always the same. `random(n)` answers a number below `n`, each as likely as the others. The
    /// caller tells the load of the chosen one that a call [begins](Load::begin).
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
        self.reviews.review_if_due(&self.settings.ejection, endpoints, &load, now);
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
                self.turns.pick(candidates.take_choice(), endpoints, &mut admit)
            }
            Policy::LeastRequest => of_two(&mut candidates, random, &mut admit, |first, second| {
                let (first, second) = requests(&load, first, second);
                second < first
            }),
            Policy::PeakEwma => of_two(&mut candidates, random, &mut admit, |first, second| {
                let (first_requests, second_requests) = requests(&load, first, second);
                let (first, second) = latencies(&load, first, second, now);
                second * second_requests < first * first_requests
            }),
        };
        chosen.or_else(|| at_random(&mut candidates, random, &mut admit)).or_else(|| {
            candidates.turn_to_the_others();
            at_random(&mut candidates, random, &mut admit)
        })
    }
}

/// Draws, by weight, as long as there is somebody and nobody has granted.
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

/// The power of two choices: draws two by weight, asks the better one, then the other. The first one stays if they are equal, so
/// endpoints that are equally good get their shares by weight.
fn of_two<P>(
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
    order.into_iter().flatten().find_map(|one| admit(one.endpoint).map(|granted| (one.endpoint, granted)))
}

/// How busy each of two would be with one call more: (calls under way + 1) / weight, both times the same factor.
///
/// One exception: the call to come counts for the first one no more than for the second. By the formula alone the lighter of two idle
/// endpoints would never get a call, whatever its share; as it is, it gets those for which it was drawn first, which is its share.
#[expect(clippy::cast_precision_loss, reason = "a weight has 20 bits: 2³³ calls would have to be under way")]
fn requests<'a>(load: impl Fn(usize) -> &'a Load, first: Candidate, second: Candidate) -> (f64, f64) {
    let under_way = [first, second].map(|one| load(one.endpoint).in_flight());
    let lighter = first.weight.min(second.weight);
    // Times both weights, so that all of it is whole and equal means equal.
    let of_first = under_way[0].saturating_mul(second.weight).saturating_add(lighter);
    let of_second = under_way[1].saturating_add(1).saturating_mul(first.weight);
    (of_first as f64, of_second as f64)
}

/// What a call to each of two is expected to take. One that was never measured is taken to be as fast as the other one: it gets its share
/// of the calls under way, no more, whether the others take microseconds or seconds.
fn latencies<'a>(load: impl Fn(usize) -> &'a Load, first: Candidate, second: Candidate, now: Instant) -> (f64, f64) {
    let [first, second] = [first, second].map(|one| load(one.endpoint).expected(now).map(f64::from));
    match (first, second) {
        (Some(first), Some(second)) => (first, second),
        _ => (1.0, 1.0),
    }
}
