//! Floor 3: what a saga is, and what it does next.
//!
//! Owns the definition of a saga (steps, bindings, compensations), the check of each binding against the types of WIT,
//! the entries of a saga's journal, and the state machine that reads a journal and says what comes next.
//!
//! A saga is data. Nothing of a guest is replayed: what a saga has done is what its journal says, so a new revision of
//! a service, or another clock, changes nothing about the past.
//!
//! What always holds:
//! - An action is called only after its [`JournalEntry::Begun`] is in the journal: its compensation is
//!   registered before it.
//! - A saga turns at most once, and never after its pivot is done. Once it has turned, no action is called.
//! - Compensations run in the reverse order of the actions, the step in doubt first, and each until it has succeeded
//!   or a person has skipped it. So a saga ends either with all of its steps done, or with each begun step undone.
//! - A saga with a lock begins no step before it has it. An event ends at most one wait of a saga, and none that was
//!   published before the saga began.
//! - Any prefix of a journal is a journal: a crash between two entries leaves a saga that can go on.
//!
//! Never: reads a clock, waits, touches the disk, calls a service. `coordinator` does.
//!
//! Tests: `tests/` walks through everything that small sagas can do: late actions, crashes and failures at every place.

mod binding;
mod binding_type;
mod definition;
mod definition_text;
mod entry;
mod event_wait;
mod run;
mod saga_lock;
#[cfg(test)]
mod tests;

pub use binding::{Binding, BindingPath, BindingRoot, BindingScope, InvalidBinding};
pub use binding_type::{MisboundValue, TypeScope, check_binding};
pub use definition::{SagaDefinition, SagaStep, StepAction, StepCall, StepDirection, bound};
pub use definition_text::DamagedDefinition;
pub use entry::{DamagedEntry, JournalEntry};
pub use event_wait::{EventMark, EventWait, WaitForm, field_type, mark_of_values};
pub use run::{RefusedOrder, SagaMove, SagaOutcome, SagaPhase, SagaRun};
pub use saga_lock::{SagaLock, WhenTaken};
