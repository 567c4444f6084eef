//! Tables as text: columns, and the forms of their cells.

/// How a column aligns its cells.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Left,
    Right,
}

use Side::{Left, Right};

/// An empty cell.
pub(super) fn none() -> String {
    "-".into()
}

/// An age, in the largest unit that fits.
pub(super) fn age(seconds: u64) -> String {
    const UNITS: [(u64, char); 3] = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fitting = UNITS.iter().find(|(length, _)| seconds >= *length);
    fitting.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}

/// `1 service`, `2 services`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The headings and the rows as text. Each column is as wide as its widest cell, with two spaces between columns.
pub(super) fn lay_out<const N: usize>(columns: [(&str, Side); N], rows: impl Iterator<Item = [String; N]>) -> String {
    let headings = columns.map(|(heading, _)| heading.to_owned());
    let rows: Vec<[String; N]> = std::iter::once(headings).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(columns).zip(widths).map(|((cell, (_, side)), width)| match side {
            Left => format!("{cell:<width$}"),
            Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A duration in milliseconds, in the largest unit that divides it.
pub(super) fn exact(millis: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fitting = UNITS.iter().find(|(length, _)| millis >= *length && millis.is_multiple_of(*length));
    fitting.map_or_else(|| format!("{millis}ms"), |(length, unit)| format!("{}{unit}", millis / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_in_the_largest_unit_that_fits() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (864_000, "10d")]
        {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn a_latency_is_not_rounded() {
        for (millis, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (1500, "1500ms"),
            (2000, "2s"),
            (61_000, "61s"),
            (300_000, "5m"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(exact(millis), text);
        }
    }
}
