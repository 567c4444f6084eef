//! The breaker's states and the transitions between them.
//!
//! The state lies in three places, so that a call through a closed circuit takes no lock:
//! - `word` says whether the circuit is closed, how many faults came in a row, and which epoch this is;
//! - `window` counts the calls of the last while, each counter with the epoch that it belongs to;
//! - `phase`, behind a lock, says what an unclosed circuit waits for.
//!
//! One rule ties them together: **the epoch changes only under the lock, and every transition changes it.** So an epoch names one
//! stretch of one state, and whoever holds the lock and finds a permit's epoch in the word knows that the permit is still good.

use super::probation::{Probation, left};
use super::settings::splitmix;
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering::Relaxed};
use super::window::{Counts, Window};
use super::word::Word;
use super::{Forced, Outcome, Permit, Refused, Settings, State, Trip, Verdict, View, WindowedTrip};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The circuit breaker of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// Of its jitter.
    seed: u64,
    /// A [`Word`]. `Relaxed` is enough throughout: it publishes nothing but itself. The rest is read under the lock, and the counters
    /// of the window carry the epoch themselves.
    word: AtomicU64,
    /// Of the full model alone.
    window: Option<Window>,
    phase: Mutex<Phase>,
}

/// What the lock guards. It and the word tell of the same state.
#[derive(Debug)]
enum Phase {
    Closed,
    Open {
        since: Instant,
        span: Duration,
        /// How often the circuit had opened before, without having closed.
        again: u32,
    },
    HalfOpen {
        probation: Probation,
        /// As of the open stretch before it.
        again: u32,
    },
    Forced(Forced),
}

