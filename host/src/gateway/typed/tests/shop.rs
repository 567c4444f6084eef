//! The shop of these tests: its contract, its routes, and values of its types.

use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::contract::testing::SampleValue;
use crate::contract::{
    BoundFunction, Case, Field, Function, FunctionName, HttpBindingSpec, Integer, InterfaceName, Names, Param, Record,
    Type, Value, Variant,
};
use crate::gateway::tests::serve;
use crate::gateway::{Answerer, Call, CallFailure, Gateway, RouteTransforms, Settings, Target};
use crate::listen::wire_client::{WireAnswer, WireClient};
use crate::route::{RoutingTable, Rule};
use bytes::Bytes;
use http::{Request, Response};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a function answers.
pub(super) type FunctionOutcome = Result<Option<SampleValue>, CallFailure>;

/// A mesh that records the calls, and answers them by a closure.
struct Functions<F> {
    outcome: F,
    calls: RecordedCalls,
    functions: Vec<Arc<BoundFunction>>,
}

/// A route to a function; its target names the first function of the service.
pub(super) type TypedRoute = (Rule, Target, BoundFunction);

/// The calls that reached the mesh: the function's name and the arguments.
pub(super) type RecordedCalls = Arc<Mutex<Vec<(String, Vec<SampleValue>)>>>;

impl<F: Fn() -> FunctionOutcome + Send + Sync + 'static> Call for Functions<F> {
    type Value = SampleValue;
    type Pinned = Arc<BoundFunction>;

    fn table_number(&self) -> u64 {
        0
    }

    async fn call(&self, _: &ServiceName, _: Request<Body>, _: &CallContext) -> Result<Response<Body>, CallFailure> {
        unreachable!("all routes of these tests are typed")
    }

    fn pin(&self, _: &ServiceName, at: usize, _: &CallContext) -> Result<Arc<BoundFunction>, CallFailure> {
        Ok(Arc::clone(&self.functions[at]))
    }

    async fn invoke(
        &self,
        function: &Arc<BoundFunction>,
        arguments: Vec<SampleValue>,
        _: &CallContext,
    ) -> FunctionOutcome {
        self.calls.lock().expect("no test panics with it").push((function.name.function.clone(), arguments));
        (self.outcome)()
    }
}

/// A gateway over the shop.
pub(super) struct Shop {
    pub(super) addr: SocketAddr,
    pub(super) calls: RecordedCalls,
}

impl Shop {
    /// A shop whose functions answer by the closure `outcome`.
    pub(super) async fn open(outcome: impl Fn() -> FunctionOutcome + Send + Sync + 'static) -> Self {
        Self::with_routes(routes(), outcome).await
    }

    /// A shop with other routes.
    pub(super) async fn with_routes(
        routes: Vec<TypedRoute>,
        outcome: impl Fn() -> FunctionOutcome + Send + Sync + 'static,
    ) -> Self {
        let calls = RecordedCalls::default();
        let functions = routes.iter().map(|(.., function)| Arc::new(function.clone())).collect();
        let mesh = Functions { outcome, calls: calls.clone(), functions };
        let numbered = routes.into_iter().enumerate();
        let routes = numbered.map(|(at, (rule, target, _))| (rule, Target { typed: Some(at), ..target })).collect();
        let settings =
            Settings { openapi: Some(Bytes::from_static(b"{\"openapi\":\"3.1.0\"}")), ..Settings::default() };
        Self { addr: serve(Gateway::new(settings, Arc::new(RoutingTable::new(routes)), Arc::new(mesh))).await, calls }
    }

    /// A shop whose functions all answer `value`.
    pub(super) async fn answering(value: Option<SampleValue>) -> Self {
        Self::open(move || Ok(value.clone())).await
    }

    /// Sends a request. `head` is the method and target, and perhaps header fields, one a line.
    pub(super) async fn request(&self, head: &str, body: &str) -> WireAnswer {
        let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
        let mut request = format!("{line} HTTP/1.1\r\nHost: a\r\n");
        fields.lines().for_each(|field| request += &format!("{field}\r\n"));
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        WireClient::connect(self.addr).await.request(format!("{request}\r\n{body}")).await
    }

    /// Sends a request with JSON as its body.
    pub(super) async fn send_json(&self, line: &str, body: &str) -> WireAnswer {
        self.request(&format!("{line}\nContent-Type: application/json"), body).await
    }

    /// The last call.
    pub(super) fn last(&self) -> (String, Vec<SampleValue>) {
        self.calls.lock().expect("no test panics with it").last().expect("a call").clone()
    }
}

fn record(name: &str, fields: &[(&str, Type)]) -> Type {
    let field = |(name, ty): &(&str, Type)| Field { name: (*name).to_owned(), docs: None, ty: ty.clone() };
    Type::Record(Arc::new(Record { name: name.into(), docs: None, fields: fields.iter().map(field).collect() }))
}

fn errors() -> Type {
    let faults = record("field-error", &[("pointer", Type::String), ("detail", Type::String)]);
    let cases = [
        ("not-found", None),
        ("conflict", Some(Type::String)),
        ("invalid", Some(Type::List(Arc::new(faults)))),
        ("unauthorized", None),
        ("forbidden", None),
        ("unavailable", Some(Type::String)),
        ("internal", Some(Type::String)),
        ("sold-out", Some(record("rest", &[("pieces-left", Type::U32)]))),
    ];
    let case = |(name, ty): (&str, Option<Type>)| Case { name: name.into(), docs: None, ty };
    Type::Variant(Arc::new(Variant { name: "error".into(), docs: None, cases: cases.map(case).into() }))
}

