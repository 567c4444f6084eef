//! The life of the host: build, serve, and shut down (`shutdown.rs`).

use super::admin_file::AdminFile;
use super::api_description::{LiveDescription, now};
use super::assembly::{Assembly, assemble};
use super::audited_operations::AuditedOperations;
use super::auth_policies::AuthPolicies;
use super::check::check_all;
use super::edge_files;
use super::edge_tls::EdgeTls;
use super::event_plan::EventPlan;
use super::guards::Guards;
use super::host_traces::HostTraces;
use super::kept_revisions::KeptRevisions;
use super::load::{self, Compile};
use super::operations::HostOperations;
use super::quota_store::QuotaStore;
use super::quotas;
use super::schedule_operations::ScheduleSamples;
use super::schedule_plan::SchedulePlan;
use super::shutdown::{Shutdown, Signals};
use super::start_end::StartEnd;
use super::topic_operations::DeliverySamples;
use crate::acme::CertificateKeeper;
use crate::admin::Admin;
use crate::archive::Archive;
use crate::audit::{AuditRecord, AuditTrail};
use crate::base::Digest;
use crate::config::{Draft, Manifest, ManifestErrors};
use crate::gateway::{self, Gateway};
use crate::health;
use crate::listen::{Drain, Listener};
use crate::mesh::{Discovered, Mesh, Service};
use crate::recording::RecordingStore;
use crate::registry::Registry;
use crate::rollout::Rollout;
use crate::route::RoutingTable;
use crate::runtime::{RecordingPlace, Runtime};
use crate::state::{StateError, Store};
use crate::telemetry::{self, EdgeMetrics, Metrics, ProxyRefusals};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, block_in_place, spawn_blocking};
use tokio::time::timeout;

/// How long the host waits for name servers before it serves.
const RESOLVING: Duration = Duration::from_secs(2);

/// What the error of one service or route means for all others, and the way out.
const PARTIAL: &str = "nothing is served until this is right; `atoll run --partial` leaves out what cannot be served, \
                       and serves the rest";

/// Serves the manifest at `path` until the process is told to stop (SIGTERM, SIGINT or SIGHUP), then lets requests in
/// flight finish. A second signal cuts them off. `announce` gets one line for each address when all services serve;
/// before, it gets a line that says which components are being compiled, if there are such.
///
/// # Errors
/// What is wrong with the manifest and its components ([`ManifestErrors`]), an address
/// that is in use, a store that cannot be opened. The host has not served then. With `partial`, services and routes
/// that cannot be served are no error: they are left out.
pub async fn run(path: &Path, partial: bool, announce: impl Fn(&str) + Send + Sync + 'static) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut draft = load::manifest(path)?;
    if !draft.findings().is_empty() || (!partial && !draft.absent().is_empty()) {
        check_all(&draft).await.map_err(|error| suggest_partial(error, &draft))?;
    }
    let manifest = &draft.manifest;
    telemetry::bound(&manifest.log);
    raise_file_limit();
    let mut signals = Signals::catch()?;
    let (tls, keeper) = edge_tls(&draft, &announce).await?;
    let (gateway_socket, admin_socket) = tls.bind(manifest).await?;
    let secure_address = gateway_socket.secure_addr()?;

    let (trail, revisions) = (open_audit(manifest, path)?, KeptRevisions::open(&mut draft.manifest)?);
    let manifest = &draft.manifest;
    let runtime = load::engine(manifest)?;
    // To compile, and to repair a store after a crash, can take long. A signal ends the host during that time too.
    let (mut assembly, (store, counts)) = tokio::select! {
        prepared = prepare(&draft, &runtime, partial) => prepared.map_err(|error| suggest_partial(error, &draft))?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it served");
            return Ok(());
        }
    };
    let (policies, traces) = (AuthPolicies::of(manifest)?, HostTraces::of(manifest)?);
    let registry = Arc::new(Registry::default());
    let rollout = launch(&mut assembly, &runtime, &registry, store.as_ref(), kept(manifest, &revisions))?;
    // A name that no server answers for is resolved again later. Other services must not wait for it.
    if timeout(RESOLVING, rollout.resolve()).await.is_err() {
        tracing::warn!("host names are still being resolved: their addresses get no calls yet");
    }

    let (drain, admin_drain) = (Drain::new(), Drain::new());
    let (left_out, warnings) = (list_left_out(manifest, &assembly), std::mem::take(&mut assembly.warnings));
    let Edges { gateway, admin, host, mesh, plans, mut upkeep } = edges(
        (manifest, path),
        &runtime,
        (registry, store.clone(), counts, trail.clone()),
        rollout,
        (assembly, policies, partial),
        (&drain, &revisions),
        (&tls, secure_address, gateway_socket.refusals().cloned(), &traces),
    );
    deliver(plans, store.as_ref(), mesh, &host).await?;
    let asynchronous = Arc::clone(&host);

    let admin_address = admin_socket.local_addr()?;
    let _left_until_the_end = AdminFile::leave(path, admin_address, tls.admin.is_some());
    let scheme = if tls.admin.is_some() { "https" } else { "http" };
    let end = StartEnd {
        host,
        runtime: Arc::clone(&runtime),
        announce,
        open: revisions.open,
        gateway: gateway_socket.local_addr()?,
        secure_gateway: secure_address,
        admin: format!("{scheme}://{admin_address}"),
        warnings,
        left_out,
        services: manifest.services.len(),
        started,
        drain: drain.clone(),
    };
    upkeep.spawn(end.finish());
    keeper.map(|keeper| upkeep.spawn(keeper.keep()));

    let admin_edge = tokio::spawn(admin_socket.serve(move |request, _| admin.handle(request), admin_drain.clone()));
    let signals = tokio::spawn(signals.start(drain.clone(), manifest.gateway.drain, on_drain(trail.clone())));
    serve(gateway_socket, gateway, drain).await;
    signals.abort();
    let exporter = traces.exporter;
    Shutdown { admin_drain, admin_edge, upkeep, exporter, runtime, asynchronous, store }.run().await?;
    on_stop(trail);
    Ok(())
}

