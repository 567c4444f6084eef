//! Topics and subscriptions, checked against the components: the types of payloads, and the functions that handle them.

use super::routed_places::RoutedPlaces;
use super::service_component::ServiceComponent;
use crate::app::late_findings::LateFindings;
use crate::base::ServiceName;
use crate::broker::Broker;
use crate::config::{Manifest, ServiceConfig, SubscriptionConfig, TopicConfig};
use crate::contract::{BoundFunction, Function, FunctionName, HttpBindingSpec, Interface, Type, misread};
use crate::delivery::{Bridge, BridgeDirection, Deliveries, DeliveryError, Handle, Subscription};
use crate::events::{PayloadType, Topic, TopicName};
use crate::rollout::{ManifestName, Need, Uses};
use crate::state::Store;
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The topics and subscriptions of the host.
#[derive(Default)]
pub(in crate::app) struct EventPlan {
    /// In the order of the manifest.
    topics: Vec<Arc<Topic>>,
    subscriptions: Vec<Subscription>,
    /// Topics with a subscriber that is left out.
    absent: Vec<TopicName>,
}

/// The services with their components.
type EventServices<'a> = &'a [(&'a ServiceConfig, Option<&'a ServiceComponent>)];

impl EventPlan {
    /// Checks the topics and subscriptions of the manifest. The functions of subscriptions are added to `routed`, and
    /// what they need of later components to `needs`.
    pub(super) fn of(
        manifest: &Manifest,
        components: &[Option<ServiceComponent>],
        (routed, places): (&mut BTreeMap<ServiceName, Vec<BoundFunction>>, &mut RoutedPlaces),
        needs: &mut Vec<Need>,
        findings: &mut LateFindings<'_>,
    ) -> Self {
        if let Some(broker) = manifest.broker.as_ref().filter(|_| manifest.state.encryption.is_some()) {
            let message = "a broker stores events as they are, and `encryption` of [state] promises that nothing is";
            let help = "leave `broker` out: the host's own database keeps events encrypted";
            findings.topic(manifest.diagnose_at(&broker.span, message, help));
        }
        check_bridges(manifest, findings);
        let services: Vec<_> = manifest.services.iter().zip(components.iter().map(Option::as_ref)).collect();
        let topic = |config: &TopicConfig| Arc::new(topic(manifest, config, &services, findings));
        let mut plan =
            Self { topics: manifest.topics.iter().map(topic).collect(), subscriptions: Vec::new(), absent: Vec::new() };
        for (service, component) in services {
            let Some(component) = component else {
                plan.absent.extend(service.topics.subscribe.iter().map(|config| config.topic.clone()));
                continue;
            };
            for config in &service.topics.subscribe {
                let Some(topic) = plan.topics.iter().find(|topic| topic.name == config.topic).cloned() else {
                    continue;
                };
                match handler(manifest, service, component, config, &topic) {
                    Ok((mut function, need)) => {
                        let name = &service.spec.name;
                        function.place = places.of(name, function.wish(&config.function));
                        let at = function.place;
                        routed.entry(name.clone()).or_default().push(function);
                        needs.push(need);
                        check_reach(manifest, service, config, findings);
                        if service.spec.replicas.count == 0 {
                            // The nodes on which it has instances deliver to it.
                            continue;
                        }
                        plan.subscriptions.push(Subscription {
                            service: name.clone(),
                            topic,
                            at,
                            function: config.function.clone(),
                            settings: config.settings.clone(),
                            slow: Arc::default(),
                            work: Arc::default(),
                        });
                    }
                    Err(wrong) => {
                        for (message, help) in wrong {
                            findings.topic(manifest.diagnose_at(&config.span, message, help));
                        }
                    }
                }
            }
        }
        plan
    }

    /// The topic of this name.
    pub(super) fn topic(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.topic_named(name.as_str())
    }

