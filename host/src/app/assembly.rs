//! Everything that is known before the host serves: the components, the links between them, and the HTTP bindings of
//! the typed routes.

use super::load;
use super::probe::health_check;
use super::trust;
use crate::base::ServiceName;
use crate::config::{Finding, LateFindingKey, Manifest, ManifestErrors, Route, RouteCall, ServiceConfig};
use crate::contract::{
    Contract, FunctionName, HttpBinding, HttpBindingError, HttpBindingKey, HttpBindingSpec, Info, Interface,
    InterfaceName, Operation, document,
};
use crate::gateway::{Target, TypedTarget};
use crate::health;
use crate::rollout::{ManifestName, Need, Offers, ServiceSpec, Uses, wire};
use crate::runtime::{Component, Link, Runtime, answers_http};
use bytes::Bytes;
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
    /// What the routes and the health checks use of the services.
    pub(super) needs: Vec<Need>,
    /// The OpenAPI document of the typed routes, if the manifest wants one.
    pub(super) openapi: Option<Bytes>,
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
    let (targets, mut needs) = routes(manifest, &components, &mut findings);
    needs.extend(idempotent(manifest, &components));
    let health_checks = manifest.services.iter().zip(&components).map(|(service, component)| {
        let contract = component.as_ref().map(|component| &*component.described);
        health_check(manifest, service, contract, &mut needs, &mut findings)
    });
    let health_checks = health_checks.collect();
    let specs = trust::specs(manifest, &mut findings);
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => {
            let info = manifest.gateway.openapi.as_ref();
            let openapi = info.map(|info| openapi(info, manifest, &components, &targets));
            Ok(Assembly { specs, components, health_checks, targets, needs, openapi })
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
                    let (key, help) = (LateFindingKey::Idempotent, error.help(""));
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

fn routes(
    manifest: &Manifest,
    components: &[Option<ServiceComponent>],
    findings: &mut Vec<Finding>,
) -> (Vec<Target>, Vec<Need>) {
    let (mut targets, mut needs) = (Vec::new(), Vec::new());
    let services = by_name(manifest, components);
    for (index, route) in manifest.routes.iter().enumerate() {
        let service = services.get(&route.service);
        let component = service.and_then(|(_, component)| *component);
        let speaks_http = component.is_none_or(|component| answers_http(&component.described));
        let has_addresses = service.is_some_and(|(service, _)| !service.spec.addresses.urls.is_empty());
        let mut typed = None;
        match (&route.call, component) {
            (Some(call), Some(component)) => match bind(manifest, route, call, &component.described) {
                Ok(target) => {
                    let name = ManifestName { text: call.function.clone(), prefix: format!("{}/", route.service) };
                    needs.push(Need { name: Some(name), ..need(route, functions(&target)) });
                    typed = Some(Arc::new(target));
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
    (targets, needs)
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
) -> Result<TypedTarget, Vec<HttpBindingError>> {
    let (function, described) = contract.lookup(&call.function).map_err(|error| {
        let help = error.help(&format!("{}/", route.service));
        vec![HttpBindingError { key: HttpBindingKey::Call, message: error.to_string(), help }]
    })?;
    let spec = HttpBindingSpec {
        methods: std::slice::from_ref(&call.method),
        path_params: route.rule.parameters().collect(),
        from_header: &call.from_header,
        status: call.status,
        location: call.location.as_deref(),
        errors: &call.errors,
        names: manifest.gateway.names,
    };
    Ok(TypedTarget { function, binding: HttpBinding::bind(described, &spec)? })
}

/// What a route uses of its service. It holds as long as the host runs.
fn need(route: &Route, uses: Uses) -> Need {
    let by = format!("route {}", route.rule.description());
    Need { by, service: route.service.clone(), uses, name: None }
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

fn functions(target: &TypedTarget) -> Uses {
    let FunctionName { interface, function } = target.function.clone();
    let functions = BTreeMap::from([(function, target.binding.function.clone())]);
    Uses::Functions { interface, functions: Interface { docs: None, functions } }
}

fn openapi(info: &Info, manifest: &Manifest, components: &[Option<ServiceComponent>], targets: &[Target]) -> Bytes {
    let services = by_name(manifest, components);
    let docs = |service: &ServiceName, interface: &InterfaceName| {
        let (_, component) = services.get(service)?;
        (*component)?.described.exports.get(interface)?.docs.as_deref()
    };
    let mut operations = Vec::new();
    for (route, target) in manifest.routes.iter().zip(targets) {
        let (Some(call), Some(typed)) = (&route.call, &target.typed) else { continue };
        operations.push(Operation {
            method: call.method.clone(),
            path: route.rule.path(),
            host: route.rule.host().map(str::to_owned),
            service: target.service.as_str(),
            interface: &typed.function.interface,
            docs: docs(&target.service, &typed.function.interface),
            binding: &typed.binding,
        });
    }
    document(info, &operations).to_string().into()
}
