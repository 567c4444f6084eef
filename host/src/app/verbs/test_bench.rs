//! Calls the functions of services as `atoll test` wants them called, and says what is wrong with the answers.

use super::stand_ins::{FakeAnswer, Replacements, StandIns};
use super::test_order::TestOrder;
use crate::base::{CallContext, RequestId, ServiceName};
use crate::contract::{Contract, Function, FunctionName, Names, Type, Value as _, json};
use crate::expectation::{ArgumentSource, Example, ExpectedAnswer, TestCase, mismatch, smaller};
use crate::mesh::{Mesh, Value};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most calls for making one failing argument smaller.
const SHRINKING: u32 = 400;
/// How long one call may take, beside the service's own bounds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The lines of a failure that are told: more are the guest's stack.
const LINES: usize = 12;

/// A service, its contract with docs, and its examples; those of other services among them are its expectations.
pub(super) struct TestedService {
    pub(super) name: ServiceName,
    pub(super) contract: Arc<Contract>,
    pub(super) examples: Vec<Example>,
}

/// The services, ready to be called.
pub(super) struct TestBench {
    pub(super) mesh: Arc<Mesh>,
    pub(super) stand_ins: Arc<StandIns>,
    pub(super) tested: Vec<TestedService>,
    pub(super) order: TestOrder,
}

/// The answer of a function: of a `result` one of its sides.
enum ResultSide {
    Well(Json),
    Error(Json),
}

/// Why a call has no answer that fits.
struct WrongAnswer {
    /// The first word of it: a walk to a smaller argument must not end at another mistake.
    kind: String,
    detail: String,
}

impl WrongAnswer {
    fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), detail: detail.into() }
    }

    fn told(&self) -> String {
        let text = format!("{}: {}", self.kind, self.detail);
        text.lines().take(LINES).collect::<Vec<_>>().join("\n")
    }
}

impl TestBench {
    /// The examples come first, since the made-up arguments change the services' data.
    pub(super) async fn run(&self) -> Vec<TestCase> {
        let mut cases = Vec::new();
        for owner in &self.tested {
            for example in &owner.examples {
                cases.extend(self.check(owner, example).await);
            }
        }
        for service in self.tested.iter().filter(|service| self.wanted(&service.name)) {
            // What stands at the top of a component without a package is no contract. Toolchains leave functions there
            // that only they may call: `init` of componentize-py and of componentize-qjs.
            let exports = service.contract.exports.iter().filter(|(interface, _)| interface.path.contains('/'));
            for (interface, described) in exports {
                for function in described.functions.values() {
                    let name = FunctionName { interface: interface.clone(), function: function.name.clone() };
                    cases.extend(self.try_out(service, &name, function).await);
                }
            }
        }
        cases
    }

    fn wanted(&self, service: &ServiceName) -> bool {
        self.order.services.is_empty() || self.order.services.contains(service)
    }

    /// Checks an example; `None` if its service is not wanted.
    async fn check(&self, owner: &TestedService, example: &Example) -> Option<TestCase> {
        let began = Instant::now();
        let provider = match &example.service {
            None => Some(owner),
            Some(name) => self.tested.iter().find(|one| one.name.as_str() == name),
        };
        let service = provider.map_or(&owner.name, |provider| &provider.name);
        if !self.wanted(service) {
            return None;
        }
        let name = if *service == owner.name {
            example.name.clone()
        } else {
            format!("{} expects: {}", owner.name, example.name)
        };
        let outcome = match provider {
            Some(provider) => self.compare(provider, example).await,
            None => Err(format!("`{}` is no service with a component", example.service.as_deref().unwrap_or_default())),
        };
        self.stand_ins.replace(Replacements::default());
        Some(TestCase { service: service.to_string(), name, took: began.elapsed(), failure: outcome.err() })
    }

    async fn compare(&self, provider: &TestedService, example: &Example) -> Result<(), String> {
        let (name, function) = find(&provider.contract, &example.function)?;
        self.stand_ins.replace(self.replacements(example)?);
        let answered = self.call(&provider.name, &name, function, &example.arguments).await;
        let answered = answered.map_err(|wrong| wrong.told())?;
        let wrong = match (&example.expected, &answered) {
            (ExpectedAnswer::Any, _) => None,
            (ExpectedAnswer::Answer(expected), ResultSide::Well(found)) => mismatch(expected, found),
            (ExpectedAnswer::Error(expected), ResultSide::Error(found)) => mismatch(expected, found),
            (ExpectedAnswer::Answer(expected), ResultSide::Error(found)) => {
                Some(format!("should be {expected}, and is the error {found}"))
            }
            (ExpectedAnswer::Error(expected), ResultSide::Well(found)) => {
                Some(format!("should be the error {expected}, and is {found}"))
            }
        };
        let arguments = Json::Object(example.arguments.clone());
        wrong.map_or(Ok(()), |wrong| Err(format!("the answer {wrong}\narguments: {arguments}")))
    }

    fn replacements(&self, example: &Example) -> Result<Replacements, String> {
        let known = |name: &str| {
            let found = self.tested.iter().find(|one| one.name.as_str() == name);
            found.ok_or_else(|| format!("`{name}` is no service with a component"))
        };
        let mut replacements = Replacements::default();
        for name in &example.faults {
            replacements.faults.push(known(name)?.name.clone());
        }
        for (call, answer) in &example.fakes {
            let (service, function) =
                call.split_once('/').ok_or_else(|| format!("{call:?} should be \"SERVICE/FUNCTION\""))?;
            let service = known(service)?;
            let (name, function) = find(&service.contract, function)?;
            let answer = function.result.as_ref().map(|ty| read(ty, answer)).transpose();
            let answer = answer.map_err(|wrong| format!("the fake of {call} {wrong}"))?;
            replacements.fakes.push(FakeAnswer { service: service.name.clone(), function: name, answer });
        }
        Ok(replacements)
    }

