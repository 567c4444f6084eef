//! The content of a kept answer: in memory, or at a place that the room does not know.

use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// The content of a kept answer.
#[derive(Clone)]
pub enum KeptContent {
    /// All of it.
    Memory(Bytes),
    /// It is elsewhere.
    Stored(StoredContent),
}

/// Content that is not in memory. What is at `place` lives for as long as somebody has it.
#[derive(Clone)]
pub struct StoredContent {
    /// Its length in bytes.
    pub length: usize,
    /// What it takes where it is, in bytes.
    pub occupied: usize,
    /// Where it is, for those who know what that is.
    pub place: Arc<dyn Any + Send + Sync>,
}

impl KeptContent {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(content) => content.len(),
            Self::Stored(content) => content.length,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of it that are in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Memory(content) => content.len(),
            Self::Stored(_) => size_of::<StoredContent>(),
        }
    }

    /// The bytes that it takes elsewhere; `None`: it is in memory.
    pub(super) fn occupied(&self) -> Option<usize> {
        match self {
            Self::Memory(_) => None,
            Self::Stored(content) => Some(content.occupied),
        }
    }
}
