//! The manifest as a whole.

use super::audit;
use super::auth::{self, AuthConfig};
use super::bridge::{self, BridgeConfig};
use super::broker::{self, BrokerConfig};
use super::cluster;
use super::cluster_calls::ClusterCalls;
use super::discovery;
use super::dns::{self, DnsConfig};
use super::edge::{self, AdminConfig, GatewayConfig};
use super::edge_finding_key::EdgeFindingKey;
use super::encryption;
use super::late_finding_key::LateFindingKey;
use super::listen_addresses::ListenAddresses;
use super::log;
use super::operators;
use super::rate;
use super::reader::file::{CreatedPath, PathKind};
use super::reader::finding::{Finding, ManifestErrors, ManifestText, Span, ValueOrigin};
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::CountKind;
use super::reader::measure::{GIB, MIB, SizeKind, in_memory};
use super::reader::private_file::PrivateFile;
use super::reader::report::Report;
use super::reader::section::Section;
use super::reader::syntax;
use super::record::{self, RecordConfig};
use super::rollout;
use super::route::{self, Route};
use super::saga::{self, SagaConfig};
use super::schedule::{self, ScheduleConfig};
use super::service::{self, ServiceConfig, Services};
use super::state_backend::{self, StateSpans};
use super::telemetry::{self, TelemetryConfig};
use super::tls::TlsConfig;
use super::topic::{self, TopicConfig};
use crate::base::{CallContext, ServiceName};
use crate::contract::HttpBindingKey;
use crate::coordinator::SagaSettings;
use crate::gateway::RateLimit;
use crate::listen::TlsFile;
use crate::telemetry::LogSettings;
use crate::{mesh, runtime, state};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The settings from `atoll.toml` and the environment, checked. Paths are joined to the manifest's folder.
#[derive(Debug)]
pub struct Manifest {
    /// The public edge.
    pub gateway: GatewayConfig,
    /// The operators' edge.
    pub admin: AdminConfig,
    /// How callers prove who they are, by name.
    pub auth: Vec<AuthConfig>,
    /// The database of all services.
    pub state: state::Settings,
    /// Where its backend is written; `None`: it is the file.
    pub state_spans: Option<StateSpans>,
    /// The audit file; `None`: nothing is recorded.
    pub audit: Option<crate::audit::Settings>,
    /// Where revisions are kept; `None`: what is swapped in lasts until the host restarts.
    pub history: Option<crate::archive::Settings>,
    /// Of debug builds, for tests: the moment of its writes into the history at which the host ends itself.
    pub history_stop: Option<u64>,
    /// Where recordings of calls are kept.
    pub record: RecordConfig,
    /// The bounds of the log.
    pub log: LogSettings,
    /// How requests are traced; `None`: they are not.
    pub telemetry: Option<TelemetryConfig>,
    /// The engine.
    pub runtime: runtime::Settings,
    /// The bounds of all calls together.
    pub mesh: mesh::Settings,
    /// The limits that routes may name, in the order of their names.
    pub limits: Vec<Arc<RateLimit>>,
    /// The bounds of sources of endpoints, and the logins of registries.
    pub discovery: crate::discovery::Settings,
    /// The broker that has the logs of the topics; `None`: the host's own database has them.
    pub broker: Option<BrokerConfig>,
    /// In the order of the manifest; each name stands once.
    pub bridges: Vec<BridgeConfig>,
    /// The nodes that this host is one of; `None`: it is alone.
    pub cluster: Option<crate::cluster::Settings>,
    /// How it calls other nodes; `None`: it calls none.
    pub calls: Option<ClusterCalls>,
    /// The name server that offers the services; `None`: there is none.
    pub dns: Option<DnsConfig>,
    /// In the order of the manifest; each name stands once.
    pub topics: Vec<TopicConfig>,
    /// In the order of the manifest; each name stands once.
    pub sagas: Vec<SagaConfig>,
    /// The bounds of all sagas together.
    pub saga_bounds: SagaSettings,
    /// In the order of the manifest; each name stands once.
    pub schedules: Vec<ScheduleConfig>,
    /// In the order of the manifest; each name stands once.
    pub services: Vec<ServiceConfig>,
    /// In the order of the manifest, which decides between routes that are otherwise of equal rank.
    pub routes: Vec<Route>,
    source: Arc<ManifestText>,
    service_spans: BTreeMap<ServiceName, KeySpans<LateFindingKey>>,
    /// One for each route.
    route_spans: Vec<KeySpans<HttpBindingKey>>,
    edge_spans: KeySpans<EdgeFindingKey>,
    private_files: Vec<PrivateFile>,
}

