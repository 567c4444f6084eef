//! What a batch of transactions leaves behind, reckoned from what was there before: for databases that are asked over a
//! network, and take the whole of it in a few questions.

use super::error::StateError;
use super::transaction::{Change, Committed, Key, Transaction, sequence_key};
use crate::base::ServiceName;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A key of a bucket.
pub(super) type BucketKey<'a> = (&'a ServiceName, Cow<'a, [u8]>);

/// What was at a key before the batch, where there was something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    /// The version, never 0.
    pub(super) version: u64,
    /// The value, if it was asked for.
    pub(super) value: Option<Vec<u8>>,
}

/// Transactions, each on top of those before it.
#[derive(Clone, Copy)]
pub(super) struct BatchPlan<'a>(pub(super) &'a [(ServiceName, Transaction)]);

/// The outcome of a batch.
pub(super) struct PlannedBatch<'a> {
    /// The version of the last commit in the batch; if there was none, the version of the latest commit before it.
    pub(super) version: u64,
    /// One answer for each transaction, in their order. None may be given before the writes are on disk.
    pub(super) answers: Vec<Result<Committed, StateError>>,
    /// What each key that was written has then.
    pub(super) writes: BTreeMap<BucketKey<'a>, PlannedWrite<'a>>,
}

/// What is written to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedWrite<'a> {
    /// The version of the commit that writes it.
    pub(super) version: u64,
    /// `None`: the key is deleted.
    pub(super) value: Option<Cow<'a, [u8]>>,
}

/// A transaction's part in one bucket: its own, or one of [`Transaction::beside`].
struct PlanPart<'a> {
    bucket: &'a ServiceName,
    checks: &'a [(Key, u64)],
    writes: &'a [(Key, Change)],
    beside: bool,
}

impl<'a> BatchPlan<'a> {
    /// The keys of which something must be known, in order; true where that is the value too.
    pub(super) fn needs(self) -> BTreeMap<(&'a ServiceName, &'a [u8]), bool> {
        let mut needs = BTreeMap::new();
        for PlanPart { bucket, checks, writes, .. } in self.0.iter().flat_map(parts) {
            for (key, _) in checks {
                needs.entry((bucket, key.as_slice())).or_insert(false);
            }
            for (key, _) in writes.iter().filter(|(_, change)| matches!(change, Change::Add(_) | Change::Append(_))) {
                needs.insert((bucket, key.as_slice()), true);
            }
        }
        needs
    }

    /// What the batch leaves behind, where `latest` is the version of the latest commit and `before` has what is there
    /// of what [`Self::needs`] has named. A refused transaction changes nothing and does not affect the others.
    pub(super) fn outcome(self, latest: u64, before: &BTreeMap<BucketKey<'a>, Before>) -> PlannedBatch<'a> {
        let mut planned = PlannedBatch { version: latest, answers: Vec::new(), writes: BTreeMap::new() };
        for one in self.0 {
            let answer = planned.apply(one, before);
            planned.version = answer.as_ref().map_or(planned.version, |committed| committed.version);
            planned.answers.push(answer);
        }
        debug_assert!(planned.version - latest <= self.0.len() as u64, "each commit takes one version");
        planned
    }
}

impl<'a> PlannedBatch<'a> {
    fn apply(
        &mut self,
        one: &'a (ServiceName, Transaction),
        before: &BTreeMap<BucketKey<'a>, Before>,
    ) -> Result<Committed, StateError> {
        for PlanPart { bucket, checks, beside, .. } in parts(one) {
            for (key, version) in checks {
                let found = self.version_at(&(bucket, Cow::Borrowed(key)), before);
                match (found == *version, beside) {
                    (true, _) => {}
                    (false, true) => return Err(StateError::ConflictBeside { key: key.clone(), version: found }),
                    (false, false) => return Err(StateError::Conflict { key: key.clone() }),
                }
            }
        }
        if one.1.is_empty() {
            return Ok(Committed { version: self.version, sums: Vec::new() });
        }
        // All reasons to refuse come before the first write, so a refused transaction leaves nothing behind.
        let (mut values, mut sums) = (BTreeMap::<BucketKey<'a>, Option<Cow<'a, [u8]>>>::new(), Vec::new());
        for PlanPart { bucket, writes, .. } in parts(one) {
            for (key, change) in writes {
                let place: BucketKey<'a> = (bucket, Cow::Borrowed(key));
                let value = match change {
                    Change::Put(value) => Some(Cow::Borrowed(value.as_slice())),
                    Change::Delete => None,
                    Change::Add(_) | Change::Append(_) => {
                        let delta = if let Change::Add(delta) = change { *delta } else { 1 };
                        let now = match values.get(&place) {
                            Some(value) => value.as_deref(),
                            None => self.value_at(&place, before),
                        };
                        let sum = add(now, delta).ok_or_else(|| StateError::NotANumber { key: key.clone() })?;
                        sums.push(sum);
                        if let Change::Append(value) = change {
                            let entry = Cow::Owned(sequence_key(key, sum));
                            values.insert((bucket, entry), Some(Cow::Borrowed(value.as_slice())));
                        }
                        Some(Cow::Owned(sum.to_string().into_bytes()))
                    }
                };
                values.insert(place, value);
            }
        }
        let version = self.version + 1;
        self.writes.extend(values.into_iter().map(|(place, value)| (place, PlannedWrite { version, value })));
        Ok(Committed { version, sums })
    }

    /// The version of a key after what is planned so far; 0: it is absent.
    fn version_at(&self, place: &BucketKey<'a>, before: &BTreeMap<BucketKey<'a>, Before>) -> u64 {
        match self.writes.get(place) {
            Some(PlannedWrite { value: None, .. }) => 0,
            Some(PlannedWrite { version, .. }) => *version,
            None => before.get(place).map_or(0, |found| found.version),
        }
    }

    fn value_at<'b>(&'b self, place: &BucketKey<'a>, before: &'b BTreeMap<BucketKey<'a>, Before>) -> Option<&'b [u8]> {
        match self.writes.get(place) {
            Some(planned) => planned.value.as_deref(),
            None => before.get(place).and_then(|found| found.value.as_deref()),
        }
    }
}

fn parts((bucket, transaction): &(ServiceName, Transaction)) -> impl Iterator<Item = PlanPart<'_>> {
    let Transaction { checks, writes, beside } = transaction;
    let own = PlanPart { bucket, checks, writes, beside: false };
    std::iter::once(own).chain(beside.iter().map(|beside| PlanPart {
        bucket: &beside.bucket,
        checks: &beside.checks,
        writes: &beside.writes,
        beside: true,
    }))
}

/// The sum of a counter's decimal text and `delta`; `None` if the text is no number or the sum does not fit in 64 bits.
fn add(value: Option<&[u8]>, delta: u64) -> Option<u64> {
    let number = value.map_or(Some(0), |value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    number?.checked_add(delta)
}
