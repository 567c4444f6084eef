//! Clocks and randomness, as a guest with a tape gets them.

use super::call_tape::CallTape;
use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, SeedableRng, TryRng};
use std::convert::Infallible;
use std::time::Duration;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, MonotonicClock, WallClock};

/// Has a guest's clocks and its randomness go over its tape, if it has one.
pub(crate) fn install(wasi: &mut WasiCtxBuilder, tape: &CallTape) {
    if tape.is_off() {
        return;
    }
    wasi.wall_clock(TapedTime(tape.clone(), WallClock::new()));
    wasi.monotonic_clock(TapedTicks(tape.clone(), MonotonicClock::new()));
    let secure = TapedRandom { tape: tape.clone(), source: StdRng::from_rng(&mut rand::rng()), quick: false };
    wasi.secure_random(secure);
    let quick = TapedRandom { tape: tape.clone(), source: SmallRng::from_rng(&mut rand::rng()), quick: true };
    wasi.insecure_random(quick);
    let seed = tape.play(|playback| playback.seed()).unwrap_or_else(rand::random);
    tape.add(16, |given, _| given.seed = Some(seed.to_le_bytes().to_vec().into()));
    wasi.insecure_random_seed(seed);
}

struct TapedTime(CallTape, WallClock);

impl HostWallClock for TapedTime {
    fn resolution(&self) -> Duration {
        // The same on every machine.
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        if let Some(nanos) = self.0.play(|playback| playback.time()) {
            return Duration::from_nanos(nanos);
        }
        let now = self.1.now();
        // It fits until the year 2554.
        self.0.add(8, |given, _| given.times.push(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)));
        now
    }
}

struct TapedTicks(CallTape, MonotonicClock);

impl HostMonotonicClock for TapedTicks {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        if let Some(ticks) = self.0.play(|playback| playback.ticks()) {
            return ticks;
        }
        let now = self.1.now();
        self.0.add(8, |given, _| given.ticks.push(now));
        now
    }
}

struct TapedRandom<R> {
    tape: CallTape,
    source: R,
    /// Whether it is the source of the interface for quick ones.
    quick: bool,
}

impl<R: Rng> TryRng for TapedRandom<R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let quick = self.quick;
        if self.tape.play(|playback| playback.random(bytes, quick)).is_some() {
            return Ok(());
        }
        self.source.fill_bytes(bytes);
        let recorded = bytes.to_vec();
        self.tape.add(24 + recorded.len(), |given, _| {
            let lane = if quick { &mut given.insecure } else { &mut given.random };
            lane.push(recorded.into());
        });
        Ok(())
    }
}