/// What could be read of a manifest, and what is wrong with it so far. A wrong setting has its default in it, and a
/// wrong route is not in it.
#[derive(Debug)]
pub struct Draft {
    /// The settings.
    pub manifest: Manifest,
    /// What is wrong with the text, and with the variables that override it.
    findings: Vec<Finding>,
    /// The services whose component's file is not there.
    absent: Vec<(ServiceName, Finding)>,
    unsettled: BTreeSet<ServiceName>,
    whole: bool,
}

/// The longest manifest that is read, in bytes: 10,000 lines.
const LONGEST: u64 = 1 << 20;

/// If it is set, it overrides `state.path`.
const STATE_PATH: &str = "ATOLL_STATE_PATH";

static PATH: ManifestKey<PathKind> = ManifestKey::new(
    "path",
    PathKind,
    r#"".atoll/state.redb""#,
    "The file. The host creates it and its folders if they do not exist.",
);
const DATABASE: CreatedPath =
    CreatedPath { is_folder: false, help: "name a file in it, such as state.redb: the host creates it" };
static MAX_BATCH: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "max_batch",
    CountKind { min: 1, max: 10_000 },
    "256",
    "The largest number of commits that share one sync to disk.",
);
/// Below 8 MiB the largest transaction of a guest would leave no room for another one.
static QUEUE: ManifestKey<SizeKind> = ManifestKey::new(
    "queue",
    SizeKind { min: 8 * MIB, max: GIB },
    r#""16MiB""#,
    "The most bytes of one service's commits that may wait for the disk. Further commits are refused.",
);
static PAGES: ManifestKey<SizeKind> = ManifestKey::new(
    "cache",
    SizeKind { min: MIB, max: 64 * GIB },
    r#""64MiB""#,
    "Memory that keeps pages of the database. A quarter of it keeps values that were read or written recently.",
);

static CACHE: ManifestKey<PathKind> = ManifestKey::new(
    "cache",
    PathKind,
    r#"".atoll/cache""#,
    "The folder of compiled code, which makes every start but the first one fast. Only the host may write there: the \
     host runs the code in it. Code that is damaged, or that was compiled by another version or for another processor, \
     is compiled again. Of a component with debug information the file is there too, for the lines in trap reports. Of \
     the components that this manifest does not use, the 512 that were used last are kept.",
);
const CODE_CACHE: CreatedPath = CreatedPath { is_folder: true, help: "name a folder of its own for compiled code" };
static INSTANCES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "instances",
    CountKind { min: 0, max: 100_000 },
    "0",
    "The number of instances that fit in the pool, of all services together. 0: enough for two revisions of each \
     service, at most 4,096. In a pool of 6 or more, an eighth each is reserved for the second, the third and the \
     further calls of a chain, so that callers never take the instances that their callees need. A slot that was used \
     keeps the memory that its guest wrote mapped for the next guest, cleared: at most 1 MiB of each of its two \
     memories, and 64 KiB of each table and stack.",
);
static CALL_DEPTH: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "call_depth",
    CountKind { min: 1, max: 256 },
    "32",
    "The longest chain of services that call one another for one request. A call beyond it fails, which also ends a \
     circle of calls.",
);

impl Manifest {
    /// Whether a route keeps answers until the state changes that they were made of.
    pub fn caches_by_state(&self) -> bool {
        self.routes.iter().any(|route| route.cache.as_ref().is_some_and(|cache| cache.by_state))
    }

