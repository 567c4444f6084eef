//! Sizes and durations: a whole number with its unit.

use crate::config::kind::{KindError, ValueKind, refused, whole};
use std::time;
use toml::Spanned;
use toml::de::DeValue;

/// A unit and how many of the smallest it holds.
type Unit = (&'static str, u64);

const SIZES: &[Unit] = &[
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", KIB),
    ("MiB", MIB),
    ("GiB", GIB),
    ("TiB", TIB),
];

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

const DURATIONS: &[Unit] = &[("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR)];

const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// A number of bytes from `min` to `max`: `"64MiB"`, `"2MB"`, or a plain integer.
pub(super) struct Size {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl ValueKind for Size {
    type Value = u64;

    fn accepts(&self) -> String {
        const SHOWN: &[Unit] = &[("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB)];
        format!("a size of {} to {}", show(self.min, SHOWN), show(self.max, SHOWN))
    }

    fn help(&self) -> String {
        "write a whole number with its unit in quotes, \"512KiB\", \"64MiB\" or \"2MB\", or the plain number of bytes"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<u64, Vec<KindError>> {
        let bytes = value.get_ref().as_str().map_or_else(|| whole(value.get_ref()), |text| measured(text, SIZES));
        bytes.filter(|bytes| (self.min..=self.max).contains(bytes)).ok_or_else(|| refused(self, value))
    }
}

/// A duration from `min` to `max` milliseconds: `"250ms"`, `"5s"`, `"1m"`, `"2h"`.
pub(super) struct Duration {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl ValueKind for Duration {
    type Value = time::Duration;

    fn accepts(&self) -> String {
        format!("a duration of {} to {}", show(self.min, DURATIONS), show(self.max, DURATIONS))
    }

    fn help(&self) -> String {
        "write a whole number with its unit in quotes: \"250ms\", \"5s\", \"1m\" or \"2h\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<time::Duration, Vec<KindError>> {
        let bounds = time::Duration::from_millis(self.min)..=time::Duration::from_millis(self.max);
        let found = value.get_ref().as_str().and_then(duration).filter(|duration| bounds.contains(duration));
        found.ok_or_else(|| refused(self, value))
    }
}

/// A duration as the manifest has it, of any length: `250ms`, `5s`, `1m`, `2h`.
pub fn duration(text: &str) -> Option<time::Duration> {
    measured(text, DURATIONS).map(time::Duration::from_millis)
}

/// A duration as the manifest writes it.
pub(super) fn shown(duration: time::Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

/// A number of bytes that are to be in memory; more than this machine can address is all that it can address.
pub(super) fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Digits and one of `units`, as a number of the smallest. A space may stand between them.
fn measured(text: &str, units: &[Unit]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `number` in the largest of `units` that divides it.
fn show(number: u64, units: &[Unit]) -> String {
    let largest = units.iter().rev().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    largest.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_digits_and_a_unit() {
        for (text, bytes) in
            [("0B", 0), ("64MiB", 64 << 20), ("2MB", 2_000_000), ("1 KiB", 1024), ("3kB", 3000), ("1GiB", 1 << 30)]
        {
            assert_eq!(measured(text, SIZES), Some(bytes), "{text}");
        }
        for bad in ["", "64", "MiB", "1.5MiB", "-1MiB", "64mib", "1  KiB", "64MiB ", "99999999999GiB"] {
            assert_eq!(measured(bad, SIZES), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_digits_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("1m", 60_000), ("2h", 7_200_000)] {
            assert_eq!(measured(text, DURATIONS), Some(millis), "{text}");
        }
        for bad in ["5", "5 seconds", "1m30s", "1.5s", "s", "5S"] {
            assert_eq!(measured(bad, DURATIONS), None, "{bad}");
        }
    }

    #[test]
    fn a_bound_is_shown_as_people_write_it() {
        assert_eq!(Size { min: 0, max: 4 * GIB }.accepts(), "a size of 0 to 4GiB");
        assert_eq!(Size { min: 64 * KIB, max: 1536 * KIB }.accepts(), "a size of 64KiB to 1536KiB");
        assert_eq!(Duration { min: 1, max: HOUR }.accepts(), "a duration of 1ms to 1h");
    }
}
