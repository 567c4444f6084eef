//! The moving average of an endpoint's latency: it rises at once and falls slowly.
//!
//! This is peak-EWMA, as in Finagle and Linkerd. A sample above the average replaces the average at once. A sample
//! below it moves the average by as much as time has passed. Without new samples the average fades towards zero, so an
//! endpoint that gets no calls because it was slow is tried again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time without samples after which an average has faded to 1/e, in milliseconds: 10 s, as in Linkerd and Finagle.
const FADE_MS: f32 = 10_000.0;
/// The time constant with which lower samples pull the average down, in milliseconds: 1 s. Linkerd and Finagle have 10
/// s here too; there one short delay of a busy endpoint sends a share of its calls to a slow endpoint for many
/// seconds. Current samples say more than an old peak.
const SETTLE_MS: f32 = 1_000.0;
/// How far a reader's clock may lie behind a writer's. A larger difference is taken for the wrap of the 32-bit stamp.
const SKEW_MS: u32 = 10_000;
/// A failure counts as a latency of at least 1 s; otherwise an endpoint that fails at once would be the fastest of
/// all. Most calls take less than 1 s. The penalty of a single failure has faded below 10 ms after 46 s.
const PENALTY_MICROS: f32 = 1e6;
/// An endpoint that keeps failing has few calls under way, which makes it look cheap. So each failure doubles what is
/// left of the penalty before it, up to 10 s: as much as a call that ran into the default timeout.
const MOST_PENALTY_MICROS: f32 = 1e7;
/// No latency counts for less: with a latency of zero, the calls under way would not count at all.
const LEAST_MICROS: f32 = 1.0;
/// No latency counts for more: beyond an hour, a difference means nothing.
const MOST_MICROS: f32 = 3.6e9;

/// The average and the time of its last change in one word, so that both change together. `Relaxed` is enough: the
/// word publishes nothing else.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

/// What the word holds: the bits of the average (µs, `f32`) in the high 32 bits, the stamp in the low 32 bits. A word
/// of 0 means: never measured.
///
/// The stamp counts milliseconds and wraps after 49 days. An old average would be taken for a fresh one only if the
/// endpoint got no call for exactly that long, give or take [`SKEW_MS`], and then only for these seconds.
#[derive(Clone, Copy)]
struct LatencyWord {
    micros: f32,
    stamp: u32,
}

impl LatencyWord {
    fn unpack(word: u64) -> Option<Self> {
        let [high, low] = [word >> 32, word & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        (word != 0).then(|| Self { micros: f32::from_bits(high), stamp: low })
    }

    fn pack(self) -> u64 {
        u64::from(self.micros.to_bits()) << 32 | u64::from(self.stamp)
    }

    /// Milliseconds from the stamp to `now`; 0 when `now` is before the stamp.
    fn age(self, now: u32) -> u32 {
        let age = now.wrapping_sub(self.stamp);
        if age > u32::MAX - SKEW_MS { 0 } else { age }
    }

    /// The part of the average that is left when time has passed without samples, 0..=1.
    fn faded(self, now: u32) -> f32 {
        self.remainder(now, FADE_MS)
    }

    #[expect(clippy::cast_precision_loss, reason = "an age beyond 2²⁴ ms leaves nothing")]
    fn remainder(self, now: u32, over: f32) -> f32 {
        (-(self.age(now) as f32) / over).exp()
    }

    /// The average after a sample; `None` if it does not change.
    fn after(self, micros: f32, now: u32) -> Option<Self> {
        let age = self.age(now);
        // The later stamp wins: a thread whose clock lies behind must not make the average older than it is.
        let stamp = if age == 0 { self.stamp } else { now };
        if micros > self.micros {
            return Some(Self { micros, stamp });
        }
        // Within one millisecond no time has passed, so only the first sample of each millisecond can lower the
        // average.
        if age == 0 {
            return None;
        }
        let left = self.remainder(now, SETTLE_MS);
        Some(Self { micros: self.micros * left + micros * (1.0 - left), stamp })
    }
}

/// The low 32 bits of a time in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "the stamp wraps, see `LatencyWord`")]
fn stamp(millis: u64) -> u32 {
    millis as u32
}

fn micros(took: Duration) -> f32 {
    (took.as_secs_f32() * 1e6).clamp(LEAST_MICROS, MOST_MICROS)
}

impl Latency {
    /// A call was answered after `took`. `now` is in milliseconds since a fixed time, always the same.
    pub(super) fn answered(&self, took: Duration, now: u64) {
        let (sample, now) = (micros(took), stamp(now));
        self.change(|word| {
            word.map_or(Some(LatencyWord { micros: sample, stamp: now }), |word| word.after(sample, now))
        });
    }

    /// A call failed after `took`.
    pub(super) fn failed(&self, took: Duration, now: u64) {
        let (took, now) = (micros(took), stamp(now));
        self.change(|word| {
            let twice = word.map_or(0.0, |word| 2.0 * word.micros * word.faded(now));
            let sample = twice.clamp(PENALTY_MICROS, MOST_PENALTY_MICROS).max(took);
            word.map_or(Some(LatencyWord { micros: sample, stamp: now }), |word| word.after(sample, now))
        });
    }

    /// The caller of a call went away after this time: the time counts only if it is more than the average.
    pub(super) fn given_up(&self, after: Duration, now: u64) {
        let (sample, now) = (micros(after), stamp(now));
        self.change(|word| match word {
            None => Some(LatencyWord { micros: sample, stamp: now }),
            Some(word) if sample > word.micros => word.after(sample, now),
            Some(_) => None,
        });
    }

    fn change(&self, to: impl Fn(Option<LatencyWord>) -> Option<LatencyWord>) {
        // An `Err` means that there was nothing to change.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| to(LatencyWord::unpack(word)).map(LatencyWord::pack));
    }

    /// The expected latency of a call in µs, at least 1: the average, faded since its last change. `None`: never
    /// measured.
    pub(super) fn expected(&self, now: u64) -> Option<f32> {
        let word = LatencyWord::unpack(self.0.load(Relaxed))?;
        Some((word.micros * word.faded(stamp(now))).max(LEAST_MICROS))
    }

    /// The average as the last sample left it; `None`: never measured.
    pub(super) fn average(&self) -> Option<Duration> {
        LatencyWord::unpack(self.0.load(Relaxed)).map(|word| Duration::from_secs_f64(f64::from(word.micros) / 1e6))
    }
}