    /// The topic of this name.
    pub(super) fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.iter().find(|topic| topic.name.as_str() == name)
    }

    /// The type of this name, if it is that of some topic's payloads.
    pub(super) fn payload(&self, wanted: &str) -> Option<&Type> {
        self.topics.iter().find_map(|topic| match &topic.payload {
            PayloadType::Typed { ty, name, .. } if name == wanted => Some(ty),
            PayloadType::Typed { .. } | PayloadType::Any => None,
        })
    }

    /// Has the events of a topic start the saga `saga`.
    pub(super) fn start_saga(&mut self, saga: &str, topic: &Arc<Topic>, from_beginning: bool) {
        self.subscriptions.push(Subscription::of_saga(saga, Arc::clone(topic), from_beginning));
    }

    /// Whether each node of a cluster gets every event: the nodes share a broker's logs, and each has its own notes of
    /// what it has handled.
    pub(super) fn reach_all_nodes(manifest: &Manifest) -> bool {
        manifest.cluster.is_some() && manifest.broker.is_some()
    }

    /// The topics of these names.
    pub(super) fn named(&self, names: &[TopicName]) -> Vec<Arc<Topic>> {
        self.topics.iter().filter(|topic| names.contains(&topic.name)).cloned().collect()
    }

    /// Begins to deliver; `None` if there are no topics.
    ///
    /// # Errors
    /// A topic cannot be read, or its log cannot move to the broker or back.
    pub(in crate::app) async fn start(
        self,
        store: Option<&Store>,
        handler: impl Handle,
        (broker, bridges): (Option<&dyn Broker>, Vec<Bridge>),
    ) -> Result<Option<Deliveries>, DeliveryError> {
        let Some(store) = store.filter(|_| !self.topics.is_empty()) else { return Ok(None) };
        let handler = Arc::new(handler);
        let topics = (self.topics, bridges);
        let started = Deliveries::start_bridged(store, topics, self.subscriptions, &self.absent, (handler, broker));
        started.await.map(Some)
    }
}

/// Refuses bridges that cannot be.
fn check_bridges(manifest: &Manifest, findings: &mut LateFindings<'_>) {
    for bridge in &manifest.bridges {
        if manifest.broker.is_some() {
            let message = "the topics of this manifest are in a broker: a bridge is for topics of the host's own \
                           database";
            let help = "leave the bridge out, and let the two brokers copy; or leave [events] out";
            findings.topic(manifest.diagnose_at(&bridge.span, message, help));
        }
        if bridge.direction == BridgeDirection::Out && manifest.state.encryption.is_some() {
            let message = "a broker stores events as they are, and `encryption` of [state] promises that nothing is";
            findings.topic(manifest.diagnose_at(&bridge.span, message, "leave the bridge out"));
        }
    }
}

/// Refuses a subscription to a topic whose events stay on the node that publishes them, if that is another node than
/// the subscriber's.
fn check_reach(
    manifest: &Manifest,
    subscriber: &ServiceConfig,
    config: &SubscriptionConfig,
    findings: &mut LateFindings<'_>,
) {
    let stands_here = |service: &ServiceConfig| service.spec.replicas.count > 0;
    let apart = |publisher: &&ServiceConfig| {
        publisher.spec.grants.publish.contains(&config.topic) && stands_here(publisher) != stands_here(subscriber)
    };
    if manifest.broker.is_none()
        && let Some(publisher) = manifest.services.iter().find(apart)
    {
        let (topic, publisher) = (&config.topic, &publisher.spec.name);
        let message = format!(
            "it gets no event of `{topic}` that `{publisher}` publishes: by their `nodes` the two stand on different \
             nodes, and without a broker an event stays on its own"
        );
        let help = "name a broker in [events], or let publisher and subscriber stand on the same nodes";
        findings.topic(manifest.diagnose_at(&config.span, message, help));
    }
}

