//! Everything that is known before the host serves: the components, the links between them, and the HTTP bindings of
//! the typed routes.

use super::api_description::ApiDescription;
use super::load;
use super::probe::health_check;
use super::trust;
use crate::base::ServiceName;
use crate::config::{Finding, LateFindingKey, Manifest, ManifestErrors, Route, RouteCall, ServiceConfig};
use crate::contract::{BoundFunction, Contract, HttpBindingError, HttpBindingKey, HttpBindingSpec};
use crate::gateway::Target;
use crate::health;
use crate::rollout::{Need, Offers, ServiceSpec, Uses, wire};
use crate::runtime::{Component, Link, Runtime, answers_http};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
    /// What the routes by HTTP and the health checks use of the services.
    pub(super) needs: Vec<Need>,
    /// The description of the typed routes, if the manifest wants one.
    pub(super) description: Option<ApiDescription>,
}

/// One service's component.
pub(super) struct ServiceComponent {
    pub(super) component: Component,
    /// The services that answer its imports.
    pub(super) links: Vec<Link>,
    /// Its contract, with the docs of its WIT files if the manifest names their folder.
    pub(super) described: Arc<Contract>,
}

/// Loads the components and checks that they and the routes fit together.
///
/// # Errors
/// All components that cannot serve, each with its position in the manifest; otherwise everything that does not fit
/// together.
pub(super) async fn assemble(manifest: &Manifest, runtime: &Arc<Runtime>) -> anyhow::Result<Assembly> {
    let loaded = load::components(manifest, runtime).await?;
    let mut findings = Vec::new();
    let components = link(manifest, loaded, &mut findings);
    let RoutedTargets { targets, mut needs, mut routed } = routes(manifest, &components, &mut findings);
    let health_checks = manifest.services.iter().zip(&components).map(|(service, component)| {
        let contract = component.as_ref().map(|component| &*component.described);
        health_check(manifest, service, contract, &mut needs, &mut findings)
    });
    let health_checks = health_checks.collect();
    let mut specs = trust::specs(manifest, &mut findings);
    for spec in &mut specs {
        spec.routed = routed.remove(&spec.name).unwrap_or_default().into();
    }
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => {
            let description = ApiDescription::of(manifest, &targets);
            Ok(Assembly { specs, components, health_checks, targets, needs, description })
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
    manifest: &Manifest,
    components: Vec<Option<Component>>,
    findings: &mut Vec<Finding>,
) -> Vec<Option<ServiceComponent>> {
    let offers = offers(manifest.services.iter().zip(components.iter().map(Option::as_ref)));
    let mut linked = Vec::new();
    for (service, component) in manifest.services.iter().zip(components) {
        let name = &service.spec.name;
        linked.push(component.map(|component| {
            let contract = component.contract();
            let links = wire(name, contract, &service.spec.grants.calls, &offers).unwrap_or_else(|error| {
                let message = format!("service `{name}`: the component {error}");
                findings.push(manifest.diagnose(name, LateFindingKey::Calls, message, error.help()));
                Vec::new()
            });
            // If a link is missing, that is a finding already, and `links` would report the same import again.
            if links.len() == contract.imports.len()
                && let Err(error) = component.links()
            {
                findings.push(load::diagnose(manifest, name, &error));
            }
            let described = describe(manifest, service, contract, findings);
            for text in &service.spec.idempotent {
                if let Err(error) = contract.lookup(text) {
                    let (key, help) = (LateFindingKey::Idempotent, error.help());
                    findings.push(manifest.diagnose(name, key, error.to_string(), help));
                }
            }
            ServiceComponent { component, links, described }
        }));
    }
    linked
}

/// The contract with the docs of the service's WIT files.
fn describe(
    manifest: &Manifest,
    service: &ServiceConfig,
    contract: &Arc<Contract>,
    findings: &mut Vec<Finding>,
) -> Arc<Contract> {
    let Some(folder) = &service.wit else { return Arc::clone(contract) };
    let mut described = Contract::clone(contract);
    if let Err(error) = described.with_docs(folder) {
        let help = "name the folder of the WIT package that the component was built from";
        findings.push(manifest.diagnose(&service.spec.name, LateFindingKey::Wit, error.to_string(), help));
    }
    described.into()
}

/// What the routes lead to.
#[derive(Default)]
struct RoutedTargets {
    targets: Vec<Target>,
    needs: Vec<Need>,
    /// The functions that routes call, by service.
    routed: BTreeMap<ServiceName, Vec<BoundFunction>>,
}

fn routes(manifest: &Manifest, components: &[Option<ServiceComponent>], findings: &mut Vec<Finding>) -> RoutedTargets {
    let RoutedTargets { mut targets, mut needs, mut routed } = RoutedTargets::default();
    let services = by_name(manifest, components);
    for (index, route) in manifest.routes.iter().enumerate() {
        let service = services.get(&route.service);
        let component = service.and_then(|(_, component)| *component);
        let speaks_http = component.is_none_or(|component| answers_http(&component.described));
        let has_addresses = service.is_some_and(|(service, _)| !service.spec.addresses.urls.is_empty());
        let mut typed = None;
        match (&route.call, component) {
            (Some(call), Some(component)) => match bind(manifest, route, call, &component.described) {
                Ok(function) => {
                    let functions: &mut Vec<_> = routed.entry(route.service.clone()).or_default();
                    typed = Some(functions.len());
                    functions.push(function);
                }
                Err(errors) => {
                    let errors = errors.into_iter();
                    findings.extend(
                        errors.map(|error| manifest.diagnose_route(index, error.key, error.message, error.help)),
                    );
                }
            },
            (None, _) if !speaks_http && !has_addresses => {
                let message =
                    format!("service `{}` answers no HTTP by itself: it exports only functions", route.service);
                let help = format!("name a function in place of the service: call = \"{}/FUNCTION\"", route.service);
                findings.push(manifest.diagnose_route(index, HttpBindingKey::Call, message, help));
            }
            (None, Some(_)) if !has_addresses => needs.push(need(route, Uses::Http)),
            _ => {}
        }
        let Route { service, body, timeout, .. } = route.clone();
        targets.push(Target { service, body_limit: body, timeout, typed });
    }
    RoutedTargets { targets, needs, routed }
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
    call: &RouteCall,
    contract: &Contract,
) -> Result<BoundFunction, Vec<HttpBindingError>> {
    let (function, described) = contract.lookup(&call.function).map_err(|error| {
        vec![HttpBindingError { key: HttpBindingKey::Call, message: error.to_string(), help: error.help() }]
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
fn need(route: &Route, uses: Uses) -> Need {
    Need { by: by(route), service: route.service.clone(), uses }
}

/// A route as messages name it.
fn by(route: &Route) -> String {
    format!("route {}", route.rule.description())
}
