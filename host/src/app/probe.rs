//! How a service's endpoints are checked: the manifest's `health`, held against the component.

use super::assembly::{ServiceComponent, known};
use crate::config::{self, Finding, Health, Manifest, ServiceConfig, ServiceKey};
use crate::contract::{Contract, Function, FunctionName, Interface, Type};
use crate::health;
use crate::mesh::HealthProbe;
use crate::rollout::{Need, Uses};
use std::collections::BTreeMap;

/// The checks of `service`, if it has any. What they use of the component goes into `needs`: no swap takes it away.
pub(super) fn checks(
    manifest: &Manifest,
    service: &ServiceConfig,
    part: Option<&ServiceComponent>,
    needs: &mut Vec<Need>,
    findings: &mut Vec<Finding>,
) -> Option<health::Settings> {
    let Health { probe, interval, timeout, down, up } = service.health.clone()?;
    let by = format!("the health check of `{}`", service.name);
    let (probe, uses) = match probe {
        config::ProbeSpec::Path(path) => (HealthProbe::Path(path), service.urls.is_empty().then_some(Uses::Http)),
        config::ProbeSpec::Call(text) => match function(&part?.described, &text) {
            Ok((name, uses)) => (HealthProbe::Call(name), Some(uses)),
            Err((message, help)) => {
                findings.push(manifest.diagnose(&service.name, ServiceKey::Health, message, help));
                return None;
            }
        },
    };
    needs.extend(uses.map(|uses| Need { by, service: service.name.clone(), uses }));
    Some(health::Settings { probe, interval, timeout, down, up })
}

/// The function that `text` names, if a check can call it.
fn function(contract: &Contract, text: &str) -> Result<(FunctionName, Uses), (String, String)> {
    let (name, function) = contract.lookup(text).map_err(|error| (error.to_string(), known(&error)))?;
    if !is_check(function) {
        let message =
            format!("`{text}` cannot be a health check: it must take nothing, and answer nothing, a bool or a result");
        return Err((message, "name a function such as `check: func() -> result<_, string>`".to_owned()));
    }
    let functions = BTreeMap::from([(name.function.clone(), function.clone())]);
    let uses = Uses::Functions { interface: name.interface.clone(), functions: Interface { docs: None, functions } };
    Ok((name, uses))
}

fn is_check(function: &Function) -> bool {
    let answers = function.result.as_ref().map(Type::resolved);
    function.params.is_empty() && matches!(answers, None | Some(Type::Bool | Type::Result { .. }))
}