/// The type of a result whose success is `ok`, or nothing.
pub(super) fn or_error(ok: Option<Type>) -> Option<Type> {
    Some(Type::Result { ok: ok.map(Arc::new), err: Some(Arc::new(errors())) })
}

/// A route to a function. The parameter `key` of `reserve` comes from a header.
pub(super) fn route(
    line: (&[&str], &str),
    name: &str,
    params: &[(&str, Type)],
    result: Option<Type>,
    location: Option<&str>,
) -> TypedRoute {
    let (methods, path) = line;
    let rule = Rule::exact(path).and_then(|rule| rule.with_methods(methods)).expect("a rule");
    let params = params.iter().map(|(name, ty)| Param { name: (*name).to_owned(), ty: ty.clone() }).collect();
    let function = Function { name: name.into(), docs: None, asynchronous: true, params, result };
    let sells = matches!(function.result, Some(Type::Result { .. }));
    let spec = HttpBindingSpec {
        methods: rule.methods().to_vec(),
        path_params: path.split(['{', '}']).skip(1).step_by(2).map(str::to_owned).collect(),
        from_header: match name {
            "reserve" => BTreeMap::from([("key".to_owned(), "idempotency-key".to_owned())]),
            _ => BTreeMap::new(),
        },
        status: None,
        location: location.map(str::to_owned),
        errors: sells.then(|| ("sold-out".to_owned(), 409)).into_iter().collect(),
        names: Names::Snake,
    };
    let interface = InterfaceName::new("shop:products/products@1.0.0");
    let name = FunctionName { interface, function: name.into() };
    let function = BoundFunction::bind(rule.description(), name, &function, spec).expect("it fits");
    let target = Target {
        answerer: Answerer::Service(ServiceName::new("products").expect("a name")),
        body_limit: 64,
        open_uploads: 8,
        timeout: Duration::from_millis(300),
        limits: None,
        typed: Some(0),
        trailers: false,
        interim: false,
        websocket: None,
        access: None,
        addresses: None,
        cors: None,
        cache: None,
        left_out: None,
        transforms: RouteTransforms::default(),
    };
    (rule, target, function)
}

fn routes() -> Vec<TypedRoute> {
    let product = || record("product", &[("id", Type::U64), ("unit-price", Type::U32)]);
    let new = || record("new-product", &[("sku", Type::String), ("unit-price", Type::U32)]);
    let option = |ty| Type::Option(Arc::new(ty));
    let (id, key) = (("id", Type::U64), ("key", Type::String));
    let query = [("page-size", option(Type::U32)), ("kinds", Type::List(Arc::new(Type::String))), ("all", Type::Bool)];
    let one = "/products/{id}";
    vec![
        route((&["GET", "HEAD"], one), "get", std::slice::from_ref(&id), or_error(Some(product())), None),
        route((&["PATCH"], one), "change", &[("changes", new()), id.clone()], or_error(Some(product())), None),
        route((&["DELETE"], one), "remove", std::slice::from_ref(&id), or_error(None), None),
        route((&["GET", "HEAD"], "/products"), "list", &query, or_error(Some(Type::U32)), None),
        route((&["POST"], "/products"), "create", &[("product", new())], or_error(Some(product())), Some(one)),
        route((&["POST"], "/products/{id}/reserve"), "reserve", &[id, key], or_error(None), None),
        route(
            (&["PUT"], "/notes/{title}"),
            "note",
            &[("title", Type::String), ("text", option(Type::String))],
            or_error(None),
            Some("/notes/{title}"),
        ),
        route(
            (&["POST"], "/notes"),
            "find",
            &[],
            or_error(Some(record("note", &[("title", Type::String)]))),
            Some("/notes/{title}"),
        ),
        route((&["GET"], "/greeting"), "greet", &[], Some(Type::String), None),
        route((&["POST"], "/greeting"), "forget", &[], None, None),
    ]
}

pub(super) fn ok(value: Option<SampleValue>) -> Option<SampleValue> {
    Some(SampleValue::result(Ok(value)))
}

pub(super) fn error(case: &str, payload: Option<SampleValue>) -> Option<SampleValue> {
    Some(SampleValue::result(Err(Some(SampleValue::variant(case.into(), payload)))))
}

pub(super) fn u64(value: u64) -> SampleValue {
    SampleValue::integer(Integer::U64, value.into())
}

pub(super) fn u32(value: u32) -> SampleValue {
    SampleValue::integer(Integer::U32, value.into())
}

pub(super) fn string(text: &str) -> SampleValue {
    SampleValue::string(text.into())
}

pub(super) fn product(id: u64) -> SampleValue {
    SampleValue::record(vec![("id".into(), u64(id)), ("unit-price".into(), u32(250))])
}

pub(super) fn failure(kind: ErrorKind) -> FunctionOutcome {
    Err(CallFailure { kind, deadline: None, retry_after: None, lacks: None, detail: "the inside".into() })
}
