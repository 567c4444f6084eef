//! The tape of one call.

use super::recorder::{Recorder, RecordingReason};
use crate::recording::{
    Blob, Playback, PlaybackReport, PlayedAnswer, RecordedCall, RecordedExchange, RecordedInputs, RecordedOutcome,
    RecordedQuestion, RecordedReply, Recording,
};
use crate::runtime::lock::lock;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tokio::sync::Notify;

/// What stands in a recording beside what the guest got and gave; made when a recording is kept.
pub(crate) type RecordingHead = Box<dyn FnOnce(RecordedCall) -> Recording + Send>;

/// The tape of one call; by default none. Clones are the same tape.
#[derive(Clone, Default)]
pub(crate) struct CallTape(Option<Arc<CallTapeKind>>);

enum CallTapeKind {
    Recorded(RecordedTape),
    Played(PlayedTape),
}

/// A tape that records. When its last clone is dropped, with the instance and the answer's body, the recording is whole.
struct RecordedTape {
    recorder: Arc<Recorder>,
    reason: RecordingReason,
    parts: Mutex<CallTapeParts>,
}

/// What was recorded so far.
struct CallTapeParts {
    head: Option<RecordingHead>,
    call: RecordedCall,
    given: RecordedInputs,
    exchanges: Vec<RecordedExchange>,
    /// Answers that have arrived.
    arrived: u32,
    outcome: Option<RecordedOutcome>,
    /// The body of an answer by HTTP so far, and whether it has come to its end.
    body: Vec<u8>,
    whole: bool,
    /// Bytes that may still come.
    room: usize,
    /// It is too large, or has something that cannot be recorded: nothing of it is kept.
    abandoned: bool,
}

/// A tape that plays.
struct PlayedTape {
    playback: Mutex<Playback>,
    /// Notified when an answer has arrived: the next one may be due.
    arrived: Notify,
    /// Notified when the guest has asked for something that was not recorded.
    stopped: Notify,
}

impl CallTape {
    /// A tape that records `call` for `recorder`, within its bound.
    pub(crate) fn recorded(
        (recorder, reason): (Arc<Recorder>, RecordingReason),
        call: RecordedCall,
        head: RecordingHead,
    ) -> Self {
        let room = recorder.room().saturating_sub(call.size());
        let parts = CallTapeParts {
            head: Some(head),
            call,
            given: RecordedInputs::default(),
            exchanges: Vec::new(),
            arrived: 0,
            outcome: None,
            body: Vec::new(),
            whole: false,
            room,
            abandoned: false,
        };
        Self(Some(Arc::new(CallTapeKind::Recorded(RecordedTape { recorder, reason, parts: Mutex::new(parts) }))))
    }

    /// A tape that plays.
    pub(crate) fn played(playback: Playback) -> Self {
        let played = PlayedTape { playback: Mutex::new(playback), arrived: Notify::new(), stopped: Notify::new() };
        Self(Some(Arc::new(CallTapeKind::Played(played))))
    }

    /// Whether there is none.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it plays: nothing that the guest does may be seen outside.
    pub(crate) fn is_played(&self) -> bool {
        self.playing().is_some()
    }

    /// How a replay has gone that came to this outcome; `None` for a tape that does not play.
    pub(crate) fn report(&self, outcome: RecordedOutcome) -> Option<PlaybackReport> {
        self.playing().map(|played| lock(&played.playback).report(outcome))
    }

    fn playing(&self) -> Option<&PlayedTape> {
        match self.0.as_deref() {
            Some(CallTapeKind::Played(played)) => Some(played),
            _ => None,
        }
    }

    fn recording(&self) -> Option<&RecordedTape> {
        match self.0.as_deref() {
            Some(CallTapeKind::Recorded(recorded)) => Some(recorded),
            _ => None,
        }
    }

    /// Adds `bytes` to what is recorded, by `add`.
    pub(crate) fn add(&self, bytes: usize, add: impl FnOnce(&mut RecordedInputs, &mut RecordedCall)) {
        let Some(recorded) = self.recording() else { return };
        let mut parts = lock(&recorded.parts);
        if parts.take_room(bytes) {
            let CallTapeParts { given, call, .. } = &mut *parts;
            add(given, call);
        }
    }

