//! The settings of a breaker: what opens a circuit, for how long, and what closes it again.

use super::outcome::{Outcome, Verdict};
use std::time::Duration;

/// The settings of one breaker, fixed when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What opens the circuit.
    pub trip: Trip,
    /// How long the circuit stays open.
    pub open: OpenTime,
    /// Which calls may probe the endpoint after that, and what closes the circuit.
    pub probes: Probes,
}

/// What opens a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// Every fault extends the streak, traps and 5xx too; a success clears it.
    Simple {
        /// How many consecutive faults open the circuit: at least 1 (0 counts as 1).
        failure_threshold: u32,
    },
    /// Any one of these rules opens the circuit: a streak of endpoint faults; the share of faults in a window; and,
    /// where `slow_call` is set, the share of slow calls in the window.
    Full(WindowedTrip),
}

/// The full model. The defaults are those of the systems in `docs/breaker.md`, where these systems agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowedTrip {
    /// How many consecutive endpoint faults open the circuit: at least 1 (0 counts as 1). Default 5: Envoy's.
    pub in_a_row: u32,
    /// The length of the window, which has ten buckets: at least 10 ms (less counts as 10 ms). Default 10 s: Hystrix'
    /// and Linkerd's.
    pub window: Duration,
    /// With fewer calls in the window, the shares are not judged. Default 20: Hystrix'.
    pub least_calls: u32,
    /// The share of faults (endpoint faults, request faults and 429) that opens the circuit, in percent, 1 to 100 (0
    /// counts as 1). Default 50: Hystrix' and Resilience4j's.
    pub ratio: u8,
    /// A call that takes this long or longer is slow. Default `None`: no call is slow.
    pub slow_call: Option<Duration>,
    /// The share of slow calls that opens the circuit, in percent, 1 to 100 (0 counts as 1). Default 50.
    pub slow_ratio: u8,
}

/// How long a circuit stays open: `least` the first time, and twice as long each time that it opens again without
/// having closed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTime {
    /// The first open time. Default 1 s: Linkerd's.
    pub least: Duration,
    /// The longest open time, to which only the jitter is added; a `Retry-After` does not exceed it either. Default 60
    /// s: Linkerd's.
    pub most: Duration,
    /// The longest random addition, in percent of the open time. It keeps the breakers of many hosts from sending their
    /// probes at the same moment. Default 50: Linkerd's.
    pub jitter: u8,
}

/// The calls that a half-open circuit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// How many probes may be under way at once: at least 1 (0 counts as 1). Default 1.
    pub at_a_time: u32,
    /// How many probes must succeed to close the circuit: at least 1 (0 counts as 1). Default 2.
    pub successes: u32,
    /// How long a probe may hold its slot: the call's timeout plus 1 s. Default 11 s.
    pub lease: Duration,
}

impl Settings {
    /// The simple form: `failure_threshold` consecutive faults open the circuit for `recovery_timeout`. Then one probe
    /// decides, which may take as long as `lease`.
    pub fn simple(failure_threshold: u32, recovery_timeout: Duration, lease: Duration) -> Self {
        Self {
            trip: Trip::Simple { failure_threshold },
            open: OpenTime { least: recovery_timeout, most: recovery_timeout, jitter: 0 },
            probes: Probes { at_a_time: 1, successes: 1, lease },
        }
    }

    /// Whether a probe with this outcome shows that the endpoint has recovered. `None`: the outcome shows nothing.
    pub(super) fn probe_passed(&self, outcome: Outcome) -> Option<bool> {
        match outcome.verdict {
            // Slow successes may be what opened the circuit, so a slow success must not close it.
            Verdict::Success => Some(!self.is_slow(outcome.took)),
            // A 429 to a probe says that the endpoint is still too busy for the traffic of a closed circuit. Linkerd
            // does the same.
            Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled => Some(false),
            Verdict::Neutral => None,
        }
    }

    fn is_slow(&self, took: Duration) -> bool {
        matches!(self.trip, Trip::Full(full) if full.is_slow(took))
    }
}

impl WindowedTrip {
    /// Whether a call that took so long is slow.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow_call.is_some_and(|limit| took >= limit)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { trip: Trip::Full(WindowedTrip::default()), open: OpenTime::default(), probes: Probes::default() }
    }
}

impl Default for WindowedTrip {
    fn default() -> Self {
        Self {
            in_a_row: 5,
            window: Duration::from_secs(10),
            least_calls: 20,
            ratio: 50,
            slow_call: None,
            slow_ratio: 50,
        }
    }
}

impl Default for OpenTime {
    fn default() -> Self {
        Self { least: Duration::from_secs(1), most: Duration::from_secs(60), jitter: 50 }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self { at_a_time: 1, successes: 2, lease: Duration::from_secs(11) }
    }
}

impl OpenTime {
    /// How long the circuit stays open. `reopened`: how often it opened before without having closed. `draw`: 64
    /// random bits, all the randomness of the jitter. `retry_after`: the wait that the answer which opened the circuit
    /// asked for.
    pub(super) fn span(&self, reopened: u32, draw: u64, retry_after: Option<Duration>) -> Duration {
        let doubled = 2_u32.checked_pow(reopened).map_or(Duration::MAX, |times| self.least.saturating_mul(times));
        let base = doubled.min(self.most);
        // Sixteen random bits give steps of a millisecond in a minute, and `jitter * fraction` stays below 2²⁴.
        let fraction = u32::from((draw >> 48) as u16);
        let span = base.saturating_add(base.saturating_mul(u32::from(self.jitter) * fraction) / (100 << 16));
        retry_after.map_or(span, |asked| span.max(asked.min(self.most)))
    }
}
