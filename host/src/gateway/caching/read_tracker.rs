//! Watches a call whose answer shall be kept without a time: what it reads of the stores, and whether it reads anything
//! else.

use crate::base::{Input, InputWatch, ReadStanding, ServiceName};
use crate::cache::{StateBasis, Unkept};
use std::sync::{Arc, OnceLock};

/// The most keys and listings that an answer may rest on. Each is watched, in memory, for as long as the answer is
/// kept.
const MOST_READS: usize = 1024;

/// What one call has been handed, through all services.
#[derive(Debug)]
pub(in crate::gateway) struct ReadTracker {
    basis: StateBasis,
    /// The first thing that the call was handed beside what is watched.
    reason: OnceLock<Unkept>,
    /// Who watches the call as well.
    beside: Option<Arc<dyn InputWatch>>,
}

impl ReadTracker {
    /// A tracker for a call that begins now. `table`: the number that the discovery table has now; `beside`: who
    /// watches the call already.
    pub(super) fn new(table: u64, beside: Option<Arc<dyn InputWatch>>) -> Self {
        Self { basis: StateBasis { reads: Arc::default(), table }, reason: OnceLock::new(), beside }
    }

    /// What the answer rests on.
    ///
    /// # Errors
    /// Why it rests on something else, too. `table`: the number that the discovery table has now.
    pub(super) fn basis(&self, table: u64) -> Result<StateBasis, Unkept> {
        match self.reason.get() {
            Some(reason) => Err(*reason),
            None if !self.basis.stands(table) => Err(Unkept::Changed),
            None => Ok(self.basis.clone()),
        }
    }

    /// The answer is one that cannot be kept, or cannot be any longer: guests may work on after their answers, and what
    /// they write then ends it too.
    fn end(&self, reason: Unkept) {
        // The first reason is the one that is told.
        let _ = self.reason.set(reason);
        self.basis.reads.end();
    }
}

/// Why an answer that depends on `input` is not kept; `None`: it may be.
fn reason(input: &Input<'_>) -> Option<Unkept> {
    Some(match input {
        Input::WallClock(_) | Input::MonotonicClock(_) | Input::Timer => Unkept::Clock,
        Input::Random(_) | Input::InsecureRandom(_) => Unkept::Random,
        Input::RequestId(_) => Unkept::RequestId,
        Input::OutsideCall(_) => Unkept::Outside,
        Input::StateChange { .. } => Unkept::Write,
        Input::StateFailure => Unkept::StateFailure,
        Input::StatePage(page) if page.prefix.is_empty() => Unkept::UnboundedScan,
        Input::KeptMemory => Unkept::KeptMemory,
        Input::FailedCall(_) => Unkept::FailedCall,
        Input::Rollout(_) => Unkept::Rollout,
        // The same in all calls of a revision, or of the host.
        Input::InsecureSeed(_) | Input::Environment(_) | Input::Config(_) => return None,
        // In the key.
        Input::Caller(_) => return None,
        // Watched, or noted for themselves.
        Input::StateValues { .. } | Input::StatePage(_) | Input::ServiceCall(_) => return None,
    })
}

impl InputWatch for ReadTracker {
    fn note(&self, service: &ServiceName, input: Input<'_>) {
        if let Some(beside) = &self.beside {
            beside.note(service, input);
        }
        if let Some(reason) = reason(&input) {
            self.end(reason);
        } else if self.basis.reads.reads() > MOST_READS {
            self.end(Unkept::ManyReads);
        }
    }

    fn standing(&self) -> Option<&ReadStanding> {
        // What cannot be kept need not be watched.
        self.reason.get().is_none().then_some(&*self.basis.reads)
    }

    fn hides_ids(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ErrorKind, RequestId, StatePage};
    use std::time::Duration;

    fn service() -> ServiceName {
        ServiceName::new("users").expect("a name")
    }

    fn page(prefix: &[u8]) -> Input<'_> {
        Input::StatePage(StatePage { prefix, after: None, limit: 10, items: &[], next: None })
    }

    #[test]
    fn each_input_but_state_ends_what_may_be_kept_and_the_first_one_is_told() {
        let (id, name) = (RequestId::from_random(1), service());
        let table = [
            (Input::WallClock(Duration::ZERO), Some("clock")),
            (Input::MonotonicClock(1), Some("clock")),
            (Input::Timer, Some("clock")),
            (Input::Random(b"x"), Some("random")),
            (Input::InsecureRandom(b"x"), Some("random")),
            (Input::RequestId(&id), Some("request-id")),
            (Input::OutsideCall("https://example.com:443"), Some("outside")),
            (Input::StateChange { operation: "commit", committed: Some((1, &[])) }, Some("write")),
            (Input::StateChange { operation: "commit", committed: None }, Some("write")),
            (Input::StateFailure, Some("state-failure")),
            (page(b""), Some("unbounded-scan")),
            (Input::KeptMemory, Some("kept-memory")),
            (Input::FailedCall(ErrorKind::Timeout), Some("failed-call")),
            (Input::Rollout(&name), Some("rollout")),
            (page(b"user/"), None),
            (Input::StateValues { keys: &[], found: &[] }, None),
            (Input::InsecureSeed(7), None),
            (Input::Environment(&[("A", "b")]), None),
            (Input::Config(&[("page_size", "50")]), None),
            (Input::Caller(None), None),
            (Input::ServiceCall(&name), None),
        ];
        for (input, expected) in table {
            let tracker = ReadTracker::new(1, None);
            tracker.note(&name, input);
            let found = tracker.basis(1).err().map(Unkept::as_str);
            assert_eq!(found, expected, "{input:?}");
            assert_eq!(tracker.standing().is_some(), expected.is_none(), "{input:?}");
            tracker.note(&name, Input::WallClock(Duration::ZERO));
            assert_eq!(tracker.basis(1).err().map(Unkept::as_str), Some(expected.unwrap_or("clock")));
        }
    }

    #[test]
    fn an_answer_stands_for_one_table_and_until_its_reads_change_also_after_it_was_kept() {
        let tracker = ReadTracker::new(3, None);
        let basis = tracker.basis(3).expect("nothing was read");
        assert!(basis.stands(3) && !basis.stands(4));
        assert_eq!(tracker.basis(4).err(), Some(Unkept::Changed), "another revision may have read");
        tracker.note(&service(), Input::StateChange { operation: "set", committed: None });
        assert!(!basis.stands(3), "a guest that writes after its answer ends the answer");
    }

    #[test]
    fn an_answer_rests_on_a_bounded_number_of_reads() {
        let tracker = ReadTracker::new(1, None);
        tracker.standing().expect("asked").hold((), MOST_READS, 0);
        tracker.note(&service(), page(b"user/"));
        assert!(tracker.basis(1).is_ok());
        tracker.standing().expect("asked").hold((), 1, 0);
        tracker.note(&service(), page(b"user/"));
        assert_eq!(tracker.basis(1).err(), Some(Unkept::ManyReads));
    }

    #[test]
    fn whoever_watched_the_call_before_is_told_as_well() {
        let outer = Arc::new(ReadTracker::new(1, None));
        let inner = ReadTracker::new(1, Some(outer.clone()));
        inner.note(&service(), Input::Timer);
        assert_eq!(outer.basis(1).err(), Some(Unkept::Clock));
    }
}
