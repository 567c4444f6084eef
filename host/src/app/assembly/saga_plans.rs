//! Sagas, checked against the components: the functions of their steps, and the types of what is bound to them.

use super::event_plan::EventPlan;
use super::routed_places::RoutedPlaces;
use super::saga_topics;
use super::service_component::ServiceComponent;
use crate::app::late_findings::LateFindings;
use crate::base::ServiceName;
use crate::config::{Manifest, SagaConfig, StepSpans};
use crate::contract::{BoundFunction, HttpBindingSpec, Interface, Type};
use crate::coordinator::{Coordinator, MeshPerformer, SagaError, SagaJournal, SagaPlan, SagaSettings, StepTargets};
use crate::delivery::Deliveries;
use crate::mesh::{Mesh, Value};
use crate::rollout::{ManifestName, Need, Uses};
use crate::saga::{
    Binding, BindingRoot, SagaDefinition, StepAction, StepCall, StepDirection, TypeScope, check_binding,
};
use crate::state::Store;
use anyhow::Context;
use http::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The sagas of the host.
#[derive(Default)]
pub(in crate::app) struct SagaPlans {
    plans: Vec<SagaPlan>,
    settings: SagaSettings,
}

/// What the check of sagas reads, and what it adds to.
pub(super) struct SagaContext<'a, 'f> {
    pub(super) manifest: &'a Manifest,
    pub(super) components: &'a [Option<ServiceComponent>],
    pub(super) routed: &'a mut BTreeMap<ServiceName, Vec<BoundFunction>>,
    pub(super) places: &'a mut RoutedPlaces,
    pub(super) needs: &'a mut Vec<Need>,
    pub(super) findings: &'a mut LateFindings<'f>,
    pub(super) events: &'a mut EventPlan,
}

/// A definition, and where it is written. A definition of an earlier manifest is written nowhere.
pub(super) struct CheckedSaga<'a> {
    pub(super) definition: SagaDefinition,
    pub(super) config: Option<&'a SagaConfig>,
    /// Of the definition as it is written: it tells apart the functions of two definitions of one saga.
    digest: String,
}

/// What is known when a call is made.
pub(super) struct KnownTypes {
    pub(super) input: Option<Type>,
    /// The steps before, with the types of their results.
    pub(super) before: Vec<(Arc<str>, Option<Type>)>,
    /// In a compensation, the step itself: its result is not known if the step is in doubt.
    pub(super) own: Option<(Arc<str>, Option<Type>)>,
    /// The steps in which something is wrong: what is bound to their results is not checked, since the first cause was
    /// found.
    pub(super) broken: Vec<Arc<str>>,
}

impl KnownTypes {
    /// What is known before the first step.
    pub(super) fn at_start(input: Option<Type>) -> Self {
        Self { input, before: Vec::new(), own: None, broken: Vec::new() }
    }
}

impl SagaPlans {
    /// Checks the sagas of the manifest, and the definitions of sagas that still run, `pinned`.
    pub(super) fn of(pinned: Vec<SagaDefinition>, context: &mut SagaContext<'_, '_>) -> Self {
        let manifest = context.manifest;
        let mut plans: Vec<SagaPlan> = Vec::new();
        for config in &manifest.sagas {
            let digest = config.definition.digest().to_string();
            let saga = CheckedSaga { definition: config.definition.clone(), config: Some(config), digest };
            plans.extend(saga.plan(context));
        }
        for definition in pinned {
            let digest = definition.digest();
            if plans.iter().all(|plan| plan.definition.digest() != digest) {
                let digest = digest.to_string();
                plans.extend(CheckedSaga { definition, config: None, digest }.plan(context));
            }
        }
        for topic in plans.iter().flat_map(|plan| plan.definition.topics()) {
            saga_topics::mark(context.events, &topic);
        }
        Self { plans, settings: manifest.saga_bounds.clone() }
    }

    /// The type of the input of a saga of the manifest; `None`: any JSON.
    pub(super) fn input(&self, saga: &str) -> Option<&Type> {
        self.plans.iter().find(|plan| plan.is_current && *plan.definition.name == *saga)?.input.as_ref()
    }

