//! When a certificate is ordered. Pure: the time is an argument, in seconds since 1970.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// How long after its first, second, third and each further failure an order is tried again. Let's Encrypt admits five
/// failures of a name an hour; doubling from a second would use them up in half a minute.
const AGAIN: [u64; 4] = [MINUTE, 10 * MINUTE, HOUR, 6 * HOUR];
/// The longest that an authority may send the host away, in seconds: the certificate has a third of its life left.
const LONGEST_AWAY: u64 = DAY;
/// How often, at least and at most, the authority is asked when it wants a renewal (RFC 9773, section 4.3.2).
const ASKED: std::ops::RangeInclusive<u64> = MINUTE..=DAY;
/// The longest sleep. Clocks are set, and machines sleep.
const LOOK: u64 = HOUR;

/// What is remembered of orders, over restarts too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcmeSchedule {
    /// A digest of what is ordered: the names, and from whom. An order of something else is tried at once.
    pub(super) ordered: String,
    /// How many orders in a row have failed.
    pub(super) failures: u32,
    /// When an order may be tried again.
    pub(super) not_before: u64,
    /// When the certificate is renewed, as the authority wants it; `None`: it has not said.
    pub(super) renew_at: Option<u64>,
    /// When the authority is asked for that again.
    pub(super) ask_at: u64,
}

/// A certificate that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CertificateLife {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcmeStep {
    /// Order a certificate now.
    Order,
    /// Ask the authority when it wants a renewal.
    Ask,
    /// Look again after this time.
    Wait(Duration),
}

impl AcmeSchedule {
    /// What is to be done at `now`, for an order whose digest is `ordered`, with the certificate that is there.
    pub(super) fn step(&self, now: u64, ordered: &str, there: Option<CertificateLife>) -> AcmeStep {
        if self.ordered != ordered {
            return AcmeStep::Order;
        }
        let due = there.map_or(0, |life| self.renew_at.unwrap_or_else(|| life.two_thirds()));
        let due = due.max(self.not_before);
        if due <= now {
            return AcmeStep::Order;
        }
        let Some(_) = there else { return wait(now, due) };
        if self.ask_at <= now { AcmeStep::Ask } else { wait(now, due.min(self.ask_at)) }
    }

    /// Notes that an order begins. It counts as failed until [`Self::issued`], so that a host that ends within one does
    /// not begin the next one at once.
    pub(super) fn begin(&mut self, now: u64, ordered: &str) {
        if self.ordered != ordered {
            *self = Self { ordered: ordered.to_owned(), ..Self::default() };
        }
        let last = AGAIN.len() - 1;
        let at = usize::try_from(self.failures).map_or(last, |failures| failures.min(last));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(AGAIN[at]);
    }

    /// Notes that the authority wants to be left alone for `away`.
    pub(super) fn send_away(&mut self, now: u64, away: Duration) {
        self.not_before = self.not_before.max(now.saturating_add(away.as_secs().min(LONGEST_AWAY)));
    }

    /// Notes that the order was fulfilled.
    pub(super) fn issued(&mut self, now: u64) {
        *self = Self { ordered: std::mem::take(&mut self.ordered), ask_at: now, ..Self::default() };
    }

    /// Notes when the authority wants a renewal: at a random time in its window, so that not all of its customers come
    /// at once (RFC 9773, section 4.2). `fraction` is that time within the window, of 0 to 1. It asks to be asked again
    /// after `again`.
    pub(super) fn renewal(&mut self, now: u64, window: (u64, u64), fraction: f64, again: Duration) {
        let (start, end) = window;
        self.ask_at = now.saturating_add(again.as_secs().clamp(*ASKED.start(), *ASKED.end()));
        // The time that was chosen stays as long as it is in the window. A window that ends before it begins is wrong
        // (RFC 9773, section 4.2), and says nothing.
        if end <= start || self.renew_at.is_some_and(|at| (start..=end).contains(&at)) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a second more or less")]
        #[expect(clippy::cast_sign_loss, reason = "both factors are positive")]
        let into = ((end - start) as f64 * fraction.clamp(0.0, 1.0)) as u64;
        self.renew_at = Some(start + into);
    }

    /// Notes that the authority did not say when it wants a renewal.
    pub(super) fn not_told(&mut self, now: u64) {
        self.ask_at = now.saturating_add(6 * HOUR);
    }
}

impl CertificateLife {
    /// When it is renewed if the authority says nothing.
    fn two_thirds(self) -> u64 {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_before.saturating_add(life / 3 * 2)
    }
}

