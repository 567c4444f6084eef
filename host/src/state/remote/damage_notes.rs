//! What is known to be damaged, by its buckets: each has the read that found it last, and what the log was told of it.

use super::damaged_read::DamagedRead;
use super::trouble_log::TroubleLog;
use crate::base::ServiceName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The damage that was found, and not seen to be mended since.
#[derive(Default)]
pub(super) struct DamageNotes {
    buckets: BTreeMap<ServiceName, DamagedBucket>,
    /// What the looks at the server have found by themselves.
    looks: Option<TroubleLog>,
    /// Whether there was any since [`Self::end`].
    was_there: bool,
}

struct DamagedBucket {
    read: Arc<DamagedRead>,
    told: TroubleLog,
}

impl DamageNotes {
    /// A read has found damage. Whether the log is to be told.
    pub(super) fn found(&mut self, read: DamagedRead, problem: &str, now: Instant) -> bool {
        self.was_there = true;
        let (name, read) = (read.bucket.clone(), Arc::new(read));
        let note = || DamagedBucket { read: Arc::clone(&read), told: TroubleLog::default() };
        let bucket = self.buckets.entry(name).or_insert_with(note);
        bucket.read = read;
        bucket.told.is_news(problem, now)
    }

    /// A look at the server has found damage. Whether the log is to be told.
    pub(super) fn found_by_look(&mut self, problem: &str, now: Instant) -> bool {
        self.was_there = true;
        self.looks.get_or_insert_default().is_news(problem, now)
    }

    /// A look at the server has found none.
    pub(super) fn look_is_well(&mut self) {
        self.looks = None;
    }

    /// The reads that tell whether the buckets are whole again, one of each.
    pub(super) fn reads(&self) -> Vec<Arc<DamagedRead>> {
        self.buckets.values().map(|bucket| Arc::clone(&bucket.read)).collect()
    }

    /// This read finds none any more; so its bucket is whole, unless another one has found some meanwhile.
    pub(super) fn is_whole(&mut self, read: &Arc<DamagedRead>) {
        if self.buckets.get(&read.bucket).is_some_and(|bucket| Arc::ptr_eq(&bucket.read, read)) {
            self.buckets.remove(&read.bucket);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.looks.is_none()
    }

    /// Whether all is whole, and was not before.
    pub(super) fn end(&mut self) -> bool {
        self.is_empty() && std::mem::take(&mut self.was_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_is_damaged_until_the_read_that_found_it_last_finds_it_whole() {
        let (mut notes, now) = (DamageNotes::default(), Instant::now());
        let read =
            |bucket: &str, key: &str| DamagedRead::of_key(&ServiceName::new(bucket).unwrap(), Some(key.as_bytes()));
        assert!(notes.is_empty() && !notes.end());
        assert!(notes.found(read("users", "a"), "short", now) && notes.found(read("orders", "a"), "short", now));
        assert!(!notes.found(read("orders", "a"), "short", now), "it was told");
        let [orders, users] = notes.reads().try_into().unwrap();
        notes.is_whole(&users);
        assert!(!notes.is_empty(), "the other bucket is damaged still");
        assert!(!notes.found(read("orders", "b"), "short", now));
        notes.is_whole(&orders);
        assert_eq!(*notes.reads()[0], read("orders", "b"), "that look began before it was found");
        assert!(notes.found_by_look("no table", now) && !notes.found_by_look("no table", now));
        let last = notes.reads().remove(0);
        notes.is_whole(&last);
        assert!(!notes.is_empty() && !notes.end());
        notes.look_is_well();
        assert!(notes.is_empty() && notes.end() && !notes.end());
        assert!(notes.found(read("users", "a"), "short", now), "it is another damage");
    }
}
