//! What the backend of the state cannot promise and the manifest needs: each is refused by its name.

use super::service_component::ServiceComponent;
use crate::app::late_findings::LateFindings;
use crate::config::{Draft, LateFindingKey, Manifest, ManifestErrors};
use crate::runtime::Migration;

/// All that is wrong with the manifest, if it needs what its backend cannot promise. It is known before the backend is
/// asked, which may be away.
pub(in crate::app) fn before_opening(draft: &Draft) -> Option<ManifestErrors> {
    let mut findings = LateFindings::new(draft);
    check(&draft.manifest, &[], &mut findings);
    if findings.has_topics() { findings.into_errors() } else { None }
}

/// Looks at what the manifest needs of the state.
pub(super) fn check(manifest: &Manifest, components: &[Option<ServiceComponent>], findings: &mut LateFindings<'_>) {
    let (Some(spans), Some(remote)) = (&manifest.state_spans, &manifest.state.remote) else { return };
    if manifest.state.encryption.is_some() {
        let message = "a backend stores values as they are, and `encryption` of [state] promises that nothing is";
        let help = "leave `backend` out: the host's own file keeps values encrypted; or leave `encryption` out, and \
                    encrypt the server's disk";
        findings.topic(manifest.diagnose_at(&spans.backend, message, help));
    }
    if manifest.caches_by_state() {
        let message = "`cache = \"state\"` needs to know of each change before it can be read, and a backend does not \
                       tell what others write there";
        let help = "write `cache = true` in the routes, with a lifetime, or leave `backend` out";
        findings.topic(manifest.diagnose_at(&spans.backend, message, help));
    }
    let Some(shared) = spans.shared.as_ref().filter(|_| remote.shared) else { return };
    for (what, why) in kept_by_one_host(manifest) {
        let message = format!("{what} is kept by one host, and with `shared` {why}");
        let help = "leave `shared` out, or leave that to a host with a `namespace` of its own";
        findings.topic(manifest.diagnose_at(shared, message, help));
    }
    for (service, component) in manifest.services.iter().zip(components) {
        let Some(component) = component.as_ref().filter(|_| service.spec.grants.state) else { continue };
        if Migration::is_of(&component.described) {
            let message = format!(
                "the component of `{}` migrates its data, and with `shared` other hosts go on writing the old format",
                service.spec.name
            );
            let help = "leave `shared` out while the data are migrated";
            findings.service(&service.spec.name, LateFindingKey::Component, message, help);
        }
    }
}

/// What only one host may keep, each with what two would do.
fn kept_by_one_host(manifest: &Manifest) -> Vec<(String, &'static str)> {
    let topics =
        manifest.topics.iter().map(|one| (format!("the topic `{}`", one.name), "each would deliver its events"));
    let sagas = manifest.sagas.iter().map(|one| {
        let name = &one.definition.name;
        (format!("the saga `{name}`"), "each would run its steps")
    });
    let schedules =
        manifest.schedules.iter().map(|one| (format!("the schedule `{}`", one.name), "each would fire at its times"));
    let quotas = manifest.limits.iter().filter(|one| one.measures().quota.is_some());
    let quotas = quotas.map(|one| (format!("the quota of the limit `{}`", one.name()), "each would count for itself"));
    topics.chain(sagas).chain(schedules).chain(quotas).collect()
}