/// Reads the certificates. If they are wrong, whatever else is wrong is told with it. The keeper of a certificate that
/// the host obtains by itself begins once the gateway serves, since the authority looks at it.
async fn edge_tls(draft: &Draft, announce: &impl Fn(&str)) -> anyhow::Result<(EdgeTls, Option<CertificateKeeper>)> {
    let tls = EdgeTls::load(&draft.manifest, announce);
    if tls.is_err() {
        check_all(draft).await?;
    }
    let tls = tls?;
    let keeper = tls.keeper(&draft.manifest)?;
    Ok((tls, keeper))
}

/// Serves customers until the end of the drain.
async fn serve(socket: Listener, gateway: Arc<Gateway<Mesh>>, drain: Drain) {
    let observer = Arc::clone(&gateway);
    let socket = socket.on_unparsed(move |request| observer.unparsed(&request));
    let handle = move |request, peer| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.handle(request, peer).await }
    };
    let cut_off = socket.serve(handle, drain).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were cut off at the end of the drain");
    }
}

/// What serves, built and not yet started, and the tasks that run beside it.
struct Edges {
    gateway: Arc<Gateway<Mesh>>,
    admin: Admin,
    host: Arc<HostOperations>,
    mesh: Arc<Mesh>,
    plans: (EventPlan, SchedulePlan),
    /// Resolves host names again, watches faults on purpose end, and checks the health of endpoints.
    upkeep: JoinSet<()>,
}

