//! The tape of one call.

use super::confined_tape::ConfinedTape;
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
    Confined(ConfinedTape),
}

/// A tape that records. When its last clone is dropped, with the instance and the answer's body, the recording is
/// whole.
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

    /// A tape for a guest that may reach its own data and nothing else.
    pub(crate) fn confined() -> Self {
        Self(Some(Arc::new(CallTapeKind::Confined(ConfinedTape::default()))))
    }

    /// Ends when a confined guest has reached out, with what it would have done. It never ends for another tape.
    pub(crate) async fn reached_out(&self) -> String {
        match self.0.as_deref() {
            Some(CallTapeKind::Confined(tape)) => tape.reached_out().await,
            _ => pending().await,
        }
    }

    /// Whether there is none.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it plays: nothing that the guest does may be seen outside.
    pub(crate) fn is_played(&self) -> bool {
        self.playing().is_some()
    }

    /// Whether the guest works on what is not its service's own: a migration.
    pub(crate) fn is_confined(&self) -> bool {
        matches!(self.0.as_deref(), Some(CallTapeKind::Confined(_)))
    }

    /// How a replay has gone that came to this outcome; `None` for a tape that does not play.
    pub(crate) fn report(&self, outcome: RecordedOutcome) -> Option<PlaybackReport> {
        self.playing().map(|played| lock(&played.playback).report(outcome))
    }

    fn playing(&self) -> Option<&PlayedTape> {
        let Some(CallTapeKind::Played(played)) = self.0.as_deref() else { return None };
        Some(played)
    }

    fn recording(&self) -> Option<&RecordedTape> {
        let Some(CallTapeKind::Recorded(recorded)) = self.0.as_deref() else { return None };
        Some(recorded)
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
            Some(CallTapeKind::Confined(tape)) => {
                tape.admit(&question()).await;
                live.await
            }
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

#[cfg(test)]
mod tests {
    use super::super::recorder::{RecordShare, RecordingPlace};
    use super::*;
    use crate::recording::testing::recording;
    use crate::recording::{MaskRules, RecordingBounds, RecordingStore};
    use std::time::Duration;
    use tokio::time::sleep;

    fn question(key: &str) -> RecordedQuestion {
        RecordedQuestion::Get { keys: vec![key.to_owned().into()] }
    }

    /// Asks for the value of `key`, which the world has after `wait`. Returns its version.
    async fn ask(tape: &CallTape, key: &str, wait: Option<u64>) -> u64 {
        let live = async {
            if let Some(millis) = wait {
                sleep(Duration::from_millis(millis)).await;
            }
            wait.unwrap_or_default()
        };
        let recorded = |version: &u64| Some(RecordedReply::Values(vec![Some((Blob::default(), *version))]));
        let played = |reply| match reply {
            RecordedReply::Values(values) => values.first()?.as_ref().map(|(_, version)| *version),
            _ => None,
        };
        tape.ask(|| question(key), live, recorded, played).await
    }

    /// A place for recordings of at most so many bytes, and a tape whose recording goes there.
    fn tape(entry: usize) -> (Arc<RecordingPlace>, CallTape) {
        let store = RecordingStore::new(RecordingBounds { entry, total: 1 << 20 });
        let place = Arc::new(RecordingPlace { store, ..RecordingPlace::default() });
        let share = Some(RecordShare { every: 1, failed: false });
        let recorder = Arc::new(Recorder::new(share, Arc::clone(&place)));
        let reason = recorder.reason().unwrap();
        let call = RecordedCall::Function { name: "get".into(), arguments: Vec::new() };
        (place, CallTape::recorded((recorder, reason), call, Box::new(|call| Recording { call, ..recording() })))
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_gives_the_answers_of_the_recording_in_their_order_without_the_world() {
        let (place, tape) = tape(1 << 20);
        assert_eq!(ask(&tape, "now", None).await, 0);
        let both = tokio::join!(ask(&tape, "slow", Some(20)), ask(&tape, "quick", Some(10)));
        assert_eq!(both, (20, 10));
        assert!(place.store.list().is_empty(), "it is whole when its last holder is gone");
        tape.end(|| RecordedOutcome::Function(None));
        drop(tape);
        let (recording, _) = place.store.list().remove(0);
        let facts: Vec<_> = recording.exchanges.iter().map(|one| (one.order, one.at_once)).collect();
        assert_eq!(facts, [(0, true), (2, false), (1, false)]);

        let tape = CallTape::played(Playback::new(Arc::clone(&recording), &MaskRules::default()));
        let arrived = Mutex::new(Vec::new());
        let one = async |key: &'static str| {
            let version = ask(&tape, key, Some(1_000_000)).await;
            lock(&arrived).push(key);
            version
        };
        assert_eq!(tokio::join!(one("slow"), one("quick")), (20, 10));
        assert_eq!(*lock(&arrived), ["quick", "slow"]);
        assert_eq!(one("now").await, 0);
        let report = tape.report(RecordedOutcome::Function(None)).unwrap();
        assert!(report.is_equal(), "{report:?}");
    }

    #[tokio::test]
    async fn a_question_that_was_not_recorded_stops_the_replay_and_is_named() {
        let tape = CallTape::played(Playback::new(Arc::new(recording()), &MaskRules::default()));
        tokio::select! {
            version = ask(&tape, "new", None) => panic!("{version}"),
            () = tape.stopped() => {}
        }
        tape.stopped().await;
        let stopped = tape.report(RecordedOutcome::Function(None)).unwrap().stopped;
        assert_eq!(stopped.as_deref(), Some("asks for something new: read `new`"));
    }

    #[tokio::test]
    async fn a_confined_guest_reads_and_is_stopped_at_a_call() {
        let tape = CallTape::confined();
        assert_eq!(ask(&tape, "user/7", Some(3)).await, 3, "its own data are there");
        let call = || RecordedQuestion::Call { service: "a".into(), function: "b#c".into(), arguments: Vec::new() };
        tokio::select! {
            () = tape.ask(call, async {}, |()| None, |_| None) => panic!("it was called"),
            what = tape.reached_out() => assert_eq!(what, "call b#c"),
        }
        assert!(!tape.is_played() && !tape.is_off());
    }

    #[tokio::test]
    async fn a_call_without_an_outcome_or_beyond_the_bound_leaves_no_recording() {
        let (place, unwaited) = tape(1 << 20);
        drop(unwaited);
        let (bounded, large) = tape(4096);
        for _ in 0..100 {
            ask(&large, "a key of a few bytes", None).await;
        }
        large.end(|| RecordedOutcome::Function(None));
        drop(large);
        assert!(place.store.list().is_empty() && bounded.store.list().is_empty());
    }
}
