//! The verbs of sagas.

use super::client::{Client, percent_encoded};
use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out, none};
use super::output::Output;
use crate::admin::{SagaStart, SagaStartView};
use crate::base::counted;
use crate::coordinator::{LockStatus, SagaStatus};
use clap::Subcommand;
use serde_json::value::RawValue;
use std::io::Read;
use std::time::SystemTime;

/// What can be asked of sagas.
#[derive(Debug, Subcommand)]
pub(super) enum SagaVerb {
    /// Start a saga of the manifest; it is on disk when this returns
    #[command(verbatim_doc_comment)]
    Start {
        /// The saga of the manifest
        saga: String,
        /// Its input, JSON; `-` reads it from standard input
        input: String,
        /// What makes the start repeatable: the same key and input is the same saga
        #[arg(long)]
        key: Option<String>,
    },
    /// List the sagas that have not ended, the oldest first
    #[command(verbatim_doc_comment)]
    List {
        /// Those alone that wait for a person
        #[arg(long, conflicts_with = "ended")]
        parked: bool,
        /// Those that have ended and are remembered
        #[arg(long)]
        ended: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show what a saga is at, and what its result is
    #[command(verbatim_doc_comment)]
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Try the step again that a parked saga waits at
    #[command(verbatim_doc_comment)]
    Retry {
        /// Its id
        id: String,
    },
    /// Go on with a parked saga as if its step were done, or undone, since you have done it by hand
    #[command(verbatim_doc_comment)]
    Skip {
        /// Its id
        id: String,
    },
    /// Undo a saga whose pivot is not done
    #[command(verbatim_doc_comment)]
    Compensate {
        /// Its id
        id: String,
    },
}

/// Asks about sagas, or changes one.
pub(super) async fn sagas(client: &Client, verb: SagaVerb) -> anyhow::Result<String> {
    let (id, order) = match verb {
        SagaVerb::Start { saga, input, key } => {
            let text = if input == "-" { standard_input()? } else { input };
            let input = RawValue::from_string(text.trim().to_owned())
                .map_err(|error| anyhow::anyhow!("the input is no JSON: {error}"))?;
            let order = SagaStart { saga: saga.clone(), key, input };
            let started: SagaStartView = client.post("/v1/sagas", &order).await?;
            let what = if started.existed { "was started before" } else { "is started" };
            return Ok(format!("{saga}: saga {} {what}", started.id));
        }
        SagaVerb::List { parked, ended, output } => {
            let state = if parked {
                "state=parked&"
            } else if ended {
                "state=ended&"
            } else {
                ""
            };
            return client.list(&format!("/v1/sagas?{state}limit=1000"), output, table).await;
        }
        SagaVerb::Show { id, output } => return client.show(&path(&id, ""), output, one).await,
        SagaVerb::Retry { id } => (id, "retry"),
        SagaVerb::Skip { id } => (id, "skip"),
        SagaVerb::Compensate { id } => (id, "compensate"),
    };
    let status: SagaStatus = client.post(&path(&id, &format!("/{order}")), &serde_json::json!({})).await?;
    Ok(format!("{}: saga {id} is {}", status.saga, status.state))
}

/// The resource of a saga. An id comes from the command line.
fn path(id: &str, rest: &str) -> String {
    format!("/v1/sagas/{}{rest}", percent_encoded(id))
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    // More than an input may have: the host says which bound it is.
    std::io::stdin().take(1 << 20).read_to_string(&mut text)?;
    Ok(text)
}

fn table(sagas: &[SagaStatus]) -> String {
    const COLUMNS: [(&str, Side); 8] = [
        ("ID", Left),
        ("SAGA", Left),
        ("STATE", Left),
        ("AGE", Right),
        ("STEP", Left),
        ("LOCK", Left),
        ("FAILURES", Right),
        ("REASON", Left),
    ];
    if sagas.is_empty() {
        return "no sagas\n".into();
    }
    let now = unix_ms();
    let row = |status: &SagaStatus| {
        let step = status.step.as_ref().map_or_else(none, |step| format!("{step} ({}/{})", status.done, status.steps));
        let step = status.waits_for.as_ref().map_or_else(|| step.clone(), |topic| format!("{step} waits for {topic}"));
        let lock = status.lock.as_ref().map_or_else(none, |lock| lock_text(lock, now));
        let reason = status.failure.as_ref().or(status.turned.as_ref());
        let reason = reason.and_then(|reason| reason.lines().next()).map_or_else(none, str::to_owned);
        let old = age(now.saturating_sub(status.started) / 1000);
        let (failures, state) = (status.failures.to_string(), status.state.clone());
        [status.id.clone(), status.saga.clone(), state, old, step, lock, failures, reason]
    };
    lay_out(COLUMNS, sagas.iter().map(row))
}

/// A lock: what is locked, and whether the saga has it.
fn lock_text(LockStatus { name, value, until }: &LockStatus, now: u64) -> String {
    match until {
        None => format!("{name} {value} (waits)"),
        Some(until) if *until <= now => format!("{name} {value} (expired)"),
        Some(_) => format!("{name} {value}"),
    }
}

fn one(status: &SagaStatus) -> String {
    let SagaStatus { id, saga, state, done, steps, failures, .. } = status;
    let mut text = format!("saga {saga} {id}\n  {state}, {done} of {} done\n", counted(*steps, "step", "steps"));
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text += &format!("  {name}: {value}\n");
        }
    };
    line("step", status.step.as_deref());
    line("undone because", status.turned.as_deref());
    line("waits for an event of", status.waits_for.as_deref());
    line("lock", status.lock.as_ref().map(|lock| lock_text(lock, unix_ms())).as_deref());
    let times = counted(*failures, "time", "times");
    line(&format!("failed {times}, the last time because"), status.failure.as_deref());
    let steps: Vec<_> = status.plan.iter().map(|step| format!("{} {}", step.name, step.state)).collect();
    line("steps", (!steps.is_empty()).then(|| steps.join(", ")).as_deref());
    line("result", status.result.as_deref().map(RawValue::get));
    text
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked() -> SagaStatus {
        serde_json::from_str(
            r#"{"id":"7f","saga":"checkout","state":"parked","started":0,"step":"ship","done":3,"steps":4,"failures":10,
            "failure":"no carrier\nsecond line",
            "plan":[{"name":"quote","state":"done"},{"name":"ship","state":"under-way"}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_parked_saga_is_shown_with_its_step_and_its_reason() {
        let text = table(&[parked()]);
        let row = text.lines().nth(1).unwrap();
        for part in ["7f", "checkout", "parked", "ship (3/4)", "10", "no carrier"] {
            assert!(row.contains(part), "{text}");
        }
        assert!(!text.contains("second line") && table(&[]) == "no sagas\n", "{text}");
        let text = one(&parked());
        assert!(text.contains("3 of 4 steps done") && text.contains("failed 10 times,"), "{text}");
        let once = one(&SagaStatus { failures: 1, done: 0, steps: 1, ..parked() });
        assert!(once.contains("0 of 1 step done") && once.contains("failed 1 time,"), "{once}");
        assert!(text.contains("steps: quote done, ship under-way\n"), "{text}");
    }

    #[test]
    fn a_saga_is_shown_with_its_lock_and_the_event_that_it_waits_for() {
        let lock = |until| LockStatus { name: "order".into(), value: "\"7\"".into(), until };
        for (until, expected) in
            [(None, "order \"7\" (waits)"), (Some(1), "order \"7\" (expired)"), (Some(u64::MAX), "order \"7\" ")]
        {
            let saga = SagaStatus { lock: Some(lock(until)), waits_for: Some("paid".into()), ..parked() };
            let text = table(std::slice::from_ref(&saga));
            assert!(text.contains(expected) && text.contains("ship (3/4) waits for paid"), "{text}");
            let text = one(&saga);
            assert!(text.contains("waits for an event of: paid\n") && text.contains(expected.trim()), "{text}");
        }
    }

    #[test]
    fn an_id_is_one_part_of_the_path() {
        assert_eq!(path("7f", "/retry"), "/v1/sagas/7f/retry");
        assert_eq!(path("a/b?c", ""), "/v1/sagas/a%2Fb%3Fc");
    }
}