fn wait(now: u64, until: u64) -> AcmeStep {
    AcmeStep::Wait(Duration::from_secs(until.saturating_sub(now).clamp(1, LOOK)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIFE: CertificateLife = CertificateLife { not_before: 0, not_after: 90 * DAY };

    fn waits(seconds: u64) -> AcmeStep {
        AcmeStep::Wait(Duration::from_secs(seconds))
    }

    /// The schedule after a certificate was issued at 0, and the authority said nothing of renewals.
    fn issued() -> AcmeSchedule {
        let mut schedule = AcmeSchedule::default();
        schedule.begin(0, "a");
        schedule.issued(0);
        schedule.ask_at = u64::MAX;
        schedule
    }

    #[test]
    fn an_order_that_fails_is_tried_after_1_minute_10_minutes_1_hour_and_then_every_6_hours() {
        let (mut schedule, mut now, mut tried) = (AcmeSchedule::default(), 0, Vec::new());
        while tried.len() < 6 {
            match schedule.step(now, "a", None) {
                AcmeStep::Order => {
                    tried.push(now);
                    // As if the host ended within each of them: the file is all that is left.
                    schedule.begin(now, "a");
                    let text = serde_json::to_string(&schedule).expect("it is written");
                    schedule = serde_json::from_str(&text).expect("it is read");
                }
                AcmeStep::Wait(time) => now += time.as_secs(),
                AcmeStep::Ask => panic!("there is no certificate"),
            }
        }
        assert_eq!(tried, [0, 60, 660, 4260, 25_860, 47_460]);
        // Another order is not bound by it.
        assert_eq!(schedule.step(now, "b", None), AcmeStep::Order);
        schedule.begin(now, "b");
        assert_eq!(schedule.step(now, "b", None), waits(60));
    }

    #[test]
    fn an_authority_that_wants_to_be_left_alone_is_but_for_a_day_at_most() {
        let mut schedule = AcmeSchedule::default();
        schedule.begin(0, "a");
        schedule.send_away(0, Duration::from_secs(7200));
        assert_eq!((schedule.not_before, schedule.step(7199, "a", None)), (7200, waits(1)));
        schedule.send_away(0, Duration::MAX);
        assert_eq!(schedule.not_before, DAY);
        schedule.send_away(0, Duration::ZERO);
        assert_eq!(schedule.not_before, DAY);
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life_unless_the_authority_says_otherwise() {
        let mut schedule = issued();
        let at = |schedule: &AcmeSchedule, now| schedule.step(now, "a", Some(LIFE));
        assert_eq!(at(&schedule, 60 * DAY - 1), waits(1));
        assert_eq!(at(&schedule, 60 * DAY), AcmeStep::Order);
        assert_eq!(at(&schedule, 0), waits(LOOK));
        // Whatever was issued last, a certificate that was lost is ordered.
        assert_eq!(schedule.step(0, "a", None), AcmeStep::Order);
        assert_eq!(schedule.step(0, "other names", Some(LIFE)), AcmeStep::Order);

        schedule.renewal(0, (10 * DAY, 12 * DAY), 0.5, Duration::from_secs(7200));
        assert_eq!((schedule.renew_at, schedule.ask_at), (Some(11 * DAY), 7200));
        assert_eq!((at(&schedule, 7200), at(&schedule, 11 * DAY)), (AcmeStep::Ask, AcmeStep::Order));
        // The same window again changes nothing, another one does; one in the past is now.
        schedule.renewal(7200, (10 * DAY, 12 * DAY), 0.1, Duration::ZERO);
        assert_eq!((schedule.renew_at, schedule.ask_at), (Some(11 * DAY), 7260));
        schedule.renewal(7200, (5, 6), 0.0, Duration::MAX);
        assert_eq!((schedule.renew_at, schedule.ask_at), (Some(5), 7200 + DAY));
        assert_eq!(at(&schedule, 7200), AcmeStep::Order);
        // A wrong window says nothing.
        schedule.renewal(7200, (80, 70), 0.0, Duration::ZERO);
        assert_eq!(schedule.renew_at, Some(5));
        schedule.not_told(0);
        assert_eq!(schedule.ask_at, 6 * HOUR);
    }

    proptest! {
        /// Whatever authorities say and however often orders fail, there are at most five orders in an hour (the bound
        /// of Let's Encrypt), and the host never waits without end.
        #[test]
        fn never_more_than_five_orders_an_hour(
            steps in prop::collection::vec((0u64..4000, 0u64..100_000, any::<u64>(), 0.0f64..1.0), 1..60),
        ) {
            let (mut schedule, mut now, mut orders) = (AcmeSchedule::default(), 1_000_000, Vec::new());
            for (passes, away, window, fraction) in steps {
                now += passes;
                match schedule.step(now, "a", None) {
                    AcmeStep::Order => {
                        schedule.begin(now, "a");
                        schedule.send_away(now, Duration::from_secs(away));
                        orders.push(now);
                    }
                    AcmeStep::Wait(time) => prop_assert!((1..=LOOK).contains(&time.as_secs())),
                    AcmeStep::Ask => schedule.renewal(now, (window / 2, window), fraction, Duration::from_secs(away)),
                }
                prop_assert!(orders.iter().filter(|at| **at + HOUR > now).count() <= 5);
            }
        }
    }
}
