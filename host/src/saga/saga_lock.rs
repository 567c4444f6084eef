//! What a saga has alone while it goes on.

use super::binding::BindingPath;
use std::sync::Arc;
use std::time::Duration;

/// A semantic lock: of all sagas that lock one value under one name, one goes on at a time. It keeps out sagas alone:
/// calls that no saga makes see what a saga under way has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaLock {
    /// What kind of thing the value names. Sagas of several definitions share a lock by its name.
    pub name: Arc<str>,
    /// The value: a part of the input.
    pub value: BindingPath,
    /// What becomes of a start whose value another saga has.
    pub taken: WhenTaken,
    /// How long it is held at most. Then another saga may have it, although this one goes on.
    pub expires: Duration,
}

/// What becomes of a start whose lock another saga has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenTaken {
    /// It is refused, and nothing is left of it.
    Refuse,
    /// The saga is on disk, and begins when its turn comes.
    Wait,
}

impl WhenTaken {
    /// Its name in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Wait => "wait",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Refuse, Self::Wait].into_iter().find(|one| one.as_str() == name)
    }
}
