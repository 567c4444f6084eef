//! Which commits of a batch that has met damaged data are refused with it, and which are written all the same.

use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::{Committed, Transaction};
use std::collections::BTreeMap;

/// Commits that are written together, each with its place in the batch that they are of.
type PlacedCommits = Vec<(usize, (ServiceName, Transaction))>;

/// A batch, after an error.
#[derive(Default)]
pub(super) struct BatchParts {
    /// Those that have failed.
    pub(super) refused: PlacedCommits,
    /// Those that are tried once more, by parts.
    again: Vec<PlacedCommits>,
}

impl BatchParts {
    /// Nothing of `batch` was applied. Damage is of a bucket: who does not touch that must not fail with those who do,
    /// nor wait while each of them is tried by itself. Where nobody knows which bucket it is, each is tried once.
    pub(super) fn of(batch: Vec<(ServiceName, Transaction)>, error: &StateError) -> Self {
        let batch = batch.into_iter().enumerate();
        let (refused, again) = match error {
            StateError::Damaged { bucket: Some(damaged), .. } => {
                let (refused, rest): (Vec<_>, Vec<_>) = batch.partition(|(_, one)| touches(one, damaged));
                if refused.is_empty() { (rest, Vec::new()) } else { (refused, vec![rest]) }
            }
            StateError::Damaged { bucket: None, .. } => {
                let mut buckets = BTreeMap::<ServiceName, PlacedCommits>::new();
                for placed in batch {
                    buckets.entry(placed.1.0.clone()).or_default().push(placed);
                }
                let mut parts: Vec<_> = buckets.into_values().collect();
                if parts.len() == 1 { (parts.remove(0), Vec::new()) } else { (Vec::new(), parts) }
            }
            _ => (batch.collect(), Vec::new()),
        };
        Self { refused, again: again.into_iter().filter(|part| !part.is_empty()).collect() }
    }

    /// The answers in the order of the batch: this error to those that are refused, and to the others what `write` says
    /// of their part.
    pub(super) fn answers(
        self,
        error: &StateError,
        mut write: impl FnMut(Vec<(ServiceName, Transaction)>) -> Vec<Result<Committed, StateError>>,
    ) -> Vec<Result<Committed, StateError>> {
        let count = self.refused.len() + self.again.iter().map(Vec::len).sum::<usize>();
        let mut answers = vec![Err(error.clone()); count];
        for part in self.again {
            let (places, commits): (Vec<_>, Vec<_>) = part.into_iter().unzip();
            for (place, answer) in places.into_iter().zip(write(commits)) {
                answers[place] = answer;
            }
        }
        answers
    }
}

fn touches((bucket, transaction): &(ServiceName, Transaction), damaged: &ServiceName) -> bool {
    bucket == damaged || transaction.beside.iter().any(|beside| beside.bucket == *damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::transaction::Beside;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn damaged(bucket: Option<&str>) -> StateError {
        StateError::Damaged { place: "db".into(), problem: "short".into(), bucket: bucket.map(name), key: None }
    }

    /// Writes a batch of commits of these buckets, where those of `bad` are damaged. Returns which of them are written,
    /// and how many tries it took.
    fn written(buckets: &[(&str, Option<&str>)], bad: &[&str], says_which: bool) -> (Vec<bool>, usize) {
        fn write(
            batch: Vec<(ServiceName, Transaction)>,
            (bad, says_which): (&[&str], bool),
            tries: &mut usize,
        ) -> Vec<Result<Committed, StateError>> {
            *tries += 1;
            let met = bad.iter().find(|bad| batch.iter().any(|one| touches(one, &name(bad))));
            let Some(met) = met else {
                return vec![Ok(Committed { version: 1, sums: Vec::new() }); batch.len()];
            };
            let error = damaged(says_which.then_some(*met));
            BatchParts::of(batch, &error).answers(&error, |part| write(part, (bad, says_which), tries))
        }
        let one = |(bucket, beside_of): &(&str, Option<&str>)| {
            let beside = |name_beside| Beside { bucket: name(name_beside), checks: Vec::new(), writes: Vec::new() };
            let beside = beside_of.map(beside).into_iter().collect();
            (name(bucket), Transaction { beside, ..Transaction::default() })
        };
        let mut tries = 0;
        let answers = write(buckets.iter().map(one).collect(), (bad, says_which), &mut tries);
        (answers.iter().map(Result::is_ok).collect(), tries)
    }

    #[test]
    fn what_is_whole_is_written_as_one_batch_whatever_the_number_of_commits_of_a_damaged_bucket() {
        let mut batch = vec![("users", None), ("orders", None), ("shop", Some("users"))];
        batch.extend([("users", None); 250]);
        batch.push(("shop", Some("log")));
        let (answers, tries) = written(&batch, &["users"], true);
        assert_eq!(tries, 2, "one that meets it, and one for all others");
        let whole: Vec<_> = (0..answers.len()).filter(|place| answers[*place]).collect();
        assert_eq!(whole, [1, 253], "each has its own answer");
        let (answers, tries) = written(&batch, &["users", "log"], true);
        let whole: Vec<_> = (0..answers.len()).filter(|place| answers[*place]).collect();
        assert_eq!((whole, tries), (vec![1], 3));
        assert_eq!(written(&batch[..1], &["users"], true), (vec![false], 1));
    }

    #[test]
    fn where_nobody_knows_the_bucket_each_is_tried_once() {
        let mut batch = vec![("users", None), ("orders", None)];
        batch.extend([("users", None); 250]);
        let (answers, tries) = written(&batch, &["users"], false);
        assert_eq!((answers.iter().filter(|is_written| **is_written).count(), answers[1], tries), (1, true, 3));
        assert_eq!(written(&batch, &["users", "orders"], false).1, 3, "all are damaged");
    }

    #[test]
    fn any_other_error_is_that_of_all() {
        let batch = vec![(name("users"), Transaction::default()), (name("orders"), Transaction::default())];
        for error in [StateError::Closed, damaged(Some("elsewhere"))] {
            let parts = BatchParts::of(batch.clone(), &error);
            assert_eq!(parts.refused.len(), 2);
            let answers = parts.answers(&error, |_| panic!("nothing is tried again"));
            assert_eq!(answers, [Err(error.clone()), Err(error)]);
        }
    }
}
