//! A lease as its holder counts it.
//!
//! The store ends a lease when nobody has renewed it for its length; that stops nobody. So the holder counts by itself,
//! from before it sent what was stored: the store got that later, and so ends the lease later. The two clocks may run
//! at different rates, and a decision takes a moment to have its effect; for both there is the margin. What a margin
//! cannot cover, a process that sleeps between the decision and its effect, the fence does.

use std::time::{Duration, Instant};

/// The number of one tenure of a lease: the revision with which it was acquired. A later tenure has a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub u64);

impl Fence {
    /// Whether a writer of this tenure may write what was last written in the tenure `stored`.
    pub fn may_follow(self, stored: Option<Self>) -> bool {
        stored.is_none_or(|stored| stored <= self)
    }
}

/// How long a lease lasts, and how much of that the holder leaves unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long the store keeps it after the last renewal.
    pub length: Duration,
    /// How long before its end the holder stops.
    pub margin: Duration,
}

impl LeaseTerms {
    /// A lease of this length. A quarter is its margin: clocks that are kept in step differ by far less than 1 % in
    /// their rate, and the rest is for what a decision takes.
    pub fn of(length: Duration) -> Self {
        Self { length, margin: length / 4 }
    }

    /// The time from one renewal to the next: two may fail before the holder stops.
    pub fn renewal(&self) -> Duration {
        self.length / 4
    }

    /// How long a holder acts after it sent the last renewal that was stored.
    fn tenure(&self) -> Duration {
        self.length.saturating_sub(self.margin)
    }
}

/// What is certain of a lease that this node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tenure {
    fence: Fence,
    /// The revision of the last write of ours, which the next one expects.
    revision: u64,
    /// Before that write was sent.
    sent: Instant,
}

/// One node's claim to one lease. Writes are made one after the other: [`LeaseClaim::sending`] before each, and then
/// what came of it.
#[derive(Debug, Clone)]
pub struct LeaseClaim {
    terms: LeaseTerms,
    held: Option<Tenure>,
    /// Before the first of the writes was sent whose outcome is not known.
    unsure: Option<Instant>,
    /// Before the last write was sent.
    last: Option<Instant>,
}

impl LeaseClaim {
    /// A claim that nobody has granted.
    pub fn new(terms: LeaseTerms) -> Self {
        Self { terms, held: None, unsure: None, last: None }
    }

    /// A write is about to be sent.
    pub fn sending(&mut self, now: Instant) {
        self.unsure.get_or_insert(now);
        self.last = Some(now);
    }

    /// The last write was stored as `revision`. The store compares, so none of the writes before it was.
    pub fn stored(&mut self, revision: u64) {
        if let Some(sent) = self.last {
            self.hold(revision, sent);
        }
    }

    /// The store has the lease as this node wrote it, as `revision`: one of the writes whose outcome was not known. It
    /// counts from the first of them.
    pub fn found_own(&mut self, revision: u64) {
        match (&mut self.held, self.unsure) {
            // Nothing was stored but what is known.
            (Some(held), _) if held.revision == revision => self.unsure = None,
            (_, Some(sent)) => self.hold(revision, sent),
            // A write of this node that it knows nothing of: it would not know from when to count.
            (_, None) => self.held = None,
        }
    }

    fn hold(&mut self, revision: u64, sent: Instant) {
        // The store compares revisions: between two writes of one claim there was no other, so the tenure goes on.
        let fence = self.held.map_or(Fence(revision), |held| held.fence);
        (self.held, self.unsure) = (Some(Tenure { fence, revision, sent }), None);
    }

    /// The lease has ended, or somebody else has it.
    pub fn lost(&mut self) {
        (self.held, self.unsure) = (None, None);
    }

    /// The revision that the next write expects; `None`: this node has no lease.
    pub fn revision(&self) -> Option<u64> {
        self.held.map(|held| held.revision)
    }

    /// The tenure, if this node may act on it at `now`.
    pub fn holds(&self, now: Instant) -> Option<Fence> {
        self.held.filter(|held| now < held.sent + self.terms.tenure()).map(|held| held.fence)
    }

