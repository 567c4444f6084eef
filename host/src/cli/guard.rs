//! The verbs of limits and maintenance.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, lay_out, none};
use super::output::Output;
use crate::admin::{LimitView, MaintenanceRequest, MaintenanceView};
use crate::config;
use clap::Subcommand;
use std::time::Duration;

/// What there is to see of limits.
#[derive(Debug, Subcommand)]
pub(super) enum LimitVerb {
    /// Show the limits of the manifest, and what each has admitted and refused
    Show {
        #[command(flatten)]
        output: Output,
    },
}

/// The switch of maintenance.
#[derive(Debug, Subcommand)]
pub(super) enum MaintenanceVerb {
    /// Answer every request with 503, until `atoll maintenance off`
    ///
    /// Requests in flight finish. It lasts through swaps; after a restart counts what
    /// the manifest says.
    #[command(verbatim_doc_comment)]
    On {
        /// When clients are told to come back: `90s`, `15m` [default: as the manifest says]
        #[arg(long, value_name = "DURATION", value_parser = wait)]
        retry_after: Option<Duration>,
    },
    /// Answer requests again
    Off,
    /// Show whether there is maintenance
    Show {
        #[command(flatten)]
        output: Output,
    },
}

fn wait(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
    let found = config::duration(text).filter(|found| bounds.contains(found));
    found.ok_or_else(|| "write a whole number with its unit, of 1s to 7d: 90s, 15m or 2h".into())
}

/// Executes a verb of limits.
pub(super) async fn limit(client: &Client, LimitVerb::Show { output }: LimitVerb) -> anyhow::Result<String> {
    client.list("/v1/limits", output, limits).await
}

/// Executes a verb of maintenance.
pub(super) async fn maintenance(client: &Client, verb: MaintenanceVerb) -> anyhow::Result<String> {
    let view = match verb {
        MaintenanceVerb::Show { output } => return client.show("/v1/maintenance", output, switched).await,
        MaintenanceVerb::Off => {
            client.switch_maintenance(&MaintenanceRequest { on: false, retry_after_seconds: None }).await?
        }
        MaintenanceVerb::On { retry_after } => {
            let retry_after_seconds = retry_after.map(|wait| wait.as_secs());
            client.switch_maintenance(&MaintenanceRequest { on: true, retry_after_seconds }).await?
        }
    };
    Ok(switched(&view))
}

/// Whether there is maintenance, in a sentence.
fn switched(view: &MaintenanceView) -> String {
    match view {
        MaintenanceView { on: true, retry_after_seconds } => {
            let seconds = retry_after_seconds.unwrap_or_default();
            format!("maintenance is on: requests are answered with 503 and `Retry-After: {seconds}`")
        }
        MaintenanceView { on: false, .. } => "maintenance is off: requests are answered".into(),
    }
}

/// The limits, one in each row.
fn limits(limits: &[LimitView]) -> String {
    const COLUMNS: [(&str, Side); 7] = [
        ("LIMIT", Left),
        ("BY", Left),
        ("ADMITS", Left),
        ("ADMITTED", Right),
        ("REFUSED", Right),
        ("CLIENTS", Right),
        ("SHARED", Right),
    ];
    if limits.is_empty() {
        return "no limits\n".into();
    }
    let row = |limit: &LimitView| {
        let LimitView { name, by, rate, burst, cpu, memory, quota, .. } = limit.clone();
        let rate = rate.map(|rate| burst.map_or_else(|| rate.clone(), |burst| format!("{rate} burst {burst}")));
        let cpu = cpu.map(|cpu| format!("cpu {cpu}"));
        let memory = memory.map(|memory| format!("memory {memory}"));
        let quota = quota.map(|quota| format!("quota {quota}"));
        let admits: Vec<_> = [rate, cpu, memory, quota].into_iter().flatten().collect();
        let admits = if admits.is_empty() { none() } else { admits.join(", ") };
        let counts = [limit.admitted, limit.refused, limit.keys, limit.shared];
        let [admitted, refused, clients, shared] = counts.map(|count| count.to_string());
        [name, by, admits, admitted, refused, clients, shared]
    };
    lay_out(COLUMNS, limits.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::GuardOperations;
    use crate::admin::fake::Fake;

    #[test]
    fn limits_are_shown_one_in_each_row() {
        let mut all = Fake::default().limits();
        let fair = LimitView {
            name: "fair".into(),
            by: "key".into(),
            rate: None,
            burst: None,
            cpu: Some("2s/10s".into()),
            quota: Some("10000/86400s".into()),
            ..all[0].clone()
        };
        all.push(fair);
        let expected = "\
LIMIT    BY      ADMITS                          ADMITTED  REFUSED  CLIENTS  SHARED
default  client  100/10s burst 20                    1200        7        3       0
fair     key     cpu 2s/10s, quota 10000/86400s      1200        7        3       0
";
        assert_eq!(limits(&all), expected);
        assert_eq!(limits(&[]), "no limits\n");
    }

    #[test]
    fn when_to_come_back_has_bounds() {
        assert_eq!(wait("90s"), Ok(Duration::from_secs(90)));
        for bad in ["0s", "900ms", "8d", "soon", ""] {
            assert!(wait(bad).is_err(), "{bad}");
        }
    }
}