/// The topic, with the type of its payloads. The type is that of its publishers, if one of them has it.
fn topic(
    manifest: &Manifest,
    config: &TopicConfig,
    services: EventServices<'_>,
    findings: &mut LateFindings<'_>,
) -> Topic {
    let TopicConfig { name, payload, retention, span, .. } = config;
    let names = manifest.gateway.names;
    let payload = payload.as_ref().map_or(PayloadType::Any, |wanted| {
        match type_of(wanted, name, services) {
            Some(ty) => PayloadType::Typed { ty: ty.clone(), names, name: wanted.clone() },
            None => {
                // A component that does not load may be the one that has the type.
                if services.iter().all(|(service, component)| component.is_some() || service.component.is_none()) {
                    let message =
                        format!("no service that publishes on `{name}` or subscribes to it has the type {wanted}");
                    let help = "correct the name, leave `payload` out, or let one of these services have the type";
                    findings.topic(manifest.diagnose_at(span, message, help));
                }
                PayloadType::Any
            }
        }
    });
    let topic = Topic::new(name.clone(), payload, *retention);
    match &manifest.broker {
        Some(broker) => topic.with_outbox(broker.settings.outbox),
        None => topic,
    }
}

fn type_of<'a>(wanted: &str, topic: &TopicName, services: EventServices<'a>) -> Option<&'a Type> {
    let publishes = |service: &ServiceConfig| service.topics.publish.contains(topic);
    let subscribes = |service: &ServiceConfig| service.topics.subscribe.iter().any(|one| one.topic == *topic);
    let of = |uses: &dyn Fn(&ServiceConfig) -> bool| {
        let using = services.iter().filter(|(service, _)| uses(service));
        using.filter_map(|(_, component)| *component).find_map(|one| one.described.named_type(wanted))
    };
    of(&publishes).or_else(|| of(&subscribes))
}

/// A message and its help.
pub(super) type EventMistake = (String, String);

/// The function of a subscription, and what later components need for it.
fn handler(
    manifest: &Manifest,
    service: &ServiceConfig,
    component: &ServiceComponent,
    config: &SubscriptionConfig,
    topic: &Topic,
) -> Result<(BoundFunction, Need), Vec<EventMistake>> {
    let name = &service.spec.name;
    let prefix = format!("{name}/");
    if !service.spec.requires.is_empty() {
        let message = format!("`{name}` requires scopes, and an event comes from nobody who could have them");
        return Err(vec![(message, "leave `requires` out, or let another service subscribe".to_owned())]);
    }
    let found = component.described.lookup(&config.function);
    let (function, described) = found.map_err(|error| vec![(error.to_string(), error.help(&prefix))])?;
    let [param] = &described.params[..] else {
        let count = described.params.len();
        let message = format!("`{}` has {count} parameters: a handler has one, the payload", config.function);
        return Err(vec![(
            message,
            "let it take the payload alone; `atoll:events/delivery` tells the rest".to_owned(),
        )]);
    };
    let by = format!("the subscription of `{name}` to `{}`", topic.name);
    let bound = bind(manifest, (name, &config.function), (&function, described), &by)?;
    if let PayloadType::Typed { ty, name: wanted, .. } = &topic.payload
        && let Some(difference) = misread(ty, &param.ty, &param.name)
    {
        let message =
            format!("`{}` cannot read the payloads of `{}`, {wanted}: {difference}", config.function, topic.name);
        return Err(vec![(message, "build publisher and subscriber against one version of the type".to_owned())]);
    }
    Ok(bound)
}

/// A function that the host calls for `by` with its payload, and what later components need for it.
pub(super) fn bind(
    manifest: &Manifest,
    (service, text): (&ServiceName, &str),
    (function, described): (&FunctionName, &Function),
    by: &str,
) -> Result<(BoundFunction, Need), Vec<EventMistake>> {
    let spec = HttpBindingSpec {
        methods: vec![Method::POST],
        path_params: Vec::new(),
        from_header: BTreeMap::new(),
        status: None,
        location: None,
        errors: BTreeMap::new(),
        names: manifest.gateway.names,
    };
    let bound = BoundFunction::bind(by.to_owned(), function.clone(), described, spec);
    let bound = bound.map_err(|errors| {
        let help = "only values with a JSON form can be a payload: no resources, streams or futures";
        errors.into_iter().map(|error| (error.message, help.to_owned())).collect::<Vec<_>>()
    })?;
    let name = ManifestName { text: text.to_owned(), prefix: format!("{service}/") };
    let uses = Uses::Functions { interface: function.interface.clone(), functions: Interface::default() };
    Ok((bound, Need { by: by.to_owned(), service: service.clone(), uses, name: Some(name) }))
}
