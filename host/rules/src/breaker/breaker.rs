//! The breaker's states and the transitions between them.
//!
//! The state is kept in three parts, so that a call through a closed circuit takes no lock:
//! - `packed` says whether the circuit is closed, how long the streak of faults is, and which epoch this is;
//! - `window` counts the recent calls, each counter together with the epoch that it belongs to;
//! - `phase`, behind a lock, says what a circuit that is not closed waits for.
//!
//! One rule ties the parts together: **the epoch changes only under the lock, and every transition changes it.** So an
//! epoch names one stretch of one state, and a thread that holds the lock and finds a permit's epoch in `packed` knows
//! that the permit still counts.

use super::outcome::{Outcome, Verdict};
use super::packed_state::PackedState;
use super::probation::{Probation, remaining};
use super::settings::{Settings, Trip, WindowedTrip};
use super::splitmix::splitmix;
use super::state::{Forced, Refused, State, View};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering::Relaxed};
use super::window::{Counts, Window};
use std::time::{Duration, Instant};

/// The circuit breaker of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// The seed of the jitter.
    seed: u64,
    /// A [`PackedState`]. `Relaxed` is enough everywhere: the word publishes nothing but itself. Everything else is
    /// read under the lock, and the counters of the window carry the epoch themselves.
    packed: AtomicU64,
    /// Only the full model has one.
    window: Option<Window>,
    phase: Mutex<Phase>,
}

/// What the lock guards. The phase and `packed` describe the same state.
#[derive(Debug)]
enum Phase {
    Closed,
    Open {
        since: Instant,
        span: Duration,
        /// How often the circuit had opened before without having closed.
        reopened: u32,
    },
    HalfOpen {
        probation: Probation,
        /// As in the open stretch before this one.
        reopened: u32,
    },
    Forced(Forced),
}

/// Leave for one call: the epoch that gave it, and the probe's number if the call is a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) epoch: u32,
    pub(super) probe: Option<u64>,
}

