//! The moving average of an endpoint's latency: slow to forget, quick to take fright.
//!
//! Peak-EWMA as Finagle and Linkerd have it: a sample above the average replaces it at once, one below it moves it by as much as time
//! has passed. Whoever reads the average without a new sample sees it fade towards zero, so an endpoint that nobody calls because it
//! was slow is tried again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time of silence after which an average has faded to 1/e, in milliseconds: 10 s, as in Linkerd and Finagle.
const FADE_MS: f32 = 10_000.0;
/// The time over which samples that are lower win the average over, in milliseconds: 1 s. There Linkerd and Finagle have the same 10 s, and
/// so one hiccup of a busy endpoint sends a share of its calls to a slow one for many seconds; what is seen now is worth more than that.
const SETTLE_MS: f32 = 1_000.0;
/// So far a reader's clock may lie behind a writer's. Beyond it the difference is taken for the wrap of the 32-bit stamp.
const SKEW_MS: u32 = 10_000;
/// A failure counts as a latency of at least 1 s, or an endpoint that fails at once would be the fastest of all. Most calls take less,
/// and after a single failure it has faded below 10 ms in 46 s.
const PENALTY_MICROS: f32 = 1e6;
/// One that goes on failing has few calls under way, so each failure doubles what the one before left, up to 10 s: as bad as a call that
/// ran into the default timeout.
const MOST_PENALTY_MICROS: f32 = 1e7;
/// No latency counts for less: at zero the calls under way would not count at all.
const LEAST_MICROS: f32 = 1.0;
/// None counts for more: an hour is long past anything that differs.
const MOST_MICROS: f32 = 3.6e9;

/// Average and moment of its last change in one word, so that both change together: `Relaxed` is enough, it publishes nothing else.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

/// What the word holds: the bits of the average (µs, `f32`) in the high half, the stamp in the low half. A word of 0: never measured.
///
/// The stamp counts milliseconds and wraps after 49 days. An endpoint would have to be left alone for exactly as long, give or take
/// [`SKEW_MS`], for its old average to be taken for a fresh one, and then only for those seconds.
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

    /// Milliseconds from the stamp to `now`; 0 when `now` is the earlier one.
    fn age(self, now: u32) -> u32 {
        let age = now.wrapping_sub(self.stamp);
        if age > u32::MAX - SKEW_MS { 0 } else { age }
    }

    /// What is left of the average when time alone has passed, 0..=1.
    fn left(self, now: u32) -> f32 {
        self.remainder(now, FADE_MS)
    }

    #[expect(clippy::cast_precision_loss, reason = "an age beyond 2²⁴ ms leaves nothing")]
    fn remainder(self, now: u32, over: f32) -> f32 {
        (-(self.age(now) as f32) / over).exp()
    }

    /// The average after a sample, or `None` if it stays as it is.
    fn after(self, micros: f32, now: u32) -> Option<Self> {
        let age = self.age(now);
        // The later stamp stays: a thread whose clock lies behind must not make the average older than it is.
        let stamp = if age == 0 { self.stamp } else { now };
        if micros > self.micros {
            return Some(Self { micros, stamp });
        }
        // Inside one millisecond no time has passed: the first sample of each counts for all of it.
        if age == 0 {
            return None;
        }
        let left = self.remainder(now, SETTLE_MS);
        Some(Self { micros: self.micros * left + micros * (1.0 - left), stamp })
    }
}

/// The low 32 bits: what a stamp holds.
#[expect(clippy::cast_possible_truncation, reason = "the stamp wraps, see `Word`")]
fn stamp(millis: u64) -> u32 {
    millis as u32
}

fn micros(took: Duration) -> f32 {
    (took.as_secs_f32() * 1e6).clamp(LEAST_MICROS, MOST_MICROS)
}

impl Latency {
    /// A call was answered after so long; `now` in milliseconds since any fixed moment.
    pub(super) fn answered(&self, took: Duration, now: u64) {
        let (sample, now) = (micros(took), stamp(now));
        self.change(|word| {
            word.map_or(Some(LatencyWord { micros: sample, stamp: now }), |word| word.after(sample, now))
        });
    }

    /// A call failed after so long.
    pub(super) fn failed(&self, took: Duration, now: u64) {
        let (took, now) = (micros(took), stamp(now));
        self.change(|word| {
            let twice = word.map_or(0.0, |word| 2.0 * word.micros * word.left(now));
            let sample = twice.clamp(PENALTY_MICROS, MOST_PENALTY_MICROS).max(took);
            word.map_or(Some(LatencyWord { micros: sample, stamp: now }), |word| word.after(sample, now))
        });
    }

    /// A call took longer than this: it counts only if that is more than the average.
    pub(super) fn given_up(&self, after: Duration, now: u64) {
        let (sample, now) = (micros(after), stamp(now));
        self.change(|word| match word {
            None => Some(LatencyWord { micros: sample, stamp: now }),
            Some(word) if sample > word.micros => word.after(sample, now),
            Some(_) => None,
        });
    }

    fn change(&self, to: impl Fn(Option<LatencyWord>) -> Option<LatencyWord>) {
        // An `Err` says that nothing was to change.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| to(LatencyWord::unpack(word)).map(LatencyWord::pack));
    }

    /// What a call is expected to take, in µs (at least 1): the average, faded since its last change. `None`: never measured.
    pub(super) fn expected(&self, now: u64) -> Option<f32> {
        let word = LatencyWord::unpack(self.0.load(Relaxed))?;
        Some((word.micros * word.left(stamp(now))).max(LEAST_MICROS))
    }

    /// The average as the last sample left it.
    pub(super) fn average(&self) -> Option<Duration> {
        LatencyWord::unpack(self.0.load(Relaxed)).map(|word| Duration::from_secs_f64(f64::from(word.micros) / 1e6))
    }
}
