//! What a batch leaves behind, against the model, with no database at all.

use super::model::{BUCKETS, Model, Op, op};
use super::name;
use crate::state::Key;
use crate::state::batch_plan::{BatchPlan, Before, PlannedBatch};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

proptest! {
    /// Property: the answers are those of the map, and so is what is there afterwards, where of what was there before
    /// nothing is known but what the plan has asked for.
    #[test]
    fn a_plan_does_what_the_map_does(ops in prop::collection::vec(op(), 1..40)) {
        let buckets = BUCKETS.map(name);
        let mut model = Model::default();
        let mut there: BTreeMap<(usize, Key), (u64, Vec<u8>)> = BTreeMap::new();
        for op in ops {
            let Op::Write(steps) = op else { continue };
            let transactions: Vec<_> = steps.iter().map(|step| model.transaction(step)).collect();
            let latest = model.version;
            let expected: Vec<_> =
                steps.iter().zip(&transactions).map(|(step, one)| model.commit(step.bucket, one)).collect();
            let batch: Vec<_> =
                steps.iter().zip(transactions).map(|(step, one)| (buckets[step.bucket].clone(), one)).collect();
            let at = |bucket: &_| buckets.iter().position(|one| one == bucket).unwrap();
            let plan = BatchPlan(&batch);
            let mut before = BTreeMap::new();
            for ((bucket, key), wants_value) in plan.needs() {
                if let Some((version, value)) = there.get(&(at(bucket), key.to_vec())) {
                    let value = wants_value.then(|| value.clone());
                    before.insert((bucket, Cow::Borrowed(key)), Before { version: *version, value });
                }
            }
            let PlannedBatch { version, answers, writes } = plan.outcome(latest, &before);
            prop_assert_eq!(answers, expected);
            prop_assert_eq!(version, model.version);
            for ((bucket, key), write) in writes {
                let place = (at(bucket), key.into_owned());
                match write.value {
                    Some(value) => drop(there.insert(place, (write.version, value.into_owned()))),
                    None => drop(there.remove(&place)),
                }
            }
            for (bucket, expected) in model.buckets.iter().enumerate() {
                let of_bucket = there.iter().filter(|((own, _), _)| *own == bucket);
                let found: BTreeMap<_, _> =
                    of_bucket.map(|((_, key), (version, value))| (key.clone(), (value.clone(), *version))).collect();
                prop_assert_eq!(&found, expected);
            }
        }
    }
}
