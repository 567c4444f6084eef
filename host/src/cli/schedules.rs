//! The verb of schedules.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out, none};
use super::output::Output;
use crate::admin::ScheduleView;
use std::time::SystemTime;

/// Lists the schedules.
pub(super) async fn schedules(client: &Client, output: Output) -> anyhow::Result<String> {
    let now_table = |all: &[ScheduleView]| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        table(all, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    };
    client.list("/v1/schedules", output, now_table).await
}

/// The schedules, one in each row, at `now` in milliseconds since 1970.
fn table(all: &[ScheduleView], now: u64) -> String {
    const COLUMNS: [(&str, Side); 8] = [
        ("SCHEDULE", Left),
        ("WHEN", Left),
        ("DOES", Left),
        ("NEXT-IN", Right),
        ("DONE", Right),
        ("GIVEN-UP", Right),
        ("SKIPPED", Right),
        ("LAST", Left),
    ];
    if all.is_empty() {
        return "no schedules\n".into();
    }
    let row = |one: &ScheduleView| {
        let next = match (one.under_way, one.next) {
            (Some(_), _) => "now".to_owned(),
            (None, Some(next)) => age(next.saturating_sub(now).div_ceil(1000)),
            (None, None) => none(),
        };
        let last = one.last.as_ref().map_or_else(none, |last| {
            let ago = age(now.saturating_sub(last.at) / 1000);
            match &last.error {
                None => format!("{ago} ago: done"),
                Some(error) => format!("{ago} ago: {}", error.lines().next().unwrap_or_default()),
            }
        });
        let [done, given_up, skipped] = [one.done, one.given_up, one.skipped].map(|count| count.to_string());
        [one.name.clone(), one.when.clone(), one.target.clone(), next, done, given_up, skipped, last]
    };
    lay_out(COLUMNS, all.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::FiringView;

    #[test]
    fn a_schedule_is_a_row() {
        let last = |error: Option<&str>| Some(FiringView { due: 1, at: 40_000, error: error.map(Into::into) });
        let one = ScheduleView {
            name: "nightly".into(),
            when: "0 3 * * * UTC".into(),
            target: "reports/nightly".into(),
            next: Some(190_000),
            under_way: None,
            last: last(None),
            done: 4,
            failures: 1,
            given_up: 0,
            skipped: 2,
        };
        let (name, when, target) = ("tick".into(), "every 1m".into(), "ticks".into());
        let two = ScheduleView { name, when, target, under_way: Some(9), last: last(Some("no\nmore")), ..one.clone() };
        let expected = "\
SCHEDULE  WHEN           DOES             NEXT-IN  DONE  GIVEN-UP  SKIPPED  LAST
nightly   0 3 * * * UTC  reports/nightly       1m     4         0        2  1m ago: done
tick      every 1m       ticks                now     4         0        2  1m ago: no
";
        assert_eq!(table(&[one, two], 100_000), expected);
        assert_eq!(table(&[], 0), "no schedules\n");
    }
}