    /// Goes on with the sagas on disk, and is ready for new ones; `None` if there are none to run.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(in crate::app) async fn start(
        self,
        store: Option<&Store>,
        mesh: Arc<Mesh>,
        deliveries: Option<&Deliveries>,
    ) -> Result<Option<Coordinator<MeshPerformer>>, SagaError> {
        let Some(store) = store.filter(|_| !self.plans.is_empty()) else { return Ok(None) };
        let names: BTreeSet<_> = self.plans.iter().flat_map(|plan| plan.definition.topics()).collect();
        let topics = saga_topics::of(deliveries, names.iter());
        let performer = Arc::new(MeshPerformer(mesh));
        Coordinator::start(store, (self.plans, topics), self.settings, performer).await.map(Some)
    }
}

/// The definitions of the sagas on disk that have not ended.
pub(in crate::app) async fn pinned_sagas(store: Option<&Store>) -> anyhow::Result<Vec<SagaDefinition>> {
    match store {
        Some(store) => SagaJournal::new(store).definitions().await.context("reading the sagas"),
        None => Ok(Vec::new()),
    }
}

impl CheckedSaga<'_> {
    /// The saga with its functions; `None` if something is wrong, which was found.
    fn plan(mut self, context: &mut SagaContext<'_, '_>) -> Option<SagaPlan> {
        self.check_services(context)?;
        let input = self.input(context)?;
        self.check_lock(input.as_ref(), context)?;
        self.check_start(input.as_ref(), context)?;
        let mut known = KnownTypes::at_start(input.clone());
        let (mut targets, mut waits, mut right) = (Vec::new(), BTreeMap::new(), true);
        for step in 0..self.definition.steps.len() {
            let mut target = StepTargets::default();
            let mut result = None;
            if let StepAction::Call(call) = self.definition.steps[step].action.clone() {
                match self.call(step, StepDirection::Action, &call, &known, context) {
                    Some((at, ty)) => (target.action, result) = (Some(at), ty),
                    None => right = false,
                }
            }
            if let StepAction::Wait(wait) = self.definition.steps[step].action.clone() {
                match self.wait(step, &wait, &known, context) {
                    Some((parts, payload)) => (_, result) = (waits.insert(step, parts), payload),
                    None => right = false,
                }
            }
            let name = Arc::clone(&self.definition.steps[step].name);
            let is_wrong = match self.definition.steps[step].action {
                StepAction::Call(_) => target.action.is_none(),
                StepAction::Wait(_) => !waits.contains_key(&step),
                StepAction::Pause(_) => false,
            };
            if is_wrong {
                known.broken.push(Arc::clone(&name));
            }
            // A compensation that gets the arguments of its action would be wrong in the same way.
            let like_action = |spans: &StepSpans| spans.undo_like_action;
            if is_wrong && self.spans(step).is_some_and(like_action) {
                known.before.push((name, None));
                targets.push(target);
                continue;
            }
            if let Some(mut undo) = self.definition.steps[step].undo.take() {
                known.own = Some((Arc::clone(&name), result.clone()));
                if self.spans(step).is_some_and(|spans| spans.undo_like_action) {
                    self.keep_parameters(&mut undo, context);
                }
                match self.call(step, StepDirection::Undo, &undo, &known, context) {
                    Some((at, _)) => target.undo = Some(at),
                    None => right = false,
                }
                known.own = None;
                self.definition.steps[step].undo = Some(undo);
            }
            known.before.push((name, result));
            targets.push(target);
        }
        let (definition, is_current) = (Arc::new(self.definition), self.config.is_some());
        right.then_some(SagaPlan { definition, input, targets, waits, is_current })
    }

    /// The services of a definition of an earlier manifest: nobody else has looked for them. `None`: one has gone.
    fn check_services(&self, context: &mut SagaContext<'_, '_>) -> Option<()> {
        if self.config.is_some() {
            return Some(());
        }
        let serves = |call: &&StepCall| {
            let service = context.manifest.services.iter().find(|service| service.spec.name == call.service);
            service.is_some_and(|service| service.component.is_some())
        };
        let Some(gone) = self.calls().find(|call| !serves(call)) else { return Some(()) };
        let message = format!("they call `{}/{}`, and no such service has a component", gone.service, gone.function);
        let help = "keep the service until they have ended, which `atoll saga list` tells; `atoll saga compensate` \
                    undoes one";
        self.find(context, &(0..0), message, help);
        None
    }

    /// The type of the input. The outer `None`: there is no such type, which was found.
    fn input(&self, context: &mut SagaContext<'_, '_>) -> Option<Option<Type>> {
        let Some(wanted) = &self.definition.input else { return Some(None) };
        let mut whole = true;
        for call in self.calls() {
            match context.component(&call.service) {
                Some(component) => {
                    if let Some(ty) = component.described.named_type(wanted) {
                        return Some(Some(ty.clone()));
                    }
                }
                None => whole = false,
            }
        }
        if let Some(ty) = context.events.payload(wanted) {
            return Some(Some(ty.clone()));
        }
        // A component that does not load may be the one that has the type.
        if whole {
            let message = format!("no service of a step of `{}` has the type {wanted}", self.definition.name);
            let span = self.config.map_or(0..0, |config| config.span.clone());
            self.find(context, &span, message, "correct the name: it is that of a type which a step's service has");
        }
        None
    }

    fn calls(&self) -> impl Iterator<Item = &StepCall> {
        let definition = &self.definition;
        let directions = [StepDirection::Action, StepDirection::Undo];
        (0..definition.steps.len())
            .flat_map(move |step| directions.into_iter().filter_map(move |direction| definition.call(step, direction)))
    }

    pub(super) fn spans(&self, step: usize) -> Option<&StepSpans> {
        self.config.and_then(|config| config.steps.get(step))
    }

    /// Leaves out the arguments of the action that the compensation has no parameters for.
    fn keep_parameters(&self, undo: &mut StepCall, context: &SagaContext<'_, '_>) {
        let Some(component) = context.component(&undo.service) else { return };
        let Ok((_, function)) = component.described.lookup(&undo.function) else { return };
        undo.with.retain(|(name, _)| function.params.iter().any(|param| param.name == *name));
    }

    /// Finds the function of a call, and checks its arguments. Returns its position, and the type of its result.
    fn call(
        &self,
        step: usize,
        direction: StepDirection,
        call: &StepCall,
        known: &KnownTypes,
        context: &mut SagaContext<'_, '_>,
    ) -> Option<(usize, Option<Type>)> {
        let spans = self.spans(step);
        let span = spans.map_or(0..0, |spans| match direction {
            StepDirection::Action => spans.action.clone(),
            StepDirection::Undo => spans.undo.clone(),
        });
        let component = context.component(&call.service)?;
        let prefix = format!("{}/", call.service);
        if let Some((message, help)) = unreachable(context.manifest, &call.service) {
            self.find(context, &span, message, help);
            return None;
        }
        let (function, described) = match component.described.lookup(&call.function) {
            Ok(found) => found,
            Err(error) => {
                self.find(context, &span, error.to_string(), &error.help(&prefix));
                return None;
            }
        };
        let by = match direction {
            StepDirection::Action => format!("step `{}` of saga `{}`", self.name_of(step), self.definition.name),
            StepDirection::Undo => {
                format!("`undo` of step `{}` of saga `{}`", self.name_of(step), self.definition.name)
            }
        };
        let spec = HttpBindingSpec {
            methods: vec![Method::POST],
            path_params: Vec::new(),
            from_header: BTreeMap::new(),
            status: None,
            location: None,
            errors: BTreeMap::new(),
            names: context.manifest.gateway.names,
        };
        let mut bound = match BoundFunction::bind(by.clone(), function.clone(), described, spec) {
            Ok(bound) => bound,
            Err(errors) => {
                let help = "a step calls functions whose values have a JSON form, and of whose parameters one at most \
                            is no text, number or enum: make the others fields of one record";
                errors.into_iter().for_each(|error| self.find(context, &span, error.message, help));
                return None;
            }
        };
        self.check_arguments(step, direction, call, &bound, known, context).then_some(())?;
        let result = bound.binding.success().cloned();
        let wish = format!("{} {}", self.digest, bound.wish(&call.function.to_string()));
        let at = context.places.of(&call.service, wish);
        bound.place = at;
        let functions = context.routed.entry(call.service.clone()).or_default();
        let name = Some(ManifestName { text: call.function.clone(), prefix });
        let uses = Uses::Functions { interface: function.interface.clone(), functions: Interface::default() };
        functions.push(bound);
        context.needs.push(Need { by, service: call.service.clone(), uses, name });
        Some((at, result))
    }

    fn check_arguments(
        &self,
        step: usize,
        direction: StepDirection,
        call: &StepCall,
        bound: &BoundFunction,
        known: &KnownTypes,
        context: &mut SagaContext<'_, '_>,
    ) -> bool {
        let spans = self.spans(step);
        let span_of = |name: &str| {
            spans.map_or(0..0, |spans| {
                let (arguments, whole) = match direction {
                    StepDirection::Action => (&spans.with, &spans.action),
                    StepDirection::Undo => (&spans.undo_with, &spans.undo),
                };
                arguments.get(name).unwrap_or(whole).clone()
            })
        };
        let params = &bound.binding.function.params;
        let (mut right, mut misnamed) = (true, false);
        for (name, binding) in &call.with {
            misnamed |= params.iter().all(|param| param.name != *name);
            let message = match params.iter().find(|param| param.name == *name) {
                None => Some(format!("`{}` has no parameter `{name}`", call.function)),
                Some(param) => check(binding, &param.ty, name, known),
            };
            if let Some(message) = message {
                let known: Vec<_> = params.iter().map(|param| format!("`{}`", param.name)).collect();
                let help = format!("the parameters of `{}`: {}", call.function, known.join(", "));
                self.find(context, &span_of(name), message, &help);
                right = false;
            }
        }
        let missing = params.iter().find(|param| {
            let is_written = call.with.iter().any(|(name, _)| *name == param.name);
            !is_written && !matches!(param.ty.resolved(), Type::Option(_))
        });
        // One name that is wrong is an argument too many and one too few.
        if let Some(param) = missing.filter(|_| !misnamed) {
            let key = if direction == StepDirection::Action { "with" } else { "undo_with" };
            let message = format!("`{}` gets no argument for its parameter `{}`", call.function, param.name);
            self.find(context, &span_of(""), message, &format!("add it to `{key}`: {} = \"$…\"", param.name));
            right = false;
        }
        right
    }

    pub(super) fn name_of(&self, step: usize) -> &str {
        &self.definition.steps[step].name
    }

    pub(super) fn find(&self, context: &mut SagaContext<'_, '_>, span: &Range<usize>, message: String, help: &str) {
        let message = match self.config {
            Some(_) => message,
            None => format!("sagas `{}` of an earlier manifest have not ended: {message}", self.definition.name),
        };
        context.findings.topic(context.manifest.diagnose_at(span, message, help));
    }
}