impl Breaker {
    /// A closed breaker. `seed` is all the chance that its jitter has: the same seed gives the same open times.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let window = match settings.trip {
            Trip::Full(full) => Some(Window::new(full.window)),
            Trip::Simple { .. } => None,
        };
        let word = AtomicU64::new(Word { epoch: 0, row: 0 }.pack());
        Self { settings, seed, word, window, phase: Mutex::new(Phase::Closed) }
    }

    /// Asks for one call.
    ///
    /// # Errors
    /// [`Refused`] while the circuit is open, and while as many probes of a half-open one are under way as may be.
    pub fn try_acquire(self: &Arc<Self>, now: Instant) -> Result<Permit, Refused> {
        let word = self.word();
        // The circuit may open between this look and the call. That is a call which began before the circuit opened: the epoch in
        // its permit makes its verdict stale.
        if word.is_closed() {
            return Ok(Permit::new(Arc::clone(self), word.epoch, None));
        }
        let refused = |wait| Refused { retry_after: Some(wait) };
        let mut phase = self.lock();
        if let Phase::Open { since, span, again } = *phase {
            if let Some(wait) = left(span, since, now) {
                return Err(refused(wait));
            }
            self.turn(&mut phase, Phase::HalfOpen { probation: Probation::default(), again });
        }
        match &mut *phase {
            // Many callers may find a slot free; the lock lets them here one by one.
            Phase::HalfOpen { probation, .. } => {
                let probe = probation.admit(&self.settings.probes, now).map_err(refused)?;
                Ok(Permit::new(Arc::clone(self), self.word().epoch, Some(probe)))
            }
            Phase::Forced(Forced::Open) => Err(Refused { retry_after: None }),
            // A probe's success or an operator closed it between the look and the lock.
            Phase::Closed | Phase::Forced(Forced::Closed) | Phase::Open { .. } => {
                Ok(Permit::new(Arc::clone(self), self.word().epoch, None))
            }
        }
    }

    /// The state that a call at `now` would meet, and whether an operator holds it there. An open circuit whose time is over is
    /// half-open, also before somebody asks.
    pub fn view(&self, now: Instant) -> View {
        if self.word().is_counting() {
            return View { state: State::Closed, forced: None };
        }
        match &*self.lock() {
            Phase::Closed => View { state: State::Closed, forced: None },
            Phase::Open { since, span, .. } if left(*span, *since, now).is_some() => {
                View { state: State::Open, forced: None }
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => View { state: State::HalfOpen, forced: None },
            Phase::Forced(Forced::Open) => View { state: State::Open, forced: Some(Forced::Open) },
            Phase::Forced(Forced::Closed) => View { state: State::Closed, forced: Some(Forced::Closed) },
        }
    }

    /// The state alone of [`Breaker::view`].
    pub fn state(&self, now: Instant) -> State {
        self.view(now).state
    }

    /// Holds the circuit open or closed, whatever happens, until [`Breaker::reset`]. Calls under way decide nothing any more.
    pub fn force(&self, forced: Forced) {
        self.turn(&mut self.lock(), Phase::Forced(forced));
    }

    /// Closes the circuit, with nothing counted. Calls under way decide nothing any more.
    pub fn reset(&self) {
        self.turn(&mut self.lock(), Phase::Closed);
    }

    /// The outcome of a call that the closed stretch of `epoch` let through.
    ///
    /// What is read first decides only whether to go on: the epoch is compared again in every step that changes something.
    pub(super) fn count(&self, epoch: u32, outcome: Outcome, now: Instant) {
        let word = self.word();
        if word.epoch != epoch || !word.is_counting() || outcome.verdict == Verdict::Neutral {
            return;
        }
        let opens = match &self.settings.trip {
            Trip::Simple { failure_threshold } => {
                let row = match outcome.verdict {
                    Verdict::EndpointFault | Verdict::RequestFault => Streak::Longer,
                    Verdict::Success => Streak::Over,
                    // 429 is the client's share: in this form it says nothing about a closed circuit.
                    Verdict::Throttled | Verdict::Neutral => Streak::AsItIs,
                };
                self.step(epoch, row, *failure_threshold)
            }
            Trip::Full(full) => {
                let row = match outcome.verdict {
                    Verdict::EndpointFault => Streak::Longer,
                    // A place that traps has answered: it can be reached and it runs. So the row of its own faults is over, as a plain
                    // 500 ends Envoy's row of gateway failures. What its work does is the ratio's to judge.
                    Verdict::Success | Verdict::RequestFault => Streak::Over,
                    Verdict::Throttled | Verdict::Neutral => Streak::AsItIs,
                };
                // Both, whatever the first one says: the call is counted once, and wholly.
                let share = self.share_opens(full, epoch, outcome, now);
                self.step(epoch, row, full.in_a_row) || share
            }
        };
        if opens {
            let mut phase = self.lock();
            // Several may find at once that the circuit must open. The first to hold the lock opens it; the others find another epoch.
            if self.word().epoch == epoch {
                self.open(&mut phase, 0, outcome.retry_after, now);
            }
        }
    }

    /// The outcome of a probe of the half-open stretch of `epoch`.
    pub(super) fn settle(&self, epoch: u32, probe: u64, outcome: Outcome, now: Instant) {
        let Settings { probes, .. } = &self.settings;
        let mut phase = self.lock();
        if self.word().epoch != epoch {
            return;
        }
        let Phase::HalfOpen { probation, again } = &mut *phase else { return };
        // A probe that overstayed its lease has no say, whether another one has its slot by now or not.
        if !probation.end(probe, probes.lease, now) {
            return;
        }
        match self.settings.probe_passed(outcome) {
            None => {}
            Some(true) if probation.pass() < probes.successes.max(1) => {}
            Some(true) => self.turn(&mut phase, Phase::Closed),
            Some(false) => {
                let again = again.saturating_add(1);
                self.open(&mut phase, again, outcome.retry_after, now);
            }
        }
    }

    /// The probe of `epoch` ended without an outcome.
    pub(super) fn release(&self, epoch: u32, probe: u64) {
        let mut phase = self.lock();
        if let Phase::HalfOpen { probation, .. } = &mut *phase
            && self.word().epoch == epoch
        {
            probation.release(probe);
        }
    }

    /// Counts the call in the window of `epoch`. Whether a share of it is too high now: asked when the call adds to one, since a
    /// quick success must not open a circuit.
    fn share_opens(&self, full: &WindowedTrip, epoch: u32, outcome: Outcome, now: Instant) -> bool {
        let Some(window) = &self.window else { return false };
        let fault = outcome.verdict != Verdict::Success;
        let slow = full.is_slow(outcome.took);
        window.count(epoch, || self.word().epoch, fault, slow, now);
        if !fault && !slow {
            return false;
        }
        let Counts { calls, faults, slow } = window.counts(epoch);
        let reaches = |part: u64, percent: u8| part * 100 >= u64::from(percent.max(1)) * calls;
        calls >= u64::from(full.least_calls.max(1)) && (reaches(faults, full.ratio) || reaches(slow, full.slow_ratio))
    }

    /// Takes the row of `epoch` on. Whether it is long enough now to open the circuit.
    fn step(&self, epoch: u32, row: Streak, threshold: u32) -> bool {
        let next = |word: Word| match row {
            Streak::Longer => Some(Word { row: word.row.saturating_add(1).min(Word::LONGEST_ROW), ..word }),
            // Nothing to clear is the common case: it writes nothing, so that the line stays shared between the cores.
            Streak::Over => (word.row > 0).then_some(Word { row: 0, ..word }),
            Streak::AsItIs => None,
        };
        // Compare-and-swap on epoch and row together: no fault is lost or counted in another epoch.
        let change = |bits| {
            let word = Word::unpack(bits);
            if word.epoch == epoch && word.is_counting() { next(word).map(Word::pack) } else { None }
        };
        let before = self.word.fetch_update(Relaxed, Relaxed, change).map(Word::unpack);
        // A success may clear the row before the lock is taken. The row was long enough all the same.
        before.ok().and_then(next).is_some_and(|word| word.row >= threshold.clamp(1, Word::LONGEST_ROW))
    }

    /// Opens the circuit for the time that is due when it opened `again` times before.
    fn open(&self, phase: &mut Phase, again: u32, retry_after: Option<Duration>, now: Instant) {
        let draw = splitmix(self.seed, self.word().epoch);
        let span = self.settings.open.span(again, draw, retry_after);
        self.turn(phase, Phase::Open { since: now, span, again });
    }

    /// The one place where the state and the epoch change. The caller holds the lock. Whoever sees the new word before the lock is
    /// free waits for it, and finds the new phase.
    fn turn(&self, phase: &mut Phase, next: Phase) {
        let word = self.word();
        let word = match next {
            Phase::Closed => word.next_closed(),
            Phase::Open { .. } | Phase::HalfOpen { .. } | Phase::Forced(Forced::Open) => word.next_unclosed(),
            Phase::Forced(Forced::Closed) => word.next_uncounted(),
        };
        *phase = next;
        // A row that another thread lengthens at this moment fails its swap, since the epoch is another. A swap here too: loom finds an
        // order for a plain store in which that swap comes after it and still sees the word from before.
        self.word.swap(word.pack(), Relaxed);
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nothing panics while it holds this lock")
    }
}

/// What an outcome does to the row of faults.
#[derive(Clone, Copy)]
enum Streak {
    Longer,
    Over,
    AsItIs,
}
