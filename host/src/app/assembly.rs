//! Everything that can be known before the first socket: the components, how they are linked, and what their functions are over HTTP.

use super::build;
use super::probe::checks;
use super::trust::{Dials, dials};
use crate::base::ServiceName;
use crate::config::{Finding, Manifest, ManifestErrors, Route, RouteCall, ServiceConfig, ServiceKey};
use crate::contract::{
    Contract, FunctionName, HttpBinding, HttpBindingError, HttpBindingKey, HttpBindingSpec, Info, Interface,
    InterfaceName, LookupError, Operation, document,
};
use crate::gateway::{Target, TypedTarget};
use crate::health;
use crate::rollout::{Need, Offers, Uses, WireError, wire};
use crate::runtime::{Component, Link, Runtime, answers_http};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The manifest's services and routes, checked against the components.
pub(super) struct Assembly {
    /// In the order of the manifest's services; `None` for one of addresses alone.
    pub(super) parts: Vec<Option<ServiceComponent>>,
    /// In the order of the manifest's routes.
    pub(super) targets: Vec<Target>,
    /// How endpoints are checked, in the order of the manifest's services.
    pub(super) checks: Vec<Option<health::Settings>>,
    /// How connections are made, in the order of the manifest's services.
    pub(super) dials: Vec<Dials>,
    /// What the routes and the checks use of the services.
    pub(super) needs: Vec<Need>,
    /// What the typed routes are to the outside.
    pub(super) openapi: Bytes,
}

/// One service's component.
pub(super) struct ServiceComponent {
    pub(super) component: Component,
    /// Who answers its imports.
    pub(super) links: Vec<Link>,
    /// Its contract with the docs of its WIT files, as far as the manifest names them.
    pub(super) described: Arc<Contract>,
}

/// Loads the components and checks that they and the routes fit together.
///
/// # Errors
/// All components that cannot serve, each at its place in the manifest; or else all that does not fit.
pub(super) async fn assemble(manifest: &Manifest, runtime: &Arc<Runtime>) -> anyhow::Result<Assembly> {
    let components = build::components(manifest, runtime).await?;
    let mut findings = Vec::new();
    let parts = link(manifest, components, &mut findings);
    let (targets, mut needs) = routes(manifest, &parts, &mut findings);
    let services = manifest.services.iter().zip(&parts);
    let checks = services.map(|(service, part)| checks(manifest, service, part.as_ref(), &mut needs, &mut findings));
    let checks = checks.collect();
    let dials = dials(manifest, &mut findings);
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => Ok(Assembly { openapi: openapi(manifest, &parts, &targets), parts, targets, checks, dials, needs }),
    }
}

/// What each service with a component offers.
pub(super) fn offers<'a>(services: impl Iterator<Item = (&'a ServiceConfig, Option<&'a Component>)>) -> Offers {
    let offer = |(service, component): (&ServiceConfig, Option<&Component>)| {
        Some((service.name.clone(), Arc::clone(component?.contract())))
    };
    services.filter_map(offer).collect()
}

fn link(
    manifest: &Manifest,
    components: Vec<Option<Component>>,
    findings: &mut Vec<Finding>,
) -> Vec<Option<ServiceComponent>> {
    let offers = offers(manifest.services.iter().zip(components.iter().map(Option::as_ref)));
    let mut parts = Vec::new();
    for (service, component) in manifest.services.iter().zip(components) {
        parts.push(component.map(|component| {
            let links = wire(&service.name, component.contract(), &service.calls, &offers).unwrap_or_else(|error| {
                findings.push(unwired(manifest, &service.name, &error));
                Vec::new()
            });
            // With a link missing it would be said twice.
            if links.len() == component.contract().imports.len()
                && let Err(error) = component.links()
            {
                findings.push(build::diagnose(manifest, service, &error));
            }
            let described = describe(manifest, service, component.contract(), findings);
            for text in &service.idempotent {
                if let Err(error) = component.contract().lookup(text) {
                    findings.push(manifest.diagnose(
                        &service.name,
                        ServiceKey::Idempotent,
                        error.to_string(),
                        known(&error),
                    ));
                }
            }
            ServiceComponent { component, links, described }
        }));
    }
    parts
}

