//! Where the keys of one table are written, for problems that are found after the manifest was read.

use super::finding::{Span, ValueOrigin};
use super::key::Sourced;
use super::section::Section;
use std::collections::BTreeMap;

/// The positions of the keys of one table, `K` being the keys.
#[derive(Debug, Clone)]
pub(crate) struct KeySpans<K> {
    /// The span for a key that is not written: that of the key on which the others depend, a service's `component` or a
    /// route's `call`.
    fallback: Span,
    written: BTreeMap<K, Span>,
}

impl<K: Ord> KeySpans<K> {
    /// No positions yet. A problem of a key that is not written is shown at `fallback`.
    pub(crate) fn new(fallback: Span) -> Self {
        Self { fallback, written: BTreeMap::new() }
    }

    /// Remembers the position of `key` if it is written. It replaces the position that `key` had.
    pub(crate) fn note<T>(&mut self, key: K, found: Option<&Sourced<T>>) {
        if let Some(span) = found.and_then(Sourced::span) {
            self.written.insert(key, span);
        }
    }

    /// Remembers the position of `key` if it is the key `name` of `section`, right or wrong.
    pub(crate) fn note_key(&mut self, key: K, section: &Section<'_>, name: &'static str) {
        if let Some((_, span)) = section.first_of(&[name]) {
            self.written.insert(key, span);
        }
    }

    /// Where a problem of `key` is shown.
    pub(crate) fn origin(&self, key: &K) -> ValueOrigin {
        ValueOrigin::Text(self.written.get(key).unwrap_or(&self.fallback).clone())
    }
}
