//! The verbs, done: the one place that calls `app`, and the one that asks the admin.

use super::address::AdminAddress;
use super::client::Client;
use super::command::{Command, LogFormatArg, Remote, Verb};
use super::failure::CliError;
use super::{inspection, order, table, terminal};
use crate::admin::{OutsideView, ServiceView, SwapView};
use crate::base::ServiceName;
use crate::config::environment;
use crate::{app, telemetry};
use serde::de::DeserializeOwned;
use std::path::Path;
use tokio::runtime;

/// Does what `command` says, and prints its result.
///
/// # Errors
/// Why it was not done; a `CliError` or the manifest's errors where there is more to tell than a message.
pub(super) fn execute(command: Command) -> anyhow::Result<()> {
    match command.verb {
        Verb::Run { manifest, log_format } => run(&manifest.path, log_format),
        Verb::Check { manifest } => check(&manifest.path),
        Verb::Inspect { file, against, manifest } => inspect(&file, against.as_ref().map(|name| (name, &*manifest))),
        Verb::Remote(verb) => {
            let token = environment("ATOLL_ADMIN_TOKEN");
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let admin = admin(command.admin, environment("ATOLL_ADMIN"))?;
            let text = runtime.block_on(ask(verb, admin, token.as_deref()))?;
            Ok(terminal::print(&text)?)
        }
    }
}

/// Where the admin listens: as the flag says, or the variable if it is set and not empty, or where it does by default. Only the verbs that
/// ask it read the variable, so that a wrong one stops no other.
pub(super) fn admin(flag: Option<AdminAddress>, variable: Option<String>) -> Result<AdminAddress, CliError> {
    match (flag, variable.filter(|text| !text.is_empty())) {
        (Some(flag), _) => Ok(flag),
        (None, Some(text)) => text.parse().map_err(CliError::Address),
        (None, None) => Ok(AdminAddress::usual()),
    }
}

fn run(manifest: &Path, log_format: LogFormatArg) -> anyhow::Result<()> {
    telemetry::init(log_format.into());
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(app::run(manifest, terminal::announce))
}

fn check(manifest: &Path) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let app::Summary { services, components, routes } = runtime.block_on(app::check(manifest))?;
    let path = manifest.display();
    Ok(terminal::print(&format!("{path} is right: {services} services ({components} components), {routes} routes"))?)
}

fn inspect(file: &Path, against: Option<(&ServiceName, &Path)>) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(app::inspect(file, against))?;
    terminal::print(&inspection::describe(file, &found))?;
    match &found.trial {
        Some(trial) if !trial.fits() => {
            anyhow::bail!("{} does not fit service `{}`", file.display(), trial.service.name)
        }
        _ => Ok(()),
    }
}

/// What the admin answers to a verb, as text for the terminal.
pub(super) async fn ask(verb: Remote, admin: AdminAddress, token: Option<&str>) -> anyhow::Result<String> {
    let client = Client::new(admin, token.filter(|token| !token.is_empty()))?;
    match verb {
        Remote::Ps { json: true } => list(&client, "/v1/services", true, table::services).await,
        Remote::Ps { json: false } => ps(&client).await,
        Remote::Routes { json } => list(&client, "/v1/routes", json, table::routes).await,
        Remote::Swap { service, file } => Ok(served(&client.swap(&service, &file).await?)),
        Remote::Rollback { service } => Ok(served(&client.rollback(&service).await?)),
        Remote::Breaker(breaker) => order::breaker(&client, breaker).await,
        Remote::Fault(fault) => order::fault(&client, fault).await,
    }
}

/// Services, and the outside hosts below them.
async fn ps(client: &Client) -> anyhow::Result<String> {
    let services: Vec<ServiceView> = client.read(&client.get("/v1/services").await?)?;
    let outside: Vec<OutsideView> = client.read(&client.get("/v1/outside").await?)?;
    let mut text = table::services(&services);
    if !outside.is_empty() {
        text.push('\n');
        text.push_str(&table::outside(&outside));
    }
    Ok(text)
}

/// What the admin has at `path`: its own JSON, or drawn by `draw`.
pub(super) async fn list<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    json: bool,
    draw: fn(&[T]) -> String,
) -> anyhow::Result<String> {
    let answer = client.get(path).await?;
    // Read in both cases, so that a script never gets JSON that is no answer of an admin.
    let items: Vec<T> = client.read(&answer)?;
    Ok(if json { String::from_utf8(answer.into())? } else { draw(&items) })
}

/// The line that tells of a change.
fn served(swap: &SwapView) -> String {
    let SwapView { service, revision, previous } = swap;
    match previous {
        Some(previous) => format!("{service}: {revision} serves; `atoll rollback {service}` returns to {previous}"),
        None => format!("{service}: {revision} serves"),
    }
}
