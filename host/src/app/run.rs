//! The life of the host: build, serve, and shut down (`shutdown.rs`).

use super::apply::applier::{AppliedManifest, Applier};
use super::apply::kept_revisions::KeptRevisions;
use super::apply::manifest_in_use::ManifestInUse;
use super::assembly::check::check_all;
use super::assembly::known_components::KnownComponents;
use super::assembly::load::{self, Compile};
use super::assembly::routed_places::RoutedPlaces;
use super::assembly::saga_plans::pinned_sagas;
use super::assembly::state_refusals;
use super::assembly::unfinished_sagas;
use super::assembly::{Assembly, assemble};
use super::asynchronous::{coordinate, deliver};
use super::cluster_node::ClusterNode;
use super::edge::admin_file::AdminFile;
use super::edge::auth_policies::AuthPolicies;
use super::edge::edge_files;
use super::edge::edge_tls::EdgeTls;
use super::edge::quota_store::QuotaStore;
use super::edge::quotas;
use super::health_watches::HealthWatches;
use super::host_parts::{CheckedManifest, HostParts, ServingHost};
use super::name_service::NameService;
use super::operations::observations::watch_traffic;
use super::operations::snapshot_folder::SnapshotFolder;
use super::otlp::host_traces::HostTraces;
use super::running_host::RunningHost;
use super::shutdown::{Shutdown, Signals};
use super::start_end::StartEnd;
use crate::acme::CertificateKeeper;
use crate::archive::Archive;
use crate::audit::{AuditRecord, AuditTrail};
use crate::base::{Digest, counted};
use crate::cluster::Cluster;
use crate::config::{Draft, Manifest, ManifestErrors};
use crate::gateway::CacheDisk;
use crate::health;
use crate::listen::{Drain, Listener};
use crate::mesh::{Mesh, Service};
use crate::node::{NodeDuties, SwapFollower};
use crate::recording::RecordingStore;
use crate::registry::Registry;
use crate::rollout::Rollout;
use crate::runtime::{RecordingPlace, Runtime};
use crate::state::Store;
use crate::telemetry;
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet, block_in_place, spawn_blocking};
use tokio::time::timeout;

/// How long the host waits for name servers before it serves.
const RESOLVING: Duration = Duration::from_secs(2);

/// What the error of one service or route means for all others, and the way out.
const PARTIAL: &str = "nothing is served until this is right; `atoll run --partial` leaves out what cannot be served, \
                       and serves the rest";

