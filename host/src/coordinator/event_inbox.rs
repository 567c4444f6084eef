//! The note that an event has begun its saga.

use crate::base::{HandledEvent, ServiceName};
use crate::state::{Beside, Change, Key};

/// The memory of one event, which is written together with the beginning of its saga. It goes when the subscription has
/// settled the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventInbox {
    /// The lane of the store in which the subscription commits.
    pub(super) lane: ServiceName,
    /// The host's data in which the subscription's notes are.
    notes: ServiceName,
    /// The key of the note.
    pub(super) key: Key,
}

impl EventInbox {
    /// The memory of `event` for the saga `saga`.
    pub(super) fn of(saga: &str, event: &HandledEvent) -> Self {
        // The start is the one commit that is made for the event.
        let (notes, key) = (event.notes.clone(), event.note_of(0));
        Self { lane: ServiceName::of_host_part("saga", saga), notes, key }
    }

    /// The note, and the demand that it is not there yet.
    pub(super) fn note(&self) -> Beside {
        Beside {
            bucket: self.notes.clone(),
            checks: vec![(self.key.clone(), 0)],
            writes: vec![(self.key.clone(), Change::Put(Vec::new()))],
        }
    }
}
