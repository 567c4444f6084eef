//! The whole document: its operations by path and method, their parameters and bodies, and the tags.
//!
//! Members are sorted, and the order of the routes decides only which of two operations with one path and method is
//! shown.

use super::responses;
use super::saga_operation::{self, SagaOperation};
use super::schema::{self, describe};
use super::schema_names::{SchemaNames, TypeUser};
use crate::contract::http_binding::{HttpBinding, ParamSource, header_title_case};
use crate::contract::json::{Direction, Names};
use crate::contract::wit::{InterfaceName, Type};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The version of OpenAPI that the document is written in.
const OPENAPI: &str = "3.1.1";

/// The document's own data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its title.
    pub title: String,
    /// The version of the API, in the form that its owners use.
    pub version: String,
    /// A description, in CommonMark.
    pub description: Option<String>,
}

/// A function at one method and path.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// The method.
    pub method: Method,
    /// The path, with `{names}` for its parameters: the names of the binding's [`ParamSource::Path`].
    pub path: String,
    /// The host of the route, if the route names exactly one.
    pub host: Option<String>,
    /// The service that has the function.
    pub service: &'a str,
    /// The interface that has the function.
    pub interface: &'a InterfaceName,
    /// The docs of the interface.
    pub docs: Option<&'a str>,
    /// How the function is reached.
    pub binding: &'a HttpBinding,
}

/// The document of these operations, and of the routes that lead to sagas.
///
/// OpenAPI has one operation for each path and method, whatever the names in braces and the host: of several the first
/// one is shown. Operations with a method that OpenAPI does not know are left out.
pub fn document(info: &Info, operations: &[Operation], sagas: &[SagaOperation]) -> Value {
    let mut sorted: Vec<&Operation> = operations.iter().filter(|operation| is_known(&operation.method)).collect();
    sorted.sort_by_key(|operation| operation.key());
    sorted.dedup_by_key(|operation| operation.key());
    let sagas = shown_sagas(sagas, &sorted);
    let schema_names = schema_names(&sorted, &sagas);

    let mut ids = BTreeSet::new();
    let mut shared = BTreeSet::new();
    // By shape: the path as its first operation writes it, and the operations by method.
    let mut paths: BTreeMap<String, (&str, Map<String, Value>)> = BTreeMap::new();
    for operation in &sorted {
        let (template, item) =
            paths.entry(shape(&operation.path)).or_insert_with(|| (operation.path.as_str(), Map::new()));
        let described = operation.describe(operation_id(operation, &mut ids), template, &schema_names, &mut shared);
        item.insert(operation.method.as_str().to_ascii_lowercase(), described);
    }
    for saga in &sagas {
        let (template, item) = paths.entry(shape(&saga.path)).or_insert_with(|| (saga.path.as_str(), Map::new()));
        let parameters: Vec<&str> = braces(template).collect();
        let id = free_id(&saga_ids(saga), &mut ids);
        let described = saga.describe((id, &parameters), &schema_names, &mut shared);
        item.insert(saga.method.as_str().to_ascii_lowercase(), described);
    }

    let mut about = json!({"title": info.title, "version": info.version});
    describe(&mut about, info.description.as_deref());
    let mut schemas = schema::all(&schema_names);
    schemas.insert(responses::PROBLEM.to_owned(), responses::problem());
    if !sagas.is_empty() {
        schemas.insert(responses::SAGA.to_owned(), saga_operation::saga());
    }
    let paths: Map<_, _> =
        paths.into_values().map(|(template, item)| (template.to_owned(), Value::Object(item))).collect();
    json!({
        "openapi": OPENAPI,
        "info": about,
        "tags": tags(&sorted, &sagas),
        "paths": paths,
        "components": {"schemas": schemas, "responses": responses::shared(&shared)},
    })
}

/// The operations of sagas that the document shows: sorted, and one for each path and method that no function has.
fn shown_sagas<'s, 'a>(sagas: &'s [SagaOperation<'a>], functions: &[&Operation]) -> Vec<&'s SagaOperation<'a>> {
    let key = |saga: &SagaOperation| (shape(&saga.path), saga.method.as_str().to_owned());
    let is_taken = |saga: &SagaOperation| {
        let (shape, method) = key(saga);
        functions.iter().any(|function| function.key() == (shape.clone(), method.as_str()))
    };
    let mut sorted: Vec<_> = sagas.iter().filter(|saga| is_known(&saga.method) && !is_taken(saga)).collect();
    sorted.sort_by_key(|saga| key(saga));
    sorted.dedup_by_key(|saga| key(saga));
    sorted
}

/// The names of the schemas of all types that the operations use.
fn schema_names<'a>(operations: &[&'a Operation<'a>], sagas: &[&SagaOperation<'a>]) -> SchemaNames<'a> {
    let own: &[&str] = if sagas.is_empty() { &[responses::PROBLEM] } else { &[responses::PROBLEM, responses::SAGA] };
    let mut names = SchemaNames::new(own);
    sagas.iter().for_each(|saga| saga.add_types(&mut names));
    for operation in operations {
        let binding = operation.binding;
        let (service, interface) = (operation.service, operation.interface.short());
        let user = TypeUser { service, interface, names: binding.names };
        binding.function.params.iter().for_each(|param| names.add(&param.ty, Direction::Sent, user));
        responses::carried(binding).for_each(|ty| names.add(ty, Direction::Answered, user));
    }
    names.give_names();
    names
}