    /// When it stops to act, unless it renews the lease.
    pub fn ends(&self) -> Option<Instant> {
        self.held.map(|held| held.sent + self.terms.tenure())
    }

    /// How long ago the last write was sent that is known to be stored.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.held.map(|held| now.saturating_duration_since(held.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: LeaseTerms = LeaseTerms { length: Duration::from_secs(8), margin: Duration::from_secs(2) };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_counts_from_before_it_was_sent_and_ends_a_margin_early() {
        let start = Instant::now();
        let mut claim = LeaseClaim::new(TERMS);
        assert_eq!((claim.holds(start), claim.revision()), (None, None));
        claim.sending(start);
        assert_eq!(claim.holds(start), None, "what was sent is not stored");
        claim.stored(7);
        assert_eq!(claim.holds(at(start, 5)), Some(Fence(7)));
        assert_eq!(claim.holds(at(start, 6)), None);
        claim.sending(at(start, 3));
        claim.stored(9);
        assert_eq!((claim.holds(at(start, 8)), claim.revision()), (Some(Fence(7)), Some(9)), "one tenure");
        claim.lost();
        assert_eq!((claim.holds(at(start, 3)), claim.revision()), (None, None));
        claim.sending(at(start, 4));
        claim.stored(12);
        assert_eq!(claim.holds(at(start, 4)), Some(Fence(12)), "a new tenure");
    }

    #[test]
    fn a_write_of_unknown_outcome_counts_from_the_first_that_it_may_be() {
        let start = Instant::now();
        let mut claim = LeaseClaim::new(TERMS);
        claim.sending(start);
        claim.sending(at(start, 2));
        claim.found_own(5);
        assert_eq!((claim.ends(), claim.revision()), (Some(at(start, 6)), Some(5)));
        claim.sending(at(start, 3));
        claim.found_own(5);
        assert_eq!(claim.ends(), Some(at(start, 6)), "the renewal was not stored");
        let mut strange = LeaseClaim::new(TERMS);
        strange.found_own(5);
        assert_eq!(strange.holds(start), None, "nobody knows since when");
    }

    #[test]
    fn a_fence_admits_its_own_tenure_and_later_ones() {
        assert!(
            Fence(1).may_follow(None) && Fence(2).may_follow(Some(Fence(2))) && Fence(3).may_follow(Some(Fence(2)))
        );
        assert!(!Fence(1).may_follow(Some(Fence(2))));
    }

    proptest! {
        /// A store with a clock that is up to 10 % faster, writes that take a while, and answers that are lost: as long
        /// as the holder acts, the store has its lease.
        #[test]
        fn while_a_holder_acts_the_store_has_its_lease(
            steps in prop::collection::vec((1_u64..4_000, 0_u64..900, 0_u64..900, any::<bool>()), 1..60),
            faster in 0_u64..100,
        ) {
            let start = Instant::now();
            // The store's clock, in its own milliseconds.
            let store = |now: u64| now + now * faster / 1000;
            let (mut now, mut revision, mut ends) = (0, 0_u64, 0);
            let mut claim = LeaseClaim::new(TERMS);
            for (pause, there, back, answered) in steps {
                let holds = |claim: &LeaseClaim, now: u64| claim.holds(start + Duration::from_millis(now)).is_some();
                for moment in (now..now + pause).step_by(37) {
                    prop_assert!(!holds(&claim, moment) || store(moment) < ends, "at {moment}");
                }
                now += pause;
                claim.sending(start + Duration::from_millis(now));
                let arrives = store(now + there);
                let own = revision > 0 && claim.revision() == Some(revision) && arrives < ends;
                let free = claim.revision().is_none() && arrives >= ends;
                if own || free {
                    revision += 1;
                    ends = arrives + 8_000;
                } else if arrives >= ends {
                    // The marker of the end is a revision, too.
                    revision += 1;
                }
                now += there + back;
                match (own || free, answered) {
                    (true, true) => claim.stored(revision),
                    (_, false) if store(now) < ends => claim.found_own(revision),
                    (_, false) => claim.lost(),
                    (false, true) => claim.lost(),
                }
            }
        }
    }
}