    /// Reads and checks the manifest at `path`; `env` gives the variables of the environment.
    ///
    /// # Errors
    /// Everything that is wrong with the file and with the variables that override it.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ManifestErrors> {
        Draft::load(path, env)?.finish()
    }

    /// Where the admin of the manifest at `path` listens, and whether by TLS, whatever else is wrong with the manifest;
    /// `None` if it cannot be read.
    pub fn admin_address(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Option<(SocketAddr, bool)> {
        let source = Arc::new(ManifestText::new(path.display().to_string(), read_text(path).ok()?));
        let (table, syntax) = syntax::parse(&source);
        let report = Report::new(source.clone(), syntax);
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut spans, mut listeners) = (KeySpans::new(0..0), ListenAddresses::default());
        let mut root = Section::root(table.get_ref(), &report);
        let (_, admin) = edge::read(&mut root, folder, env, &mut spans, &mut listeners);
        Some((admin.listen.address, admin.tls.is_some()))
    }

    /// Like [`Manifest::load`], but the caller has the text. Errors show `name` as the file; relative paths begin at
    /// `folder`.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(
        name: &str,
        text: String,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ManifestErrors> {
        Draft::parse(name, text, folder, env).finish()
    }

    /// A problem of `service` that was found after the manifest was read. It is shown at `key`; if that key is not
    /// written, at the service's component.
    pub fn diagnose(
        &self,
        service: &ServiceName,
        key: LateFindingKey,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        let origin = self.service_spans.get(service).map_or(ValueOrigin::Absent, |spans| spans.origin(&key));
        Finding::new(self.source.clone(), origin, message, help)
    }

    /// A problem of a file of `tls`, found when it was read. It is shown where the file is named.
    pub fn diagnose_tls(
        &self,
        tls: &TlsConfig,
        file: TlsFile,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding::new(self.source.clone(), tls.spans.origin(&file), message, help)
    }

    /// A problem of what is written at `span`, found after the manifest was read.
    pub(crate) fn diagnose_at(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(self.source.clone(), ValueOrigin::Text(span.clone()), message, help)
    }

    /// A problem of a file about callers, found when it was read. It is shown where the file is named.
    pub fn diagnose_edge(&self, key: &EdgeFindingKey, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(self.source.clone(), self.edge_spans.origin(key), message, help)
    }

    /// The files with keys and other secrets that are named.
    pub fn private_files(&self) -> &[PrivateFile] {
        &self.private_files
    }

    /// A problem of one of these files. It is shown where the file is named.
    pub fn diagnose_private(&self, file: &PrivateFile, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(self.source.clone(), file.origin.clone(), message, help)
    }

    /// A problem with the route `index` of [`Manifest::routes`], found after the manifest was read. The finding points
    /// at the line of `key`, or at the line of the route's `call` if the manifest does not have that key.
    pub fn diagnose_route(
        &self,
        index: usize,
        key: HttpBindingKey,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        let origin = self.route_spans.get(index).map_or(ValueOrigin::Absent, |spans| spans.origin(&key));
        Finding::new(self.source.clone(), origin, message, help)
    }
}

impl Draft {
    /// Reads the manifest at `path`; `env` gives the variables of the environment.
    ///
    /// # Errors
    /// The file cannot be read as text.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ManifestErrors> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        match read_text(path) {
            Ok(text) => Ok(Self::parse(&name, text, folder, env)),
            Err(error) => {
                let source = Arc::new(ManifestText::new(name.clone(), String::new()));
                let help = match error.kind() {
                    io::ErrorKind::InvalidData => {
                        "a manifest is TOML in UTF-8: name the manifest and not a component, or save it as UTF-8"
                    }
                    _ => "name the manifest on the command line, as in `atoll run path/to/atoll.toml`",
                };
                let message = format!("cannot read the manifest {name}: {error}");
                Err(Finding::new(source, ValueOrigin::Absent, message, help).into())
            }
        }
    }

    /// Like [`Draft::load`], but the caller has the text. Errors show `name` as the file; relative paths begin at
    /// `folder`.
    pub fn parse(name: &str, text: String, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let source = Arc::new(ManifestText::new(name.into(), text));
        let (table, syntax) = syntax::parse(&source);
        let report = Report::new(source.clone(), syntax);
        let (manifest, services) = read(Section::root(table.get_ref(), &report), folder, env);
        let whole = report.is_whole();
        let Services { absent, unsettled, .. } = services;
        Self { manifest, findings: report.into_findings(), absent, unsettled, whole }
    }

    /// What is wrong with the text, and with the variables that override it.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The services whose component's file is not there.
    pub fn absent(&self) -> &[(ServiceName, Finding)] {
        &self.absent
    }

    /// Whether the text has no syntax error, so that every service is in the draft.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether it is certain what a service is granted and what it names of its component. If it is not, a finding says
    /// why, and further findings about these keys would be consequences.
    pub fn is_settled(&self, service: &ServiceName) -> bool {
        !self.unsettled.contains(service)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.manifest.source.text
    }

    /// All that is wrong so far; `None` if nothing is.
    pub fn errors(&self) -> Option<ManifestErrors> {
        let absent = self.absent.iter().map(|(_, finding)| finding);
        ManifestErrors::from_findings(self.findings.iter().chain(absent).cloned().collect())
    }

    fn finish(self) -> Result<Manifest, ManifestErrors> {
        self.errors().map_or(Ok(self.manifest), Err)
    }
}

/// The variables of this process, for [`Manifest::load`]. A value that is not UTF-8 keeps replacement characters in
/// place of the wrong bytes: a wrong path is an error that somebody sees, but an ignored variable would silently mean
/// the default.
pub fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment for the host")]
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The text, of a bounded length: the path may be a device or a pipe.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

