//! Rounds: the sides of a comparison are measured alternately, A B A B …, and the results are summed up.
//!
//! A machine's speed drifts with its clock, its disk and its neighbours. Measured alternately, the sides share the
//! drift. A ratio is taken within each round before anything is summed up. Medians with minimum and maximum show how
//! far to trust them.

use std::fmt;

/// The values that several rounds measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rounds {
    /// The values of each side, one for each round.
    sides: Vec<Vec<f64>>,
}

/// The median of several values, and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Rounds {
    /// Measures sides 0 to `sides` - 1 alternately: one round that does not count, because it warms caches and disk,
    /// and then `rounds` that count.
    ///
    /// # Errors
    /// The first error of `measure`.
    pub(crate) async fn alternate(
        rounds: u32,
        sides: usize,
        mut measure: impl AsyncFnMut(usize) -> anyhow::Result<f64>,
    ) -> anyhow::Result<Self> {
        Ok(Self { sides: alternate(rounds, sides, async |_, side| measure(side).await).await? })
    }

    /// The values of one side.
    pub(crate) fn side(&self, side: usize) -> Spread {
        Spread::of(&self.sides[side])
    }

    /// The ratio of side `a` to side `b`, taken within each round.
    pub(crate) fn ratio(&self, a: usize, b: usize) -> Spread {
        let ratios: Vec<f64> = self.sides[a].iter().zip(&self.sides[b]).map(|(a, b)| a / b).collect();
        Spread::of(&ratios)
    }
}

/// As [`Rounds::alternate`], but returns all values: for each side one of each round that counts. `measure` gets the
/// round, of which 0 does not count, and the side.
///
/// # Errors
/// The first error of `measure`.
pub(crate) async fn alternate<T>(
    rounds: u32,
    sides: usize,
    mut measure: impl AsyncFnMut(u32, usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Vec<T>>> {
    let mut measured: Vec<Vec<T>> = std::iter::repeat_with(Vec::new).take(sides).collect();
    for round in 0..=rounds {
        for (side, values) in measured.iter_mut().enumerate() {
            let value = measure(round, side).await?;
            if round > 0 {
                values.push(value);
            }
        }
    }
    Ok(measured)
}

impl Spread {
    /// # Panics
    /// If there are no values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = sorted.first().zip(sorted.last()).expect("at least one round was measured");
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { median, min: *min, max: *max }
    }
}

/// Prints `median (min–max)`, with the requested number of decimals: `{:.1}`.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(0);
        write!(f, "{:.decimals$} ({:.decimals$}–{:.decimals$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_the_middle_two() {
        assert_eq!(Spread::of(&[7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 100.0]), Spread { median: 3.0, min: 1.0, max: 100.0 });
    }

    #[test]
    fn a_spread_is_printed_with_minimum_and_maximum() {
        let spread = Spread::of(&[1.26, 3.0, 2.0]);
        assert_eq!(format!("{spread}"), "2 (1–3)");
        assert_eq!(format!("{spread:.1}"), "2.0 (1.3–3.0)");
    }

    #[tokio::test]
    async fn sides_alternate_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let values = [100.0, 100.0, 2.0, 1.0, 12.0, 4.0];
        let rounds = Rounds::alternate(2, 2, async |side| {
            order.push(side);
            Ok(values[order.len() - 1])
        });
        let rounds = rounds.await.unwrap();
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
        assert_eq!(rounds.side(0), Spread { median: 7.0, min: 2.0, max: 12.0 });
        assert_eq!(rounds.side(1), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(
            rounds.ratio(0, 1),
            Spread { median: 2.5, min: 2.0, max: 3.0 },
            "within each round, not of the the_median_of_an_even_number_of_values_is_between_the_middle_two"
        );
    }

    #[tokio::test]
    async fn an_error_of_a_measurement_ends_all_rounds() {
        assert!(Rounds::alternate(9, 2, async |_| anyhow::bail!("no")).await.is_err());
    }
}