/// Serves the manifest at `path` until the process is told to stop (SIGTERM or SIGINT), then lets requests in flight
/// finish. A second signal cuts them off. SIGHUP applies the manifest again. `announce` gets one line for each address
/// when all services serve; before, it gets a line that says which components are being compiled, if there are such.
///
/// # Errors
/// What is wrong with the manifest and its components ([`ManifestErrors`]), an address
/// that is in use, a store that cannot be opened. The host has not served then. With `partial`, services and routes
/// that cannot be served are no error: they are left out.
pub async fn run(path: &Path, partial: bool, announce: impl Fn(&str) + Send + Sync + 'static) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut draft = right_manifest(path, partial).await?;
    let manifest = &draft.manifest;
    settle_process(path, manifest);
    let (mut signals, hangup) = (Signals::catch()?, signal(SignalKind::hangup())?);
    let (tls, keeper) = edge_tls(&draft, &announce).await?;
    let (gateway_socket, admin_socket) = tls.bind(manifest).await?;
    let (secure_address, names) = (gateway_socket.secure_addr()?, NameService::bind(manifest, &gateway_socket).await?);

    let (trail, revisions) = (open_audit(manifest, path)?, KeptRevisions::open(&mut draft.manifest)?);
    let manifest = &draft.manifest;
    let (runtime, mut places) = (load::engine(manifest)?, RoutedPlaces::default());
    let prepared = prepare_until_told(&draft, &runtime, (partial, &mut places), &mut signals).await?;
    let Some((mut assembly, (store, counts))) = prepared else { return Ok(()) };
    let (policies, traces) = (AuthPolicies::of(manifest, None)?, HostTraces::of(manifest)?);
    let (registry, duties) = (Arc::new(Registry::default()), Arc::default());
    let rollout = launch(&mut assembly, &runtime, &registry, store.as_ref(), kept(manifest, &revisions))?;
    settle(&rollout).await?;
    let (cluster, node) = ClusterNode::join(manifest, names.as_ref(), &registry, &duties).await?;

    let (drain, admin_drain) = (Drain::new(), Drain::new());
    let (left_out, warnings) = (list_left_out(manifest, &assembly), std::mem::take(&mut assembly.warnings));
    let parts = host_parts(
        (path, manifest, partial, started),
        (&runtime, registry, rollout),
        (&store, &trail, &traces, &drain),
        (&tls, secure_address, &gateway_socket),
        (&cluster, &duties, names.as_ref()),
    )?;
    let follower = follower(&parts).await;
    let (plans, sagas, health_checks) = assembly.take_plans();
    let checked = CheckedManifest { manifest, assembly, policies: &policies, files: revisions.files.files.clone() };
    let serving = parts.serve(checked, None);
    let (host, running) = (Arc::clone(&serving.host), Arc::new(RunningHost::new(&serving)));
    host.inject_faults(manifest);
    let mut upkeep = attend(&running, &tls, manifest, &traces);
    keeper.map(|keeper| upkeep.spawn(keeper.keep()));
    follower.map(|follower| upkeep.spawn(follower.follow()));
    let peers = node.map(|node| node.serve(&parts, &mut upkeep));
    let names = names.map(|names| names.serve(&parts, &running, &mut upkeep));
    deliver(plans, (store.as_ref(), manifest), &parts, &host).await?;
    let sagas = coordinate(sagas, store.as_ref(), Arc::clone(&parts.mesh), &host).await?;

    let (asynchronous, admin_address, within) = (Arc::clone(&host), admin_socket.local_addr()?, manifest.gateway.drain);
    let _left_until_the_end = AdminFile::leave(path, admin_address, tls.admin.is_some());
    let end = StartEnd {
        host,
        runtime: Arc::clone(&runtime),
        announce,
        revisions,
        gateway: gateway_socket.local_addr()?,
        secure_gateway: secure_address,
        names,
        admin: format!("{}://{admin_address}", if tls.admin.is_some() { "https" } else { "http" }),
        warnings,
        left_out,
        services: manifest.services.len(),
        started,
        drain: drain.clone(),
    };
    upkeep.spawn(end.finish());

    let applied = applied_manifest(draft, &parts, (serving, policies, places), (health_checks, counts));
    let applier = Applier::new(parts, Arc::clone(&running), applied);
    upkeep.spawn(reload_on_hangup(hangup, applier, trail.clone()));
    let admin_edge = (serve_operators(admin_socket, &running, &admin_drain), admin_drain);
    let on_drain = on_drain(trail.clone(), cluster.clone());
    let signals = tokio::spawn(signals.start((drain.clone(), within), store.clone(), on_drain));
    serve(gateway_socket, running, drain.clone()).await;
    let (exporter, peers) = (traces.exporter, peers.map(|edge| (edge, drain, within)));
    let shutdown = Shutdown { peers, admin_edge, upkeep, exporter, runtime, asynchronous, sagas, cluster, store };
    shut_down(shutdown, signals, trail).await
}

/// Shuts down. Until the end a second signal hurries it.
async fn shut_down(shutdown: Shutdown, signals: JoinHandle<()>, trail: Option<AuditTrail>) -> anyhow::Result<()> {
    let ended = shutdown.run().await;
    signals.abort();
    on_stop(trail);
    ended
}