    /// What the replay gives in place of a clock or a source of randomness; `None` if it does not play.
    pub(crate) fn play<T>(&self, give: impl FnOnce(&mut Playback) -> T) -> Option<T> {
        self.playing().map(|played| give(&mut lock(&played.playback)))
    }

    /// The call cannot be recorded: nothing of it is kept.
    pub(crate) fn abandon(&self) {
        if let Some(recorded) = self.recording() {
            lock(&recorded.parts).abandon();
        }
    }

    /// The call has come to its outcome. The first one counts, except that a failure replaces an answer.
    pub(crate) fn end(&self, outcome: impl FnOnce() -> RecordedOutcome) {
        let Some(recorded) = self.recording() else { return };
        let mut parts = lock(&recorded.parts);
        if parts.abandoned {
            return;
        }
        let outcome = outcome();
        if parts.outcome.is_none() || matches!(outcome, RecordedOutcome::Failed { .. }) {
            parts.outcome = Some(outcome);
        }
    }

    /// Adds a piece to the body of the answer by HTTP.
    pub(crate) fn add_to_answer(&self, piece: &[u8]) {
        let Some(recorded) = self.recording() else { return };
        let mut parts = lock(&recorded.parts);
        if parts.take_room(piece.len()) {
            parts.body.extend_from_slice(piece);
        }
    }

    /// The body of the answer by HTTP has come to its end.
    pub(crate) fn end_answer(&self) {
        if let Some(recorded) = self.recording() {
            lock(&recorded.parts).whole = true;
        }
    }

    /// The answer to a question: from `live`, which is recorded, or from the recording. `question` is made, and
    /// `recorded` and `played` are called, only where there is a tape. In a replay there is no answer to a question
    /// that was not recorded, or whose recorded answer has no form here: the replay [stops](CallTape::stopped).
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce() -> RecordedQuestion,
        live: impl Future<Output = T>,
        recorded: impl FnOnce(&T) -> Option<RecordedReply>,
        played: impl FnOnce(RecordedReply) -> Option<T>,
    ) -> T {
        match self.0.as_deref() {
            None => live.await,
            Some(CallTapeKind::Recorded(tape)) => {
                let at = tape.asked(question());
                let mut live = pin!(live);
                let first = poll_fn(|context| Poll::Ready(live.as_mut().poll(context))).await;
                let (answer, at_once) = match first {
                    Poll::Ready(answer) => (answer, true),
                    Poll::Pending => (live.await, false),
                };
                tape.answered(at, recorded(&answer), at_once);
                answer
            }
            Some(CallTapeKind::Played(tape)) => {
                let question = question();
                match tape.answer(&question).await.and_then(played) {
                    Some(answer) => answer,
                    None => tape.stop(&question).await,
                }
            }
        }
    }

    /// The recorded answer to a question, in a replay. As [`CallTape::ask`] otherwise; `None` if it does not play.
    pub(crate) async fn played_answer(&self, question: &RecordedQuestion) -> Option<RecordedReply> {
        let tape = self.playing()?;
        match tape.answer(question).await {
            Some(reply) => Some(reply),
            None => tape.stop(question).await,
        }
    }

    /// Ends when the guest has asked for something that was not recorded. Only for a tape that plays.
    pub(crate) async fn stopped(&self) {
        match self.playing() {
            Some(played) => {
                let mut stopped = pin!(played.stopped.notified());
                stopped.as_mut().enable();
                if !lock(&played.playback).is_stopped() {
                    stopped.await;
                }
            }
            None => pending().await,
        }
    }

    /// A question is asked whose answer comes in pieces. Returns its number; `None` if nothing is recorded.
    pub(crate) fn asked(&self, question: impl FnOnce() -> RecordedQuestion) -> Option<usize> {
        self.recording().and_then(|tape| tape.asked(question()))
    }

    /// Changes a recorded exchange, which gets `bytes` more.
    pub(crate) fn add_to(&self, at: Option<usize>, bytes: usize, add: impl FnOnce(&mut RecordedExchange)) {
        let (Some(recorded), Some(at)) = (self.recording(), at) else { return };
        let mut parts = lock(&recorded.parts);
        if parts.take_room(bytes)
            && let Some(exchange) = parts.exchanges.get_mut(at)
        {
            add(exchange);
        }
    }

    /// The answer to the question of this number has arrived.
    pub(crate) fn answered(&self, at: Option<usize>, reply: impl FnOnce() -> RecordedReply) {
        if let Some(tape) = self.recording() {
            tape.answered(at, Some(reply()), false);
        }
    }
}

