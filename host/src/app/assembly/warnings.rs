//! What in a manifest works, and is probably not what its author means.

use crate::config::{Finding, Manifest, as_written};
use crate::contract::{BoundFunction, HttpBinding, HttpBindingKey, ParamSource};
use crate::gateway::{Answerer, DOCUMENT_PATH, Target};
use crate::rollout::ServiceSpec;
use crate::route::{Path, RequestHead, RouteLookup, RoutingTable};
use http::{HeaderMap, Method};

/// The warnings, in the order of the manifest's routes. `specs` are its services, with the functions that the routes
/// call.
pub(super) fn warnings(manifest: &Manifest, specs: &[ServiceSpec], targets: &[Target]) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let function = |target: &Target| {
        let spec = specs.iter().find(|spec| Some(&spec.name) == target.service())?;
        spec.routed.get(BoundFunction::position(&spec.routed, target.typed?)?)
    };
    for (index, target) in targets.iter().enumerate() {
        if let (Some(call), Some(function)) = (&manifest.routes[index].call, function(target))
            && [Method::POST, Method::PUT, Method::PATCH].contains(&call.method)
            && takes_all_from_the_query(&function.binding)
        {
            let message = format!("`{}` takes its parameters from the query, and no body", call.function);
            let help = "make them fields of one record: that is the JSON body then";
            warnings.push(manifest.diagnose_route(index, HttpBindingKey::Call, message, help));
        }
    }
    warnings.extend(demands_of_nobody(manifest));
    warnings.extend(short_locks(manifest));
    let typed = targets.iter().any(|target| target.typed.is_some());
    if let Some(index) = document_taken(manifest).filter(|_| typed && manifest.gateway.openapi.is_some()) {
        let message = format!("this route takes `{DOCUMENT_PATH}` over, where the gateway describes the typed routes");
        let help = format!(
            "write openapi = false in [gateway] if that is meant, or a route of its own with path = \
             \"{DOCUMENT_PATH}\"; otherwise give this route another path"
        );
        warnings.push(manifest.diagnose_route(index, HttpBindingKey::Path, message, help));
    }
    warnings
}

/// The routes that let everybody in, to a service that demands scopes: nobody who comes that way has any.
fn demands_of_nobody(manifest: &Manifest) -> impl Iterator<Item = Finding> {
    manifest.routes.iter().enumerate().filter(|(_, route)| route.auth.is_none()).filter_map(|(index, route)| {
        let Answerer::Service(name) = &route.answerer else { return None };
        let service = manifest.services.iter().find(|service| service.spec.name == *name)?;
        let scope = service.spec.requires.first()?;
        let message = format!(
            "this route lets everybody in, and service `{name}` requires `{scope}`: every request by it gets 403"
        );
        let help = "give the route a policy (auth), or leave `requires` of the service out";
        Some(manifest.diagnose_route(index, HttpBindingKey::Path, message, help))
    })
}

/// The sagas that may go on after they have lost their lock: it ends before their `deadline` does.
fn short_locks(manifest: &Manifest) -> impl Iterator<Item = Finding> {
    manifest.sagas.iter().filter_map(|saga| {
        let (definition, lock) = (&saga.definition, saga.definition.lock.as_ref()?);
        if lock.expires >= definition.deadline {
            return None;
        }
        let message = format!(
            "the lock of saga `{}` expires {} after its start, and its `deadline` is {}: in between another saga with \
             the same value may go on beside it",
            definition.name,
            as_written(lock.expires),
            as_written(definition.deadline)
        );
        let help = "give `expires` more time than `deadline`, and than what comes behind the pivot takes";
        Some(manifest.diagnose_at(&saga.lock, message, help))
    })
}

fn takes_all_from_the_query(binding: &HttpBinding) -> bool {
    binding.body().is_none() && binding.sources.iter().any(|source| matches!(source, ParamSource::Query(_)))
}

/// The route that answers a GET of the OpenAPI document's path, unless it is for this very path.
fn document_taken(manifest: &Manifest) -> Option<usize> {
    let rules = manifest.routes.iter().enumerate().map(|(index, route)| (route.rule.clone(), index));
    let table = RoutingTable::new(rules.collect());
    let (path, headers) = (Path::parse(DOCUMENT_PATH).ok()?, HeaderMap::new());
    match table.find(&RequestHead { host: None, method: &Method::GET, path, headers: &headers }) {
        RouteLookup::Route(found) if found.rule.path() != DOCUMENT_PATH => Some(*found.target),
        _ => None,
    }
}
