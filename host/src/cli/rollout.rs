//! The verbs of rollouts and of the history.

use super::client::{Client, percent_encoded};
use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out, none};
use super::output::Output;
use super::terminal;
use crate::admin::{
    AdoptedView, BegunView, CanaryView, DifferenceView, HistoryView, RolloutView, ShadowView, SwapView,
};
use crate::base::{ServiceName, counted};
use crate::config::duration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

/// How often `--watch` and `--wait` ask.
const LOOK: Duration = Duration::from_millis(500);

/// How a component is swapped in.
#[derive(Debug, Args)]
pub(super) struct SwapArgs {
    /// The service
    #[arg(value_parser = ServiceName::new)]
    service: ServiceName,
    /// The new component, a `.wasm` file
    file: PathBuf,
    /// Give it all calls at once, whatever the manifest says
    #[arg(long, conflicts_with_all = ["canary", "hold", "wait"])]
    now: bool,
    /// The shares of the calls that it gets, step by step: 5%,25%
    #[arg(long, value_name = "SHARES")]
    canary: Option<String>,
    /// How long a step lasts at least: 30s
    #[arg(long, value_name = "DURATION", value_parser = step)]
    step: Option<Duration>,
    /// How many calls a step has at least
    #[arg(long, value_name = "N")]
    calls: Option<u64>,
    /// Compare calls in the shadow first, for so long: 60s
    #[arg(long, value_name = "DURATION", value_parser = step, conflicts_with = "now")]
    shadow: Option<Duration>,
    /// Take it back if anything differs in the shadow
    #[arg(long, requires = "shadow")]
    fail_on_diff: bool,
    /// Let it be promoted though the revision before cannot read what it has written
    #[arg(long, conflicts_with = "now")]
    no_way_back: bool,
    /// Stay at the first step until `atoll rollout SERVICE promote` or `rollback`
    #[arg(long)]
    hold: bool,
    /// Wait for the end of the rollout; the exit code is 1 if it is not promoted
    #[arg(long, conflicts_with = "hold")]
    wait: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// The rollout of a service.
#[derive(Debug, Args)]
pub(super) struct RolloutArgs {
    /// The service
    #[arg(value_parser = ServiceName::new)]
    service: ServiceName,
    /// What becomes of the canary that is under way
    #[arg(conflicts_with_all = ["output", "json"])]
    action: Option<RolloutAction>,
    /// With `promote`: also if the revision before cannot read what this one has written
    #[arg(long, requires = "action")]
    no_way_back: bool,
    /// Print a line whenever something changes, until the rollout has ended
    #[arg(long, conflicts_with_all = ["action", "output", "json"])]
    watch: bool,
    #[command(flatten)]
    output: Output,
}

/// What an operator does to a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RolloutAction {
    /// Give it all calls
    Promote,
    /// Take it back: it is bad
    Rollback,
    /// Take it back: nobody knows whether it is bad
    Abort,
}

fn step(text: &str) -> Result<Duration, String> {
    let step = duration(text).filter(|step| (1..=86_400).contains(&step.as_secs()));
    step.ok_or_else(|| "write 1s to 1d, a whole number with its unit: 30s, 2m".into())
}

/// Parses the first digits of a digest, as the history is asked for them. Some print one that is cut short with `…`.
pub(super) fn revision(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches('…');
    if (6..=64).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(digits.to_owned());
    }
    Err("write 6 or more of the digits of its digest, 0-9 and a-f; `atoll history SERVICE` lists the digests".into())
}

/// Swaps a component in.
pub(super) async fn swap(client: &Client, args: SwapArgs) -> anyhow::Result<String> {
    let SwapArgs { service, file, now, canary, step, calls, shadow, fail_on_diff, no_way_back, hold, wait, why } = args;
    let mut fields = Vec::new();
    let mut field = |name: &str, value: Option<String>| {
        fields.extend(value.map(|value| format!("{name}={}", percent_encoded(&value))));
    };
    field("now", now.then(|| "true".into()));
    field("hold", hold.then(|| "true".into()));
    field("canary", canary);
    field("step_ms", step.map(|step| step.as_millis().to_string()));
    field("calls", calls.map(|calls| calls.to_string()));
    field("shadow_ms", shadow.map(|shadow| shadow.as_millis().to_string()));
    field("fail_on_diff", fail_on_diff.then(|| "true".into()));
    field("no_way_back", no_way_back.then(|| "true".into()));
    field("why", why);
    let begun = client.begin_rollout(&service, &file, &fields.join("&")).await?;
    let BegunView { service: name, revision, previous, rollout, elsewhere, late } = begun;
    let Some(rollout) = rollout else {
        return served(&SwapView { service: name, revision, previous, elsewhere, late });
    };
    let begun = match &rollout.shadow {
        Some(shadow) => format!(
            "{name}: {} is compared in the shadow for {} s; {revision} serves. Follow: `atoll rollout {name} --watch`",
            rollout.revision, shadow.seconds
        ),
        None => format!(
            "{name}: {} gets {} % of the calls as a canary; {revision} serves the others. \
             `atoll rollout {name} --watch` follows it",
            rollout.revision,
            rollout.canary.as_ref().map_or(0, |canary| canary.share)
        ),
    };
    if !wait {
        return Ok(begun);
    }
    terminal::note(&begun);
    follow(client, &service, rollout.id).await
}

