//! How a store on a database server stands: whether it can be read, takes writes, and has all of its data.

use super::damage_notes::DamageNotes;
use super::damaged_read::DamagedRead;
use super::trouble_log::TroubleLog;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::Transaction;
use crate::telemetry::StoreMetrics;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::SetOnce;

/// What is known of it.
pub(super) struct RemoteStanding {
    place: String,
    pub(super) metrics: Arc<StoreMetrics>,
    /// Set once this host has lost its data.
    pub(super) superseded: SetOnce<StateError>,
    damage: Mutex<DamageNotes>,
    told: Mutex<TroubleLog>,
}

/// Looks at the server that were made at the same time.
pub(super) struct ServerLooks {
    /// At what can be read.
    pub(super) reads: Result<(), StateError>,
    /// At whether it takes writes; `None`: a batch is under way, which says so.
    pub(super) writes: Option<Result<(), StateError>>,
    /// At what was damaged.
    pub(super) damage: Vec<(Arc<DamagedRead>, Result<(), StateError>)>,
}

impl RemoteStanding {
    /// Of a server that was there a moment ago; `place` is its name in messages.
    pub(super) fn new(place: &str) -> Self {
        Self {
            place: place.to_owned(),
            metrics: Arc::default(),
            superseded: SetOnce::new(),
            damage: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// A batch is written.
    pub(super) fn wrote(&self, took: Duration) {
        self.metrics.wrote(took, 0);
    }

    /// These commits are not, each with its place in its batch. Whether the server can be read is for those to say that
    /// read.
    pub(super) fn not_written(&self, error: &StateError, commits: &[(usize, (ServiceName, Transaction))]) {
        match error {
            StateError::Damaged { bucket, key, .. } => {
                self.metrics.refused(error.write_cause(), commits.len());
                let reads = match bucket {
                    Some(bucket) => vec![DamagedRead::of_key(bucket, key.as_deref())],
                    None => DamagedRead::of_commits(commits.iter().map(|(_, commit)| commit)),
                };
                reads.into_iter().for_each(|read| self.note_damage(error, read));
            }
            // Of the errors of a server, this one alone says that nobody knows.
            StateError::Io { .. } => self.metrics.failed("in-doubt", commits.len()),
            _ => self.metrics.failed(error.write_cause(), commits.len()),
        }
        self.note_end(error);
    }

    /// What a read has found; `read` says which one it was.
    pub(super) fn note_read<T>(&self, found: &Result<T, StateError>, read: impl FnOnce() -> DamagedRead) {
        match found {
            Err(error @ StateError::Damaged { .. }) => self.note_damage(error, read()),
            Err(StateError::Unavailable { cause: "away", .. }) => self.metrics.set_away(true),
            _ => {}
        }
    }

    /// A look at what can be read. A server whose tables are gone answers: it is not away.
    pub(super) fn note_reads(&self, reads: &Result<(), StateError>) {
        self.metrics.set_away(is_outage(reads));
    }

    /// A look at whether it takes writes.
    pub(super) fn note_writes(&self, writes: &Result<(), StateError>) {
        // A commit that fails just now may be forgotten by this: until the next look.
        self.metrics.set_read_only(is_outage(writes));
    }

    /// The reads that have found damage: they tell when it is gone.
    pub(super) fn damaged_reads(&self) -> Vec<Arc<DamagedRead>> {
        lock(&self.damage).reads()
    }

    /// What the looks have found, all together.
    pub(super) fn note_looks(&self, looks: &ServerLooks) {
        if let Some(Err(error)) = &looks.writes {
            self.note_end(error);
        }
        self.look_at_damage(looks);
        let (what, error) = match (&looks.reads, &looks.writes) {
            (Err(error), _) if is_outage(&looks.reads) => ("the store is away", error),
            (_, Some(writes @ Err(error))) if is_outage(writes) => ("the store takes no writes", error),
            // The server can be read, and whether it takes writes is not known: that is no news.
            (_, None) if !self.metrics.takes_writes() => return,
            _ => {
                let (was_away, is_mended) = (lock(&self.told).end(), lock(&self.damage).end());
                if was_away && self.metrics.is_damaged() {
                    tracing::warn!(target: "store", place = self.place, "the store is there again, with damaged data");
                } else if was_away || is_mended {
                    tracing::warn!(target: "store", place = self.place, "the store is there again");
                }
                return;
            }
        };
        let trouble = format!("{what}: {}", error.problem());
        if lock(&self.told).is_news(&trouble, Instant::now()) {
            // By its `reason` the bound on repeated lines tells one cause from another.
            tracing::error!(target: "store", place = self.place, reason = error.with_causes(), "{what}");
        }
    }

    /// Notes what the looks say of damage.
    fn look_at_damage(&self, looks: &ServerLooks) {
        let mut notes = lock(&self.damage);
        let damage = |found: &Result<(), StateError>| found.clone().err().filter(StateError::is_damage);
        match damage(&looks.reads).or_else(|| looks.writes.as_ref().and_then(damage)) {
            Some(error) => {
                let is_news = notes.found_by_look(&error.problem(), Instant::now());
                self.tell_damage(&error, is_news);
            }
            None if looks.reads.is_ok() => notes.look_is_well(),
            None => {}
        }
        for (read, _) in looks.damage.iter().filter(|(_, found)| found.is_ok()) {
            notes.is_whole(read);
        }
        self.metrics.set_damaged(!notes.is_empty());
    }

    /// Keeps the error after which this host writes nothing more.
    fn note_end(&self, error: &StateError) {
        if matches!(error, StateError::Superseded { .. }) && self.superseded.set(error.clone()).is_ok() {
            tracing::error!(target: "store", error = error.with_causes(), "the data are this host's no longer");
        }
    }

    fn note_damage(&self, error: &StateError, read: DamagedRead) {
        let mut notes = lock(&self.damage);
        let is_news = notes.found(read, &error.problem(), Instant::now());
        self.metrics.set_damaged(true);
        self.tell_damage(error, is_news);
    }

    fn tell_damage(&self, error: &StateError, is_news: bool) {
        if is_news {
            let reason = error.with_causes();
            tracing::error!(target: "store", place = self.place, reason, "the store has damaged data");
        }
    }
}

/// Whether the server refuses: damage is of some data, and the others go on.
pub(super) fn is_outage(look: &Result<(), StateError>) -> bool {
    look.as_ref().is_err_and(|error| !error.is_damage())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::transaction::{Change, Key};
    use crate::telemetry::log_of_this_thread;
    use std::io::{self, Write};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        /// What was logged since the last call: each line's message.
        fn take(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *lock(&self.0))).unwrap();
            let told = ["the store has damaged data", "the store is there again", "the store is away"];
            let find = |line: &str| told.into_iter().find(|told| line.contains(told));
            text.lines().filter_map(find).map(str::to_owned).collect()
        }
    }

    fn damaged(bucket: Option<&str>, key: Option<&[u8]>) -> StateError {
        let bucket = bucket.map(|bucket| ServiceName::new(bucket).unwrap());
        StateError::Damaged { place: "db".into(), problem: "short".into(), bucket, key: key.map(Box::from) }
    }

    fn commit(bucket: &str, keys: &[&str]) -> (usize, (ServiceName, Transaction)) {
        let writes = keys.iter().map(|key| (Key::from(*key), Change::Delete)).collect();
        (0, (ServiceName::new(bucket).unwrap(), Transaction { writes, ..Transaction::default() }))
    }

    /// A second of looks, in which these buckets are whole.
    fn look(standing: &RemoteStanding, whole: &[&str]) {
        let found = |read: Arc<DamagedRead>| {
            let is_whole = whole.contains(&read.bucket.as_str());
            (read, if is_whole { Ok(()) } else { Err(damaged(None, None)) })
        };
        let damage = standing.damaged_reads().into_iter().map(found).collect();
        standing.note_looks(&ServerLooks { reads: Ok(()), writes: Some(Ok(())), damage });
    }

    #[test]
    fn damage_that_a_commit_finds_is_told_at_once_and_looked_for_where_it_is() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || to.clone()).finish();
        let _guard = log_of_this_thread(subscriber);
        let standing = RemoteStanding::new("db");
        standing.not_written(&damaged(Some("users"), Some(b"z")), &[commit("users", &["a"]), commit("users", &["z"])]);
        assert!(standing.metrics.is_damaged());
        assert_eq!(*standing.damaged_reads()[0], DamagedRead::of_key(&ServiceName::new("users").unwrap(), Some(b"z")));
        assert_eq!(lines.take(), ["the store has damaged data"], "at the first finding");
        standing.not_written(&damaged(None, None), &[commit("orders", &["b"])]);
        assert_eq!(lines.take(), ["the store has damaged data"], "of another service");
        look(&standing, &["users"]);
        assert!(standing.metrics.is_damaged() && lines.take().is_empty(), "the other one is damaged still");
        look(&standing, &["orders"]);
        assert!(!standing.metrics.is_degraded());
        assert_eq!(lines.take(), ["the store is there again"]);
        look(&standing, &[]);
        assert!(lines.take().is_empty());
    }

    #[test]
    fn damage_that_a_look_finds_is_no_outage() {
        let standing = RemoteStanding::new("db");
        for looks in [(Err(damaged(None, None)), Ok(())), (Ok(()), Err(damaged(None, None)))] {
            let looks = ServerLooks { reads: looks.0, writes: Some(looks.1), damage: Vec::new() };
            standing.note_reads(&looks.reads);
            standing.note_writes(looks.writes.as_ref().unwrap());
            standing.note_looks(&looks);
            let metrics = &standing.metrics;
            assert!(metrics.is_damaged() && !metrics.is_away() && metrics.takes_writes());
            look(&standing, &[]);
            assert!(!metrics.is_degraded());
        }
    }
}
