//! A tape that records nothing, and stops a guest that reaches beyond its own data.

use crate::recording::RecordedQuestion;
use crate::runtime::lock::lock;
use std::future::pending;
use std::pin::pin;
use std::sync::Mutex;
use tokio::sync::Notify;

/// What a confined guest has tried.
#[derive(Default)]
pub(super) struct ConfinedTape {
    /// What it would have done.
    reached: Mutex<Option<String>>,
    /// Notified when it is known.
    stopped: Notify,
}

impl ConfinedTape {
    /// Returns if the question is about the guest's own data. Otherwise it never does.
    pub(super) async fn admit(&self, question: &RecordedQuestion) {
        if matches!(question, RecordedQuestion::Call { .. } | RecordedQuestion::Http { .. }) {
            *lock(&self.reached) = Some(question.in_words());
            self.stopped.notify_waiters();
            pending::<()>().await;
        }
    }

    /// Ends when the guest has reached out, with what it would have done.
    pub(super) async fn reached_out(&self) -> String {
        loop {
            let mut stopped = pin!(self.stopped.notified());
            // Before the look: what comes after it notifies this one.
            stopped.as_mut().enable();
            if let Some(what) = lock(&self.reached).clone() {
                return what;
            }
            stopped.await;
        }
    }
}
