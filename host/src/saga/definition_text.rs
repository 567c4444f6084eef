//! A definition as text: what a running saga keeps of the manifest that started it.

use super::binding::{Binding, BindingPath};
use super::definition::{SagaDefinition, SagaStep, StepAction, StepCall};
use super::event_wait::EventWait;
use super::saga_lock::{SagaLock, WhenTaken};
use crate::base::{Digest, ServiceName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// The text is no definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a definition is damaged: {0}")]
pub struct DamagedDefinition(String);

#[derive(Serialize, Deserialize)]
struct DefinitionText {
    name: String,
    input: Option<String>,
    deadline_ms: u64,
    // What not every saga has is left out where it is absent: the digests of definitions on disk stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<LockText>,
    steps: Vec<StepText>,
}

#[derive(Serialize, Deserialize)]
struct LockText {
    name: String,
    value: String,
    taken: String,
    expires_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct StepText {
    name: String,
    call: Option<CallText>,
    pause_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<WaitText>,
    undo: Option<CallText>,
    pivot: bool,
    timeout_ms: Option<u64>,
    tries: u32,
}

#[derive(Serialize, Deserialize)]
struct WaitText {
    topic: String,
    key: Option<BindingText>,
    fields: Vec<(Vec<String>, BindingText)>,
    timeout_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct CallText {
    service: String,
    function: String,
    with: Vec<(String, BindingText)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BindingText {
    Path(String),
    Literal(Box<RawValue>),
    Record(Vec<(String, Self)>),
    List(Vec<Self>),
}

impl SagaDefinition {
    /// The definition as JSON.
    pub fn to_text(&self) -> String {
        let step = |step: &SagaStep| {
            let (call, pause_ms, wait) = match &step.action {
                StepAction::Call(call) => (Some(CallText::of(call)), None, None),
                StepAction::Pause(pause) => (None, Some(millis(*pause)), None),
                StepAction::Wait(wait) => (None, None, Some(WaitText::of(wait))),
            };
            let (undo, timeout_ms) = (step.undo.as_ref().map(CallText::of), step.timeout.map(millis));
            let SagaStep { name, pivot, tries, .. } = step;
            StepText { name: name.to_string(), call, pause_ms, wait, undo, pivot: *pivot, timeout_ms, tries: *tries }
        };
        let text = DefinitionText {
            name: self.name.to_string(),
            input: self.input.clone(),
            deadline_ms: millis(self.deadline),
            lock: self.lock.as_ref().map(LockText::of),
            steps: self.steps.iter().map(step).collect(),
        };
        serde_json::to_string(&text).expect("names, numbers and JSON are JSON")
    }

    /// What names this definition, and no other one: the SHA-256 of its text.
    pub fn digest(&self) -> String {
        Digest::of(self.to_text().as_bytes()).to_string()
    }

    /// The definition of [`SagaDefinition::to_text`].
    ///
    /// # Errors
    /// The text is another one.
    pub fn from_text(text: &str) -> Result<Self, DamagedDefinition> {
        let damaged = |why: String| DamagedDefinition(why);
        let read: DefinitionText = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let step = |text: StepText| {
            let StepText { name, call, pause_ms, wait, undo, pivot, timeout_ms, tries } = text;
            let action = match (call, pause_ms, wait) {
                (Some(call), None, None) => StepAction::Call(call.read()?),
                (None, Some(pause), None) => StepAction::Pause(Duration::from_millis(pause)),
                (None, None, Some(wait)) => StepAction::Wait(wait.read()?),
                _ => return Err(damaged(format!("step `{name}` has no action"))),
            };
            let undo = undo.map(CallText::read).transpose()?;
            let timeout = timeout_ms.map(Duration::from_millis);
            Ok(SagaStep { name: name.into(), action, undo, pivot, timeout, tries })
        };
        let steps: Vec<SagaStep> = read.steps.into_iter().map(step).collect::<Result<_, _>>()?;
        if steps.is_empty() {
            return Err(damaged("it has no steps".to_owned()));
        }
        let deadline = Duration::from_millis(read.deadline_ms);
        let lock = read.lock.map(LockText::read).transpose()?;
        Ok(Self { name: read.name.into(), input: read.input, deadline, lock, steps })
    }
}

impl LockText {
    fn of(lock: &SagaLock) -> Self {
        let SagaLock { name, value, taken, expires } = lock;
        let (name, value, taken) = (name.to_string(), value.to_string(), taken.as_str().to_owned());
        Self { name, value, taken, expires_ms: millis(*expires) }
    }

    fn read(self) -> Result<SagaLock, DamagedDefinition> {
        let value = BindingPath::parse(&self.value).map_err(|error| DamagedDefinition(error.to_string()))?;
        let taken = WhenTaken::parse(&self.taken);
        let taken = taken.ok_or_else(|| DamagedDefinition(format!("`{}` is no end of a start", self.taken)))?;
        Ok(SagaLock { name: self.name.into(), value, taken, expires: Duration::from_millis(self.expires_ms) })
    }
}

impl WaitText {
    fn of(wait: &EventWait) -> Self {
        let fields = wait.fields.iter().map(|(path, binding)| (path.clone(), BindingText::of(binding)));
        Self {
            topic: wait.topic.to_string(),
            key: wait.key.as_ref().map(BindingText::of),
            fields: fields.collect(),
            timeout_ms: wait.timeout.map(millis),
        }
    }

    fn read(self) -> Result<EventWait, DamagedDefinition> {
        let fields = self.fields.into_iter().map(|(path, binding)| Ok((path, binding.read()?)));
        Ok(EventWait {
            topic: self.topic.into(),
            key: self.key.map(BindingText::read).transpose()?,
            fields: fields.collect::<Result<_, DamagedDefinition>>()?,
            timeout: self.timeout_ms.map(Duration::from_millis),
        })
    }
}

impl CallText {
    fn of(call: &StepCall) -> Self {
        let with = call.with.iter().map(|(name, binding)| (name.clone(), BindingText::of(binding))).collect();
        Self { service: call.service.to_string(), function: call.function.clone(), with }
    }

    fn read(self) -> Result<StepCall, DamagedDefinition> {
        let service = ServiceName::new(&self.service).map_err(|error| DamagedDefinition(error.to_string()))?;
        let with = self.with.into_iter().map(|(name, binding)| Ok((name, binding.read()?)));
        Ok(StepCall { service, function: self.function, with: with.collect::<Result<_, DamagedDefinition>>()? })
    }
}

impl BindingText {
    fn of(binding: &Binding) -> Self {
        match binding {
            Binding::Path(path) => Self::Path(path.to_string()),
            Binding::Literal(json) => {
                Self::Literal(RawValue::from_string(json.clone()).expect("a literal is JSON since it was read"))
            }
            Binding::Record(fields) => {
                Self::Record(fields.iter().map(|(name, field)| (name.clone(), Self::of(field))).collect())
            }
            Binding::List(items) => Self::List(items.iter().map(Self::of).collect()),
        }
    }

    fn read(self) -> Result<Binding, DamagedDefinition> {
        Ok(match self {
            Self::Path(text) => {
                Binding::Path(BindingPath::parse(&text).map_err(|error| DamagedDefinition(error.to_string()))?)
            }
            Self::Literal(json) => Binding::Literal(json.get().to_owned()),
            Self::Record(fields) => {
                let fields = fields.into_iter().map(|(name, field)| Ok((name, field.read()?)));
                Binding::Record(fields.collect::<Result<_, DamagedDefinition>>()?)
            }
            Self::List(items) => Binding::List(items.into_iter().map(Self::read).collect::<Result<_, _>>()?),
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_as_it_was_written() {
        let path = |text: &str| Binding::Path(BindingPath::parse(text).unwrap());
        let fields = vec![("a".to_owned(), path("$input.b")), ("c".to_owned(), Binding::Literal("[1, null]".into()))];
        let with = vec![("key".to_owned(), path("$saga.key")), ("x".into(), Binding::Record(fields))];
        let call = StepCall { service: ServiceName::new("products").unwrap(), function: "p#reserve".into(), with };
        let step = |name: &str, action, undo, pivot| SagaStep {
            name: name.into(),
            action,
            undo,
            pivot,
            timeout: pivot.then_some(Duration::from_millis(1500)),
            tries: 3,
        };
        let wait = EventWait {
            topic: "payments.settled".into(),
            key: Some(path("$saga.key")),
            fields: vec![(vec!["order".into(), "id".into()], path("$reserve.id"))],
            timeout: Some(Duration::from_secs(3600)),
        };
        let lock = SagaLock {
            name: "order".into(),
            value: BindingPath::parse("$input.order").unwrap(),
            taken: WhenTaken::Wait,
            expires: Duration::from_secs(7200),
        };
        let definition = SagaDefinition {
            name: "checkout".into(),
            input: Some("shop:checkout/types#checkout".into()),
            deadline: Duration::from_secs(600),
            lock: Some(lock),
            steps: vec![
                step("reserve", StepAction::Call(call.clone()), Some(call), true),
                step("cool", StepAction::Pause(Duration::from_secs(5)), None, false),
                step("paid", StepAction::Wait(wait), None, false),
            ],
        };
        let read = SagaDefinition::from_text(&definition.to_text()).unwrap();
        assert_eq!((&read, read.digest()), (&definition, definition.digest()));
        for wrong in ["", "{}", &definition.to_text().replace("$saga.key", "saga")] {
            assert!(SagaDefinition::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_text_of_a_saga_without_locks_and_waits_is_that_of_earlier_hosts() {
        let step = SagaStep {
            name: "cool".into(),
            action: StepAction::Pause(Duration::from_secs(5)),
            undo: None,
            pivot: false,
            timeout: None,
            tries: 10,
        };
        let deadline = Duration::from_secs(60);
        let definition = SagaDefinition { name: "rest".into(), input: None, deadline, lock: None, steps: vec![step] };
        let text = concat!(
            r#"{"name":"rest","input":null,"deadline_ms":60000,"steps":[{"name":"cool","call":null,"pause_ms":5000,"#,
            r#""undo":null,"pivot":false,"timeout_ms":null,"tries":10}]}"#
        );
        assert_eq!(definition.to_text(), text, "its digest names it in journals on disk");
    }
}