/// The manifest, in whose text nothing is wrong.
async fn right_manifest(path: &Path, partial: bool) -> anyhow::Result<Draft> {
    let draft = load::manifest(path)?;
    if !draft.findings().is_empty() || (!partial && !draft.absent().is_empty()) {
        check_all(&draft, &KnownComponents::All).await.map_err(|error| suggest_partial(error, &draft))?;
    }
    Ok(draft)
}

/// Prepares the start; `None` if a signal comes before. To compile, and to repair a store after a crash, can take long:
/// a signal ends the host during that time too.
async fn prepare_until_told(
    draft: &Draft,
    runtime: &Arc<Runtime>,
    (partial, places): (bool, &mut RoutedPlaces),
    signals: &mut Signals,
) -> anyhow::Result<Option<(Assembly, (Option<Store>, Option<QuotaStore>))>> {
    tokio::select! {
        prepared = prepare(draft, runtime, partial, places) => {
            prepared.map(Some).map_err(|error| suggest_partial(error, draft))
        }
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it served");
            Ok(None)
        }
    }
}

/// What lets this node follow its cluster. It has the revisions of the cluster then, and others are told what it
/// serves.
async fn follower(parts: &HostParts) -> Option<SwapFollower> {
    let cluster = parts.cluster.as_ref()?;
    let mut follower = SwapFollower::new(Arc::clone(cluster), Arc::clone(&parts.rollout), Arc::clone(&parts.duties));
    follower.begin().await;
    parts.duties.open();
    Some(follower)
}

/// Serves operators, by whichever admin is the host's.
fn serve_operators(socket: Listener, running: &Arc<RunningHost>, drain: &Drain) -> JoinHandle<usize> {
    let running = Arc::clone(running);
    tokio::spawn(socket.serve(move |request, _| running.admin().handle(request), drain.clone()))
}

/// What lives as long as the process.
fn host_parts(
    (path, manifest, partial, since): (&Path, &Manifest, bool, Instant),
    (runtime, registry, rollout): (&Arc<Runtime>, Arc<Registry<Service>>, Rollout),
    (store, trail, traces, drain): (&Option<Store>, &Option<AuditTrail>, &HostTraces, &Drain),
    (tls, secure_address, gateway): (&EdgeTls, Option<SocketAddr>, &Listener),
    (cluster, duties, names): (&Option<Arc<Cluster>>, &Arc<NodeDuties>, Option<&NameService>),
) -> anyhow::Result<HostParts> {
    let disk = manifest.gateway.cache_disk.as_ref();
    let disk = disk.map(|disk| CacheDisk::open(&disk.folder, disk.most_bytes)).transpose();
    let cache_disk = disk.context("the folder of kept answers (`folder` of `[gateway.cache]`)")?;
    let mesh = Arc::new(Mesh::new(Arc::clone(&registry), manifest.mesh.clone()));
    let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
    runtime.connect(outcall);
    Ok(HostParts {
        path: path.to_path_buf(),
        runtime: Arc::clone(runtime),
        registry,
        rollout: Arc::new(rollout),
        mesh,
        store: store.clone(),
        trail: trail.clone(),
        tls: tls.clone(),
        secure_address,
        proxy: gateway.refusals().cloned(),
        http2: gateway.http2_refusals().cloned(),
        tracer: traces.tracer.clone(),
        drain: drain.clone(),
        cluster: cluster.clone(),
        duties: Arc::clone(duties),
        names: names.map(NameService::metrics),
        partial,
        since,
        sagas: Arc::default(),
        applier: Arc::default(),
        cache_disk,
    })
}

/// The manifest of the start, as the first one that is served.
fn applied_manifest(
    draft: Draft,
    parts: &HostParts,
    (serving, policies, places): (ServingHost, AuthPolicies, RoutedPlaces),
    (health_checks, counts): (Vec<Option<health::Settings>>, Option<QuotaStore>),
) -> AppliedManifest {
    let text = draft.text().to_owned();
    let manifest = draft.manifest;
    let mut quotas = JoinSet::new();
    if let Some(counts) = counts {
        quotas.spawn(quotas::forget_old_counts(manifest.limits.clone(), counts));
    }
    let mut watches = HealthWatches::default();
    let names = manifest.services.iter().map(|service| service.spec.name.clone());
    watches.watch(&parts.registry, names.zip(health_checks).collect(), |_| false);
    let keys = policies.kept_fresh();
    let in_use = ManifestInUse::new(&text, manifest);
    AppliedManifest { in_use, serving, policies: Arc::new(policies), places, watches, keys, quotas }
}

