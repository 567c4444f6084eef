//! The breaker's states and the transitions between them.
//!
//! The state lies in two places, so that the common case costs one atomic load and, for a success, one more:
//! - `word` says whether the circuit is closed, how many failures came in a row, and which epoch this is;
//! - `phase`, behind a lock, says what an unclosed circuit waits for.
//!
//! One rule ties them together: **the epoch changes only under the lock, and every transition and every new probe changes it.** So
//! an epoch names one stretch of Closed or one probe, and whoever holds the lock and finds a permit's epoch in the word knows that
//! the permit is still good.

use super::Permit;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// No refusal says to come back sooner: a wait of zero would be a busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// When a circuit opens and how it recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many failures in a row open the circuit: at least 1 (0 counts as 1). Default 5.
    pub failure_threshold: u32,
    /// How long an open circuit refuses every call before it lets a probe through. Default 5 s.
    pub recovery_timeout: Duration,
    /// How long a probe may hold the half-open slot before another call gets it: the call's timeout and 1 s. Default 6 s.
    pub probe_lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let recovery_timeout = Duration::from_secs(5);
        Self { failure_threshold: 5, recovery_timeout, probe_lease: Duration::from_secs(6) }
    }
}

/// The textbook states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused until the recovery timeout is over.
    Open,
    /// One probe at a time goes through and decides.
    HalfOpen,
}

impl State {
    /// A stable name for metrics and the admin API: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The breaker lets no call through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit lets no call through for another {retry_after:?}")]
pub struct Refused {
    /// How long until a try makes sense, at least 1 ms: what is left of the open time, or of the lease of the probe under way.
    pub retry_after: Duration,
}

/// The circuit breaker of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// A [`Word`]. `Relaxed` is enough throughout: it publishes nothing but itself, everything else is read under the lock.
    word: AtomicU64,
    phase: Mutex<Phase>,
}

/// What the lock guards. `Closed` exactly when the word is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { since: Instant },
    HalfOpen { probe_since: Option<Instant> },
}

/// What the atomic holds: the epoch in the high half, the count in the low half.
///
/// The epoch wraps after 2³² transitions; a permit would have to live through exactly as many to be taken for a fresh one.
#[derive(Clone, Copy)]
struct Word {
    epoch: u32,
    /// Failures in a row, or [`Word::UNCLOSED`].
    failures: u32,
}

impl Word {
    /// Stands in `failures` while the circuit is not closed. A count never gets there: the failure that would opens the circuit.
    const UNCLOSED: u32 = u32::MAX;

    fn unpack(bits: u64) -> Self {
        Self { epoch: (bits >> 32) as u32, failures: (bits & 0xffff_ffff) as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.failures)
    }

    fn is_closed(self) -> bool {
        self.failures != Self::UNCLOSED
    }

    /// The next epoch, closed or not.
    fn next(self, failures: u32) -> Self {
        Self { epoch: self.epoch.wrapping_add(1), failures }
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        let word = AtomicU64::new(Word { epoch: 0, failures: 0 }.pack());
        Self { settings, word, phase: Mutex::new(Phase::Closed) }
    }

    /// Asks for one call.
    ///
    /// # Errors
    /// [`Refused`] while the circuit is open, and while another call is the half-open probe.
    pub fn try_acquire(self: &Arc<Self>, now: Instant) -> Result<Permit, Refused> {
        let word = self.word();
        // The circuit may open between this look and the call. That is a call which began before the circuit opened: the epoch in
        // its permit makes its verdict stale.
        if word.is_closed() {
            return Ok(Permit::new(Arc::clone(self), word.epoch));
        }
        let mut phase = self.lock();
        let wait = match *phase {
            // A probe's success closed it between the look and the lock.
            Phase::Closed => return Ok(Permit::new(Arc::clone(self), self.word().epoch)),
            Phase::Open { since } => left(self.settings.recovery_timeout, since, now),
            Phase::HalfOpen { probe_since: Some(since) } => left(self.settings.probe_lease, since, now),
            Phase::HalfOpen { probe_since: None } => None,
        };
        if let Some(retry_after) = wait {
            return Err(Refused { retry_after });
        }
        // Many callers may find the slot free; the lock lets one of them here, and the rest find it taken. The new epoch makes the
        // verdict of a probe stale that overstayed its lease.
        *phase = Phase::HalfOpen { probe_since: Some(now) };
        let probe = self.word().next(Word::UNCLOSED);
        self.word.store(probe.pack(), Relaxed);
        Ok(Permit::new(Arc::clone(self), probe.epoch))
    }

