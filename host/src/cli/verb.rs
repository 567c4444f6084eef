//! Executes the verbs: the one place that calls `app`, and the one that sends requests to the admin.

use super::address::AdminAddress;
use super::apply::{ApplyArgs, DiffArgs};
use super::client::Client;
use super::command::{Command, Remote, Verb};
use super::failure::CliError;
use super::layout::counted;
use super::log_format_arg::LogFormatArg;
use super::replay::ReplayArgs;
use super::{
    apply, audit, cache, cluster, develop, doctor, editor_files, events, guard, inspection, key, node, observed,
    observed_text, order, replay, rollout, saga, schedules, state, table, terminal, test, top, trace, wit,
};
use crate::admin::{OutsideView, OverviewView, ServiceView};
use crate::app::{AdminSource, KnownAdmin};
use crate::base::ServiceName;
use crate::config::environment;
use crate::project::{self, ServiceFace};
use crate::state::keep_quiet_about_caught_panics;
use crate::{app, telemetry};
use anyhow::Context;
use std::path::{Path, PathBuf};
use tokio::runtime;

/// The manifest whose host the verbs ask, if the user names no host.
const MANIFEST: &str = "atoll.toml";

/// Executes `command` and prints its result.
///
/// # Errors
/// Why it failed. A `CliError` and the manifest's errors hold a help text as well.
pub(super) fn execute(command: Command) -> anyhow::Result<()> {
    match command.verb {
        Verb::Run { manifest, partial, log_format } => run(&manifest.path, partial, log_format),
        Verb::Check { manifest } => check(&manifest.path),
        Verb::Inspect { file, against: None, .. } => inspect(&file, None),
        Verb::Inspect { file, against: Some(service), manifest } => {
            let ca = authorities(command.ca);
            let running = host_to_ask(command.admin, environment("ATOLL_ADMIN"), manifest.as_deref())?;
            let manifest = manifest.as_deref().unwrap_or(Path::new(MANIFEST));
            match running {
                Some(host) => inspect_at(host, &file, &service, manifest, ca.as_deref()),
                None => inspect(&file, Some((&service, manifest))),
            }
        }
        Verb::New { name, lang, http, contract } => {
            let face = match contract {
                Some(contract) => {
                    // Before the name is written into a copy of the contract, which would be blamed for it.
                    project::check_name(&name)?;
                    wit::begin(&contract, &name, lang.into())?
                }
                None if http => ServiceFace::Http,
                None => ServiceFace::Typed,
            };
            develop::new(&name, lang.into(), &face)
        }
        Verb::Build { services, manifest, all } => develop::build(&manifest, &services, all),
        Verb::Dev { manifest } => develop::dev(&manifest.path, command.ca.as_deref()),
        Verb::Replay(args) => replay_call(command.admin, command.ca, args),
        Verb::Doctor { manifest, output } => doctor::doctor(&manifest.path, output),
        Verb::Schema => editor_files::schema(),
        Verb::Completions { shell } => editor_files::completions(shell),
        Verb::Man { folder } => editor_files::man(&folder),
        Verb::Wit(verb) => wit::execute(verb),
        Verb::Test(arguments) => test::test(arguments),
        Verb::Cluster(verb) => Ok(terminal::print(&cluster::execute(&verb)?)?),
        Verb::Audit(verb) => Ok(terminal::print(&audit::execute(&verb)?)?),
        Verb::Remote(verb) => {
            let token = environment("ATOLL_ADMIN_TOKEN");
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let manifest = match &verb {
                Remote::Apply(ApplyArgs { manifest, .. }) | Remote::Diff(DiffArgs { manifest, .. }) => manifest.clone(),
                _ => MANIFEST.into(),
            };
            let admin = admin(command.admin, environment("ATOLL_ADMIN"), || app::known_admin(&manifest))?;
            let ca = authorities(command.ca).or_else(|| development(&admin));
            let text = runtime.block_on(request(verb, admin, token.as_deref(), ca.as_deref()))?;
            // A verb that follows something has printed it already.
            if text.is_empty() { Ok(()) } else { Ok(terminal::print(&text)?) }
        }
    }
}