/// Applies the host's own manifest at each SIGHUP. It never returns.
async fn reload_on_hangup(mut hangup: Signal, applier: Arc<Applier>, trail: Option<AuditTrail>) {
    while hangup.recv().await.is_some() {
        let outcome = Box::pin(applier.reload()).await;
        let words = match &outcome {
            Ok(view) => counted(view.changes.len(), "change", "changes"),
            Err(error) => format!("refused: {:?}", error.kind),
        };
        match outcome {
            Ok(view) if view.changes.is_empty() => tracing::info!("SIGHUP: the manifest has not changed"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "SIGHUP: the manifest was not applied; the one before serves on"),
        }
        if let Some(trail) = &trail {
            trail.note(AuditRecord::new("SIGHUP", "apply").on("manifest").outcome(&words));
        }
    }
}

/// Reads the certificates. If they are wrong, whatever else is wrong is told with it. The keeper of a certificate that
/// the host obtains by itself begins once the gateway serves, since the authority looks at it.
async fn edge_tls(draft: &Draft, announce: &impl Fn(&str)) -> anyhow::Result<(EdgeTls, Option<CertificateKeeper>)> {
    let tls = EdgeTls::load(&draft.manifest, announce);
    if tls.is_err() {
        check_all(draft, &KnownComponents::All).await?;
    }
    let tls = tls?;
    let keeper = tls.keeper(&draft.manifest)?;
    Ok((tls, keeper))
}

/// Serves customers until the end of the drain.
async fn serve(socket: Listener, running: Arc<RunningHost>, drain: Drain) {
    let observer = Arc::clone(&running);
    let socket = socket.on_unparsed(move |request| observer.gateway().0.unparsed(&request));
    let handle = move |request, peer| {
        // A request stays with the gateway that it began with.
        let gateway = running.gateway();
        async move { gateway.0.handle(request, peer).await }
    };
    let cut_off = socket.serve(handle, drain).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were cut off at the end of the drain");
    }
}

/// The last steps before calls come: the formats of data are read, and sources of endpoints are asked for a while. One
/// that does not answer is asked again later: other services must not wait for it.
async fn settle(rollout: &Rollout) -> anyhow::Result<()> {
    rollout.find_numbered_data().await.context("reading the formats of the services' data")?;
    if timeout(RESOLVING, rollout.ask_sources()).await.is_err() {
        tracing::warn!("sources of endpoints are still being asked: what they name gets no calls yet");
    }
    Ok(())
}

/// Begins the tasks of the host itself: they watch certificates, send traces, follow sources of endpoints, take
/// canaries further, and end faults on purpose.
fn attend(running: &Arc<RunningHost>, tls: &EdgeTls, manifest: &Manifest, traces: &HostTraces) -> JoinSet<()> {
    let mut upkeep = JoinSet::new();
    tls.watch(manifest, &mut upkeep);
    if let Some(exporter) = traces.exporter.clone() {
        let serving = Arc::clone(running);
        upkeep.spawn(async move { exporter.run(Box::new(move || serving.host().metrics.encode())).await });
    }
    let resolver = running.host();
    upkeep.spawn(async move { resolver.rollout.follow_sources().await });
    let (canaries, renewed) = (running.host(), Arc::clone(running));
    upkeep.spawn(async move { canaries.rollout.attend(|| renewed.host().renew_description()).await });
    let faults = running.host();
    upkeep.spawn(async move { faults.watch_faults().await });
    let traffic = Arc::clone(running);
    upkeep.spawn(async move { watch_traffic(|| traffic.host()).await });
    upkeep
}

