//! Everything that is known before the host serves: the components, the links between them, and the HTTP bindings of
//! routes; and all that is wrong with a manifest, told at once.
//! Always: `run`, `check`, `inspect`, `test` and `apply` go through the same steps.
//! Never: it serves, listens or changes data.
//! From the top: `assemble` → `load`, `known_components`, `trust`, `edge_files`, `probe`, `state_refusals` → the plans
//! of events, schedules and sagas → `api_description`, `warnings`. What is wrong is collected by `late_findings`.

pub(super) mod api_description;
pub(super) mod check;
pub(super) mod event_plan;
pub(super) mod known_components;
pub(super) mod load;
mod probe;
mod registries;
pub(super) mod routed_places;
pub(super) mod saga_plans;
mod saga_topics;
mod saga_waits;
pub(super) mod schedule_plan;
pub(super) mod service_component;
pub(super) mod state_refusals;
mod trust;
pub(super) mod unfinished_sagas;
mod warnings;

use crate::app::edge::{edge_files, edge_tls, private_files};
use crate::app::late_findings::LateFindings;
use crate::base::ServiceName;
use crate::config::{Draft, Finding, LateFindingKey, Manifest, Route, RouteCall, ServiceConfig};
use crate::contract::{
    BoundFunction, Contract, FunctionName, HttpBindingError, HttpBindingKey, HttpBindingSpec, Interface,
};
use crate::gateway::{Answerer, Target};
use crate::health;
use crate::rollout::{GrantSettings, ManifestName, Need, Offers, ServiceSpec, Uses, WireError, wire, wire_each};
use crate::runtime::{Component, Runtime, answers_http};
use crate::saga::SagaDefinition;
use api_description::ApiDescription;
use event_plan::EventPlan;
use known_components::KnownComponents;
use load::Compile;
use probe::health_check;
use routed_places::RoutedPlaces;
use saga_plans::{SagaContext, SagaPlans};
use schedule_plan::SchedulePlan;
use service_component::ServiceComponent;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;
use warnings::warnings;

/// The manifest's services and routes, checked against the components.
pub(super) struct Assembly {
    /// What is deployed for each service. This and the next two are in the order of the manifest's services.
    pub(super) specs: Vec<ServiceSpec>,
    /// The component of each service; `None` if it has only addresses.
    pub(super) components: Vec<Option<ServiceComponent>>,
    /// The health check of each service.
    pub(super) health_checks: Vec<Option<health::Settings>>,
    /// In the order of the manifest's routes.
    pub(super) targets: Vec<Target>,
    /// The topics and subscriptions.
    pub(super) events: EventPlan,
    /// The sagas.
    pub(super) sagas: SagaPlans,
    /// The schedules.
    pub(super) schedules: SchedulePlan,
    /// What the routes by HTTP and the health checks use of the services.
    pub(super) needs: Vec<Need>,
    /// The description of the typed routes, if the manifest wants one.
    pub(super) description: Option<ApiDescription>,
    /// The services that are not served, each with the reason. They have no component here, and no addresses.
    pub(super) left_out: BTreeMap<ServiceName, String>,
    /// What is probably not meant as it is written.
    pub(super) warnings: Vec<Finding>,
}

impl Assembly {
    /// Takes out what runs beside the edges: events with schedules, sagas, health checks.
    pub(super) fn take_plans(&mut self) -> ((EventPlan, SchedulePlan), SagaPlans, Vec<Option<health::Settings>>) {
        let plans = (take(&mut self.events), take(&mut self.schedules));
        (plans, take(&mut self.sagas), take(&mut self.health_checks))
    }
}

