//! What became of the leader's lease, as those saw it who asked for it: a register that is taken, kept, lost and ended.

use super::history::{Action, History, Operation};
use super::registry::Outcome;
use std::collections::BTreeMap;

/// One life of a node.
type Holder = (usize, u64);

/// What is asked of the lease, or said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaseAction {
    /// It was free, and is this one's.
    Taken(Holder),
    /// It was this one's, and stays.
    Kept(Holder),
    /// It is not this one's.
    Refused(Holder),
    /// Nobody has renewed it.
    Ended(Holder),
}

impl Action for LeaseAction {
    type State = Option<Holder>;

    fn apply(&self, state: &Self::State) -> Option<Self::State> {
        match *self {
            Self::Taken(holder) => state.is_none().then_some(Some(holder)),
            Self::Kept(holder) => (*state == Some(holder)).then_some(Some(holder)),
            Self::Refused(holder) => (*state != Some(holder)).then_some(*state),
            Self::Ended(holder) => (*state == Some(holder)).then_some(None),
        }
    }
}

/// A claim on its way.
struct OpenClaim {
    began: u64,
    action: LeaseAction,
    /// Whether the registry has stored it.
    stored: bool,
}

/// Records it.
#[derive(Default)]
pub(super) struct LeaseRecorder {
    /// A node makes one claim after the other.
    open: BTreeMap<Holder, OpenClaim>,
    operations: Vec<Operation<LeaseAction>>,
}

impl LeaseRecorder {
    /// A claim is sent; `fresh`: the node knows of none of its own.
    pub(super) fn asked(&mut self, holder: Holder, fresh: bool, now: u64) {
        let action = if fresh { LeaseAction::Taken(holder) } else { LeaseAction::Kept(holder) };
        self.open.insert(holder, OpenClaim { began: now, action, stored: false });
    }

    /// The registry has stored it, whoever learns that.
    pub(super) fn stored(&mut self, holder: Holder) {
        if let Some(claim) = self.open.get_mut(&holder) {
            claim.stored = true;
        }
    }

    /// The answer, or none. A claim that was not answered and not stored has changed nothing.
    pub(super) fn answered(&mut self, holder: Holder, outcome: Outcome, now: u64) {
        let Some(OpenClaim { began, action, stored }) = self.open.remove(&holder) else { return };
        let (ended, action) = match outcome {
            Outcome::Stored(_) => (Some(now), action),
            Outcome::Own(_) => (Some(now), LeaseAction::Kept(holder)),
            Outcome::Lost => (Some(now), LeaseAction::Refused(holder)),
            Outcome::Unknown if stored => (None, action),
            Outcome::Unknown => return,
        };
        self.operations.push(Operation { began, ended, action });
    }

    /// The lease has ended, or its holder acts as such: at this moment.
    pub(super) fn at_once(&mut self, now: u64, action: LeaseAction) {
        self.operations.push(Operation { began: now, ended: Some(now), action });
    }

    /// All of it. What nobody has learnt by now is in doubt.
    pub(super) fn history(&self) -> History<LeaseAction> {
        let open = self.open.values().filter(|claim| claim.stored);
        let open = open.map(|claim| Operation { began: claim.began, ended: None, action: claim.action.clone() });
        History::new(self.operations.iter().cloned().chain(open))
    }
}
