//! What starts a saga, what it locks, and the events that its steps wait for, checked against the types of payloads.

use super::event_plan::EventPlan;
use super::saga_plans::{CheckedSaga, KnownTypes, SagaContext, check};
use crate::contract::{Type, misread};
use crate::events::{PayloadType, Topic};
use crate::saga::{BindingRoot, EventWait, TypeScope, field_type};
use std::sync::Arc;

/// How long the way out of what an earlier manifest has begun.
const KEEP_TOPIC: &str = "keep the topic as it was until they have ended, which `atoll saga list` tells; `atoll saga \
                          compensate` undoes one";

impl CheckedSaga<'_> {
    /// The types of the parts by which the event is known that a step waits for, and the type of its payload. `None`:
    /// something is wrong, which was found.
    pub(super) fn wait(
        &self,
        step: usize,
        wait: &EventWait,
        known: &KnownTypes,
        context: &mut SagaContext<'_, '_>,
    ) -> Option<(Vec<Type>, Option<Type>)> {
        let action = self.spans(step).map_or(0..0, |spans| spans.action.clone());
        let Some(topic) = context.events.topic_named(&wait.topic).cloned() else {
            let message =
                format!("step `{}` waits for an event of `{}`, which is no topic", self.name_of(step), wait.topic);
            self.find(context, &action, message, KEEP_TOPIC);
            return None;
        };
        let span_of = |part: &str| {
            let whole = part.split('.').next().unwrap_or_default();
            let spans = self.spans(step).map(|spans| &spans.with);
            spans.and_then(|spans| spans.get(part).or_else(|| spans.get(whole))).unwrap_or(&action).clone()
        };
        let payload = payload_type(&topic);
        let (mut parts, mut right) = (Vec::new(), true);
        if let Some(binding) = &wait.key {
            parts.push(Type::String);
            if let Some(message) = check(binding, &Type::String, "key", known) {
                self.find(context, &span_of("key"), message, "the key of an event is a text: bind it to a text");
                right = false;
            }
        }
        for (path, binding) in &wait.fields {
            let name = path.join(".");
            let field = match &payload {
                Some(payload) => field_type(payload, path).map_err(|misbound| misbound.to_string()),
                None => Err(format!("the topic `{}` has no `payload` type, so no field can be named", wait.topic)),
            };
            let message = match field {
                Ok(ty) => {
                    let message = check(binding, &ty, &name, known);
                    parts.push(ty);
                    message
                }
                Err(message) => Some(message),
            };
            if let Some(message) = message {
                let help = match self.config {
                    Some(_) => "name fields of the topic's payload, each with a value of its type",
                    None => KEEP_TOPIC,
                };
                self.find(context, &span_of(&name), message, help);
                right = false;
            }
        }
        right.then_some((parts, payload))
    }

    /// Checks that the value of the lock is a part of the input. `None`: it is not, which was found.
    pub(super) fn check_lock(&self, input: Option<&Type>, context: &mut SagaContext<'_, '_>) -> Option<()> {
        let Some(lock) = &self.definition.lock else { return Some(()) };
        let known = KnownTypes::at_start(input.cloned());
        let message = match known.ty(&BindingRoot::Input) {
            Ok(input) => field_type(&input, &lock.value.fields).err().map(|misbound| misbound.to_string()),
            Err(why) => Some(why),
        };
        let Some(message) = message else { return Some(()) };
        let span = self.config.map_or(0..0, |config| config.lock.clone());
        let message = format!("`{}` cannot be locked: {}", lock.value, message.replace("$event", "$input"));
        self.find(context, &span, message, "lock a field of the input that is a text, a whole number or an enum");
        None
    }

    /// Checks that the payloads of the topic whose events start the saga are its input, and has them start it. `None`:
    /// they are not, which was found.
    pub(super) fn check_start(&self, input: Option<&Type>, context: &mut SagaContext<'_, '_>) -> Option<()> {
        let Some(on) = self.config.and_then(|config| config.on.as_ref()) else { return Some(()) };
        let topic = Arc::clone(context.events.topic(&on.topic)?);
        let name = &self.definition.name;
        if EventPlan::reach_all_nodes(context.manifest) {
            // The note that an event was handled is in the database of one node.
            let message = format!("each node of [cluster] would start a `{name}` for each event of `{}`", on.topic);
            let help = "leave `on` out, and start the saga by a route; or leave `broker` of [events] out: then an \
                        event stays on its node and starts one saga there; or give the saga to one host that is no \
                        node";
            self.find(context, &on.span, message, help);
            return None;
        }
        let message = match (payload_type(&topic), input) {
            (_, None) => None,
            (Some(payload), Some(input)) => misread(&payload, input, "input")
                .map(|difference| format!("the payloads of `{}` are no input of `{name}`: {difference}", on.topic)),
            (None, Some(_)) => {
                Some(format!("the topic `{}` has no `payload` type, and the input of `{name}` has one", on.topic))
            }
        };
        if let Some(message) = message {
            let help = "leave `input` out: then it is the type of the payloads";
            self.find(context, &on.span, message, help);
            return None;
        }
        context.events.start_saga(name, &topic, on.from_beginning);
        Some(())
    }
}

fn payload_type(topic: &Topic) -> Option<Type> {
    match &topic.payload {
        PayloadType::Typed { ty, .. } => Some(ty.clone()),
        PayloadType::Any => None,
    }
}
