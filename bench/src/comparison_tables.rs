//! The tables of a server comparison, in markdown.

use crate::peers::Side;
use crate::server_comparison::{Claim, ServerComparison};
use crate::table::Table;

/// A row for each side, with its ratio to two of them, and the load of unrelated processes.
pub(crate) fn table(comparison: &ServerComparison, first: Side, second: Side) -> String {
    let mut table = Table::new([
        "server",
        "requests/s",
        &format!("of {first}"),
        &format!("of {second}"),
        "processor, µs a request",
        "memory, MiB",
    ]);
    for side in comparison.sides() {
        let cell = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let rate = comparison.spread(*side, |measurement| measurement.rate).map(|rate| rate.to_string());
        table.row([
            side.to_string(),
            rate.unwrap_or_else(|| "not installed".to_owned()),
            cell(comparison.ratio(*side, first).map(|ratio| format!("{ratio:.2}"))),
            cell(comparison.ratio(*side, second).map(|ratio| format!("{ratio:.2}"))),
            cell(comparison.spread(*side, |measurement| measurement.cpu).map(|cpu| format!("{cpu:.1}"))),
            cell(comparison.spread(*side, |measurement| measurement.memory).map(|memory| format!("{memory:.0}"))),
        ]);
    }
    format!(
        "{table}\nUnrelated processes used {:.1} % of the processors during the measurement.\n",
        comparison.others()
    )
}

/// A row for each claim, and the claims that do not hold.
pub(crate) fn judge(comparison: &ServerComparison, claims: &[Claim]) -> (Table, Vec<String>) {
    let mut table = Table::new(["requests/s of : requests/s of", "ratio", "at least", "holds"]);
    let mut misses = Vec::new();
    for claim in claims {
        let what = format!("{} : {}", claim.ours, claim.theirs);
        let least = if claim.least > 0.0 { format!("{:.2}", claim.least) } else { "–".to_owned() };
        let (ratio, holds) = match claim.judge(comparison) {
            None => ("not installed".to_owned(), "–"),
            Some((ratio, _)) if claim.least == 0.0 => (format!("{ratio:.2}"), "–"),
            Some((ratio, true)) => (format!("{ratio:.2}"), "yes"),
            Some((ratio, false)) => {
                misses.push(format!("{what} is {ratio:.2} and not {least}"));
                (format!("{ratio:.2}"), "**no**")
            }
        };
        table.row([what, ratio, least, holds.to_owned()]);
    }
    (table, misses)
}
