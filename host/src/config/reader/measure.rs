//! Sizes and durations: a whole number with a unit.

use super::kind::{KindError, ValueKind, refused, whole};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A unit, and how many of the smallest unit it holds.
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

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const TIB: u64 = 1 << 40;

const DURATIONS: &[Unit] = &[("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];

const SECOND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// A number of bytes from `min` to `max`: `"64MiB"`, `"2MB"`, or a plain integer.
pub(crate) struct SizeKind {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl ValueKind for SizeKind {
    type Value = u64;

    fn accepts(&self) -> String {
        const UNITS: &[Unit] = &[("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB)];
        format!("a size of {} to {}", write(self.min, UNITS), write(self.max, UNITS))
    }

    fn help(&self) -> String {
        "write a whole number with its unit in quotes, \"512KiB\", \"64MiB\" or \"2MB\", or the plain number of bytes"
            .into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": self.min }] })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<u64, Vec<KindError>> {
        let bytes = value.get_ref().as_str().map_or_else(|| whole(value.get_ref()), |text| parse(text, SIZES));
        bytes.filter(|bytes| (self.min..=self.max).contains(bytes)).ok_or_else(|| refused(self, value))
    }
}

/// A duration from `min` to `max` milliseconds: `"250ms"`, `"5s"`, `"1m"`, `"2h"`, `"90d"`.
pub(crate) struct DurationKind {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl ValueKind for DurationKind {
    type Value = Duration;

    fn accepts(&self) -> String {
        format!("a duration of {} to {}", write(self.min, DURATIONS), write(self.max, DURATIONS))
    }

    fn help(&self) -> String {
        "write a whole number with its unit in quotes: \"250ms\", \"5s\", \"1m\" or \"2h\"".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Duration, Vec<KindError>> {
        let bounds = Duration::from_millis(self.min)..=Duration::from_millis(self.max);
        let found = value.get_ref().as_str().and_then(duration).filter(|duration| bounds.contains(duration));
        found.ok_or_else(|| refused(self, value))
    }
}

/// Reads a duration of any length as the manifest writes it: `250ms`, `5s`, `1m`, `2h`, `90d`.
pub fn duration(text: &str) -> Option<Duration> {
    parse(text, DURATIONS).map(Duration::from_millis)
}

/// Reads a number of bytes as the manifest writes it: `64MiB`, `2MB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// A duration as the manifest writes it.
pub(super) fn as_written(duration: Duration) -> String {
    write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

/// A number of bytes in memory. A number that this machine cannot address becomes the largest one that it can.
pub(crate) fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Reads digits and one of `units`, with or without a space between them, as a number of the smallest unit.
fn parse(text: &str, units: &[Unit]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes `number` in the largest of `units` that divides it.
fn write(number: u64, units: &[Unit]) -> String {
    let largest = units.iter().rev().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    largest.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_as_digits_and_a_unit() {
        for (text, bytes) in
            [("0B", 0), ("64MiB", 64 << 20), ("2MB", 2_000_000), ("1 KiB", 1024), ("3kB", 3000), ("1GiB", 1 << 30)]
        {
            assert_eq!(parse(text, SIZES), Some(bytes), "{text}");
        }
        for bad in ["", "64", "MiB", "1.5MiB", "-1MiB", "64mib", "1  KiB", "64MiB ", "99999999999GiB"] {
            assert_eq!(parse(bad, SIZES), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_written_as_digits_and_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5000), ("1m", 60_000), ("2h", 7_200_000), ("180d", 15_552_000_000)]
        {
            assert_eq!(parse(text, DURATIONS), Some(millis), "{text}");
        }
        for bad in ["5", "5 seconds", "1m30s", "1.5s", "s", "5S"] {
            assert_eq!(parse(bad, DURATIONS), None, "{bad}");
        }
    }

    #[test]
    fn bounds_are_shown_in_their_largest_unit() {
        assert_eq!(SizeKind { min: 0, max: 4 * GIB }.accepts(), "a size of 0 to 4GiB");
        assert_eq!(SizeKind { min: 64 * KIB, max: 1536 * KIB }.accepts(), "a size of 64KiB to 1536KiB");
        assert_eq!(DurationKind { min: 1, max: HOUR }.accepts(), "a duration of 1ms to 1h");
    }
}
