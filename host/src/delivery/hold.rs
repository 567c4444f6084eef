//! What a subscription's task is told to do: to send dead letters again, or to pause.

use crate::events::Progress;
use crate::state::StateError;
use tokio::sync::oneshot;

/// An order for a subscription's task.
pub(super) enum SubscriptionOrder {
    /// Sends dead letters again, and answers with their number.
    Resend {
        /// `None`: all of them.
        number: Option<u64>,
        answer: oneshot::Sender<Result<usize, StateError>>,
    },
    /// Hands nothing out until it is told to go on.
    Hold(Hold),
}

/// A pause, in which what the subscription has on disk may be changed.
pub(super) struct Hold {
    /// Gets the progress, once nothing is under way and all that has ended is on disk.
    pub(super) held: oneshot::Sender<Progress>,
    /// How it goes on. If it is dropped, nothing was changed.
    pub(super) go_on: oneshot::Receiver<Restart>,
}

/// What a subscription has on disk after a pause.
pub(super) struct Restart {
    pub(super) progress: Progress,
    pub(super) dead: usize,
    /// Is told once the subscription reports this.
    pub(super) begun: oneshot::Sender<()>,
}
