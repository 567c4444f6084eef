//! The event that a call handles.

use super::name::ServiceName;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The event that one call of a subscriber handles, in one try. Calls on behalf of that call do not have it.
#[derive(Debug)]
pub struct HandledEvent {
    /// The topic: `orders.placed`.
    pub topic: String,
    /// The event's number in its topic; the first one is 1.
    pub number: u64,
    /// What orders it: events of one key are handled one after the other. `None`: nothing orders it.
    pub key: Option<String>,
    /// When it was published, in milliseconds since 1970.
    pub time: u64,
    /// How often it was tried, this try included: 1 for the first one.
    pub attempt: u32,
    /// The data of the host in which the subscription's notes are.
    pub notes: ServiceName,
    /// The commits of this try that have succeeded or are under way, by their numbers.
    commits: Mutex<BTreeSet<u32>>,
}

impl HandledEvent {
    /// One try of an event.
    pub fn new(topic: String, number: u64, key: Option<String>, time: u64, attempt: u32, notes: ServiceName) -> Self {
        Self { topic, number, key, time, attempt, notes, commits: Mutex::default() }
    }

    /// What the notes say of a commit that was made for the event `number`: the keys of all its commits begin so.
    pub fn notes_of(number: u64) -> Vec<u8> {
        [b"applied/", &number.to_be_bytes()[..], b"/"].concat()
    }

    /// The note of the commit `commit` for this event. While it is there, the commit is on disk.
    pub fn note_of(&self, commit: u32) -> Vec<u8> {
        [&Self::notes_of(self.number)[..], &commit.to_be_bytes()].concat()
    }

    /// The number of the next commit of this try: the smallest that is free. A later try of the same event gives the
    /// same numbers to the same commits, if the handler makes them in the same order.
    pub fn begin_commit(&self) -> u32 {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (0..).zip(commits.iter()).find(|(free, taken)| free != *taken).map(|(free, _)| free);
        let number = next.unwrap_or_else(|| u32::try_from(commits.len()).unwrap_or(u32::MAX));
        commits.insert(number);
        number
    }

    /// The commit `commit` was refused, or may have failed: the next one gets its number.
    pub fn release_commit(&self, commit: u32) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).remove(&commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_numbered_by_their_order_and_a_refused_one_gives_its_number_back() {
        let event = HandledEvent::new("t".into(), 7, None, 0, 1, ServiceName::of_host_part("subscription", "a/t"));
        assert_eq!((event.begin_commit(), event.begin_commit(), event.begin_commit()), (0, 1, 2));
        event.release_commit(1);
        assert_eq!((event.begin_commit(), event.begin_commit()), (1, 3));
        event.release_commit(0);
        assert_eq!(event.begin_commit(), 0);
        assert!(event.note_of(3).starts_with(&HandledEvent::notes_of(7)));
        assert_ne!(event.note_of(3), event.note_of(4));
    }
}
