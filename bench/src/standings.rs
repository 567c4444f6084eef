//! How a contest stands: its tables, in markdown.

use crate::contest::{Claim, Contest};
use crate::peers::Side;
use crate::table::Table;

/// A row for each side, with its ratio to two of them, and how quiet the machine was.
pub(crate) fn table(contest: &Contest, first: Side, second: Side) -> String {
    let mut table = Table::new([
        "server",
        "requests/s",
        &format!("of {first}"),
        &format!("of {second}"),
        "processor, µs a request",
        "memory, MiB",
    ]);
    for side in contest.sides() {
        let cell = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let rate = contest.spread(*side, |shot| shot.rate).map(|rate| rate.to_string());
        table.row([
            side.to_string(),
            rate.unwrap_or_else(|| "not installed".to_owned()),
            cell(contest.ratio(*side, first).map(|ratio| format!("{ratio:.2}"))),
            cell(contest.ratio(*side, second).map(|ratio| format!("{ratio:.2}"))),
            cell(contest.spread(*side, |shot| shot.cpu).map(|cpu| format!("{cpu:.1}"))),
            cell(contest.spread(*side, |shot| shot.memory).map(|memory| format!("{memory:.0}"))),
        ]);
    }
    format!("{table}\nProcesses that had no part in it took {:.1} % of the processors meanwhile.\n", contest.others())
}

/// A row for each claim, and those that do not hold.
pub(crate) fn judge(contest: &Contest, claims: &[Claim]) -> (Table, Vec<String>) {
    let mut table = Table::new(["requests/s of : requests/s of", "ratio", "at least", "holds"]);
    let mut misses = Vec::new();
    for claim in claims {
        let what = format!("{} : {}", claim.ours, claim.theirs);
        let least = if claim.least > 0.0 { format!("{:.2}", claim.least) } else { "–".to_owned() };
        let (ratio, holds) = match claim.judge(contest) {
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
