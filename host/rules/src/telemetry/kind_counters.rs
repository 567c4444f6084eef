//! Counters that differ by a kind.

use prometheus_client::metrics::counter::Counter;
use std::array::from_fn;

/// One counter for each of a few kinds. A kind has its series from its first event on: most kinds never happen to most
/// services.
pub(super) struct KindCounters<const N: usize> {
    kinds: &'static [&'static str; N],
    counters: [Counter; N],
}

impl<const N: usize> KindCounters<N> {
    /// Counters for these kinds, all 0.
    pub(super) fn new(kinds: &'static [&'static str; N]) -> Self {
        Self { kinds, counters: from_fn(|_| Counter::default()) }
    }

    /// Counts an event of this kind, which is one of the kinds.
    pub(super) fn count(&self, kind: &str) {
        let known = self.kinds.iter().position(|known| *known == kind);
        debug_assert!(known.is_some(), "`{kind}` is none of {:?}", self.kinds);
        if let Some(known) = known {
            self.counters[known].inc();
        }
    }

    /// How often each kind has happened.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.iter().map(|(kind, count)| (kind, count.get())).collect()
    }

    /// The events of all kinds.
    pub(super) fn total(&self) -> u64 {
        self.counters.iter().map(Counter::get).sum()
    }

    /// The kinds with their counters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Counter)> {
        self.kinds.iter().copied().zip(&self.counters)
    }
}