/// Loads the components and checks that they and the routes fit together. With `partial`, a service or a route that
/// cannot be served is left out, and so is each service whose imports only such a service answers. A component that is
/// not `known` is refused for what it lacks of its service's WIT files. `pinned` are the definitions of the sagas that
/// have not ended.
///
/// # Errors
/// Everything that is wrong with the manifest and its components, each with its position in the manifest; except for
/// consequences of what is told anyway. With `partial`: only if something is wrong with the text itself.
pub(super) async fn assemble(
    draft: &Draft,
    runtime: &Arc<Runtime>,
    (compile, partial, known): (Compile, bool, &KnownComponents),
    (places, pinned): (&mut RoutedPlaces, Vec<SagaDefinition>),
) -> anyhow::Result<Assembly> {
    let manifest = &draft.manifest;
    let mut findings = LateFindings::new(draft);
    let mut doubtful = edge_tls::check(manifest, &mut findings);
    doubtful.extend(edge_files::check(manifest, &mut findings).into_iter().chain(private_files::check(manifest)));
    let loaded = load::components(manifest, runtime, compile, &mut findings).await?;
    let mut components = link(draft, loaded, known, (&mut findings, &mut doubtful));
    let mut needs: Vec<Need> = idempotent(manifest, &components).collect();
    let health_checks = manifest.services.iter().zip(&components).map(|(service, component)| {
        let contract = component.as_ref().map(|component| &*component.described);
        health_check(service, contract, &mut needs, &mut findings)
    });
    let mut health_checks: Vec<_> = health_checks.collect();
    let mut specs = trust::specs(manifest, &mut findings);
    let left_out = if partial { leave_out(manifest, findings.of_services(), &mut components) } else { BTreeMap::new() };
    let RoutedTargets { mut targets, mut routed } = routes(manifest, &components, places, &mut needs, &mut findings);
    state_refusals::check(manifest, &components, &mut findings);
    let mut events = EventPlan::of(manifest, &components, (&mut routed, places), &mut needs, &mut findings);
    let schedules = SchedulePlan::of(manifest, &components, &events, (&mut routed, places), &mut needs, &mut findings);
    let sagas = SagaPlans::of(
        pinned,
        &mut SagaContext {
            manifest,
            components: &components,
            routed: &mut routed,
            places,
            needs: &mut needs,
            findings: &mut findings,
            events: &mut events,
        },
    );
    places.finish();
    for spec in &mut specs {
        let mut functions = routed.remove(&spec.name).unwrap_or_default();
        functions.sort_by_key(|function| function.place);
        spec.routed = functions.into();
        spec.grants.topics = events.named(&spec.grants.publish);
    }
    if partial && draft.findings().is_empty() && !findings.has_topics() {
        let routes = findings.of_routes();
        for (index, target) in targets.iter_mut().enumerate() {
            let of_service = target.service().and_then(|service| left_out.get(service));
            let reason = of_service.or_else(|| routes.get(&index));
            target.left_out = reason.map(|reason| reason.as_str().into());
        }
        for (spec, health_check) in specs.iter_mut().zip(&mut health_checks) {
            if left_out.contains_key(&spec.name) {
                spec.addresses.urls.clear();
                *health_check = None;
            }
        }
    } else if let Some(errors) = findings.into_errors() {
        return Err(errors.into());
    }
    let description = ApiDescription::of(manifest, &targets, |saga| sagas.input(saga));
    let warnings = doubtful.into_iter().chain(warnings(manifest, &specs, &targets)).collect();
    Ok(Assembly {
        specs,
        components,
        health_checks,
        targets,
        events,
        schedules,
        sagas,
        needs,
        description,
        left_out,
        warnings,
    })
}

/// Takes the components of the services in `left_out` away, and those of the services that cannot be linked without
/// them. Returns all these services, each with the reason.
fn leave_out(
    manifest: &Manifest,
    mut left_out: BTreeMap<ServiceName, String>,
    components: &mut [Option<ServiceComponent>],
) -> BTreeMap<ServiceName, String> {
    loop {
        let before = left_out.len();
        for (service, component) in manifest.services.iter().zip(&mut *components) {
            if left_out.contains_key(&service.spec.name) {
                *component = None;
            }
        }
        let offers = offers(manifest.services.iter().zip(components.iter().map(|one| Some(&one.as_ref()?.component))));
        for (service, component) in manifest.services.iter().zip(&mut *components) {
            let Some(component) = component else { continue };
            let GrantSettings { calls, .. } = &service.spec.grants;
            match wire(&service.spec.name, component.component.contract(), calls, &offers) {
                Ok(links) => component.links = links,
                Err(error) => {
                    let reason = match calls.iter().find(|&callee| left_out.contains_key(callee)) {
                        Some(callee) => format!("it needs service `{callee}`, which is left out"),
                        None => format!("the component {error}"),
                    };
                    left_out.insert(service.spec.name.clone(), reason);
                }
            }
        }
        if left_out.len() == before {
            return left_out;
        }
    }
}

/// The contract of each service that has a component.
pub(super) fn offers<'a>(services: impl Iterator<Item = (&'a ServiceConfig, Option<&'a Component>)>) -> Offers {
    let offer = |(service, component): (&ServiceConfig, Option<&Component>)| {
        Some((service.spec.name.clone(), Arc::clone(component?.contract())))
    };
    services.filter_map(offer).collect()
}