/// Shows the last rollout of a service, or ends the canary under way.
pub(super) async fn rollout(client: &Client, args: RolloutArgs) -> anyhow::Result<String> {
    let RolloutArgs { service, action, no_way_back, watch, output } = args;
    if let Some(action) = action {
        let end = match action {
            RolloutAction::Promote if no_way_back => "promote?no_way_back=true",
            RolloutAction::Promote => "promote",
            RolloutAction::Rollback => "rollback",
            RolloutAction::Abort => "abort",
        };
        if no_way_back && action != RolloutAction::Promote {
            anyhow::bail!("--no-way-back goes with `promote` alone");
        }
        return served(&client.end_rollout(&service, end).await?);
    }
    let mut history = client.history(&service).await?;
    let last = (!history.rollouts.is_empty()).then(|| history.rollouts.swap_remove(0));
    match &last {
        Some(last) if watch && last.ended.is_none() => follow(client, &service, last.id).await,
        _ => output.document(&last, |last| match last {
            Some(last) => describe(last),
            None => format!("{service}: there was no rollout"),
        }),
    }
}

/// Notes each change of a rollout until it has ended.
///
/// # Errors
/// It was not promoted.
async fn follow(client: &Client, service: &ServiceName, id: u64) -> anyhow::Result<String> {
    let mut shown = String::new();
    loop {
        let rollout = client.rollout(service, id).await?;
        if rollout.ended.is_some() {
            let text = describe(&rollout);
            return if rollout.phase == "promoted" { Ok(text) } else { Err(anyhow::anyhow!(text)) };
        }
        let line = format!("{service}: {}", rollout.sentence);
        if line != shown {
            terminal::note(&line);
            shown = line;
        }
        sleep(LOOK).await;
    }
}

/// The revisions of a service.
pub(super) async fn history(client: &Client, service: &ServiceName, output: Output) -> anyhow::Result<String> {
    client.show(&format!("/v1/services/{service}/rollouts"), output, table).await
}

/// Makes what serves the manifest's component.
pub(super) async fn adopt(client: &Client, service: &ServiceName) -> anyhow::Result<String> {
    let AdoptedView { service, revision, path } = client.adopt(service).await?;
    Ok(format!("{service}: {revision} is in {path} now, and serves as the manifest's"))
}

/// The line that confirms a swap or a rollback.
///
/// # Errors
/// Nodes do not serve it yet, as the lines after it say.
pub(super) fn served(swap: &SwapView) -> anyhow::Result<String> {
    let SwapView { service, revision, previous, elsewhere, late } = swap;
    let serves = if *elsewhere { "serves on the nodes that have instances, and this one has none" } else { "serves" };
    let way_back = previous.as_ref().map(|previous| format!("; `atoll rollback {service}` returns to {previous}"));
    let text = format!("{service}: {revision} {serves}{}", way_back.unwrap_or_default());
    if late.is_empty() {
        return Ok(text);
    }
    let late: String = late.iter().map(|one| format!("\n! {one}")).collect();
    Err(anyhow::anyhow!("{text}; not yet on all nodes, which go on trying:{late}"))
}

/// A rollout in a few lines.
fn describe(rollout: &RolloutView) -> String {
    let RolloutView { service, id, revision, phase, sentence, canary, who, why, .. } = rollout;
    let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let mut text = format!("{service}: rollout {id} of {revision}: {phase}\n  {sentence}\n  ordered by {who}{why}\n");
    if let Some(shadow) = &rollout.shadow {
        text.push_str(&shadowed(shadow));
    }
    if let Some(CanaryView { of_canary, of_stable, evidence, calls_in_step, calls_needed, hold, .. }) = canary {
        let columns = [("REVISION", Left), ("CALLS", Right), ("FAILED", Right), ("SLOW", Right), ("HEAVY", Right)];
        let row = |name: &str, side: &crate::admin::SideView| {
            let counts = [side.calls, side.failed, side.slow, side.heavy].map(|count| count.to_string());
            let [calls, failed, slow, heavy] = counts;
            [name.to_owned(), calls, failed, slow, heavy]
        };
        text.push_str(&lay_out(columns, [row("canary", of_canary), row("stable", of_stable)].into_iter()));
        text.push_str(&format!(
            "evidence: failures {:.2}, new traps {:.2}, slow calls {:.2}, memory {:.2}, together {:.2} of 100\n",
            evidence.failures, evidence.new_traps, evidence.slow_calls, evidence.memory, evidence.whole
        ));
        text.push_str(&format!("this step: {calls_in_step} of {}\n", counted(*calls_needed, "call", "calls")));
        if *hold {
            text.push_str(&format!("it stays at this step: `atoll rollout {service} promote` or `rollback`\n"));
        }
    }
    text
}

