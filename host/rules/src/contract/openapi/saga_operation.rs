//! The operations of routes that start a saga, or show one.

use super::responses;
use super::schema;
use super::schema_names::{SchemaNames, TypeUser};
use crate::contract::json::{Direction, Names};
use crate::contract::wit::Type;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The interface in a schema's long name: a saga is in none.
const INTERFACE: &str = "saga";

/// A route to a saga, at one method and path.
#[derive(Debug, Clone)]
pub struct SagaOperation<'a> {
    /// The method: POST starts a saga, GET shows one.
    pub method: Method,
    /// The path, with `{names}` for its parameters.
    pub path: String,
    /// The host of the route, if the route names exactly one.
    pub host: Option<String>,
    /// The saga.
    pub saga: &'a str,
    /// The type of its input; `None`: any JSON.
    pub input: Option<&'a Type>,
    /// How names are written in JSON.
    pub names: Names,
}

impl<'a> SagaOperation<'a> {
    /// Adds the types of the body to the names.
    pub(super) fn add_types(&self, schemas: &mut SchemaNames<'a>) {
        if let Some(ty) = self.sent() {
            let user = TypeUser { service: self.saga, interface: INTERFACE, names: self.names };
            schemas.add(ty, Direction::Sent, user);
        }
    }

    /// The word for what the operation does.
    pub(super) fn verb(&self) -> &'static str {
        if self.starts() { "start" } else { "show" }
    }

    /// The Operation Object; its statuses that are shared responses are added to `shared`.
    pub(super) fn describe(
        &self,
        (id, parameters): (String, &[&str]),
        schemas: &SchemaNames,
        shared: &mut BTreeSet<StatusCode>,
    ) -> Value {
        let summary = format!("{} the saga `{}`", if self.starts() { "Start" } else { "Show" }, self.saga);
        let mut described = json!({
            "operationId": id,
            "tags": [self.saga],
            "summary": summary,
            "responses": responses::of_saga(self.starts(), shared),
        });
        let in_path = |name: &&str| {
            let schema = json!({"type": "string", "minLength": 1, "pattern": r"^(?!\.{1,2}(;|$))[^/\\\x00]+$"});
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        };
        let mut parameters: Vec<Value> = parameters.iter().map(in_path).collect();
        if self.starts() {
            let schema = json!({"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"});
            let about = "The same key with the same body is the same saga, however often it is sent.";
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false, "description": about, "schema": schema,
            }));
            let schema = match self.sent() {
                Some(ty) => schema::of(ty, self.names, schemas.toward(Direction::Sent)),
                None => json!({}),
            };
            described["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(host) = &self.host {
            described["servers"] = json!([{"url": format!("//{host}")}]);
        }
        described
    }

    fn starts(&self) -> bool {
        self.method == Method::POST
    }

    fn sent(&self) -> Option<&'a Type> {
        self.input.filter(|_| self.starts())
    }
}

/// The schema of a saga as its clients see it.
pub(super) fn saga() -> Value {
    let time = |description: &str| json!({"type": ["integer", "null"], "description": description});
    json!({
        "type": "object",
        "description": "A piece of work over several services, which ends whole or is undone.",
        "properties": {
            "id": {"type": "string", "description": "Its id."},
            "saga": {"type": "string", "description": "Which saga it is."},
            "state": {
                "anyOf": [{"enum": ["running", "compensating", "completed", "compensated"]}, {"type": "string"}],
                "description": "`compensating` is being undone, and `compensated` was undone.",
            },
            "started": {"type": "integer", "description": "When it was started, in milliseconds since 1970."},
            "ended": time("When it ended, in milliseconds since 1970."),
            "done": {"type": "integer", "minimum": 0, "description": "How many of its steps are done."},
            "steps": {"type": "integer", "minimum": 0, "description": "How many steps it has."},
            "result": {"description": "The result of its last step, if it has completed."},
        },
        "required": ["id", "saga", "state", "started", "done", "steps"],
    })
}
