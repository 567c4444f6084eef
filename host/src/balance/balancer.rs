//! The balancer of one service and its policies.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Up to so many endpoints a choice needs no allocation; a service seldom has more.
const INLINE: usize = 16;

/// How the next endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Each endpoint that grants is as likely as the others.
    #[default]
    Random,
    /// The endpoints take turns.
    RoundRobin,
}

/// A text that names no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no balancing policy: write `random` or `round-robin`")]
pub struct UnknownPolicy(String);

impl Policy {
    /// Reads the name that [`Policy::as_str`] writes.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownPolicy> {
        let named = [Self::Random, Self::RoundRobin].into_iter().find(|policy| policy.as_str() == text);
        named.ok_or_else(|| UnknownPolicy(text.to_owned()))
    }

    /// The policy's name in the manifest: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Chooses endpoints for one service; lives as long as the service, through every snapshot of its endpoints.
#[derive(Debug, Default)]
pub struct Balancer {
    policy: Policy,
    /// Round robin's next turn, modulo the number of endpoints.
    cursor: AtomicUsize,
}

impl Balancer {
    /// A balancer that follows `policy`.
    pub fn new(policy: Policy) -> Self {
        Self { policy, cursor: AtomicUsize::new(0) }
    }

    /// The policy that it follows.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Chooses one of the endpoints `0..endpoints` that `admit` grants, with what it granted; `None` when it grants none of them.
    ///
    /// `admit` is asked at most once for each endpoint and not again after it granted one: a grant may be the only probe of a
    /// half-open circuit, and must not be taken to be thrown away. `random(n)` answers a number below `n`, each as likely as the others.
    pub fn pick<P>(
        &self,
        endpoints: usize,
        random: &mut dyn FnMut(usize) -> usize,
        admit: impl FnMut(usize) -> Option<P>,
    ) -> Option<(usize, P)> {
        match self.policy {
            Policy::Random => {
                let mut inline = [0; INLINE];
                let mut heap = Vec::new();
                let order = if endpoints <= INLINE {
                    &mut inline[..endpoints]
                } else {
                    heap.resize(endpoints, 0);
                    &mut heap[..]
                };
                at_random(order, random, admit)
            }
            Policy::RoundRobin => self.in_turn(endpoints, admit),
        }
    }

    fn in_turn<P>(&self, endpoints: usize, mut admit: impl FnMut(usize) -> Option<P>) -> Option<(usize, P)> {
        if endpoints == 0 {
            return None;
        }
        let turn = self.cursor.fetch_add(1, Relaxed);
        for skipped in 0..endpoints {
            let endpoint = turn.wrapping_add(skipped) % endpoints;
            let Some(granted) = admit(endpoint) else { continue };
            // The turns of those that refused are over too, or the one after them would get their share on top of its own. If another
            // call has taken a turn meanwhile, it is left at that: moving the cursor on then would pass over an endpoint unasked.
            let next = turn.wrapping_add(1);
            let _ = self.cursor.compare_exchange(next, next.wrapping_add(skipped), Relaxed, Relaxed);
            return Some((endpoint, granted));
        }
        None
    }
}

/// A shuffle (Fisher and Yates) that goes only as far as the first grant. Every order is equally likely, so every endpoint that grants
/// is equally likely to be the first of them.
fn at_random<P>(
    order: &mut [usize],
    random: &mut dyn FnMut(usize) -> usize,
    mut admit: impl FnMut(usize) -> Option<P>,
) -> Option<(usize, P)> {
    for (place, endpoint) in order.iter_mut().enumerate() {
        *endpoint = place;
    }
    for asked in 0..order.len() {
        order.swap(asked, asked + random(order.len() - asked));
        let endpoint = order[asked];
        if let Some(granted) = admit(endpoint) {
            return Some((endpoint, granted));
        }
    }
    None
}