impl Breaker {
    /// A closed breaker. `seed` is all the randomness that the jitter has: the same seed gives the same open times.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let window = match settings.trip {
            Trip::Full(full) => Some(Window::new(full.window)),
            Trip::Simple { .. } => None,
        };
        let packed = AtomicU64::new(PackedState { epoch: 0, streak: 0 }.pack());
        Self { settings, seed, packed, window, phase: Mutex::new(Phase::Closed) }
    }

    /// Decides whether a call may be sent at `now`. [`Breaker::try_acquire`] makes a permit of the grant.
    pub(super) fn grant(&self, now: Instant) -> Result<Grant, Refused> {
        let packed = self.load();
        // The circuit may open between this load and the call. The call then began before the circuit opened: the
        // epoch in its permit makes its outcome stale.
        if packed.is_closed() {
            return Ok(Grant { epoch: packed.epoch, probe: None });
        }
        let refused = |wait| Refused { retry_after: Some(wait) };
        let mut phase = self.lock();
        if let Phase::Open { since, span, reopened } = *phase {
            if let Some(wait) = remaining(span, since, now) {
                return Err(refused(wait));
            }
            self.transition(&mut phase, Phase::HalfOpen { probation: Probation::default(), reopened });
        }
        match &mut *phase {
            // Many callers may see a free slot at once. The lock admits them one by one, so the bound holds.
            Phase::HalfOpen { probation, .. } => {
                let probe = probation.admit(&self.settings.probes, now).map_err(refused)?;
                Ok(Grant { epoch: self.load().epoch, probe: Some(probe) })
            }
            Phase::Forced(Forced::Open) => Err(Refused { retry_after: None }),
            // A probe's success or an operator closed the circuit between the load and the lock.
            Phase::Closed | Phase::Forced(Forced::Closed) | Phase::Open { .. } => {
                Ok(Grant { epoch: self.load().epoch, probe: None })
            }
        }
    }

    /// The state in which a call at `now` would find the circuit, and whether an operator holds it there. No timer
    /// changes the state: an open circuit whose open time is over counts as half-open here, even if no call has come
    /// since.
    pub fn view(&self, now: Instant) -> View {
        if self.load().is_counting() {
            return View { state: State::Closed, forced: None };
        }
        match &*self.lock() {
            Phase::Closed => View { state: State::Closed, forced: None },
            Phase::Open { since, span, .. } if remaining(*span, *since, now).is_some() => {
                View { state: State::Open, forced: None }
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => View { state: State::HalfOpen, forced: None },
            Phase::Forced(Forced::Open) => View { state: State::Open, forced: Some(Forced::Open) },
            Phase::Forced(Forced::Closed) => View { state: State::Closed, forced: Some(Forced::Closed) },
        }
    }

    /// Only the state of [`Breaker::view`].
    pub fn state(&self, now: Instant) -> State {
        self.view(now).state
    }

    /// Holds the circuit open or closed, whatever happens, until [`Breaker::reset`]. The outcomes of calls under way
    /// no longer count.
    pub fn force(&self, forced: Forced) {
        self.transition(&mut self.lock(), Phase::Forced(forced));
    }

    /// Closes the circuit, with nothing counted. The outcomes of calls under way no longer count.
    pub fn reset(&self) {
        self.transition(&mut self.lock(), Phase::Closed);
    }

    /// Records the outcome of a call that the closed stretch of `epoch` let through. Returns the new state if this
    /// outcome has changed it.
    ///
    /// The first load decides only whether to go on: every step that changes something compares the epoch again.
    pub(super) fn record(&self, epoch: u32, outcome: Outcome, now: Instant) -> Option<State> {
        let packed = self.load();
        if packed.epoch != epoch || !packed.is_counting() || outcome.verdict == Verdict::Neutral {
            return None;
        }
        let opens = match &self.settings.trip {
            Trip::Simple { failure_threshold } => {
                let change = match outcome.verdict {
                    Verdict::EndpointFault | Verdict::RequestFault => StreakChange::Extend,
                    Verdict::Success => StreakChange::Clear,
                    // A 429 is about how much the client sends. In this form it says nothing about a closed circuit.
                    Verdict::Throttled | Verdict::Neutral => StreakChange::Keep,
                };
                self.change_streak(epoch, change, *failure_threshold)
            }
            Trip::Full(full) => {
                let change = match outcome.verdict {
                    Verdict::EndpointFault => StreakChange::Extend,
                    // An endpoint that traps has answered: it can be reached and it runs. So the streak of endpoint
                    // faults ends, as a plain 500 ends Envoy's streak of gateway failures. The ratio judges request
                    // faults.
                    Verdict::Success | Verdict::RequestFault => StreakChange::Clear,
                    Verdict::Throttled | Verdict::Neutral => StreakChange::Keep,
                };
                // Both rules run, whatever the first one says: each call is counted once in the window and once in the
                // streak.
                let share = self.share_opens(full, epoch, outcome, now);
                self.change_streak(epoch, change, full.in_a_row) || share
            }
        };
        if opens {
            let mut phase = self.lock();
            // Several threads may find at once that the circuit must open. The first one to hold the lock opens it.
            // The others find another epoch: without this comparison they would open it again and restart its open
            // time.
            if self.load().epoch == epoch {
                self.open(&mut phase, 0, outcome.retry_after, now);
                return Some(State::Open);
            }
        }
        None
    }

    /// Records the outcome of a probe of the half-open stretch of `epoch`. Returns the new state if this outcome has
    /// changed it.
    pub(super) fn record_probe(&self, epoch: u32, probe: u64, outcome: Outcome, now: Instant) -> Option<State> {
        let Settings { probes, .. } = &self.settings;
        let mut phase = self.lock();
        if self.load().epoch != epoch {
            return None;
        }
        let Phase::HalfOpen { probation, reopened } = &mut *phase else { return None };
        // A probe that outlived its lease decides nothing, whether another probe has its slot by now or not.
        if !probation.end(probe, probes.lease, now) {
            return None;
        }
        match self.settings.probe_passed(outcome) {
            None => None,
            Some(true) if probation.pass() < probes.successes.max(1) => None,
            Some(true) => {
                self.transition(&mut phase, Phase::Closed);
                Some(State::Closed)
            }
            Some(false) => {
                let reopened = reopened.saturating_add(1);
                self.open(&mut phase, reopened, outcome.retry_after, now);
                Some(State::Open)
            }
        }
    }

    /// Frees the slot of a probe of `epoch` that ended without an outcome.
    pub(super) fn release_probe(&self, epoch: u32, probe: u64) {
        let mut phase = self.lock();
        if let Phase::HalfOpen { probation, .. } = &mut *phase
            && self.load().epoch == epoch
        {
            probation.release(probe);
        }
    }

    /// Counts the call in the window of `epoch`. Returns whether a share is too high now. Only a fault or a slow call
    /// is judged: a quick success must not open a circuit.
    fn share_opens(&self, full: &WindowedTrip, epoch: u32, outcome: Outcome, now: Instant) -> bool {
        let Some(window) = &self.window else { return false };
        let fault = outcome.verdict != Verdict::Success;
        let slow = full.is_slow(outcome.took);
        window.count(epoch, || self.load().epoch, fault, slow, now);
        if !fault && !slow {
            return false;
        }
        let Counts { calls, faults, slow } = window.counts(epoch);
        let reaches = |part: u64, percent: u8| part * 100 >= u64::from(percent.max(1)) * calls;
        calls >= u64::from(full.least_calls.max(1)) && (reaches(faults, full.ratio) || reaches(slow, full.slow_ratio))
    }

    /// Applies `change` to the streak of `epoch`. Returns whether the streak is long enough now to open the circuit.
    fn change_streak(&self, epoch: u32, change: StreakChange, threshold: u32) -> bool {
        let next = |packed: PackedState| match change {
            StreakChange::Extend => {
                let streak = packed.streak.saturating_add(1).min(PackedState::LONGEST_STREAK);
                Some(PackedState { streak, ..packed })
            }
            // Nothing to clear is the common case. It writes nothing, so that the cache line stays shared between the
            // cores.
            StreakChange::Clear => (packed.streak > 0).then_some(PackedState { streak: 0, ..packed }),
            StreakChange::Keep => None,
        };
        // One compare-and-swap covers the epoch and the streak: no fault is lost, and none is counted in another epoch.
        let update = |bits| {
            let packed = PackedState::unpack(bits);
            if packed.epoch == epoch && packed.is_counting() { next(packed).map(PackedState::pack) } else { None }
        };
        let before = self.packed.fetch_update(Relaxed, Relaxed, update).map(PackedState::unpack);
        // Another thread's success may clear the streak before `record` takes the lock. The streak was long enough all
        // the same, so the circuit opens.
        let threshold = threshold.clamp(1, PackedState::LONGEST_STREAK);
        before.ok().and_then(next).is_some_and(|packed| packed.streak >= threshold)
    }

    /// Opens the circuit, which opened `reopened` times before without having closed.
    fn open(&self, phase: &mut Phase, reopened: u32, retry_after: Option<Duration>, now: Instant) {
        let draw = splitmix(self.seed, self.load().epoch);
        let span = self.settings.open.span(reopened, draw, retry_after);
        self.transition(phase, Phase::Open { since: now, span, reopened });
    }

    /// Changes the state and the epoch; nothing else does. The caller holds the lock. A thread that reads the new word
    /// before the lock is free waits for the lock, and then finds the new phase.
    fn transition(&self, phase: &mut Phase, next: Phase) {
        let before = self.load();
        let after = match next {
            Phase::Closed => before.next_closed(),
            Phase::Open { .. } | Phase::HalfOpen { .. } | Phase::Forced(Forced::Open) => before.next_not_closed(),
            Phase::Forced(Forced::Closed) => before.next_not_counting(),
        };
        *phase = next;
        // Races with `change_streak`, which may extend the streak at this moment. If its compare-and-swap comes after
        // this swap, it fails, since the epoch has changed. With a store instead of the swap, loom finds an order in
        // which the compare-and-swap comes later and still sees the word from before the store: it would succeed, and
        // undo the transition.
        let replaced = self.packed.swap(after.pack(), Relaxed);
        debug_assert_eq!(
            PackedState::unpack(replaced).epoch,
            before.epoch,
            "the epoch changes only under the lock, and every transition changes it"
        );
    }

    fn load(&self) -> PackedState {
        PackedState::unpack(self.packed.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nothing panics while it holds this lock")
    }
}

/// What an outcome does to the streak of faults.
#[derive(Clone, Copy)]
enum StreakChange {
    Extend,
    Clear,
    Keep,
}
