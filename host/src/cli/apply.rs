//! The verbs that change the manifest of a running host, and compare it with a file.

use super::client::Client;
use super::failure::CliError;
use super::layout::Side::Left;
use super::layout::{counted, lay_out, none};
use super::output::Output;
use super::terminal;
use crate::admin::{ApplyView, PlannedChangeView, ServiceView};
use anyhow::Context;
use clap::Args;
use http::StatusCode;
use std::path::{Path, PathBuf};

/// What is applied, and how.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST", default_value = "atoll.toml")]
    pub(super) manifest: PathBuf,
    /// Ask nothing
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would change; the exit code is 2 if something would
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// What is compared.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST", default_value = "atoll.toml")]
    pub(super) manifest: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Something would change. It was printed; the exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("something would change")]
pub(super) struct WouldChange;

/// Applies a manifest.
pub(super) async fn apply(client: &Client, args: ApplyArgs) -> anyhow::Result<String> {
    let ApplyArgs { manifest, yes, dry_run, output } = args;
    let text = read(&manifest)?;
    let plan = client.apply(text.clone(), "dry_run=true", &manifest).await?;
    if dry_run {
        return planned(&plan, output.document(&plan, planned_text)?);
    }
    if plan.changes.is_empty() {
        return output.document(&plan, planned_text);
    }
    let restart = plan.changes.iter().filter(|change| change.class == "restart").count();
    if !output.is_json() || restart > 0 {
        terminal::note(table(&plan).trim_end());
    }
    if restart > 0 {
        anyhow::bail!(
            "{} a restart of the host, so nothing was changed: take what is marked out of the manifest, or restart the \
             host",
            if restart == 1 { "one change needs".to_owned() } else { format!("{restart} changes need") }
        );
    }
    if !yes && !terminal::ask(&format!("apply {}?", counted(plan.changes.len(), "change")))? {
        return Ok("nothing was changed\n".into());
    }
    let applied = client.apply(text, &format!("base={}", plan.base), &manifest).await?;
    output.document(&applied, |applied| {
        let mut text = format!("{} applied\n", counted(applied.changes.len(), "change"));
        if applied.file_differs {
            text.push_str("the host's own file has another text: with a restart that one would be served\n");
        }
        text
    })
}

/// Compares what a host serves with a manifest.
pub(super) async fn diff(client: &Client, args: DiffArgs) -> anyhow::Result<String> {
    let DiffArgs { manifest, output } = args;
    let plan = client.apply(read(&manifest)?, "dry_run=true", &manifest).await.map_err(compared)?;
    if output.is_json() {
        return planned(&plan, output.document(&plan, planned_text)?);
    }
    let services: Vec<ServiceView> = client.read(&client.get("/v1/services").await?)?;
    let promoted = services.iter().filter(|one| one.differs_from_manifest && (one.lasts || one.of_cluster));
    let promoted = promoted.filter_map(|one| Some((&one.name, one.revision.as_ref()?, one.of_cluster)));
    let lines = promoted.map(|(name, revision, of_cluster)| {
        let by = if of_cluster { "was agreed on by all nodes" } else { "was promoted" };
        format!("{name}: {revision} {by} and serves in place of the manifest's component: `atoll adopt {name}`\n")
    });
    let lines: String = lines.collect();
    let text = if plan.changes.is_empty() { "the host serves this manifest\n".to_owned() } else { table(&plan) };
    planned(&plan, format!("{text}{lines}"))
}

/// An error of a comparison, which changes nothing in any case: that it has not is no help.
fn compared(error: CliError) -> anyhow::Error {
    match error {
        CliError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail, .. } => anyhow::Error::msg(detail),
        other => other.into(),
    }
}

/// The plan, and whether it is empty.
fn planned(plan: &ApplyView, text: String) -> anyhow::Result<String> {
    if plan.changes.is_empty() {
        return Ok(text);
    }
    terminal::print(&text)?;
    Err(WouldChange.into())
}

fn read(manifest: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))
}

fn planned_text(plan: &ApplyView) -> String {
    if plan.changes.is_empty() { "nothing to change\n".into() } else { table(plan) }
}

/// The changes as a table.
fn table(plan: &ApplyView) -> String {
    let columns = [("CLASS", Left), ("KEY", Left), ("BEFORE", Left), ("AFTER", Left), ("WHY", Left)];
    let row = |change: &PlannedChangeView| {
        let PlannedChangeView { key, class, reason, before, after } = change.clone();
        [class, key, before.unwrap_or_else(none), after.unwrap_or_else(none), reason]
    };
    lay_out(columns, plan.changes.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table_and_an_error_of_its_own_kind() {
        let change = PlannedChangeView {
            key: "service.users.limits.timeout".into(),
            class: "live".into(),
            reason: "calls that come later get it".into(),
            before: None,
            after: Some("\"5s\"".into()),
        };
        let plan = ApplyView {
            base: "b".into(),
            before: "a".into(),
            changes: vec![change],
            applied: false,
            file_differs: false,
        };
        assert_eq!(
            table(&plan),
            "CLASS  KEY                           BEFORE  AFTER  WHY\n\
             live   service.users.limits.timeout  -       \"5s\"   calls that come later get it\n"
        );
        let nothing = ApplyView { changes: Vec::new(), ..plan };
        assert_eq!(planned(&nothing, "x".into()).unwrap(), "x");
    }
}