/// Records each signal that begins or hurries the drain, and tells the other nodes.
fn on_drain(trail: Option<AuditTrail>, cluster: Option<Arc<Cluster>>) -> impl Fn(&'static str) + Send {
    move |signal| {
        if let Some(cluster) = &cluster {
            cluster.drain();
        }
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
    places: &mut RoutedPlaces,
) -> anyhow::Result<(Assembly, (Option<Store>, Option<QuotaStore>))> {
    // A saga that has not ended goes on with its own definition, whose functions are checked as those of the manifest.
    if let Some(errors) = state_refusals::before_opening(draft) {
        return Err(errors.into());
    }
    let state = &draft.manifest.state;
    let has_sagas = !draft.manifest.sagas.is_empty() || state.remote.is_some() || state.path.exists();
    let early = if has_sagas { Some(open_store(&draft.manifest).await?) } else { None };
    let pinned = pinned_sagas(early.as_ref().and_then(|(store, _)| store.as_ref())).await?;
    let how = (Compile::Later, partial, &KnownComponents::All);
    let assembly = assemble(draft, runtime, how, (places, pinned)).await?;
    let stores = match early {
        Some(stores) => stores,
        None => open_store(&draft.manifest).await?,
    };
    Ok((assembly, stores))
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
pub(super) fn launch(
    assembly: &mut Assembly,
    runtime: &Arc<Runtime>,
    registry: &Arc<Registry<Service>>,
    store: Option<&Store>,
    (archive, recordings): (Option<Arc<Archive>>, Arc<RecordingPlace>),
) -> anyhow::Result<Rollout> {
    let rollout = Rollout::new(Arc::clone(runtime), Arc::clone(registry), std::mem::take(&mut assembly.needs));
    let rollout = rollout.with_archive(archive).with_recordings(recordings);
    let specs = std::mem::take(&mut assembly.specs);
    let components = assembly.components.iter().map(Option::as_ref);
    let components = components.map(|one| one.map(|one| (&one.component, one.links.as_slice())));
    let launched = rollout.launch_all(specs.into_iter().zip(components), store);
    launched.map_err(|(service, error)| anyhow::Error::from(error).context(format!("service `{service}`")))?;
    Ok(rollout)
}

/// The store, if a service has state, a limit has a quota, there are topics, sagas or schedules, or sagas of an earlier
/// manifest have not ended; and the counts of quotas in it. Opening it reads parts of the file; after a crash, all of
/// it.
pub(super) async fn open_store(manifest: &Manifest) -> anyhow::Result<(Option<Store>, Option<QuotaStore>)> {
    let has_state = manifest.services.iter().any(|service| service.spec.grants.state);
    let asynchronous = !manifest.topics.is_empty() || !manifest.schedules.is_empty() || !manifest.sagas.is_empty();
    if !has_state && !asynchronous && !quotas::are_named(&manifest.limits) {
        return Ok((unfinished_sagas::store(&manifest.state).await?, None));
    }
    let (settings, snapshots) = (manifest.state.clone(), SnapshotFolder::beside(&manifest.state.path));
    let by_state = manifest.caches_by_state();
    let store = Store::connect(&settings).await.context("opening the store")?;
    let opened = store.clone();
    let prepare = move || {
        // The folder is that of the host that has the database open.
        if let Err(error) = SnapshotFolder::sweep(&snapshots) {
            tracing::warn!(path = %snapshots.display(), %error, "what is not whole there stays");
        }
        if by_state {
            opened.switch_watches_on();
        }
    };
    spawn_blocking(prepare).await.context("opening the store")?;
    let counts = quotas::keep(&manifest.limits, &store).await.context("reading the counts of quotas")?;
    Ok((Some(store), counts))
}

/// What the process is and leaves outside of itself, before it serves.
fn settle_process(path: &Path, manifest: &Manifest) {
    AdminFile::clear(path);
    telemetry::bound(&manifest.log);
    raise_file_limit();
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
