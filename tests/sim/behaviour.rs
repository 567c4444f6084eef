//! How an endpoint behaves for a while, and what it does with one call.

use super::rng::SimRng;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers 200 after two milliseconds, as all endpoints do in the final phase.
    Well,
    /// Answers well, at different speeds, and now and then calls another service.
    Lively,
    /// Does the same with every call.
    Always(Act),
    /// Does this with so many percent of the calls.
    Sometimes(u64, Act),
    /// Alternates between this and good answers, every so many milliseconds.
    Flapping(u64, Act),
}

/// What an endpoint does with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Answer,
    /// No connection: nothing is sent.
    Crash,
    Reset,
    Slow(u64),
    Hang,
    Trap,
    /// An answer that is not valid.
    Nonsense,
    /// The endpoint itself refuses the call, as a full pool does.
    Full,
    /// A status, perhaps with `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The answer's body breaks off.
    Break,
    /// The answer's body falls silent.
    Silent,
    /// Calls another service first.
    Nest,
}

impl Behaviour {
    pub fn draw(rng: &mut SimRng) -> Self {
        let act = Act::draw(rng);
        match rng.below(10) {
            0..=2 => Self::Lively,
            3..=5 => Self::Always(act),
            6..=7 => Self::Sometimes(rng.between(5..=60), act),
            _ => Self::Flapping(rng.between(20..=900), act),
        }
    }

    /// What the endpoint does with a call that comes `age` after the start of the run.
    pub fn act(self, rng: &mut SimRng, age: Duration) -> Act {
        match self {
            Self::Well => Act::Slow(2),
            Self::Lively if rng.percent(8) => Act::Nest,
            Self::Lively => Act::Answer,
            Self::Always(act) => act,
            Self::Sometimes(percent, act) => {
                if rng.percent(percent) {
                    act
                } else {
                    Act::Answer
                }
            }
            Self::Flapping(period, act) => {
                if (age.as_millis() / u128::from(period)).is_multiple_of(2) {
                    act
                } else {
                    Act::Answer
                }
            }
        }
    }
}

impl Act {
    fn draw(rng: &mut SimRng) -> Self {
        match rng.below(16) {
            0 | 1 => Self::Crash,
            2 => Self::Reset,
            3 | 4 => Self::Slow(rng.between(20..=600)),
            5 => Self::Hang,
            6 => Self::Trap,
            7 => Self::Nonsense,
            8 => Self::Full,
            9 => Self::Status(rng.of(&[500, 501]), None),
            10 => Self::Status(503, rng.percent(60).then_some(1)),
            11 => Self::Status(rng.of(&[502, 504]), None),
            12 => Self::Status(429, rng.percent(50).then_some(1)),
            13 => Self::Status(rng.of(&[400, 404, 409]), None),
            14 => Self::Break,
            _ => {
                if rng.percent(50) {
                    Self::Silent
                } else {
                    Self::Nest
                }
            }
        }
    }
}