impl Operation<'_> {
    /// The key of the operation in the document: the shape of its path, and its method.
    fn key(&self) -> (String, &str) {
        (shape(&self.path), self.method.as_str())
    }

    /// The Operation Object. `template` is the path that the document shows; its names in braces may differ from the
    /// operation's own.
    fn describe(&self, id: String, template: &str, schemas: &SchemaNames, shared: &mut BTreeSet<StatusCode>) -> Value {
        let binding = self.binding;
        let mut described = json!({
            "operationId": id,
            "tags": [self.service],
            "responses": responses::responses(binding, schemas, shared),
        });
        if let Some(docs) = &binding.function.docs {
            described["summary"] = first_sentence(docs).into();
            described["description"] = docs.as_str().into();
        }
        let parameters = self.parameters(template, schemas);
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = binding.body() {
            let media = json!({"schema": schema::of(&body.ty, binding.names, schemas.toward(Direction::Sent))});
            let mut content = json!({"application/json": media});
            if self.method == Method::PATCH {
                content["application/merge-patch+json"] = media;
            }
            described["requestBody"] = json!({"required": !binding.body_may_be_absent(), "content": content});
        }
        if let Some(host) = &self.host {
            described["servers"] = json!([{"url": format!("//{host}")}]);
        }
        described
    }

    fn parameters(&self, template: &str, schemas: &SchemaNames) -> Vec<Value> {
        let renamed: BTreeMap<&str, &str> = braces(&self.path).zip(braces(template)).collect();
        let parameters = self.binding.params().filter_map(|(param, source)| {
            let (location, name) = match source {
                ParamSource::Path(name) => ("path", renamed.get(name.as_str())?.to_string()),
                ParamSource::Query(name) => ("query", name.clone()),
                ParamSource::Header(name) => ("header", header_title_case(name)),
                ParamSource::Body => return None,
            };
            let (ty, optional) = match param.ty.resolved() {
                Type::Option(inner) => (&**inner, true),
                Type::List(_) => (&param.ty, true),
                _ => (&param.ty, false),
            };
            let mut schema = schema::of(ty, self.binding.names, schemas.toward(Direction::Sent));
            if location == "path" && matches!(ty.resolved(), Type::String | Type::Char) {
                // The gateway accepts neither an empty segment, nor an encoded separator, nor a dot segment.
                schema["minLength"] = 1.into();
                schema["pattern"] = r"^(?!\.{1,2}(;|$))[^/\\\x00]+$".into();
            }
            let required = location == "path" || !optional;
            Some(json!({"name": name, "in": location, "required": required, "schema": schema}))
        });
        parameters.collect()
    }
}

/// The shape of a path: the path with empty braces. OpenAPI takes two paths of one shape for one path.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The names in the braces of a path.
fn braces(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// Whether a Path Item Object has a member for the method.
fn is_known(method: &Method) -> bool {
    use Method as M;
    matches!(*method, M::GET | M::PUT | M::POST | M::DELETE | M::OPTIONS | M::HEAD | M::PATCH | M::TRACE)
}

/// The id of an operation: `products_get`. Further operations of a function add the method, then the interface, then a
/// number.
fn operation_id(operation: &Operation, taken: &mut BTreeSet<String>) -> String {
    let method = operation.method.as_str().to_ascii_lowercase();
    let function = Names::Snake.of(&operation.binding.function.name);
    let service = Names::Snake.of(operation.service);
    let interface = Names::Snake.of(operation.interface.short());
    let short = [format!("{service}_{function}"), format!("{service}_{function}_{method}")];
    let long = format!("{service}_{interface}_{function}_{method}");
    let [plain, with_method] = short;
    free_id(&[plain, with_method, long], taken)
}

/// The ids of a saga's operation: `checkout_start`, and where that is taken `checkout_saga_start`.
fn saga_ids(saga: &SagaOperation) -> [String; 2] {
    let name = Names::Snake.of(saga.saga);
    [format!("{name}_{}", saga.verb()), format!("{name}_saga_{}", saga.verb())]
}

/// The first of these ids that is not taken, or the last of them with a number; it is taken then.
fn free_id(choices: &[String], taken: &mut BTreeSet<String>) -> String {
    let last = choices.last().map_or("", String::as_str);
    let numbered = (2..).map(|number| format!("{last}_{number}"));
    let id = choices.iter().cloned().chain(numbered).find(|id| !taken.contains(id));
    let id = id.expect("numbers do not end");
    taken.insert(id.clone());
    id
}

/// One tag for each service, with the docs of those of its interfaces that are shown, and for each saga.
fn tags(operations: &[&Operation], sagas: &[&SagaOperation]) -> Vec<Value> {
    let mut services: BTreeMap<&str, BTreeMap<&InterfaceName, &str>> = BTreeMap::new();
    services.extend(sagas.iter().map(|saga| (saga.saga, BTreeMap::new())));
    for operation in operations {
        let docs = services.entry(operation.service).or_default();
        docs.extend(operation.docs.map(|text| (operation.interface, text)));
    }
    let tags = services.into_iter().map(|(service, docs)| {
        let mut tag = json!({"name": service});
        let docs = docs.into_values().collect::<Vec<_>>().join("\n\n");
        describe(&mut tag, Some(docs.as_str()).filter(|docs| !docs.is_empty()));
        tag
    });
    tags.collect()
}

/// The first sentence, on one line and without its full stop.
fn first_sentence(docs: &str) -> String {
    let paragraph = docs.split("\n\n").next().unwrap_or(docs);
    let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = words.split(". ").next().unwrap_or(&words);
    sentence.strip_suffix('.').unwrap_or(sentence).to_owned()
}
