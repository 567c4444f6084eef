//! What one fault did to the neighbour, and what it showed.

use super::planted::Planted;
use super::planting::Figure;
use super::{LEAST_QUIET, MOST};
use crate::open_loop::{Times, ms};
use crate::table::Table;
use std::time::Duration;

/// The neighbour during one fault.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) fault: Planted,
    pub(super) requests: usize,
    /// Requests without a 200.
    pub(super) errors: usize,
    /// From when a request was begun to the end of its answer.
    pub(super) times: Times,
    /// What the fault's metric grew by; `None` if the host has no such metric.
    pub(super) sign: Option<f64>,
    /// The number by which the fault was first noticed.
    pub(super) figure: Option<Figure>,
    /// What the verbs of the command line did not show.
    pub(super) unseen: Vec<String>,
}

impl Outcome {
    fn factor(&self, quiet: Duration) -> f64 {
        self.times.p99.as_secs_f64() / quiet.max(LEAST_QUIET).as_secs_f64()
    }

    /// Where the claim does not hold. `quiet`: the p99 without a fault; `None`: times are not judged.
    pub(super) fn misses(&self, quiet: Option<Duration>) -> Vec<String> {
        let mut misses = Vec::new();
        let fault = self.fault;
        if self.errors > 0 {
            misses.push(format!("{fault}: {} of {} requests of the neighbour failed", self.errors, self.requests));
        }
        let factor = quiet.map_or(0.0, |quiet| self.factor(quiet));
        if factor > MOST {
            misses.push(format!("{fault}: the neighbour's p99 was {factor:.1} times that of the quiet host"));
        }
        match self.sign {
            None => misses.push(format!("{fault}: there is no metric {}", fault.metric())),
            Some(growth) if growth <= 0.0 => misses.push(format!("{fault}: {} did not grow", fault.metric())),
            Some(_) => {}
        }
        let figure = self.figure.iter().filter_map(|figure| figure.miss.clone());
        misses.extend(figure.chain(self.unseen.iter().cloned()).map(|miss| format!("{fault}: {miss}")));
        misses
    }

    /// The number of the fault. Two faults harmed the neighbour alone, so its own times are their numbers.
    fn number(&self, quiet: Duration) -> [String; 3] {
        if let Some(Figure { what, before, now, .. }) = &self.figure {
            return [(*what).to_owned(), (*before).to_owned(), now.clone()];
        }
        let (what, before, now) = match self.fault {
            Planted::Crowd => ("the neighbour's longest wait, ms", "7,000–9,000", format!("{:.0}", ms(self.times.max))),
            Planted::Loops => (
                "the neighbour's p99 without and with loops, ms",
                "1.2 and 15",
                format!("{:.1} and {:.1}", ms(quiet), ms(self.times.p99)),
            ),
            _ => ("", "–", "–".to_owned()),
        };
        [what.to_owned(), before.to_owned(), now]
    }
}

/// Two tables: what the neighbour and an operator see of each fault, and the numbers by which they were first noticed.
pub(super) fn tables(outcomes: &[Outcome], quiet: Duration) -> String {
    let mut seen = Table::new(["fault", "its metric grew by", "errors", "p50, ms", "p99, ms", "p99 : quiet"]);
    let mut numbers = Table::new(["fault, and its number", "before", "now"]);
    for fault in Planted::ALL {
        // The round with the highest p99 stands for the fault.
        let rounds = outcomes.iter().filter(|outcome| outcome.fault == fault);
        let Some(worst) = rounds.max_by_key(|outcome| (outcome.errors, outcome.times.p99)) else { continue };
        let metric = fault.metric();
        let growth = worst.sign.map_or_else(|| "no such metric".to_owned(), |growth| format!("{growth:.0}"));
        seen.row([
            format!("{fault}: `atoll {}`, `{metric}`", fault.command().verb.join(" ")),
            growth,
            worst.errors.to_string(),
            format!("{:.1}", ms(worst.times.p50)),
            format!("{:.1}", ms(worst.times.p99)),
            format!("{:.1}", worst.factor(quiet)),
        ]);
        let [what, before, now] = worst.number(quiet);
        if !what.is_empty() {
            numbers.row([format!("{fault}: {what}"), before, now]);
        }
    }
    format!("{seen}\n{numbers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(errors: usize, p99: u64, sign: Option<f64>) -> Outcome {
        let ms = Duration::from_millis;
        let times = Times { p50: ms(1), p99: ms(p99), p999: ms(p99), max: ms(p99) };
        Outcome { fault: Planted::Traps, requests: 100, errors, times, sign, figure: None, unseen: Vec::new() }
    }

    #[test]
    fn the_claim_fails_for_an_error_a_slow_neighbour_and_a_fault_that_nothing_shows() {
        let quiet = Some(Duration::from_millis(2));
        assert_eq!(outcome(0, 6, Some(1.0)).misses(quiet), [""; 0]);
        assert_eq!(outcome(1, 6, Some(1.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 7, Some(1.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 7, Some(1.0)).misses(None), [""; 0], "times are not judged");
        assert_eq!(outcome(0, 6, Some(0.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 6, None).misses(quiet).len(), 1);
        let below = Some(Duration::from_micros(100));
        assert_eq!(outcome(0, 3, Some(1.0)).misses(below), [""; 0], "below a slice of the scheduler");
        let unseen = Outcome { unseen: vec!["nothing named `traps-0`".into()], ..outcome(0, 6, Some(1.0)) };
        assert_eq!(unseen.misses(quiet), ["a service that traps: nothing named `traps-0`"]);
        let miss = Some("9 lines were written".to_owned());
        let figure = Some(Figure { what: "lines", before: "9", now: "9".into(), miss });
        let bad = Outcome { figure, ..outcome(0, 6, Some(1.0)) };
        assert_eq!(bad.misses(quiet), ["a service that traps: 9 lines were written"]);
    }

    #[test]
    fn both_tables_have_a_row_of_the_worst_round() {
        let loops = |p99| Outcome { fault: Planted::Loops, ..outcome(0, p99, Some(3.0)) };
        let text = tables(&[loops(2), loops(5), outcome(0, 4, None)], Duration::from_millis(2));
        assert!(text.contains("| 3 | 0 | 1.0 | 5.0 | 2.5 |"), "{text}");
        assert!(text.contains("| 1.2 and 15 | 2.0 and 5.0 |") && text.contains("no such metric"), "{text}");
    }
}