fn link(
    draft: &Draft,
    components: Vec<Option<Component>>,
    known: &KnownComponents,
    (findings, doubtful): (&mut LateFindings<'_>, &mut Vec<Finding>),
) -> Vec<Option<ServiceComponent>> {
    let manifest = &draft.manifest;
    let unknown = unknown(draft, &components);
    let offers = offers(manifest.services.iter().zip(components.iter().map(Option::as_ref)));
    let mut linked = Vec::new();
    for (service, component) in manifest.services.iter().zip(components) {
        let name = &service.spec.name;
        linked.push(component.map(|component| {
            let contract = component.contract();
            let (mut links, mut not_granted) = (Vec::new(), BTreeSet::new());
            for outcome in wire_each(name, contract, &service.spec.grants.calls, &offers) {
                match outcome {
                    Ok(link) => links.push(link),
                    Err(error) if unknown.may_answer(&service.spec.grants.calls, &error) => {}
                    // One grant is enough for all interfaces of a service.
                    Err(WireError::NotGranted { provider, .. }) if !not_granted.insert(provider.clone()) => {}
                    Err(error) => {
                        let message = format!("service `{name}`: the component {error}");
                        findings.service(name, LateFindingKey::Calls, message, error.help());
                    }
                }
            }
            // If a link is missing, that is a finding already, and `links` would report the same import again.
            if links.len() == contract.imports.len()
                && let Err(error) = component.links()
            {
                findings.component(name, &error);
            }
            let described = known.describe(manifest, service, &component, (&mut *findings, &mut *doubtful));
            for text in &service.spec.idempotent {
                if let Err(error) = contract.lookup(text) {
                    let (key, help) = (LateFindingKey::Idempotent, error.help(""));
                    findings.service(name, key, error.to_string(), help);
                }
            }
            ServiceComponent { component, links, described }
        }));
    }
    linked
}

/// The services whose contract is not known, because something is wrong with them.
struct UnknownContracts {
    names: BTreeSet<ServiceName>,
    /// Whether there may be more services, in the parts of the text that could not be read.
    more: bool,
}

fn unknown(draft: &Draft, components: &[Option<Component>]) -> UnknownContracts {
    let unknown = |(service, component): (&ServiceConfig, &Option<Component>)| {
        let ServiceConfig { spec, component: file, .. } = service;
        let only_addresses = file.is_none() && !spec.addresses.urls.is_empty() && draft.is_settled(&spec.name);
        (component.is_none() && !only_addresses).then(|| spec.name.clone())
    };
    let names = draft.manifest.services.iter().zip(components).filter_map(unknown).collect();
    UnknownContracts { names, more: !draft.is_whole() }
}

impl UnknownContracts {
    /// Whether the error of an import would perhaps not be there if these services were right: one of them may answer
    /// the import.
    fn may_answer(&self, calls: &[ServiceName], error: &WireError) -> bool {
        match error {
            WireError::NotProvided { .. } => self.more || !self.names.is_empty(),
            WireError::NotGranted { .. } => self.more || calls.iter().any(|callee| self.names.contains(callee)),
            WireError::OnlyReplaced { .. } | WireError::Ambiguous { .. } | WireError::Unmet { .. } => false,
        }
    }
}

/// What the routes lead to.
#[derive(Default)]
struct RoutedTargets {
    targets: Vec<Target>,
    /// The functions that routes call, by service.
    routed: BTreeMap<ServiceName, Vec<BoundFunction>>,
}

fn routes(
    manifest: &Manifest,
    components: &[Option<ServiceComponent>],
    places: &mut RoutedPlaces,
    needs: &mut Vec<Need>,
    findings: &mut LateFindings<'_>,
) -> RoutedTargets {
    let RoutedTargets { mut targets, mut routed } = RoutedTargets::default();
    let services = by_name(manifest, components);
    for (index, route) in manifest.routes.iter().enumerate() {
        let Answerer::Service(name) = &route.answerer else {
            targets.push(target(route, None, false));
            continue;
        };
        let service = services.get(name);
        let component = service.and_then(|(_, component)| *component);
        let speaks_http = component.is_none_or(|component| answers_http(&component.described));
        let has_addresses = service.is_some_and(|(service, _)| !service.spec.addresses.urls.is_empty());
        let mut typed = None;
        match (&route.call, component) {
            (Some(call), Some(component)) => match bind(manifest, route, (name, call), &component.described) {
                Ok(mut function) => {
                    needs.push(named(route, (name, call), &function));
                    function.place = places.of(name, function.wish(&call.function));
                    typed = Some(function.place);
                    routed.entry(name.clone()).or_default().push(function);
                }
                Err(errors) => errors.into_iter().for_each(|error| findings.route(index, error)),
            },
            (None, _) if !speaks_http && !has_addresses => {
                let message = format!("service `{name}` answers no HTTP by itself: it exports only functions");
                let help = format!("name a function in place of the service: call = \"{name}/FUNCTION\"");
                findings.route(index, HttpBindingError { key: HttpBindingKey::Call, message, help });
            }
            (None, Some(_)) if !has_addresses => needs.push(need(route, name, Uses::Http)),
            _ => {}
        }
        let trailers = service.is_some_and(|(service, _)| service.spec.addresses.dial.http2);
        let open_uploads = service.map_or(0, |(service, _)| service.open_uploads);
        targets.push(Target { open_uploads, ..target(route, typed, trailers) });
    }
    RoutedTargets { targets, routed }
}

/// What a route leads to: `typed` is the place of its function, `trailers` whether its service takes them.
fn target(route: &Route, typed: Option<usize>, trailers: bool) -> Target {
    let Route {
        answerer,
        body: body_limit,
        limits,
        timeout,
        websocket,
        interim,
        cors,
        cache,
        addresses,
        transforms,
        ..
    } = route.clone();
    Target {
        answerer,
        body_limit,
        open_uploads: 0,
        timeout,
        limits,
        typed,
        trailers,
        interim,
        websocket,
        access: None,
        addresses,
        cors,
        cache,
        left_out: None,
        transforms,
    }
}

/// The services and their components, by name.
fn by_name<'a>(
    manifest: &'a Manifest,
    components: &'a [Option<ServiceComponent>],
) -> HashMap<&'a ServiceName, (&'a ServiceConfig, Option<&'a ServiceComponent>)> {
    let services = manifest.services.iter().zip(components);
    services.map(|(service, component)| (&service.spec.name, (service, component.as_ref()))).collect()
}