impl<'a> SagaContext<'a, '_> {
    fn component(&self, service: &ServiceName) -> Option<&'a ServiceComponent> {
        let mut services = self.manifest.services.iter().zip(self.components);
        services.find(|(config, _)| config.spec.name == *service).and_then(|(_, component)| component.as_ref())
    }
}

pub(super) fn check(binding: &Binding, ty: &Type, name: &str, known: &KnownTypes) -> Option<String> {
    if known.broken.iter().any(|step| binding.names_step(step)) {
        return None;
    }
    check_binding::<Value>(binding, ty, name, known).err().map(|misbound| misbound.to_string())
}

impl TypeScope for KnownTypes {
    fn ty(&self, root: &BindingRoot) -> Result<Type, String> {
        match root {
            BindingRoot::Key => Ok(Type::String),
            BindingRoot::Input => self.input.clone().ok_or_else(|| "the saga has no `input` type".to_owned()),
            BindingRoot::Step(name) => {
                let nothing = || format!("step `{name}` returns nothing");
                if let Some((_, ty)) = self.before.iter().find(|(own, _)| own == name) {
                    return ty.clone().ok_or_else(nothing);
                }
                if let Some((_, ty)) = self.own.as_ref().filter(|(own, _)| own == name) {
                    // The answer of a step in doubt is lost.
                    return ty.clone().map(|ty| Type::Option(Arc::new(ty))).ok_or_else(nothing);
                }
                Err(format!("there is no step `{name}` before this one"))
            }
        }
    }
}

/// Why no saga can call a service, and the mend; `None`: one can.
fn unreachable(manifest: &Manifest, name: &ServiceName) -> Option<(String, &'static str)> {
    let service = manifest.services.iter().find(|service| service.spec.name == *name)?;
    if !service.spec.requires.is_empty() {
        let message = format!("`{name}` requires scopes, and a saga comes from nobody who could have them");
        return Some((message, "leave `requires` out"));
    }
    let message = format!("`{name}` stands on other nodes, and the steps of a saga stay on theirs");
    let moves = service.spec.placement.is_some();
    (moves || service.spec.replicas.count == 0)
        .then_some((message, "let the service stand here, too, or take the saga out of this node's manifest"))
}