/// Reads `[state]`, and where it names a server.
fn read_state(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> (state::Settings, Option<StateSpans>) {
    let mut section = root.section("state");
    let (remote, spans) = state_backend::read(&mut section, folder, env).unzip();
    let state = state::Settings {
        path: DATABASE.resolve(section.get_or_variable(&PATH, STATE_PATH, env), folder, root.report),
        max_batch: section.get(&MAX_BATCH).into(),
        queue: in_memory(section.get(&QUEUE)),
        cache: in_memory(section.get(&PAGES)),
        encryption: encryption::read(&mut section, folder, env),
        remote,
    };
    section.close();
    (state, spans)
}

/// By what of a request rollouts choose the revision, each once.
fn sticky_keys(services: &Services) -> Vec<Arc<str>> {
    let keys = services.all.iter().filter_map(|service| service.spec.rollout.as_ref()?.sticky.clone());
    let mut keys: Vec<_> = keys.filter(|name| **name != *CallContext::SUBJECT).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Reads `[runtime]`.
fn read_runtime(root: &mut Section<'_>, folder: &Path) -> (runtime::Settings, mesh::Settings) {
    let mut section = root.section("runtime");
    let instances = section.get(&INSTANCES);
    let runtime = runtime::Settings {
        cache: CODE_CACHE.resolve(section.get_sourced(&CACHE), folder, root.report),
        instances: usize::try_from(instances).expect("at most 100,000"),
    };
    let mesh = mesh::Settings { depth: section.get(&CALL_DEPTH).into(), ..mesh::Settings::default() };
    section.close();
    (runtime, mesh)
}

/// Reads the sections. What is wrong is in the report, and in the services.
pub(super) fn read(mut root: Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> (Manifest, Services) {
    let source = root.report.source.clone();
    let (mut edge_spans, mut listeners) = (KeySpans::new(0..0), ListenAddresses::default());
    let (mut gateway, mut admin) = edge::read(&mut root, folder, env, &mut edge_spans, &mut listeners);
    let policies = auth::read_all(&mut root, folder, env, (&gateway, &mut edge_spans));

    let (state, state_spans) = read_state(&mut root, folder, env);
    let (runtime, mesh) = read_runtime(&mut root, folder);
    let log = log::read(&mut root);
    let (telemetry, log) = telemetry::read(&mut root, folder, env, log);
    admin.settings.operators = operators::read_all(&mut root, &admin.settings, folder, env);
    let audit = audit::read(&mut root, folder, &mut edge_spans);
    let discovery = discovery::read(&mut root, folder, env);
    let dns = dns::read(&mut root, &gateway, env, &mut listeners);
    let broker = broker::read(&mut root, folder, env);
    let (cluster, calls) = cluster::read(&mut root, folder, env, &mut edge_spans, &mut listeners);
    let topics = topic::read_all(&mut root);
    broker::check_topics(broker.as_ref(), &topics.all, root.report);
    let bridges = bridge::read_all(&mut root, &topics, folder, env);
    let shares_state = state.remote.as_ref().is_some_and(|remote| remote.shared);
    let own = cluster::own_place(&cluster, &calls, shares_state);
    let mut services = service::read_all(&mut root, (folder, own), env, &topics);
    let schedules = schedule::read_all(&mut root, &services, &topics);
    let wanted = services.all.iter().any(|service| service.spec.rollout.is_some());
    let history = rollout::history(&mut root, (folder, &runtime.cache), wanted);
    let history_stop = rollout::history_stop(root.report, env);
    gateway.settings.sticky = sticky_keys(&services);
    let (saga_bounds, sagas) = (saga::settings(&mut root), saga::read_all(&mut root, &services, &topics));
    let (record, limits) = (record::place(&mut root), rate::read_all(&mut root));
    let routes = route::read_all(&mut root, &services, &gateway, &policies, (&limits, &sagas), folder);
    let private_files = root.report.take_private_files();
    root.close();
    let manifest = Manifest {
        gateway,
        admin,
        auth: policies.all,
        state,
        state_spans,
        log,
        telemetry,
        audit,
        history,
        history_stop,
        record,
        runtime,
        mesh,
        limits: limits.all(),
        discovery,
        broker,
        bridges,
        cluster,
        calls,
        dns,
        topics: topics.all,
        saga_bounds,
        sagas,
        schedules,
        services: std::mem::take(&mut services.all),
        routes: routes.all,
        source,
        service_spans: std::mem::take(&mut services.spans),
        route_spans: routes.spans,
        edge_spans,
        private_files,
    };
    (manifest, services)
}
