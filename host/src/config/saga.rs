//! `[saga.NAME]`: the steps of a saga, and what undoes them; and `[sagas]`: the bounds of all of them.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::function::{Callee, CalleeKind};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{CountKind, FlagKind, TextKind};
use super::reader::measure::{DAY, DurationKind, HOUR, KIB, MIB, SizeKind, in_memory};
use super::reader::report::Report;
use super::reader::section::Section;
use super::saga_binding::{BindingsKind, BoundArgument};
use super::saga_event::{self, SagaEvent};
use super::service::Services;
use super::topic::{Topics, TypeNameKind};
use super::{saga_lock, saga_wait};
use crate::base::ServiceName;
use crate::coordinator::SagaSettings;
use crate::events::Backoff;
use crate::saga::{SagaDefinition, SagaStep, StepAction, StepCall, bound};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A saga of the manifest.
#[derive(Debug, Clone)]
pub struct SagaConfig {
    /// What it does.
    pub definition: SagaDefinition,
    /// The topic whose events start it; `None`: no event does.
    pub on: Option<SagaEvent>,
    /// Where each step is written.
    pub steps: Vec<StepSpans>,
    /// Where its input is written; without one, where the saga is.
    pub(crate) span: Span,
    /// Where its lock is written; without one, where the saga is.
    pub(crate) lock: Span,
}

/// Where the parts of a step are written.
#[derive(Debug, Clone)]
pub struct StepSpans {
    /// Whether `undo_with` is not written: the compensation gets those arguments of the action that it has.
    pub undo_like_action: bool,
    /// Its call, its pause or its wait.
    pub(crate) action: Span,
    /// Its compensation.
    pub(crate) undo: Span,
    /// The arguments of the action, or what its wait is bound to, and the arguments of the compensation.
    pub(crate) with: BTreeMap<String, Span>,
    pub(crate) undo_with: BTreeMap<String, Span>,
}

static MOST: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "most",
    CountKind { min: 1, max: 1_000_000 },
    "10000",
    "The most sagas that have not ended. Further starts are refused with 503.",
);
static CONCURRENCY: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "concurrency",
    CountKind { min: 1, max: 10_000 },
    "256",
    "The most steps that are called at once, of all sagas together.",
);
static JOURNAL: ManifestKey<SizeKind> = ManifestKey::new(
    "journal",
    SizeKind { min: 4 * KIB, max: 4 * MIB },
    r#""1MiB""#,
    "The most bytes of one saga's input and results. A step whose result is longer than the rest has failed.",
);
static KEPT: ManifestKey<DurationKind> = ManifestKey::new(
    "kept",
    DurationKind { min: HOUR, max: 3650 * DAY },
    r#""24h""#,
    "How long an ended saga is remembered: its status is shown, and a start with its key is the same saga.",
);
static BACKOFF: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff",
    DurationKind { min: 1, max: HOUR },
    r#""1s""#,
    "The longest wait before a step is tried again. It doubles before each try after that. The wait itself is random, \
     from a half of it up.",
);
static BACKOFF_MOST: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff_most",
    DurationKind { min: 1, max: 24 * HOUR },
    r#""100s""#,
    "The longest wait before any try. It is not shorter than `backoff`.",
);
static INPUT: ManifestKey<TypeNameKind> = ManifestKey::without_default(
    "input",
    TypeNameKind,
    "The WIT type of the input. It must be a type that a service of a step imports or exports. Absent: that of the \
     payloads of `on`; without one any JSON, and no part of it can be bound.",
);
static DEADLINE: ManifestKey<DurationKind> = ManifestKey::new(
    "deadline",
    DurationKind { min: 100, max: 365 * DAY },
    r#""10m""#,
    "How long the saga may take until its pivot is done, or all of its steps. Then it is undone.",
);
static NAME: ManifestKey<TextKind> = ManifestKey::without_default(
    "name",
    TextKind { min: 1 },
    "Its name, by which later steps name its result: words of `a-z`, `0-9` and `-`. It is required.",
);
static CALL: ManifestKey<CalleeKind> = ManifestKey::without_default(
    "call",
    CalleeKind,
    "The function that the step calls. This, `pause` or `wait` is required.",
);
static PAUSE: ManifestKey<DurationKind> = ManifestKey::without_default(
    "pause",
    DurationKind { min: 1, max: 365 * DAY },
    "The step calls nothing, and waits for so long. A restart of the host does not begin it anew.",
);
static WITH: ManifestKey<BindingsKind> = ManifestKey::without_default(
    "with",
    BindingsKind,
    "The arguments by the names of the parameters: `$input`, `$saga.key`, `$STEP` with fields after it joined by `.`, \
     or a value as it is. A parameter that is not named must be an option.",
);
static UNDO: ManifestKey<CalleeKind> = ManifestKey::without_default(
    "undo",
    CalleeKind,
    "The function that undoes the step. It must succeed where the step has done nothing, and when it is called again. \
     Absent: the step changes nothing.",
);
static UNDO_WITH: ManifestKey<BindingsKind> = ManifestKey::without_default(
    "undo_with",
    BindingsKind,
    "The arguments of `undo`. Absent: those of `with` whose parameters it has.",
);
static PIVOT: ManifestKey<FlagKind> = ManifestKey::new(
    "pivot",
    FlagKind,
    "false",
    "Once this step is done the saga only goes forward: the steps after it are tried until they succeed.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::without_default(
    "timeout",
    DurationKind { min: 1, max: HOUR },
    "How long one try may take. Absent: as long as `limits` of the service allow.",
);
static TRIES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "tries",
    CountKind { min: 1, max: 100 },
    "10",
    "How often its function may fail. Then the saga is undone; where it cannot be, it waits for a person. A service \
     that cannot be reached costs no try.",
);