impl CallTapeParts {
    /// Whether there is room for `bytes`. Without room nothing is kept.
    fn take_room(&mut self, bytes: usize) -> bool {
        match self.room.checked_sub(bytes) {
            Some(room) if !self.abandoned => {
                self.room = room;
                true
            }
            _ => {
                self.abandon();
                false
            }
        }
    }

    fn abandon(&mut self) {
        self.abandoned = true;
        (self.exchanges, self.given, self.body) = (Vec::new(), RecordedInputs::default(), Vec::new());
    }
}

impl RecordedTape {
    /// Notes a question, and returns its number.
    fn asked(&self, question: RecordedQuestion) -> Option<usize> {
        let mut parts = lock(&self.parts);
        let exchange = RecordedExchange { question, answer: None, order: 0, at_once: false };
        if !parts.take_room(exchange.size()) {
            return None;
        }
        parts.exchanges.push(exchange);
        Some(parts.exchanges.len() - 1)
    }

    /// Notes the answer of the question `at`; `None`: it cannot be recorded.
    fn answered(&self, at: Option<usize>, answer: Option<RecordedReply>, at_once: bool) {
        let mut parts = lock(&self.parts);
        let (Some(at), Some(answer)) = (at, answer) else { return parts.abandon() };
        if parts.take_room(answer.size()) {
            let order = parts.arrived;
            parts.arrived += 1;
            if let Some(exchange) = parts.exchanges.get_mut(at) {
                (exchange.answer, exchange.order, exchange.at_once) = (Some(answer), order, at_once);
            }
        }
    }
}

impl Drop for RecordedTape {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(head) = parts.head.take() else { return };
        if parts.abandoned {
            return self.recorder.lose();
        }
        // Without an outcome nobody has waited for it.
        let Some(mut outcome) = parts.outcome.take() else { return };
        if let RecordedOutcome::Http { body, .. } = &mut outcome {
            if !parts.whole {
                return;
            }
            *body = std::mem::take(&mut parts.body).into();
        }
        if !self.recorder.wants(self.reason, &outcome) {
            return;
        }
        let empty = RecordedCall::Function { name: String::new(), arguments: Vec::new() };
        let recording = head(std::mem::replace(&mut parts.call, empty));
        let (inputs, exchanges) = (std::mem::take(&mut parts.given), std::mem::take(&mut parts.exchanges));
        self.recorder.take(self.reason, Recording { inputs, exchanges, outcome, ..recording });
    }
}

impl PlayedTape {
    /// The guest has asked for something that was not recorded, and waits for ever: the replay ends.
    async fn stop<T>(&self, question: &RecordedQuestion) -> T {
        lock(&self.playback).stop(question);
        self.stopped.notify_waiters();
        pending().await
    }

    /// The recorded answer to `question`, in its turn; `None`: there is none.
    async fn answer(&self, question: &RecordedQuestion) -> Option<RecordedReply> {
        let answer = lock(&self.playback).ask(question).ok()?;
        let Some(reply) = answer.answer.clone() else { return pending().await };
        if answer.at_once {
            return Some(reply);
        }
        let turn = AnswerTurn { tape: self, answer };
        // The guest goes on first, as it did when it was recorded: it may ask for more before it waits.
        tokio::task::yield_now().await;
        loop {
            let mut arrived = pin!(self.arrived.notified());
            // Before the look: an answer that arrives after it notifies this one.
            arrived.as_mut().enable();
            if lock(&self.playback).is_due(&turn.answer) {
                return Some(reply);
            }
            arrived.await;
        }
    }
}

/// A question that waits for its turn. Dropped, it lets the next one go.
struct AnswerTurn<'a> {
    tape: &'a PlayedTape,
    answer: PlayedAnswer,
}

impl Drop for AnswerTurn<'_> {
    fn drop(&mut self) {
        lock(&self.tape.playback).arrived(&self.answer);
        self.tape.arrived.notify_waiters();
    }
}

/// Headers as a recording has them.
pub(crate) fn recorded_headers(headers: &http::HeaderMap) -> Vec<(String, Blob)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec().into())).collect()
}
