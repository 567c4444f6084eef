//! What becomes of due times that passed while the host did not run, or while the firing before took long.

use super::recurrence::Recurrence;

/// So many skipped due times are counted; beyond, the number is this.
const MOST_COUNTED: u64 = 1000;

/// The rule for due times that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedRule {
    /// The latest of them fires, late; the others are skipped.
    Latest,
    /// Each of them fires, one after the other.
    All,
    /// They are skipped.
    Skip,
}

/// Which due time fires now, and which never will.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DuePick {
    /// The due time that fires.
    pub fire: Option<u64>,
    /// Up to this one all others are settled without having fired.
    pub settled: Option<u64>,
    /// How many these are; at most 1,000 are counted.
    pub skipped: u64,
}

impl MissedRule {
    /// Picks among the due times after `done`, the last one that is settled, up to `now`. Those up to `free_since` were
    /// missed: the host did not run then, or another firing was under way.
    pub fn pick(self, times: &Recurrence, done: u64, free_since: u64, now: u64) -> DuePick {
        let Some(first) = times.after(done).filter(|first| *first <= now) else { return DuePick::default() };
        if self == Self::All {
            return DuePick { fire: Some(first), ..DuePick::default() };
        }
        let last = times.last_until(now).map_or(first, |last| last.max(first));
        let before = count(times, first, last);
        if self == Self::Skip && last <= free_since {
            return DuePick { fire: None, settled: Some(last), skipped: before + 1 };
        }
        DuePick { fire: Some(last), settled: None, skipped: before }
    }
}

/// How many due times there are from `first` up to `last`, without the latter.
fn count(times: &Recurrence, first: u64, last: u64) -> u64 {
    let (mut at, mut count) = (first, 0);
    while at < last && count < MOST_COUNTED {
        count += 1;
        match times.after(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn each_rule_has_its_way_with_missed_times() {
        let times = Recurrence::every(Duration::from_millis(10));
        let fire = |fire, skipped| DuePick { fire: Some(fire), settled: None, skipped };
        let cases = [
            // Nothing is due.
            (MissedRule::Latest, 20, 20, 29, DuePick::default()),
            // On time.
            (MissedRule::Latest, 20, 25, 30, fire(30, 0)),
            (MissedRule::Skip, 20, 25, 30, fire(30, 0)),
            (MissedRule::All, 20, 25, 30, fire(30, 0)),
            // 30, 40 and 50 were missed.
            (MissedRule::Latest, 20, 55, 55, fire(50, 2)),
            (MissedRule::All, 20, 55, 55, fire(30, 0)),
            (MissedRule::Skip, 20, 55, 55, DuePick { fire: None, settled: Some(50), skipped: 3 }),
            // 30 was missed, 40 is on time.
            (MissedRule::Skip, 20, 35, 40, fire(40, 1)),
            // The clock was set back.
            (MissedRule::All, 20, 5, 5, DuePick::default()),
        ];
        for (rule, done, free, now, expected) in cases {
            assert_eq!(rule.pick(&times, done, free, now), expected, "{rule:?} {done} {free} {now}");
        }
        let year = MissedRule::Latest.pick(&times, 0, 0, 31_536_000_000);
        assert_eq!((year.fire, year.skipped), (Some(31_536_000_000), MOST_COUNTED));
    }

    proptest! {
        /// However often it is asked, and whenever: each due time fires once or is skipped once, in its order.
        #[test]
        fn each_due_time_has_one_end(
            steps in proptest::collection::vec((0u64..40, 0u64..25), 1..60),
            interval in 1u64..20,
            rule in prop_oneof![Just(MissedRule::Latest), Just(MissedRule::All), Just(MissedRule::Skip)],
        ) {
            let times = Recurrence::every(Duration::from_millis(interval));
            let (mut done, mut now, mut free, mut ends) = (0, 0, 0, 0);
            for (idle, busy) in steps {
                now += idle;
                let pick = rule.pick(&times, done, free, now);
                ends += pick.skipped + u64::from(pick.fire.is_some());
                if let Some(end) = pick.fire.or(pick.settled) {
                    prop_assert!(end > done && end <= now && end % interval == 0);
                    done = end;
                }
                if pick.fire.is_some() {
                    now += busy;
                }
                free = now;
                prop_assert_eq!(ends, done / interval);
            }
        }
    }
}