/// Reads `[sagas]`.
pub(super) fn settings(root: &mut Section<'_>) -> SagaSettings {
    let mut section = root.section("sagas");
    let (first, most) = (section.get_sourced(&BACKOFF), section.get_sourced(&BACKOFF_MOST));
    section.refuse_longer((&BACKOFF, &first), (&BACKOFF_MOST, &most));
    let settings = SagaSettings {
        most: usize::try_from(section.get(&MOST)).expect("at most a million"),
        concurrency: section.get(&CONCURRENCY).into(),
        journal: in_memory(section.get(&JOURNAL)),
        kept: section.get(&KEPT),
        backoff: Backoff { first: first.value, most: most.value },
    };
    section.close();
    settings
}

/// Reads every `[saga.NAME]`.
pub(super) fn read_all(root: &mut Section<'_>, services: &Services, topics: &Topics) -> Vec<SagaConfig> {
    let report = root.report;
    let mut sections = root.sections("saga");
    sections.sort_by_key(|(key, _)| key.span().start);
    let mut sagas = Vec::new();
    for (key, mut section) in sections {
        let name: &str = key.get_ref();
        if let Err(help) = check_name(name) {
            report.push(ValueOrigin::Text(key.span()), format!("`{name}` is no name of a saga"), help);
        }
        let (input, deadline) = (section.find(&INPUT), section.get(&DEADLINE));
        let on = section.has(saga_event::NAME).then(|| {
            let mut section = section.section(saga_event::NAME);
            let read = saga_event::read(&mut section, topics);
            section.close();
            read
        });
        let mut lock_span = key.span();
        let lock = section.has(saga_lock::NAME).then(|| {
            let mut section = section.section(saga_lock::NAME);
            lock_span = section.span.clone();
            let read = saga_lock::read(&mut section, name, on.is_some());
            section.close();
            read
        });
        let steps = steps(&mut section, name, (services, topics));
        section.close();
        let span = input.as_ref().and_then(Sourced::span).unwrap_or_else(|| key.span());
        // What is written and wrong was reported: without it, what follows from it would be told as well.
        if let Some((steps, spans)) = steps
            && on.as_ref().is_none_or(Option::is_some)
            && lock.as_ref().is_none_or(Option::is_some)
        {
            let (on, lock) = (on.flatten(), lock.flatten());
            let payload = || topics.payload(&on.as_ref()?.topic).map(str::to_owned);
            let input = input.map(|found| found.value).or_else(payload);
            let definition = SagaDefinition { name: name.into(), input, deadline, lock, steps };
            sagas.push(SagaConfig { definition, on, steps: spans, span, lock: lock_span });
        }
    }
    sagas
}

