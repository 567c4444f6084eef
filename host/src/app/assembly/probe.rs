//! The health check of a service: the manifest's `health`, compared with the component.

use crate::app::late_findings::LateFindings;
use crate::config::{HealthConfig, LateFindingKey, ProbeSpec, ServiceConfig};
use crate::contract::{Contract, Function, FunctionName, Interface, Type};
use crate::health;
use crate::mesh::HealthProbe;
use crate::rollout::{ManifestName, Need, Uses};
use std::collections::BTreeMap;

/// The health check of `service`, if it has one. What the check uses of the component is added to `needs`, so that no
/// swap takes it away.
pub(super) fn health_check(
    service: &ServiceConfig,
    contract: Option<&Contract>,
    needs: &mut Vec<Need>,
    findings: &mut LateFindings<'_>,
) -> Option<health::Settings> {
    let HealthConfig { probe, schedule } = service.health.clone()?;
    let name = &service.spec.name;
    let (probe, uses, text) = match probe {
        ProbeSpec::Path(path) => {
            (HealthProbe::Path(path), service.spec.addresses.urls.is_empty().then_some(Uses::Http), None)
        }
        ProbeSpec::Call(text) => match function(contract?, &text) {
            Ok((function, uses)) => (HealthProbe::Call(function), Some(uses), Some(text)),
            Err((message, help)) => {
                findings.service(name, LateFindingKey::Health, message, help);
                return None;
            }
        },
    };
    let by = format!("the health check of `{name}`");
    let named = text.map(|text| ManifestName { text, prefix: String::new() });
    needs.extend(uses.map(|uses| Need { by, service: name.clone(), uses, name: named }));
    Some(health::Settings { probe, schedule })
}

/// The function that `text` names, if a health check can call it; otherwise a message and its help.
fn function(contract: &Contract, text: &str) -> Result<(FunctionName, Uses), (String, String)> {
    let (name, function) = contract.lookup(text).map_err(|error| (error.to_string(), error.help("")))?;
    if !can_be_check(function) {
        let message =
            format!("`{text}` cannot be a health check: it must take nothing, and answer nothing, a bool or a result");
        return Err((message, "name a function such as `check: func() -> result<_, string>`".to_owned()));
    }
    let functions = BTreeMap::from([(name.function.clone(), function.clone())]);
    let uses = Uses::Functions { interface: name.interface.clone(), functions: Interface { docs: None, functions } };
    Ok((name, uses))
}

fn can_be_check(function: &Function) -> bool {
    let result = function.result.as_ref().map(Type::resolved);
    function.params.is_empty() && matches!(result, None | Some(Type::Bool | Type::Result { .. }))
}
