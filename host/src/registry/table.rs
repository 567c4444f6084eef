//! The table and its snapshots.

use crate::base::ServiceName;
use arc_swap::{ArcSwap, Guard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The discovery table at one moment. It never changes; a new snapshot replaces it.
pub struct Snapshot<T> {
    entries: BTreeMap<ServiceName, Arc<T>>,
    number: u64,
}

impl<T> Snapshot<T> {
    /// The entry of `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.entries.get(name)
    }

    /// How many changes were before it: two snapshots with one number are the same.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Every entry, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Arc<T>)> {
        self.entries.iter()
    }
}

/// The discovery table. One entry holds all that a call needs, endpoints with their instances and breakers. So one
/// publication swaps the name, the revision and what is called together.
pub struct Registry<T>(ArcSwap<Snapshot<T>>);

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Snapshot { entries: BTreeMap::new(), number: 0 }))
    }
}

impl<T> Registry<T> {
    /// The table as it is now. Hold it for one decision, not for a whole call: it keeps replaced entries alive.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot<T>>> {
        self.0.load()
    }

    /// Makes `value` the entry of `name`, and returns the entry before.
    pub fn publish(&self, name: &ServiceName, value: T) -> Option<Arc<T>> {
        let value = Arc::new(value);
        self.change(|table| table.insert(name.clone(), Arc::clone(&value)))
    }

    /// Makes all of `values` the entries of their names, in one step.
    pub fn publish_all(&self, values: Vec<(ServiceName, T)>) {
        let values: Vec<_> = values.into_iter().map(|(name, value)| (name, Arc::new(value))).collect();
        self.change(|table| table.extend(values.iter().cloned()));
    }

    /// Takes `name` out of the table, and returns its entry.
    pub fn withdraw(&self, name: &ServiceName) -> Option<Arc<T>> {
        self.change(|table| table.remove(name))
    }

    /// Takes all of `names` out of the table, in one step.
    pub fn withdraw_all(&self, names: &[ServiceName]) {
        self.change(|table| table.retain(|name, _| !names.contains(name)));
    }

    fn change<R>(&self, edit: impl Fn(&mut BTreeMap<ServiceName, Arc<T>>) -> R) -> R {
        let mut result = None;
        // If two writers race, `rcu` runs the edit of the later one again on the newer snapshot: neither change is
        // lost.
        self.0.rcu(|snapshot| {
            let mut entries = snapshot.entries.clone();
            result = Some(edit(&mut entries));
            Snapshot { entries, number: snapshot.number + 1 }
        });
        result.expect("rcu runs the edit at least once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    #[test]
    fn a_snapshot_never_changes() {
        let registry = Registry::default();
        assert!(registry.publish(&name("users"), 1).is_none());
        let old = registry.snapshot();
        assert_eq!(registry.publish(&name("users"), 2).as_deref(), Some(&1));
        assert_eq!(registry.withdraw(&name("users")).as_deref(), Some(&2));
        assert_eq!(old.get("users").map(|value| **value), Some(1));
        assert!(registry.snapshot().get("users").is_none());
        assert_eq!((old.number(), registry.snapshot().number()), (1, 3), "each change gives the table a new number");
    }

    #[test]
    fn publish_all_replaces_and_adds_entries_in_one_step() {
        let registry = Registry::default();
        registry.publish(&name("users"), 1);
        registry.publish_all(vec![(name("users"), 2), (name("orders"), 3)]);
        let snapshot = registry.snapshot();
        let all: Vec<_> = snapshot.iter().map(|(name, value)| (name.as_str(), **value)).collect();
        assert_eq!(all, [("orders", 3), ("users", 2)]);
    }

    #[test]
    fn changes_of_concurrent_writers_are_all_kept() {
        let registry = Registry::default();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let registry = &registry;
                scope.spawn(move || {
                    for number in 0..50 {
                        registry.publish(&name(&format!("s{writer}-{number}")), number);
                    }
                });
            }
        });
        assert_eq!(registry.snapshot().iter().count(), 400);
    }
}