/// The function that a route calls, with its HTTP binding.
fn bind(
    manifest: &Manifest,
    route: &Route,
    (service, call): (&ServiceName, &RouteCall),
    contract: &Contract,
) -> Result<BoundFunction, Vec<HttpBindingError>> {
    let (function, described) = contract.lookup(&call.function).map_err(|error| {
        let help = error.help(&format!("{service}/"));
        vec![HttpBindingError { key: HttpBindingKey::Call, message: error.to_string(), help }]
    })?;
    let spec = HttpBindingSpec {
        methods: vec![call.method.clone()],
        path_params: route.rule.parameters().map(str::to_owned).collect(),
        from_header: call.from_header.clone(),
        status: call.status,
        location: call.location.clone(),
        errors: call.errors.clone(),
        names: manifest.gateway.names,
    };
    BoundFunction::bind(by(route), function, described, spec)
}

/// What a route by HTTP uses of its service. It holds as long as the host runs.
fn need(route: &Route, service: &ServiceName, uses: Uses) -> Need {
    Need { by: by(route), service: service.clone(), uses, name: None }
}

/// The name of the function that a route calls. What the route needs of the function's type is checked where it is
/// bound anew.
fn named(route: &Route, (service, call): (&ServiceName, &RouteCall), function: &BoundFunction) -> Need {
    let name = ManifestName { text: call.function.clone(), prefix: format!("{service}/") };
    let interface = function.name.interface.clone();
    let uses = Uses::Functions { interface, functions: Interface::default() };
    Need { name: Some(name), ..need(route, service, uses) }
}

/// The functions that the manifest calls idempotent: each later component must have them too. Their types do not
/// matter.
fn idempotent<'a>(
    manifest: &'a Manifest,
    components: &'a [Option<ServiceComponent>],
) -> impl Iterator<Item = Need> + 'a {
    let named = |(service, component): (&'a ServiceConfig, &'a Option<ServiceComponent>)| {
        let contract = component.as_ref()?.component.contract();
        Some(service.spec.idempotent.iter().filter_map(move |text| {
            let (FunctionName { interface, .. }, _) = contract.lookup(text).ok()?;
            let (by, service) = (format!("`idempotent` of `{}`", service.spec.name), service.spec.name.clone());
            let name = Some(ManifestName { text: text.clone(), prefix: String::new() });
            Some(Need { by, service, uses: Uses::Functions { interface, functions: Interface::default() }, name })
        }))
    };
    manifest.services.iter().zip(components).filter_map(named).flatten()
}

/// A route as messages name it.
fn by(route: &Route) -> String {
    format!("route {}", route.rule.description())
}