/// What a shadow has found.
fn shadowed(shadow: &ShadowView) -> String {
    let ShadowView { compared, differing, stopped, skipped, differences, .. } = shadow;
    let mut text = format!(
        "shadow: {} compared, {differing} differ, {stopped} ask for something new, {skipped} skipped\n",
        counted(*compared, "call", "calls")
    );
    if !differences.is_empty() {
        const COLUMNS: [(&str, Side); 5] =
            [("WHERE", Left), ("CALLS", Right), ("WAS", Left), ("IS", Left), ("FIRST REQUEST", Left)];
        let row = |one: &DifferenceView| {
            let DifferenceView { place, calls, was, is, request, .. } = one.clone();
            [place, calls.to_string(), was, is, request]
        };
        text.push_str(&lay_out(COLUMNS, differences.iter().map(row)));
    }
    text
}

/// The history as a table.
fn table(history: &HistoryView) -> String {
    const COLUMNS: [(&str, Side); 7] = [
        ("ID", Right),
        ("REVISION", Left),
        ("PHASE", Left),
        ("AGE", Right),
        ("WHO", Left),
        ("WHY", Left),
        ("VERDICT", Left),
    ];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let serves = |digest: &str| history.serving.as_deref() == Some(digest);
    let row = |rollout: &RolloutView| {
        let mark = if serves(&rollout.digest) { "*" } else { "" };
        let why = rollout.why.clone().unwrap_or_else(none);
        let age = age(now.saturating_sub(rollout.began));
        let revision = format!("{}{mark}", rollout.revision);
        let RolloutView { id, phase, who, sentence, .. } = rollout.clone();
        [id.to_string(), revision, phase, age, who, why, sentence]
    };
    let mut text = match history.rollouts.as_slice() {
        [] => format!("{}: there was no rollout\n", history.service),
        rollouts => lay_out(COLUMNS, rollouts.iter().map(row)),
    };
    let short = |digest: &String| digest.chars().take(12).collect::<String>();
    if let (Some(serving), Some(manifest)) = (&history.serving, &history.manifest) {
        let differs = if serving == manifest { "" } else { "; `atoll adopt` makes the first the second" };
        text.push_str(&format!("\n* {} serves; the manifest has {}{differs}\n", short(serving), short(manifest)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake;

    #[test]
    fn a_rollout_and_a_history_are_shown() {
        let rollout = fake::rollout("users");
        assert_eq!(
            describe(&rollout),
            "users: rollout 7 of cccccccccccc: rolled-back\n  failed calls: 3 of 40 against 0 of 760 of the stable \
             revision; evidence 312 of 100\n  ordered by loopback: faster\n"
        );
        let history = HistoryView {
            service: "users".into(),
            serving: Some("c".repeat(64)),
            manifest: Some("b".repeat(64)),
            rollouts: vec![rollout],
        };
        let text = table(&history);
        assert!(text.contains(" 7  cccccccccccc*  rolled-back"), "{text}");
        assert!(
            text.ends_with(
                "\n* cccccccccccc serves; the manifest has bbbbbbbbbbbb; `atoll adopt` makes the first the second\n"
            ),
            "{text}"
        );
        let none = HistoryView { rollouts: Vec::new(), serving: None, ..history };
        assert_eq!(table(&none), "users: there was no rollout\n");
    }

    #[test]
    fn a_swap_that_a_node_does_not_serve_yet_is_no_success_and_names_the_node() {
        let (service, revision) = ("users".to_owned(), "cccccccccccc".to_owned());
        let done = SwapView { service, revision, previous: None, elsewhere: false, late: Vec::new() };
        assert_eq!(served(&done).unwrap(), "users: cccccccccccc serves");
        let late = SwapView { late: vec!["node `b` does not serve it yet".into()], ..done };
        let error = served(&late).unwrap_err().to_string();
        assert_eq!(
            error,
            "users: cccccccccccc serves; not yet on all nodes, which go on trying:\n! node `b` does not serve it yet"
        );
    }

    #[test]
    fn a_value_of_a_query_is_encoded() {
        assert_eq!(percent_encoded("5%,25% é"), "5%25%2C25%25%20%C3%A9");
    }
}