    /// The state that a call at `now` would meet: an open circuit whose recovery timeout is over is half-open, also before somebody asks.
    pub fn state(&self, now: Instant) -> State {
        if self.word().is_closed() {
            return State::Closed;
        }
        match *self.lock() {
            Phase::Closed => State::Closed,
            Phase::Open { since } if left(self.settings.recovery_timeout, since, now).is_some() => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    // What the three verdicts see first decides only where to look again: the epoch is compared in the step that changes something.

    /// A success of the permit of `epoch`: ends a run of failures, or closes the circuit.
    pub(super) fn succeeded(&self, epoch: u32) {
        if !self.word().is_closed() {
            return self.settle_probe(epoch, Phase::Closed);
        }
        // Nothing to clear is the common case: it writes nothing, so that the line stays shared between the cores.
        let clear = |word: Word| (word.epoch == epoch && word.failures > 0).then_some(Word { epoch, failures: 0 });
        self.update(clear);
    }

    /// A failure of the permit of `epoch`: lengthens the run and perhaps opens the circuit, or opens it again.
    pub(super) fn failed(&self, epoch: u32, now: Instant) {
        if !self.word().is_closed() {
            return self.settle_probe(epoch, Phase::Open { since: now });
        }
        let opens = |word: Word| word.failures + 1 >= self.settings.failure_threshold.max(1);
        let longer = |word: Word| Word { epoch, failures: word.failures + 1 };
        // Compare-and-swap on epoch and count together: no failure is lost or counted in another epoch.
        if self.update(|word| (word.epoch == epoch && !opens(word)).then(|| longer(word))).is_some() {
            return;
        }
        // Stale by now, or the last of the run. Of several last ones the first to hold the lock opens the circuit, and the others find
        // another epoch. A success may still clear the run before the swap; then this failure is the first of a new one.
        let mut phase = self.lock();
        let next = |word: Word| if opens(word) { word.next(Word::UNCLOSED) } else { longer(word) };
        let opened =
            self.update(|word| (word.epoch == epoch).then(|| next(word))).is_some_and(|word| !word.is_closed());
        if opened {
            // Whoever saw the new word already is waiting for the lock, and finds this.
            *phase = Phase::Open { since: now };
        }
    }

    /// The permit of `epoch` ended without a verdict: frees the slot if it was the probe's.
    pub(super) fn released(&self, epoch: u32) {
        if !self.word().is_closed() {
            self.settle_probe(epoch, Phase::HalfOpen { probe_since: None });
        }
    }

    /// The circuit goes to `next` if the permit of `epoch` is the probe's that has the slot now. No other permit has an unclosed epoch.
    fn settle_probe(&self, epoch: u32, next: Phase) {
        let mut phase = self.lock();
        let word = self.word();
        if word.epoch != epoch {
            return;
        }
        *phase = next;
        let word = match next {
            Phase::Closed => word.next(0),
            Phase::Open { .. } | Phase::HalfOpen { .. } => word.next(Word::UNCLOSED),
        };
        self.word.store(word.pack(), Relaxed);
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Relaxed))
    }

    /// Changes the word in one step, as often as another thread comes in between. Returns the new word, `None` when `change` declined.
    fn update(&self, change: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let before = self.word.fetch_update(Relaxed, Relaxed, |bits| change(Word::unpack(bits)).map(Word::pack));
        before.ok().and_then(|bits| change(Word::unpack(bits)))
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nothing panics while it holds this lock")
    }
}

/// What is left at `now` of a `span` that began at `since`. Subtracts instead of adding, so that a long span cannot overflow; a `now`
/// from before `since` (another thread's, read earlier) counts as `since`.
fn left(span: Duration, since: Instant, now: Instant) -> Option<Duration> {
    let left = span.saturating_sub(now.saturating_duration_since(since));
    (!left.is_zero()).then(|| left.max(LEAST_WAIT))
}
