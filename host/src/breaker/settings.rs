//! When a circuit opens, for how long, and what closes it again.

use super::{Outcome, Verdict};
use std::time::Duration;

/// What a breaker is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What opens the circuit.
    pub trip: Trip,
    /// How long it stays open.
    pub open: OpenTime,
    /// Who may try it then, and what closes it.
    pub probes: Probes,
}

/// What opens a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// Every fault of the service counts in a row, traps and 5xx too; a success clears the count.
    Simple {
        /// How many faults in a row open the circuit: at least 1 (0 counts as 1).
        failure_threshold: u32,
    },
    /// Two rules, of which either one opens: faults of the place in a row, and the share of faults in a window. With a third where
    /// `slow_call` is set.
    Full(WindowedTrip),
}

/// The full model. The numbers are those of the systems in `docs/breaker.md`, where they agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowedTrip {
    /// How many faults of the place in a row open the circuit: at least 1 (0 counts as 1). Default 5: Envoy's.
    pub in_a_row: u32,
    /// How far back the shares look, in ten buckets: at least 10 ms (less counts as that). Default 10 s: Hystrix' and Linkerd's.
    pub window: Duration,
    /// Fewer calls in the window have no share. Default 20: Hystrix'.
    pub least_calls: u32,
    /// The share of faults (of the place, of the work, and 429) that opens the circuit, in percent, 1 to 100 (0 counts as 1).
    /// Default 50: Hystrix' and Resilience4j's.
    pub ratio: u8,
    /// From when on a call is slow. Default `None`: no call is.
    pub slow_call: Option<Duration>,
    /// The share of slow calls that opens the circuit, in percent, 1 to 100 (0 counts as 1). Default 50.
    pub slow_ratio: u8,
}

/// How long a circuit stays open: `least` the first time, twice as long each time that it opens again without having closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTime {
    /// The first time. Default 1 s: Linkerd's.
    pub least: Duration,
    /// Never longer, but for the jitter; neither does a `Retry-After` make it longer. Default 60 s: Linkerd's.
    pub most: Duration,
    /// Up to how much is added, in percent of the open time, so that the breakers of many hosts do not send their probes at once.
    /// Default 50: Linkerd's.
    pub jitter: u8,
}

/// The calls that a half-open circuit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// How many may be under way at once: at least 1 (0 counts as 1). Default 1.
    pub at_a_time: u32,
    /// How many must succeed to close the circuit: at least 1 (0 counts as 1). Default 2.
    pub successes: u32,
    /// How long a probe may hold its slot: the call's timeout and 1 s. Default 11 s.
    pub lease: Duration,
}

impl Settings {
    /// The simple breaker: `failure_threshold` faults in a row open the circuit for `recovery_timeout`, then one probe decides, which
    /// may take as long as `lease`.
    pub fn simple(failure_threshold: u32, recovery_timeout: Duration, lease: Duration) -> Self {
        Self {
            trip: Trip::Simple { failure_threshold },
            open: OpenTime { least: recovery_timeout, most: recovery_timeout, jitter: 0 },
            probes: Probes { at_a_time: 1, successes: 1, lease },
        }
    }

    /// Whether a probe that ended so shows that the endpoint has recovered. `None`: it shows nothing.
    pub(super) fn probe_passed(&self, outcome: Outcome) -> Option<bool> {
        match outcome.verdict {
            // A slow success is what a circuit may have opened for.
            Verdict::Success => Some(!self.is_slow(outcome.took)),
            // A 429 says that the endpoint is still too busy for what it would get through a closed circuit (as Linkerd has it).
            Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled => Some(false),
            Verdict::Neutral => None,
        }
    }

    /// Whether a call that took so long is a slow one.
    fn is_slow(&self, took: Duration) -> bool {
        matches!(self.trip, Trip::Full(full) if full.is_slow(took))
    }
}

impl WindowedTrip {
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
    /// How long the circuit stays open that opened `again` times before without having closed. `draw` is the whole of its chance, and
    /// `retry_after` what the call asked for that opened it.
    pub(super) fn span(&self, again: u32, draw: u64, retry_after: Option<Duration>) -> Duration {
        let doubled = 2_u32.checked_pow(again).map_or(Duration::MAX, |times| self.least.saturating_mul(times));
        let base = doubled.min(self.most);
        // Sixteen bits of chance are a step of a millisecond in a minute, and `jitter * chance` stays below 2²⁴.
        let chance = u32::from((draw >> 48) as u16);
        let span = base.saturating_add(base.saturating_mul(u32::from(self.jitter) * chance) / (100 << 16));
        retry_after.map_or(span, |asked| span.max(asked.min(self.most)))
    }
}

/// The number `index` of the splitmix64 sequence of `seed`: the same for the same two, and no two neighbours alike.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's mix 13.
pub(super) fn splitmix(seed: u64, index: u32) -> u64 {
    let mut z = seed.wrapping_add((u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