/// The steps; `None` if one of them is wrong, which was reported.
fn steps(
    section: &mut Section<'_>,
    saga: &str,
    (services, topics): (&Services, &Topics),
) -> Option<(Vec<SagaStep>, Vec<StepSpans>)> {
    let report = section.report;
    let sections = section.list("step");
    let mut wrong = sections.is_empty() || sections.len() > bound::STEPS;
    if wrong {
        let message = format!("a saga has 1 to {} steps, and `{saga}` has {}", bound::STEPS, sections.len());
        report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, "add step = [{ name, call, with }]");
    }
    let (mut steps, mut spans): (Vec<SagaStep>, Vec<StepSpans>) = (Vec::new(), Vec::new());
    for mut section in sections {
        let read = read_step(&mut section, services, topics);
        let origin = ValueOrigin::Text(section.span.clone());
        section.close();
        let Some((step, span)) = read else {
            wrong = true;
            continue;
        };
        let refuse = |message: String, help: &str| report.push_if_whole(origin.clone(), message, help);
        if steps.iter().any(|before| before.name == step.name) {
            refuse(format!("two steps are named `{}`", step.name), "rename one of them");
        }
        if steps.iter().any(|before| before.pivot) {
            if step.pivot {
                refuse("a second step has `pivot`".into(), "a saga has one pivot: leave it out here");
            }
            if step.undo.is_some() {
                let message = format!("step `{}` comes after the pivot, and is never undone", step.name);
                refuse(message, "leave `undo` out, or let the pivot come later");
            }
            if matches!(&step.action, StepAction::Wait(wait) if wait.timeout.is_none()) {
                let message = format!("step `{}` comes after the pivot, and would wait for ever", step.name);
                refuse(message, "add a `timeout` to its `wait`: then the saga waits for a person");
            }
        }
        steps.push(step);
        spans.push(span);
    }
    (!wrong).then_some((steps, spans))
}

