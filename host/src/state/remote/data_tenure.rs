//! Whether this host still has the data: what it remembers of them holds only while nobody else wrote.

use crate::state::error::StateError;
use std::sync::OnceLock;

/// Another host has opened the data.
const TAKEN_OVER: &str = "another host has had the data since the session of this one ended";
/// The server has less than it has acknowledged.
const GONE_BACK: &str = "the data are older than what this host was told is written: the server was restored, or one \
                         has taken over that had not got all of it";

/// One host's time with the data. Whoever opens them writes its name into `meta`. A session that ended has given its
/// lock back, so another host may have had the data before this one gets the lock again: then the name there is
/// another one, and what this host remembers (sagas, positions of subscriptions, quotas) is of an earlier time.
/// It writes nothing more then, for good.
pub(in crate::state) struct DataTenure {
    /// Names this writer, in `meta` and in the table of writers: no two have the same.
    id: String,
    /// Whether other hosts write too. Then nothing is remembered that another host may change.
    shared: bool,
    place: String,
    has_begun: bool,
    /// The version of the last commit that is known to be written.
    latest: u64,
    /// Why it is over.
    over: OnceLock<StateError>,
}

impl DataTenure {
    /// Of a host that has not opened the data yet.
    pub(in crate::state) fn new(place: &str, shared: bool) -> Self {
        let id = format!("{:032x}", rand::random::<u128>());
        Self { id, shared, place: place.to_owned(), has_begun: false, latest: 0, over: OnceLock::new() }
    }

    /// The name of this writer.
    pub(in crate::state) fn id(&self) -> &str {
        &self.id
    }

    /// Whether a session has to write its name, once it has the lock. Hosts that share do it each time: a host that
    /// had the data alone must see that they wrote.
    pub(in crate::state) fn must_claim(&self) -> bool {
        self.shared || !self.has_begun
    }

    /// The name is written, and the data have this version.
    pub(in crate::state) fn claimed(&mut self, version: u64) {
        if version < self.latest {
            let problem = GONE_BACK;
            let _ = self.over.set(StateError::Superseded { place: self.place.clone(), problem });
        }
        (self.has_begun, self.latest) = (true, version);
    }

    /// A commit is written that has left this version behind.
    pub(in crate::state) fn written(&mut self, version: u64) {
        self.latest = self.latest.max(version);
    }

    /// # Errors
    /// [`StateError::Superseded`]: it is over.
    pub(in crate::state) fn is_on(&self) -> Result<(), StateError> {
        self.over.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Holds what `meta` says against what this host knows.
    ///
    /// # Errors
    /// As [`Self::is_on`].
    pub(in crate::state) fn check(&self, version: u64, holder: &str) -> Result<(), StateError> {
        let problem = match () {
            // Others write too, and versions only grow.
            () if self.shared => (version < self.latest).then_some(GONE_BACK),
            // There is nobody's name: the data are gone.
            () if holder.is_empty() => Some(GONE_BACK),
            () if holder != self.id => Some(TAKEN_OVER),
            () if version < self.latest => Some(GONE_BACK),
            () => None,
        };
        if let Some(problem) = problem {
            // Only the first reason is kept.
            let _ = self.over.set(StateError::Superseded { place: self.place.clone(), problem });
        }
        self.is_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_is_over_for_good_once_another_name_or_an_older_version_is_found() {
        let mut tenure = DataTenure::new("postgres://db:5432/shop", false);
        assert!(tenure.must_claim());
        tenure.claimed(7);
        assert!(!tenure.must_claim(), "a later session looks, and does not write its name again");
        tenure.written(9);
        let id = tenure.id().to_owned();
        assert_eq!((tenure.check(9, &id), tenure.check(10, &id)), (Ok(()), Ok(())), "a commit in doubt was written");
        let place = "postgres://db:5432/shop".to_owned();
        let over = Err(StateError::Superseded { place: place.clone(), problem: GONE_BACK });
        assert_eq!((tenure.check(8, &id), tenure.check(9, &id)), (over.clone(), over.clone()));
        assert_eq!(tenure.is_on(), over);
        let mut tenure = DataTenure::new(&place, false);
        tenure.claimed(0);
        assert_eq!(tenure.check(0, ""), over, "there are no data any more");
        let mut tenure = DataTenure::new(&place, false);
        tenure.claimed(7);
        let over = Err(StateError::Superseded { place, problem: TAKEN_OVER });
        assert_eq!((tenure.check(7, "another"), tenure.is_on()), (over.clone(), over));
    }

    #[test]
    fn hosts_that_share_write_their_names_each_time_and_remember_nothing() {
        let mut tenure = DataTenure::new("postgres://db:5432/shop", true);
        tenure.claimed(7);
        assert!(tenure.must_claim());
        assert_eq!((tenure.check(7, "another"), tenure.check(9, "another")), (Ok(()), Ok(())));
        assert!(tenure.check(6, "another").is_err(), "versions only grow, whoever writes");
        let mut tenure = DataTenure::new("postgres://db:5432/shop", true);
        tenure.claimed(7);
        tenure.claimed(6);
        assert!(tenure.is_on().is_err());
    }
}