    /// Calls a function with made-up arguments. `None` if its types have no JSON: streams and resources.
    async fn try_out(&self, service: &TestedService, name: &FunctionName, function: &Function) -> Option<TestCase> {
        let (began, inputs) = (Instant::now(), self.order.inputs);
        let mut failure = None;
        for number in 0..inputs {
            let arguments = arguments(function, self.order.seed.wrapping_add(number.into()))?;
            if let Err(wrong) = self.call(&service.name, name, function, &arguments).await {
                let (arguments, wrong) = self.shrink(service, name, function, (arguments, wrong)).await;
                let (told, arguments, seed) = (wrong.told(), Json::Object(arguments), self.order.seed);
                let place = format!("input {} of {inputs}, --seed {seed}", number + 1);
                failure = Some(format!("{told}\narguments: {arguments}\n{place}, made smaller"));
                break;
            }
        }
        let name = format!("{} with {inputs} made-up inputs", function.name);
        Some(TestCase { service: service.name.to_string(), name, took: began.elapsed(), failure })
    }

    async fn shrink(
        &self,
        service: &TestedService,
        name: &FunctionName,
        function: &Function,
        (mut arguments, mut wrong): (Map<String, Json>, WrongAnswer),
    ) -> (Map<String, Json>, WrongAnswer) {
        let mut left = SHRINKING;
        'smaller: loop {
            for step in smaller(&Json::Object(arguments.clone())) {
                let Json::Object(step) = step else { continue };
                if values(function, &step).is_err() {
                    continue;
                }
                if left == 0 {
                    return (arguments, wrong);
                }
                left -= 1;
                match self.call(&service.name, name, function, &step).await {
                    Err(found) if found.kind == wrong.kind => {
                        (arguments, wrong) = (step, found);
                        continue 'smaller;
                    }
                    _ => {}
                }
            }
            return (arguments, wrong);
        }
    }

    async fn call(
        &self,
        service: &ServiceName,
        name: &FunctionName,
        function: &Function,
        arguments: &Map<String, Json>,
    ) -> Result<ResultSide, WrongAnswer> {
        let values = values(function, arguments).map_err(|detail| WrongAnswer::new("arguments", detail))?;
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), PATIENCE);
        let answer = self.mesh.invoke(service, name, values, &context).await;
        let answer = answer.map_err(|error| WrongAnswer::new(&error.kind.to_string(), error.detail))?;
        let (Some(ty), Some(answer)) = (&function.result, answer) else { return Ok(ResultSide::Well(Json::Null)) };
        let outside = |detail| WrongAnswer::new("outside the type", detail);
        match (ty.resolved(), answer.as_result()) {
            (Type::Result { ok, .. }, Some(Ok(value))) => side(ok.as_deref(), value).map(ResultSide::Well),
            (Type::Result { err, .. }, Some(Err(value))) => side(err.as_deref(), value).map(ResultSide::Error),
            _ => side(Some(ty), Some(&answer)).map(ResultSide::Well),
        }
        .map_err(outside)
    }
}

fn find<'a>(contract: &'a Contract, function: &str) -> Result<(FunctionName, &'a Function), String> {
    contract.lookup(function).map_err(|error| format!("{error}; {}", error.help("")))
}

/// Arguments for a function by its types; `None` if they have no JSON.
fn arguments(function: &Function, seed: u64) -> Option<Map<String, Json>> {
    if function.result.as_ref().is_some_and(|ty| crate::contract::unmappable(ty).is_some()) {
        return None;
    }
    let mut source = ArgumentSource::new(seed);
    let named = function.params.iter().map(|param| {
        let value: Value = source.value(&param.ty)?;
        Some((Names::default().of(&param.name), side(Some(&param.ty), Some(&value)).ok()?))
    });
    named.collect()
}

/// The arguments as values.
fn values(function: &Function, arguments: &Map<String, Json>) -> Result<Vec<Value>, String> {
    let names = Names::default();
    let known = |name: &String| function.params.iter().any(|param| names.of(&param.name) == *name);
    if let Some(unknown) = arguments.keys().find(|name| !known(name)) {
        return Err(format!("the function has no parameter `{unknown}`"));
    }
    let read_one = |param: &crate::contract::Param| {
        let name = names.of(&param.name);
        let given = arguments.get(&name).unwrap_or(&Json::Null);
        read(&param.ty, given).map_err(|wrong| format!("`{name}` {wrong}"))
    };
    function.params.iter().map(read_one).collect()
}

fn read(ty: &Type, json: &Json) -> Result<Value, String> {
    json::read(ty, Names::default(), json.to_string().as_bytes()).map_err(|error| match error {
        json::ReadError::Violations(violations) => {
            let told = |one: &json::Violation| format!("{} {}", one.pointer, one.detail).trim().to_owned();
            violations.iter().map(told).collect::<Vec<_>>().join(", ")
        }
        malformed @ json::ReadError::Malformed { .. } => malformed.to_string(),
    })
}

/// A value as JSON; a side of a `result` may have none.
fn side(ty: Option<&Type>, value: Option<&Value>) -> Result<Json, String> {
    let (Some(ty), Some(value)) = (ty, value) else { return Ok(Json::Null) };
    let mut text = Vec::new();
    json::write(ty, Names::default(), value, &mut text).map_err(|misfit| misfit.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
