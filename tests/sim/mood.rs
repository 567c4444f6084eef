//! How a place behaves for a while, and what it does to one call.

use super::dice::Dice;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers 200 after two milliseconds: in the closing phase all are so.
    Well,
    /// Answers well, at different speeds.
    Lively,
    /// Always the same.
    Always(Act),
    /// So many percent of calls meet this.
    Sometimes(u64, Act),
    /// Changes between well and this, every so many milliseconds.
    Flapping(u64, Act),
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Answer,
    /// No connection: nothing is sent.
    Crash,
    Reset,
    Slow(u64),
    Hang,
    Trap,
    /// An answer that cannot be one.
    Nonsense,
    /// The place itself is full.
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

impl Mood {
    pub fn draw(dice: &mut Dice) -> Self {
        let act = Act::draw(dice);
        match dice.below(10) {
            0..=2 => Self::Lively,
            3..=5 => Self::Always(act),
            6..=7 => Self::Sometimes(dice.between(5..=60), act),
            _ => Self::Flapping(dice.between(20..=900), act),
        }
    }

    /// What becomes of a call that comes `age` after the beginning.
    pub fn act(self, dice: &mut Dice, age: Duration) -> Act {
        match self {
            Self::Well => Act::Slow(2),
            Self::Lively if dice.percent(8) => Act::Nest,
            Self::Lively => Act::Answer,
            Self::Always(act) => act,
            Self::Sometimes(percent, act) => {
                if dice.percent(percent) {
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
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(16) {
            0 | 1 => Self::Crash,
            2 => Self::Reset,
            3 | 4 => Self::Slow(dice.between(20..=600)),
            5 => Self::Hang,
            6 => Self::Trap,
            7 => Self::Nonsense,
            8 => Self::Full,
            9 => Self::Status(dice.of(&[500, 501]), None),
            10 => Self::Status(503, dice.percent(60).then_some(1)),
            11 => Self::Status(dice.of(&[502, 504]), None),
            12 => Self::Status(429, dice.percent(50).then_some(1)),
            13 => Self::Status(dice.of(&[400, 404, 409]), None),
            14 => Self::Break,
            _ => {
                if dice.percent(50) {
                    Self::Silent
                } else {
                    Self::Nest
                }
            }
        }
    }
}