/// The admin's address: that of the flag; otherwise that of the variable if it is not empty; otherwise that of the
/// manifest in this folder and its host, which `known` finds; otherwise the default. A line on standard error says
/// which one is meant, and by what: a variable that was set long ago must not lead to a stranger's host in silence.
///
/// Only the verbs that need the admin read the variable, so that a wrong one does not stop the other verbs.
pub(super) fn admin(
    flag: Option<AdminAddress>,
    variable: Option<String>,
    known: impl FnOnce() -> Option<KnownAdmin>,
) -> Result<AdminAddress, CliError> {
    let (address, source) = match (flag, variable.filter(|text| !text.is_empty())) {
        (Some(flag), _) => (flag, "by --admin".to_owned()),
        (None, Some(text)) => (text.parse().map_err(CliError::Address)?, "by ATOLL_ADMIN".to_owned()),
        (None, None) => match known() {
            Some(known) => (AdminAddress::on(known.address, known.secure), known.source.to_string()),
            None => (AdminAddress::by_default(), format!("by default: {}", why_unknown(Path::new(MANIFEST)))),
        },
    };
    terminal::note(&format!("host: the admin at {address} ({source})"));
    Ok(address)
}

/// The file of the flag, or of the variable if it is not empty.
fn authorities(flag: Option<PathBuf>) -> Option<PathBuf> {
    flag.or_else(|| environment("ATOLL_ADMIN_CA").filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// The development authority of the manifest in this folder, for an admin on this machine: it signs for no other one.
fn development(admin: &AdminAddress) -> Option<PathBuf> {
    app::development_authority(Path::new(MANIFEST)).filter(|_| admin.is_local())
}

/// Why nothing says where the admin of the host of the manifest listens.
fn why_unknown(manifest: &Path) -> String {
    let name = manifest.display();
    if manifest.exists() {
        return format!("the host of {name} does not run, and its admin has no port before it does");
    }
    format!("there is no {name} here")
}

fn run(manifest: &Path, partial: bool, log_format: Option<LogFormatArg>) -> anyhow::Result<()> {
    telemetry::init(log_format.map(Into::into)).context("starting the log")?;
    // After the log's own word on panics.
    keep_quiet_about_caught_panics();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(app::run(manifest, partial, terminal::announce));
    // A compilation that is under way cannot be stopped, and nobody waits for it any more. All that must be finished
    // before the end was awaited.
    runtime.shutdown_background();
    served
}

fn check(manifest: &Path) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let app::Summary { services, components, routes, warnings } = runtime.block_on(app::check(manifest))?;
    for warning in &warnings {
        terminal::note(&format!("warning: {warning} ({})", warning.help()));
    }
    let (services, components) = (counted(services, "service"), counted(components, "component"));
    let (path, routes) = (manifest.display(), counted(routes, "route"));
    Ok(terminal::print(&format!("{path} is right: {services} ({components}), {routes}"))?)
}

fn inspect(file: &Path, against: Option<(&ServiceName, &Path)>) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(app::inspect(file, against))?;
    terminal::print(&inspection::describe(file, &found))?;
    match &found.trial {
        _ if found.is_good() => Ok(()),
        Some(tried) => Err(misfit(file, &tried.service.spec.name)),
        None => anyhow::bail!("no host runs {}", file.display()),
    }
}

/// Replays a recorded call, which a host has unless it is in a file.
fn replay_call(flag: Option<AdminAddress>, ca: Option<PathBuf>, args: ReplayArgs) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let client = if args.needs_host() {
        let token = environment("ATOLL_ADMIN_TOKEN").filter(|token| !token.is_empty());
        let admin = admin(flag, environment("ATOLL_ADMIN"), || app::known_admin(Path::new(MANIFEST)))?;
        let ca = authorities(ca).or_else(|| development(&admin));
        Some(runtime.block_on(async { Client::new(admin, token.as_deref(), ca.as_deref()) })?)
    } else {
        None
    };
    let replayed = runtime.block_on(replay::replay(client.as_ref(), args));
    runtime.shutdown_background();
    Ok(terminal::print(&replayed?)?)
}

/// A running host that `inspect` can ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostToAsk {
    pub(super) admin: AdminAddress,
    /// Whether the user has named it. If not, it may have ended without a trace, and the manifest is asked.
    pub(super) named: bool,
}

/// The host that `inspect --against` asks: that of the flag; otherwise the one of the manifest that is named; otherwise
/// that of the variable; otherwise that of the manifest in this folder. A host that only a manifest names must have
/// said that it runs.
fn host_to_ask(
    flag: Option<AdminAddress>,
    variable: Option<String>,
    manifest: Option<&Path>,
) -> Result<Option<HostToAsk>, CliError> {
    let named = |admin| Some(HostToAsk { admin, named: true });
    match (flag, manifest, variable.filter(|text| !text.is_empty())) {
        (Some(flag), ..) => Ok(named(flag)),
        (None, None, Some(text)) => text.parse().map(named).map_err(CliError::Address),
        (None, manifest, _) => {
            let known = app::known_admin(manifest.unwrap_or(Path::new(MANIFEST)));
            let running = known.filter(|known| matches!(known.source, AdminSource::Running(_)));
            Ok(running.map(|known| HostToAsk { admin: AdminAddress::on(known.address, known.secure), named: false }))
        }
    }
}