fn unwired(manifest: &Manifest, service: &ServiceName, error: &WireError) -> Finding {
    let help = match error {
        WireError::NotGranted { provider, .. } => format!("add \"{provider}\" to `calls` in [service.{service}]"),
        WireError::NotProvided { .. } => "add a service whose component exports it".to_owned(),
        WireError::Ambiguous { .. } => "leave the other out, or give it another interface".to_owned(),
        WireError::Unmet { provider, .. } => {
            format!("build both against one version of the contract, or load another component for `{provider}`")
        }
    };
    manifest.diagnose(service, ServiceKey::Calls, format!("service `{service}`: the component {error}"), help)
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
        findings.push(manifest.diagnose(&service.name, ServiceKey::Wit, error.to_string(), help));
    }
    described.into()
}

pub(super) fn known(error: &LookupError) -> String {
    let (LookupError::Unknown { known, .. } | LookupError::Ambiguous { known, .. }) = error;
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match error {
        LookupError::Unknown { .. } if known.is_empty() => "the component exports no function".to_owned(),
        LookupError::Unknown { .. } => format!("the functions that it exports: {}", known.join(", ")),
        LookupError::Ambiguous { .. } => format!("write one of {}", known.join(", ")),
    }
}

fn routes(
    manifest: &Manifest,
    parts: &[Option<ServiceComponent>],
    findings: &mut Vec<Finding>,
) -> (Vec<Target>, Vec<Need>) {
    let (mut targets, mut needs) = (Vec::new(), Vec::new());
    let services = by_name(manifest, parts);
    for (index, route) in manifest.routes.iter().enumerate() {
        let service = services.get(&route.service);
        let part = service.and_then(|(_, part)| *part);
        let speaks_http = part.is_none_or(|part| answers_http(&part.described));
        let has_addresses = service.is_some_and(|(service, _)| !service.urls.is_empty());
        let mut typed = None;
        match (&route.call, part) {
            (Some(call), Some(part)) => match bind(manifest, route, call, &part.described) {
                Ok(target) => {
                    needs.push(need(route, functions(&target)));
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
                    format!("service `{}` answers no HTTP by itself: it exports functions alone", route.service);
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

/// The services and their components, by their names.
fn by_name<'a>(
    manifest: &'a Manifest,
    parts: &'a [Option<ServiceComponent>],
) -> HashMap<&'a ServiceName, (&'a ServiceConfig, Option<&'a ServiceComponent>)> {
    let services = manifest.services.iter().zip(parts);
    services.map(|(service, part)| (&service.name, (service, part.as_ref()))).collect()
}

/// The function that a route calls, with its face.
fn bind(
    manifest: &Manifest,
    route: &Route,
    call: &RouteCall,
    contract: &Contract,
) -> Result<TypedTarget, Vec<HttpBindingError>> {
    let (function, described) = contract.lookup(&call.function).map_err(|error| {
        vec![HttpBindingError { key: HttpBindingKey::Call, message: error.to_string(), help: known(&error) }]
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

/// What a route expects of its service, for as long as the host runs.
fn need(route: &Route, uses: Uses) -> Need {
    Need { by: format!("route {}", route.rule.description()), service: route.service.clone(), uses }
}

fn functions(target: &TypedTarget) -> Uses {
    let FunctionName { interface, function } = target.function.clone();
    let functions = BTreeMap::from([(function, target.binding.function.clone())]);
    Uses::Functions { interface, functions: Interface { docs: None, functions } }
}

fn openapi(manifest: &Manifest, parts: &[Option<ServiceComponent>], targets: &[Target]) -> Bytes {
    let services = by_name(manifest, parts);
    let docs = |service: &ServiceName, interface: &InterfaceName| {
        let (_, part) = services.get(service)?;
        (*part)?.described.exports.get(interface)?.docs.as_deref()
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
    let info = Info { title: "Atoll".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), description: None };
    document(&info, &operations).to_string().into()
}