fn edges(
    (manifest, path): (&Manifest, &Path),
    runtime: &Runtime,
    (registry, store, counts, trail): (Arc<Registry<Service>>, Option<Store>, Option<QuotaStore>, Option<AuditTrail>),
    rollout: Rollout,
    (assembly, mut policies, partial): (Assembly, AuthPolicies, bool),
    (drain, revisions): (&Drain, &KeptRevisions),
    (tls, secure_address, proxy, traces): (&EdgeTls, Option<SocketAddr>, Option<Arc<ProxyRefusals>>, &HostTraces),
) -> Edges {
    let mesh = Arc::new(Mesh::new(Arc::clone(&registry), manifest.mesh.clone()));
    let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
    runtime.connect(outcall);
    let Assembly { mut targets, description, health_checks, left_out, events, schedules, .. } = assembly;
    for (target, route) in targets.iter_mut().zip(&manifest.routes) {
        target.access = route.auth.as_ref().map(|auth| policies.access(auth));
    }
    let rules = manifest.routes.iter().map(|route| route.rule.clone());
    let routes = Arc::new(RoutingTable::new(rules.zip(targets).collect()));
    let openapi = description.as_ref().map(|description| description.document(|name| now(&rollout, &registry, name)));
    let given = manifest.gateway.settings.clone();
    let (audit, access, traces_to) = (trail.clone(), manifest.log.access, traces.tracer.clone());
    let mut settings = gateway::Settings { openapi, audit, access, traces: traces_to, ..given };
    settings.acme = tls.challenges(manifest);
    if let (Some(https), Some(address)) = (&mut settings.https, secure_address) {
        // With port 0 the manifest does not know it.
        https.redirect = https.redirect.map(|port| if port == 0 { address.port() } else { port });
    }
    let gateway = Arc::new(Gateway::new(settings, Arc::clone(&routes), Arc::clone(&mesh)));
    let watched = Arc::clone(&gateway);
    let metrics = Metrics::new(Discovered(Arc::clone(&registry)), Arc::clone(gateway.metrics()));
    let audit = trail.as_ref().map(|trail| Arc::clone(trail.metrics()));
    let counted = EdgeMetrics { proxy, audit, keys: policies.fetches() };
    let metrics = metrics.with_tls(tls.metrics()).with_edges(counted.clone()).with_host();
    let metrics = metrics.with_traces(traces.tracer.as_ref());
    let mut host = HostOperations::new(rollout, Arc::clone(&registry), routes, metrics, drain.clone());
    host.left_out = left_out.into();
    host.partial = partial;
    host.description = description.map(|description| LiveDescription::new(description, Arc::clone(&gateway)));
    if let Some(store) = &store {
        host.metrics.add_store(Arc::clone(store.metrics()));
    }
    host.cache = gateway.cache().cloned();
    if let Some(cache) = gateway.cache() {
        host.metrics.add_cache(Arc::clone(cache.metrics()));
    }
    host.store = store;
    host.tls = Some(tls.clone());
    host.edges = Some(counted);
    let (limits, manifest_path) = (manifest.limits.clone(), path.to_path_buf());
    host.guards = Some(Guards { gateway: Arc::clone(&gateway), limits, manifest: manifest_path });
    host.keys = policies.key_file.take().map(Arc::new);
    host.gateway = Some(watched);
    host.pool_slots = runtime.pool_slots();
    let grants = manifest.services.iter().map(|service| (service.spec.name.to_string(), service.spec.grants.clone()));
    host.grants = grants.collect();
    host.components = revisions.files.clone();
    host.tracer = traces.tracer.clone();
    host.inject_faults(manifest);
    let host = Arc::new(host);
    let mut upkeep = JoinSet::new();
    tls.watch(manifest, &mut upkeep);
    policies.keep_fresh(&mut upkeep);
    if let Some(counts) = counts {
        upkeep.spawn(quotas::forget_old_counts(manifest.limits.clone(), counts));
    }
    if let Some(exporter) = traces.exporter.clone() {
        let host = Arc::clone(&host);
        upkeep.spawn(async move { exporter.run(Box::new(move || host.metrics.encode())).await });
    }
    attend(&host, &mut upkeep);
    for (service, settings) in manifest.services.iter().zip(health_checks) {
        if let Some(settings) = settings {
            upkeep.spawn(health::watch(Arc::clone(&registry), service.spec.name.clone(), settings));
        }
    }
    let settings = manifest.admin.settings.clone();
    let admin = match trail {
        Some(trail) => Admin::new(settings, Arc::new(AuditedOperations::new(Arc::clone(&host), trail))),
        None => Admin::new(settings, Arc::clone(&host)),
    };
    Edges { gateway, admin, host, mesh, plans: (events, schedules), upkeep }
}

/// Begins to deliver events and to keep the times of schedules, and lends the admin and the metrics what they tell.
async fn deliver(
    (events, schedules): (EventPlan, SchedulePlan),
    store: Option<&Store>,
    mesh: Arc<Mesh>,
    host: &HostOperations,
) -> anyhow::Result<()> {
    let started = events.start(store, Arc::clone(&mesh), host.tracer.clone()).await.context("reading the topics")?;
    if let Some(deliveries) = started.map(Arc::new) {
        host.metrics.add_deliveries(Arc::new(DeliverySamples(Arc::clone(&deliveries))));
        // It is set this once, and so are the schedules.
        let _ = host.deliveries.set(deliveries);
    }
    // After the topics: their events are counted.
    if let Some(schedules) = schedules.start(store, mesh, host.tracer.clone()).map(Arc::new) {
        host.metrics.add_schedules(Arc::new(ScheduleSamples(Arc::clone(&schedules))));
        let _ = host.schedules.set(schedules);
    }
    Ok(())
}

/// Begins the tasks of the host itself: they resolve names again, take canaries further, and end faults on purpose.
fn attend(host: &Arc<HostOperations>, upkeep: &mut JoinSet<()>) {
    let resolver = Arc::clone(host);
    upkeep.spawn(async move { resolver.rollout.keep_resolved().await });
    let canaries = Arc::clone(host);
    upkeep.spawn(async move { canaries.rollout.attend(|| canaries.renew_description()).await });
    let faults = Arc::clone(host);
    upkeep.spawn(async move { faults.watch_faults().await });
    let traffic = Arc::clone(host);
    upkeep.spawn(async move { traffic.watch_traffic().await });
}

/// Records each signal that begins or hurries the drain.
fn on_drain(trail: Option<AuditTrail>) -> impl Fn(&'static str) + Send {
    move |signal| {
        if let Some(trail) = &trail {
            trail.note(AuditRecord::new(signal, "drain"));
        }
    }
}

/// Records the end.
fn on_stop(trail: Option<AuditTrail>) {
    if let Some(trail) = trail {
        // It waits for the refusals before it, too.
        block_in_place(|| trail.record(AuditRecord::new("host", "stop")));
    }
}

