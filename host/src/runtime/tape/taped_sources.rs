//! Clocks and randomness, as a guest with a tape gets them.

use super::call_tape::CallTape;
use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, SeedableRng, TryRng};
use std::convert::Infallible;
use std::time::Duration;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, MonotonicClock, WallClock};

/// Where a guest's clocks and its randomness come from.
pub(crate) struct GuestSources {
    pub(crate) time: Box<dyn HostWallClock>,
    pub(crate) ticks: Box<dyn HostMonotonicClock>,
    /// The source of `wasi:random/random`.
    pub(crate) random: Box<dyn Rng + Send>,
    /// The source of the interface for quick ones.
    pub(crate) quick: Box<dyn Rng + Send>,
    /// The seed for hash tables.
    pub(crate) seed: u128,
}

impl Default for GuestSources {
    fn default() -> Self {
        Self {
            time: Box::new(WallClock::new()),
            ticks: Box::new(MonotonicClock::new()),
            random: Box::new(StdRng::from_rng(&mut rand::rng())),
            quick: Box::new(SmallRng::from_rng(&mut rand::rng())),
            seed: rand::random(),
        }
    }
}

/// Has a guest's clocks and its randomness go over its tape, if it has one, and come from `noted`, if somebody watches
/// what the guest gets of them.
pub(crate) fn install(wasi: &mut WasiCtxBuilder, noted: Option<GuestSources>, tape: &CallTape) {
    if tape.is_off() && noted.is_none() {
        return;
    }
    let GuestSources { time, ticks, random, quick, seed } = noted.unwrap_or_default();
    wasi.wall_clock(TapedTime(tape.clone(), time));
    wasi.monotonic_clock(TapedTicks(tape.clone(), ticks));
    wasi.secure_random(TapedRandom { tape: tape.clone(), source: random, quick: false });
    wasi.insecure_random(TapedRandom { tape: tape.clone(), source: quick, quick: true });
    let seed = tape.play(|playback| playback.seed()).unwrap_or(seed);
    tape.add(16, |given, _| given.seed = Some(seed.to_le_bytes().to_vec().into()));
    wasi.insecure_random_seed(seed);
}

struct TapedTime(CallTape, Box<dyn HostWallClock>);

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

struct TapedTicks(CallTape, Box<dyn HostMonotonicClock>);

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

struct TapedRandom {
    tape: CallTape,
    source: Box<dyn Rng + Send>,
    /// Whether it is the source of the interface for quick ones.
    quick: bool,
}

impl TryRng for TapedRandom {
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