/// `inspect`, compared with what a running host serves.
fn inspect_at(
    host: HostToAsk,
    file: &Path,
    service: &ServiceName,
    manifest: &Path,
    ca: Option<&Path>,
) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(app::inspect(file, None))?;
    let token = environment("ATOLL_ADMIN_TOKEN").filter(|token| !token.is_empty());
    let development = app::development_authority(manifest).filter(|_| host.admin.is_local());
    let client = Client::new(host.admin.clone(), token.as_deref(), ca.or(development.as_deref()))?;
    let trial = match runtime.block_on(client.trial(service, file)) {
        Err(error @ CliError::Unreachable { .. }) if !host.named => {
            terminal::note(&format!("{error}: the manifest is asked in its place"));
            return inspect(file, Some((service, manifest)));
        }
        outcome => outcome?,
    };
    // A host that was named by its address may have another manifest than the one that is here.
    let own = (!host.named).then(|| app::manifest_grants(manifest, service)).flatten();
    let told = inspection::describe_remote_trial(&trial, &host.admin.to_string(), own.map(|own| (manifest, own)));
    let text = inspection::describe(file, &found) + &told;
    terminal::print(&text)?;
    if trial.fits { Ok(()) } else { Err(misfit(file, service)) }
}

fn misfit(file: &Path, service: &ServiceName) -> anyhow::Error {
    anyhow::anyhow!("{} does not fit service `{service}`", file.display())
}

/// Sends the verb's request to the admin, and returns the answer as text for the terminal.
pub(super) async fn request(
    verb: Remote,
    admin: AdminAddress,
    token: Option<&str>,
    ca: Option<&Path>,
) -> anyhow::Result<String> {
    let client = Client::new(admin, token.filter(|token| !token.is_empty()), ca)?;
    match verb {
        Remote::Ps { output, all: true } => client.show("/v1/nodes", output, node::everywhere).await,
        Remote::Node(verb) => node::node(&client, verb).await,
        Remote::Ps { output, .. } if output.is_json() => client.list("/v1/services", output, table::services).await,
        Remote::Ps { .. } => ps(&client).await,
        Remote::Routes { output } => client.list("/v1/routes", output, table::routes).await,
        Remote::Swap(args) => rollout::swap(&client, args).await,
        Remote::Apply(args) => apply::apply(&client, args).await,
        Remote::Diff(args) => apply::diff(&client, args).await,
        Remote::Rollback { service, revision } => {
            rollout::served(&client.rollback(&service, revision.as_deref()).await?)
        }
        Remote::Rollout(args) => rollout::rollout(&client, args).await,
        Remote::History { service, output } => rollout::history(&client, &service, output).await,
        Remote::Adopt { service } => rollout::adopt(&client, &service).await,
        Remote::Breaker(breaker) => order::breaker(&client, breaker).await,
        Remote::Fault(fault) => order::fault(&client, fault).await,
        Remote::Trace(arguments) => trace::trace(&client, arguments).await,
        Remote::Key(verb) => key::key(&client, verb).await,
        Remote::Cache(verb) => cache::cache(&client, verb).await,
        Remote::Logs(args) => observed::logs(&client, args).await,
        Remote::Traps(args) => observed::traps(&client, args).await,
        Remote::Changes(args) => observed::changes(&client, args).await,
        Remote::Why(args) => observed::why(&client, args).await,
        Remote::Top => top::top(&client).await,
        Remote::Schedules { output } => schedules::schedules(&client, output).await,
        Remote::Events(verb) => events::events(&client, verb).await,
        Remote::Saga(verb) => saga::sagas(&client, verb).await,
        Remote::Limit(verb) => guard::limit(&client, verb).await,
        Remote::Maintenance(verb) => guard::maintenance(&client, verb).await,
        Remote::State(verb) => state::state(&client, verb).await,
    }
}

/// The table of services, and the table of outside hosts below it.
async fn ps(client: &Client) -> anyhow::Result<String> {
    let services: Vec<ServiceView> = client.read(&client.get("/v1/services").await?)?;
    let outside: Vec<OutsideView> = client.read(&client.get("/v1/outside").await?)?;
    let overview: Vec<OverviewView> = client.read(&client.get("/v1/overview").await?)?;
    let mut text = table::services(&services);
    if !overview.is_empty() {
        text.push_str(&format!(
            "\nthe last minute, and what is used of each limit\n{}",
            observed_text::overview(&overview)
        ));
    }
    if !outside.is_empty() {
        text.push('\n');
        text.push_str(&table::outside(&outside));
    }
    Ok(text)
}