fn read_step(section: &mut Section<'_>, services: &Services, topics: &Topics) -> Option<(SagaStep, StepSpans)> {
    let report = section.report;
    let name = section.find(&NAME);
    let (call, pause) = (section.find(&CALL), section.find(&PAUSE));
    let (with, undo, undo_with) = (section.find(&WITH), section.find(&UNDO), section.find(&UNDO_WITH));
    let (pivot, timeout, tries) = (section.get(&PIVOT), section.find(&TIMEOUT), section.get(&TRIES));
    let here = || ValueOrigin::Text(section.span.clone());
    if section.lacks(NAME.name) {
        report.push_if_whole(here(), "a step has no `name`", "add name = \"reserve\"");
    }
    if let Some(name) = &name
        && let Err(help) = check_name(&name.value)
    {
        report.push_if_whole(name.origin.clone(), format!("`{}` is no name of a step", name.value), help);
    }
    let wait = section.has(saga_wait::NAME).then(|| {
        let mut section = section.section(saga_wait::NAME);
        let read = saga_wait::read(&mut section, topics);
        section.close();
        read
    });
    check_action(section)?;
    let undo_like_action = undo_with.is_none();
    let span = |found: Option<Span>| found.unwrap_or_else(|| section.span.clone());
    let (waited, waited_spans) = wait.flatten().unzip();
    let action = [call.as_ref().and_then(Sourced::span), pause.as_ref().and_then(Sourced::span)];
    let spans = StepSpans {
        undo_like_action,
        action: span(action.into_iter().flatten().next().or(waited.as_ref().and_then(Sourced::span))),
        undo: span(undo.as_ref().and_then(Sourced::span)),
        with: waited_spans.unwrap_or_else(|| spans_of(with.as_ref())),
        undo_with: spans_of(undo_with.as_ref().or(with.as_ref())),
    };
    let with = with.map(|found| found.value).unwrap_or_default();
    let undo_with = undo_with.map_or_else(|| with.clone(), |found| found.value);
    let wrong_undo = section.has(UNDO.name) && undo.is_none();
    let undo = undo.map(|undo| step_call(&undo, undo_with, services, report));
    let action = match (call, pause, waited) {
        (Some(call), ..) => StepAction::Call(step_call(&call, with, services, report)?),
        (None, Some(pause), _) => StepAction::Pause(pause.value),
        (None, None, Some(wait)) => StepAction::Wait(wait.value),
        (None, None, None) => return None,
    };
    // A wait that is over has failed: there is nothing that could be tried again.
    let tries = if matches!(action, StepAction::Wait(_)) { 1 } else { tries };
    let undo = match undo {
        Some(None) => return None,
        Some(undo) => undo,
        None => None,
    };
    let timeout = timeout.map(|found| found.value);
    let name: Arc<str> = name?.value.into();
    (!wrong_undo).then_some((SagaStep { name, action, undo, pivot, timeout, tries }, spans))
}

/// Checks that the step does one thing, and that what is written belongs to it. `None`: it does not.
fn check_action(section: &Section<'_>) -> Option<()> {
    let report = section.report;
    let here = || ValueOrigin::Text(section.span.clone());
    let actions = [CALL.name, PAUSE.name, saga_wait::NAME];
    if actions.iter().filter(|name| section.has(name)).count() != 1 {
        let message = "a step has one of `call`, `pause` and `wait`";
        report.push_if_whole(here(), message, "add call = \"products/reserve\", or pause = \"10m\"");
        return None;
    }
    let needs =
        [(WITH.name, CALL.name), (TIMEOUT.name, CALL.name), (TRIES.name, CALL.name), (UNDO_WITH.name, UNDO.name)];
    for (name, needed) in needs {
        // The pause of a step with `tries` has had no effect of it before.
        let is_old = name == TRIES.name && section.has(PAUSE.name);
        if section.has(name) && section.lacks(needed) && !is_old {
            let message = format!("`{name}` has no effect without `{needed}`");
            report.push_if_whole(here(), message, "leave it out");
        }
    }
    Some(())
}

fn spans_of(found: Option<&Sourced<Vec<BoundArgument>>>) -> BTreeMap<String, Span> {
    let arguments = found.into_iter().flat_map(|found| &found.value);
    arguments.map(|argument| (argument.param.clone(), argument.span.clone())).collect()
}

fn step_call(
    callee: &Sourced<Callee>,
    with: Vec<BoundArgument>,
    services: &Services,
    report: &Report,
) -> Option<StepCall> {
    let Callee { service, function } = &callee.value;
    services.find(service, &callee.origin, report)?;
    if services.only_addresses.iter().any(|only| only.as_str() == service) {
        let message = format!("service `{service}` has no component, and so no function to call");
        report.push_if_whole(callee.origin.clone(), message, "give it a `component`");
    }
    let with = with.into_iter().map(|argument| (argument.param, argument.binding)).collect();
    Some(StepCall { service: ServiceName::new(service).ok()?, function: function.clone(), with })
}

/// Checks the name of a saga or a step.
fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "input" | "saga" => Err("`$input` and `$saga` mean something else: take another name"),
        _ if name.len() <= bound::NAME && ServiceName::new(name).is_ok() => Ok(()),
        _ => Err("use 1 to 63 of a-z, 0-9 and `-`, a letter first"),
    }
}
