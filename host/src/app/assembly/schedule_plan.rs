//! Schedules, checked against the components and the topics: the functions that they call, and the types of payloads.

use super::event_plan::{EventMistake, EventPlan, bind};
use super::routed_places::RoutedPlaces;
use super::service_component::ServiceComponent;
use crate::app::late_findings::LateFindings;
use crate::base::ServiceName;
use crate::config::{Manifest, ScheduleConfig, ScheduleTarget};
use crate::contract::BoundFunction;
use crate::delivery::{MeshHandler, NamedSchedule, ScheduledWork, Schedules, wall_clock};
use crate::events::{PayloadType, Topic};
use crate::mesh::Mesh;
use crate::rollout::Need;
use crate::state::Store;
use crate::telemetry::Tracer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The schedules of the host, in the order of the manifest.
#[derive(Default)]
pub(in crate::app) struct SchedulePlan(Vec<NamedSchedule>);

/// What a mistake is about.
enum MisfitPlace {
    Target,
    Payload,
}

impl SchedulePlan {
    /// Checks the schedules of the manifest. Their functions are added to `routed`, and what they need of later
    /// components to `needs`. One whose service is left out is left out too.
    pub(super) fn of(
        manifest: &Manifest,
        components: &[Option<ServiceComponent>],
        events: &EventPlan,
        (routed, places): (&mut BTreeMap<ServiceName, Vec<BoundFunction>>, &mut RoutedPlaces),
        needs: &mut Vec<Need>,
        findings: &mut LateFindings<'_>,
    ) -> Self {
        let mut all = Vec::new();
        for config in &manifest.schedules {
            let found = match &config.target {
                ScheduleTarget::Call(service, function) => {
                    let at = manifest.services.iter().position(|one| one.spec.name == *service);
                    let Some(component) = at.and_then(|at| components[at].as_ref()) else { continue };
                    let elsewhere = at.is_some_and(|at| manifest.services[at].spec.replicas.count == 0);
                    call(manifest, component, (service, function), config).map(|(mut bound, need)| {
                        bound.place = places.of(service, bound.wish(&function.to_string()));
                        let at = bound.place;
                        routed.entry(service.clone()).or_default().push(bound);
                        needs.push(need);
                        let (service, function) = (service.clone(), function.clone());
                        // The nodes on which it has instances keep the time.
                        (!elsewhere).then(|| ScheduledWork::Call {
                            service,
                            at,
                            function,
                            payload: config.payload.clone(),
                        })
                    })
                }
                ScheduleTarget::Publish(topic, key) => {
                    let Some(topic) = events.topic(topic) else { continue };
                    let payload = config.payload.clone().unwrap_or_else(|| "null".to_owned());
                    let (topic, key) = (Arc::clone(topic), key.clone());
                    check_publication(manifest, config, &topic, &payload)
                        .map(|()| Some(ScheduledWork::Publish { topic, key, payload }))
                }
            };
            match found {
                Ok(work) => all.extend(work.map(|work| schedule(config, work))),
                Err((place, mistakes)) => {
                    let span = if let MisfitPlace::Target = place { &config.span } else { &config.payload_span };
                    for (message, help) in mistakes {
                        findings.topic(manifest.diagnose_at(span, message, help));
                    }
                }
            }
        }
        Self(all)
    }

    /// Begins to keep the times; `None` if there are no schedules.
    pub(in crate::app) fn start(
        self,
        store: Option<&Store>,
        mesh: Arc<Mesh>,
        tracer: Option<Arc<Tracer>>,
    ) -> Option<Schedules> {
        let store = store.filter(|_| !self.0.is_empty())?;
        Some(Schedules::start(store, self.0, &Arc::new(MeshHandler { mesh, tracer }), &wall_clock()))
    }
}

fn schedule(config: &ScheduleConfig, work: ScheduledWork) -> NamedSchedule {
    let ScheduleConfig { name, times, text, missed, tries, backoff, .. } = config.clone();
    NamedSchedule { name, times, text, missed, tries, backoff, work }
}

/// Refuses a schedule whose event has the wrong payload, or would be published by each node of a cluster.
fn check_publication(
    manifest: &Manifest,
    config: &ScheduleConfig,
    topic: &Topic,
    payload: &str,
) -> Result<(), (MisfitPlace, Vec<EventMistake>)> {
    if EventPlan::reach_all_nodes(manifest) {
        let message = format!(
            "each node of [cluster] would publish the event of `{}`: the broker's log of `{}` would have one of each \
             node for each due time",
            config.name, topic.name
        );
        let help = "let the schedule `call` a function that publishes it, of a service whose `nodes` name one node; \
                    or leave `broker` of [events] out";
        return Err((MisfitPlace::Target, vec![(message, help.to_owned())]));
    }
    topic.payload.check(payload).map_err(|misfit| {
        let help = "write a payload of the topic's type, as JSON: payload = '{\"kind\":\"nightly\"}'";
        (MisfitPlace::Payload, vec![(misfit.to_string(), help.to_owned())])
    })
}

/// The function that a schedule calls, and what later components need for it.
fn call(
    manifest: &Manifest,
    component: &ServiceComponent,
    (service, text): (&ServiceName, &str),
    config: &ScheduleConfig,
) -> Result<(BoundFunction, Need), (MisfitPlace, Vec<EventMistake>)> {
    let target = |mistake: EventMistake| (MisfitPlace::Target, vec![mistake]);
    let requires = manifest.services.iter().any(|one| one.spec.name == *service && !one.spec.requires.is_empty());
    if requires {
        let message = format!("`{service}` requires scopes, and a schedule is nobody who could have them");
        let help = "leave `requires` out, or let another service do it".to_owned();
        return Err(target((message, help)));
    }
    if manifest.services.iter().any(|one| one.spec.name == *service && one.spec.placement.is_some()) {
        let message =
            format!("`{service}` has `node_count`, so it moves from node to node, and a schedule stays on its own");
        let help = "leave `node_count` out, or let a service that stays call it".to_owned();
        return Err(target((message, help)));
    }
    let found = component.described.lookup(text);
    let (function, described) =
        found.map_err(|error| target((error.to_string(), error.help(&format!("{service}/")))))?;
    let names = manifest.gateway.names;
    match (&described.params[..], &config.payload) {
        ([], None) => {}
        ([param], Some(payload)) => {
            let ty = PayloadType::Typed { ty: param.ty.clone(), names, name: format!("`{}`", param.name) };
            ty.check(payload).map_err(|misfit| {
                let help = format!("write the argument of `{text}` as JSON: payload = '…'");
                (MisfitPlace::Payload, vec![(misfit.to_string(), help)])
            })?;
        }
        ([], Some(_)) => {
            let message = format!("`{text}` has no parameter for a payload");
            return Err((MisfitPlace::Payload, vec![(message, "leave `payload` out".to_owned())]));
        }
        ([_], None) => {
            let message = format!("`{text}` has a parameter, and the schedule has no payload");
            return Err(target((message, "add its argument as JSON: payload = '…'".to_owned())));
        }
        (params, _) => {
            let message = format!("`{text}` has {} parameters: a schedule has one payload", params.len());
            return Err(target((message, "let it take one record".to_owned())));
        }
    }
    let by = format!("the schedule `{}`", config.name);
    bind(manifest, (service, text), (&function, described), &by).map_err(|wrong| (MisfitPlace::Target, wrong))
}