/// Opens the audit file, if the manifest names one, and records the start with the digest of the manifest.
fn open_audit(manifest: &Manifest, path: &Path) -> anyhow::Result<Option<AuditTrail>> {
    let Some(settings) = &manifest.audit else { return Ok(None) };
    let trail = AuditTrail::open(settings);
    let trail = trail.map_err(|error| ManifestErrors::from(edge_files::audit(manifest, &settings.path, &error)))?;
    let digest = std::fs::read(path).ok().map(|text| Digest::of(&text).to_string());
    let event = AuditRecord::new("host", "start").on(&path.display().to_string());
    trail.record(event.changed(None, digest.as_deref()));
    Ok(Some(trail))
}

async fn prepare(
    draft: &Draft,
    runtime: &Arc<Runtime>,
    partial: bool,
) -> anyhow::Result<(Assembly, (Option<Store>, Option<QuotaStore>))> {
    Ok((assemble(draft, runtime, Compile::Later, partial).await?, open_store(&draft.manifest).await?))
}

/// Adds to the manifest's errors that the host would serve the rest, if it would.
fn suggest_partial(error: anyhow::Error, draft: &Draft) -> anyhow::Error {
    match error.downcast::<ManifestErrors>() {
        Ok(errors) if draft.findings().is_empty() => errors.with_note(PARTIAL).into(),
        Ok(errors) => errors.into(),
        Err(error) => error,
    }
}

/// What is left out, one line each: the services, then the routes whose service is served.
fn list_left_out(manifest: &Manifest, assembly: &Assembly) -> Vec<String> {
    let services = assembly.left_out.iter().map(|(name, reason)| format!("service `{name}`: {reason}"));
    let routes = manifest.routes.iter().zip(&assembly.targets).filter_map(|(route, target)| {
        let reason = target
            .left_out
            .as_ref()
            .filter(|_| !target.service().is_some_and(|service| assembly.left_out.contains_key(service)))?;
        Some(format!("route {}: {reason}", route.rule.description()))
    });
    services.chain(routes).collect()
}

/// Where revisions and recordings are kept.
fn kept(manifest: &Manifest, revisions: &KeptRevisions) -> (Option<Arc<Archive>>, Arc<RecordingPlace>) {
    let (bounds, rules) = (manifest.record.bounds.clone(), Arc::new(manifest.record.rules.clone()));
    (revisions.archive.clone(), Arc::new(RecordingPlace { store: RecordingStore::new(bounds), rules }))
}

/// Deploys the services and publishes them in the discovery table.
fn launch(
    assembly: &mut Assembly,
    runtime: &Arc<Runtime>,
    registry: &Arc<Registry<Service>>,
    store: Option<&Store>,
    (archive, recordings): (Option<Arc<Archive>>, Arc<RecordingPlace>),
) -> anyhow::Result<Rollout> {
    let rollout = Rollout::new(Arc::clone(runtime), Arc::clone(registry), std::mem::take(&mut assembly.needs));
    let mut rollout = rollout.with_archive(archive).with_recordings(recordings);
    let specs = std::mem::take(&mut assembly.specs);
    let components = assembly.components.iter().map(Option::as_ref);
    let components = components.map(|one| one.map(|one| (&one.component, one.links.as_slice())));
    let launched = rollout.launch_all(specs.into_iter().zip(components), store);
    launched.map_err(|(service, error)| anyhow::Error::from(error).context(format!("service `{service}`")))?;
    Ok(rollout)
}

/// The store, if a service has state, a limit has a quota, or there are topics or schedules, and the counts of quotas in it. Opening
/// it reads parts of the file; after a crash, all of it.
async fn open_store(manifest: &Manifest) -> anyhow::Result<(Option<Store>, Option<QuotaStore>)> {
    let has_state = manifest.services.iter().any(|service| service.spec.grants.state);
    let asynchronous = !manifest.topics.is_empty() || !manifest.schedules.is_empty();
    if !has_state && !asynchronous && !quotas::are_named(&manifest.limits) {
        return Ok((None, None));
    }
    let settings = manifest.state.clone();
    let by_state = manifest.routes.iter().any(|route| route.cache.as_ref().is_some_and(|cache| cache.by_state));
    let open = move || {
        let store = Store::open(&settings)?;
        if by_state {
            store.switch_watches_on();
        }
        Ok::<_, StateError>(store)
    };
    let store = spawn_blocking(open).await.context("opening the store")??;
    let counts = quotas::keep(&manifest.limits, &store).await.context("reading the counts of quotas")?;
    Ok((Some(store), counts))
}

/// Raises the limit on open files. A connection is a file, and the usual soft limit of 1,024 is below the gateway's
/// default bound on connections.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
