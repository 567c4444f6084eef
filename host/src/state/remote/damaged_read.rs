//! A read that has found damage, to be asked again: only that tells when the data are whole.

use crate::base::ServiceName;
use crate::state::transaction::{Key, Transaction, limit};
use std::collections::{BTreeMap, BTreeSet};

/// A read that has found damaged data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DamagedRead {
    pub(super) bucket: ServiceName,
    pub(super) kind: DamagedReadKind,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DamagedReadKind {
    /// No keys: whether the bucket can be read at all.
    Get(Vec<Key>),
    Scan {
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    },
    Keys {
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    },
}

impl DamagedRead {
    /// One key of a bucket, or the bucket by itself.
    pub(super) fn of_key(bucket: &ServiceName, key: Option<&[u8]>) -> Self {
        Self { bucket: bucket.clone(), kind: DamagedReadKind::Get(key.map(Key::from).into_iter().collect()) }
    }

    /// All that these commits depend on or write, where the server did not say what of it is damaged: a read of each
    /// bucket.
    pub(super) fn of_commits<'a>(commits: impl Iterator<Item = &'a (ServiceName, Transaction)>) -> Vec<Self> {
        let mut buckets = BTreeMap::<&ServiceName, BTreeSet<&Key>>::new();
        for (bucket, Transaction { checks, writes, beside }) in commits {
            let beside = beside.iter().map(|beside| (&beside.bucket, &beside.checks, &beside.writes));
            for (bucket, checks, writes) in std::iter::once((bucket, checks, writes)).chain(beside) {
                let keys = checks.iter().map(|(key, _)| key).chain(writes.iter().map(|(key, _)| key));
                buckets.entry(bucket).or_default().extend(keys);
            }
        }
        let read = |(bucket, keys): (&ServiceName, BTreeSet<&Key>)| Self {
            bucket: bucket.clone(),
            kind: DamagedReadKind::Get(keys.into_iter().take(limit::KEYS).cloned().collect()),
        };
        buckets.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::transaction::{Beside, Change};

    #[test]
    fn commits_are_looked_at_again_in_each_bucket_that_they_touch() {
        let [users, orders, log] = ["users", "orders", "log"].map(|name| ServiceName::new(name).unwrap());
        let beside = Beside { bucket: log.clone(), checks: vec![("n".into(), 1)], writes: Vec::new() };
        let first = Transaction {
            checks: vec![("b".into(), 1)],
            writes: vec![("a".into(), Change::Delete), ("b".into(), Change::Delete)],
            beside: vec![beside],
        };
        let second = Transaction { writes: vec![("c".into(), Change::Add(1))], ..Transaction::default() };
        let commits = [(users.clone(), first), (orders.clone(), second.clone()), (users.clone(), second)];
        let read = |bucket: &ServiceName, keys: &[&str]| DamagedRead {
            bucket: bucket.clone(),
            kind: DamagedReadKind::Get(keys.iter().map(|key| Key::from(*key)).collect()),
        };
        let wanted = [read(&log, &["n"]), read(&orders, &["c"]), read(&users, &["a", "b", "c"])];
        assert_eq!(DamagedRead::of_commits(commits.iter()), wanted);
        assert_eq!(DamagedRead::of_key(&users, None), read(&users, &[]));
        assert_eq!(DamagedRead::of_key(&users, Some(b"a")), read(&users, &["a"]));
    }
}
