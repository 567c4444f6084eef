//! The OpenAPI 3.1 document of the functions that routes name.
//!
//! `schema` has the JSON Schema of each type, `named` the names of those schemas, `pattern` the regular expressions of numbers as text,
//! `answers` the responses. The same operations give the same document, byte for byte: members are sorted, and nothing depends on the
//! order of routes but which of two with one path and method is shown.

mod answers;
mod named;
mod pattern;
mod schema;
#[cfg(test)]
mod tests;

use self::named::Named;
use super::{HttpBinding, InterfaceName, Names, ParamSource, Type, capitals};
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The version of OpenAPI that the document is written in.
const OPENAPI: &str = "3.1.1";

/// What the document says of itself.
#[derive(Debug, Clone)]
pub struct Info {
    /// Its title.
    pub title: String,
    /// The version of the API, in whatever form its owners count.
    pub version: String,
    /// What it is, in CommonMark.
    pub description: Option<String>,
}

/// A function at one method and path.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// The method.
    pub method: Method,
    /// The path, with `{names}` for its parameters: the names that the face's [`ParamSource::Path`] have.
    pub path: String,
    /// The host at which it is, where the route names one exactly.
    pub host: Option<String>,
    /// The service that has the function.
    pub service: &'a str,
    /// The interface that has the function.
    pub interface: &'a InterfaceName,
    /// What the interface's author says of it.
    pub docs: Option<&'a str>,
    /// How the function is reached.
    pub face: &'a HttpBinding,
}

/// The document of these operations.
///
/// OpenAPI knows one operation for a path and method, whatever the names in its braces and whichever host: the first one is shown.
/// Methods that it does not know are left out.
pub fn document(info: &Info, operations: &[Operation]) -> Value {
    let mut sorted: Vec<&Operation> = operations.iter().filter(|operation| is_known(&operation.method)).collect();
    sorted.sort_by_key(|operation| operation.place());
    sorted.dedup_by_key(|operation| operation.place());
    let named = Named::collect(&sorted);

    let mut ids = BTreeSet::new();
    let mut shared = BTreeSet::new();
    // By shape: the template as its first operation has it, and the operations by method.
    let mut paths: BTreeMap<String, (&str, Map<String, Value>)> = BTreeMap::new();
    for operation in &sorted {
        let (template, item) =
            paths.entry(shape(&operation.path)).or_insert_with(|| (operation.path.as_str(), Map::new()));
        let described = operation.describe(operation_id(operation, &mut ids), template, &named, &mut shared);
        item.insert(operation.method.as_str().to_ascii_lowercase(), described);
    }

    let mut about = json!({"title": info.title, "version": info.version});
    describe(&mut about, info.description.as_deref());
    let mut schemas = named.schemas();
    schemas.insert(answers::PROBLEM.to_owned(), answers::problem());
    let paths: Map<_, _> =
        paths.into_values().map(|(template, item)| (template.to_owned(), Value::Object(item))).collect();
    json!({
        "openapi": OPENAPI,
        "info": about,
        "tags": tags(&sorted),
        "paths": paths,
        "components": {"schemas": schemas, "responses": answers::shared(&shared)},
    })
}

impl Operation<'_> {
    /// Where it stands in the document.
    fn place(&self) -> (String, &str) {
        (shape(&self.path), self.method.as_str())
    }

    /// It as an Operation Object. `template` is the path as it is shown, which may have other names in its braces than its own.
    fn describe(&self, id: String, template: &str, named: &Named, shared: &mut BTreeSet<u16>) -> Value {
        let face = self.face;
        let mut described = json!({
            "operationId": id,
            "tags": [self.service],
            "responses": answers::responses(face, named, shared),
        });
        if let Some(docs) = &face.function.docs {
            described["summary"] = first_sentence(docs).into();
            described["description"] = docs.as_str().into();
        }
        let parameters = self.parameters(template, named);
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = face.body() {
            let media = json!({"schema": schema::of(&body.ty, face.names, named)});
            let mut content = json!({"application/json": media});
            if self.method == Method::PATCH {
                content["application/merge-patch+json"] = media;
            }
            // A body that may be left out is `null`: an empty one is no JSON.
            described["requestBody"] = json!({"required": true, "content": content});
        }
        if let Some(host) = &self.host {
            described["servers"] = json!([{"url": format!("//{host}")}]);
        }
        described
    }

    fn parameters(&self, template: &str, named: &Named) -> Vec<Value> {
        let renamed: BTreeMap<&str, &str> = braces(&self.path).zip(braces(template)).collect();
        let parameters = self.face.params().filter_map(|(param, source)| {
            let (place, name) = match source {
                ParamSource::Path(name) => ("path", renamed.get(name.as_str())?.to_string()),
                ParamSource::Query(name) => ("query", name.clone()),
                ParamSource::Header(name) => ("header", capitals(name)),
                ParamSource::Body => return None,
            };
            let (ty, optional) = match param.ty.resolved() {
                Type::Option(inner) => (&**inner, true),
                Type::List(_) => (&param.ty, true),
                _ => (&param.ty, false),
            };
            let mut schema = schema::of(ty, self.face.names, named);
            if place == "path" && matches!(ty.resolved(), Type::String) {
                // The gateway takes neither an empty segment nor an encoded separator.
                schema["minLength"] = 1.into();
                schema["pattern"] = r"^[^/\\\x00]+$".into();
            }
            let required = place == "path" || !optional;
            Some(json!({"name": name, "in": place, "required": required, "schema": schema}))
        });
        parameters.collect()
    }
}

/// The path with nothing in its braces: paths of one shape are one path to OpenAPI.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The names in the braces of a path.
fn braces(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// Whether a Path Item Object has a member for it.
fn is_known(method: &Method) -> bool {
    use Method as M;
    matches!(*method, M::GET | M::PUT | M::POST | M::DELETE | M::OPTIONS | M::HEAD | M::PATCH | M::TRACE)
}

/// `products_get`; where a function has several operations, the next has its method with it, then its interface, then a number.
fn operation_id(operation: &Operation, taken: &mut BTreeSet<String>) -> String {
    let method = operation.method.as_str().to_ascii_lowercase();
    let function = Names::Snake.of(&operation.face.function.name);
    let service = Names::Snake.of(operation.service);
    let interface = Names::Snake.of(operation.interface.short());
    let short = [format!("{service}_{function}"), format!("{service}_{function}_{method}")];
    let long = format!("{service}_{interface}_{function}_{method}");
    let numbered = (2..).map(|number| format!("{long}_{number}"));
    let id = short.into_iter().chain([long.clone()]).chain(numbered).find(|id| !taken.contains(id));
    let id = id.expect("numbers do not end");
    taken.insert(id.clone());
    id
}

/// One tag for each service, with the docs of those of its interfaces that are shown.
fn tags(operations: &[&Operation]) -> Vec<Value> {
    let mut services: BTreeMap<&str, BTreeMap<&InterfaceName, &str>> = BTreeMap::new();
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

/// Adds a description if there is one.
fn describe(object: &mut Value, docs: Option<&str>) {
    if let Some(docs) = docs {
        object["description"] = docs.into();
    }
}

/// The first sentence, on one line and without its full stop.
fn first_sentence(docs: &str) -> String {
    let paragraph = docs.split("\n\n").next().unwrap_or(docs);
    let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = words.split(". ").next().unwrap_or(&words);
    sentence.strip_suffix('.').unwrap_or(sentence).to_owned()
}
