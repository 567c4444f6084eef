//! How deep in a chain of calls a call is: the pool keeps a part of its slots for deeper calls (see `slot_ledger.rs`).

/// The number of depth classes. The last class holds all deeper calls too.
pub(super) const CLASSES: usize = 4;

/// How deep in a chain of calls a call is: 0 for a call that no service made, 1 for a call that such a call makes, and
/// so on. All depths from the last class on are that class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DepthClass(usize);

impl DepthClass {
    /// The class of the deepest calls.
    pub(crate) const LAST: Self = Self(CLASSES - 1);

    /// The number of the class: 0 for calls that no service made.
    pub(super) fn index(self) -> usize {
        self.0
    }

    /// The class of a call with `depth` calls above it.
    pub fn of(depth: usize) -> Self {
        Self(depth.min(CLASSES - 1))
    }
}
