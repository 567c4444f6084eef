//! The HTTP adapter of the users: parses a request, calls the contract, and encodes the result.

use atoll_guest::Host;
use atoll_guest::http::{Expect, Problem, Request, Response};
use atoll_guest::wasip3::http::types;
use serde_json::{Value, json};

use crate::bindings::exports::shop::users::users::{Error, FieldError, Guest, NewUser, User, UserChanges, UserId};
use crate::bindings::exports::wasi::http::handler;
use crate::rules;
use crate::users::Users;

impl handler::Guest for Users<Host> {
    async fn handle(request: types::Request) -> Result<types::Response, types::ErrorCode> {
        atoll_guest::http::serve(request, route::<Self>).await
    }
}

/// Answers a request with the users of `G`.
pub async fn route<G: Guest>(request: &Request) -> Result<Response, Problem> {
    match (request.segments().as_slice(), request.method()) {
        (["users"], "GET") => list::<G>(request).await,
        (["users"], "POST") => create::<G>(request).await,
        (["users"], _) => Err(Problem::method_not_allowed("GET, HEAD, POST")),
        (["users", id], "GET") => get::<G>(parse_id(id)?).await,
        (["users", id], "PUT") => update::<G>(parse_id(id)?, request, Expect::All).await,
        (["users", id], "PATCH") => update::<G>(parse_id(id)?, request, Expect::Some).await,
        (["users", id], "DELETE") => remove::<G>(parse_id(id)?).await,
        (["users", _], _) => Err(Problem::method_not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}

async fn list<G: Guest>(request: &Request) -> Result<Response, Problem> {
    let query = request.page()?;
    let page = G::list(query.limit, query.cursor).await.map_err(problem)?;
    let items: Vec<_> = page.items.iter().map(encode).collect();
    Ok(Response::json(200, &json!({"items": items, "next_cursor": page.next_cursor})))
}

async fn create<G: Guest>(request: &Request) -> Result<Response, Problem> {
    let UserChanges { name: Some(name), email: Some(email) } = read_changes(request, Expect::All)? else {
        unreachable!("`Expect::All` refuses a body that lacks a field");
    };
    let user = G::create(NewUser { name, email }).await.map_err(problem)?;
    Ok(Response::json(201, &encode(&user)).with_header("location", format!("/users/{}", user.id)))
}

async fn get<G: Guest>(id: UserId) -> Result<Response, Problem> {
    let user = G::get(id).await.map_err(problem)?;
    Ok(Response::json(200, &encode(&user)))
}

async fn update<G: Guest>(id: UserId, request: &Request, expect: Expect) -> Result<Response, Problem> {
    let changes = read_changes(request, expect)?;
    let user = G::update(id, changes).await.map_err(problem)?;
    Ok(Response::json(200, &encode(&user)))
}

async fn remove<G: Guest>(id: UserId) -> Result<Response, Problem> {
    G::remove(id).await.map_err(problem)?;
    Ok(Response::no_content())
}

fn read_changes(request: &Request, expect: Expect) -> Result<UserChanges, Problem> {
    let mut fields = request.fields(expect)?;
    let changes = UserChanges { name: fields.string("name"), email: fields.string("email") };
    fields.finish(rules::check(&changes).into_iter().map(field_error))?;
    Ok(changes)
}

/// Parses an id in exactly the form that [`encode`] writes. With two spellings of one id, one user would have two
/// addresses.
fn parse_id(text: &str) -> Result<UserId, Problem> {
    let id = text.parse::<UserId>().ok().filter(|id| id.to_string() == text);
    id.ok_or_else(|| problem(Error::NotFound))
}

fn encode(user: &User) -> Value {
    json!({"id": user.id.to_string(), "name": user.name, "email": user.email})
}

fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found("there is no user with this id"),
        Error::Conflict(text) => Problem::conflict(text),
        Error::Invalid(errors) => Problem::invalid(errors.into_iter().map(field_error).collect()),
        Error::Unauthorized => Problem::unauthorized(),
        Error::Forbidden => Problem::forbidden(),
        Error::Unavailable(text) => Problem::unavailable(&text),
        Error::Internal(text) => Problem::internal(&text),
    }
}

fn field_error(error: FieldError) -> atoll_guest::http::FieldError {
    atoll_guest::http::FieldError::new(error.pointer, error.detail)
}

#[cfg(test)]
mod tests {
    use atoll_guest::memory::{Memory, block_on};

    use super::*;

    fn send(method: &str, path: &str, body: &str) -> Response {
        let request = Request::new(method, path).with_header("content-type", "application/json").with_body(body);
        block_on(atoll_guest::http::answer(request, route::<Users<Memory>>))
    }

    fn document(response: &Response) -> Value {
        serde_json::from_slice(&response.body).expect("the body is JSON")
    }

    fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
        response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    const ADA: &str = r#"{"name": "Ada", "email": "ada@example.org"}"#;

    #[test]
    fn a_user_is_created_read_changed_replaced_and_removed_over_http() {
        let _memory = Memory::fresh();
        let created = send("POST", "/users", ADA);
        let user = document(&created);
        let path = format!("/users/{}", user["id"].as_str().expect("an id is a string"));
        assert_eq!((created.status, header(&created, "location")), (201, Some(path.as_str())));
        assert_eq!(user, json!({"id": user["id"], "name": "Ada", "email": "ada@example.org"}));

        assert_eq!(document(&send("GET", &path, "")), user);
        let head = send("HEAD", &path, "");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(document(&send("GET", "/users", "")), json!({"items": [user], "next_cursor": null}));

        let patched = send("PATCH", &path, r#"{"name": "A. L."}"#);
        assert_eq!((patched.status, &document(&patched)["name"]), (200, &json!("A. L.")));
        let put = send("PUT", &path, r#"{"name": "Ada", "email": "al@example.org"}"#);
        assert_eq!((put.status, &document(&put)["email"]), (200, &json!("al@example.org")));

        let removed = send("DELETE", &path, "");
        assert_eq!((removed.status, removed.body.len()), (204, 0));
        for (method, body) in [("GET", ""), ("DELETE", ""), ("PATCH", "{}"), ("PUT", ADA)] {
            assert_eq!(send(method, &path, body).status, 404, "{method}");
        }
    }

    #[test]
    fn pages_follow_their_cursor() {
        let _memory = Memory::fresh();
        let ids: Vec<_> = (0..5)
            .map(|n| {
                document(&send("POST", "/users", &format!(r#"{{"name": "N", "email": "n{n}@x.org"}}"#)))["id"].clone()
            })
            .collect();
        let (mut listed, mut path) = (Vec::new(), "/users?limit=2".to_owned());
        for _ in 0..3 {
            let page = document(&send("GET", &path, ""));
            listed.extend(page["items"].as_array().expect("items").iter().map(|user| user["id"].clone()));
            path = format!("/users?limit=2&cursor={}", page["next_cursor"].as_str().unwrap_or("end"));
        }
        assert!(path.ends_with("end"), "the last page has no cursor");
        let number = |id: &Value| id.as_str().and_then(|id| id.parse::<u64>().ok());
        assert!(listed.is_sorted_by_key(number));
        assert!(ids.iter().all(|id| listed.contains(id)) && listed.len() == 5);
        for query in ["limit=0", "limit=101", "limit=x", "cursor=x"] {
            let refused = send("GET", &format!("/users?{query}"), "");
            let name = query.split_once('=').map(|(name, _)| format!("/{name}"));
            assert_eq!((refused.status, document(&refused)["errors"][0]["pointer"].as_str()), (422, name.as_deref()));
        }
    }

    #[test]
    fn each_error_of_the_contract_has_its_http_status() {
        let _memory = Memory::fresh();
        assert_eq!(send("POST", "/users", ADA).status, 201);
        assert_eq!(
            send("POST", "/users", &ADA.to_uppercase().replace("NAME", "name").replace("EMAIL", "email")).status,
            409
        );
        assert_eq!(send("POST", "/users", "{").status, 400);
        for path in ["/", "/user", "/users/", "/users/x", "/users/007", "/users/+7", "/users/7", "/users/7/x"] {
            assert_eq!(send("GET", path, "").status, 404, "{path}");
        }
        let form = Request::new("POST", "/users").with_header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(block_on(atoll_guest::http::answer(form, route::<Users<Memory>>)).status, 415);
        let wrong = send("DELETE", "/users", "");
        assert_eq!((wrong.status, header(&wrong, "allow")), (405, Some("GET, HEAD, POST")));
        let wrong = send("POST", "/users/7", "");
        assert_eq!((wrong.status, header(&wrong, "allow")), (405, Some("GET, HEAD, PUT, PATCH, DELETE")));
    }

    #[test]
    fn a_422_names_every_field_that_failed() {
        let _memory = Memory::fresh();
        let pointers = |method: &str, body: &str| {
            let response = send(method, if method == "POST" { "/users" } else { "/users/7" }, body);
            assert_eq!(response.status, 422, "{body}");
            let errors = document(&response)["errors"].as_array().expect("errors").clone();
            errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(pointers("POST", "{}"), ["/name", "/email"]);
        assert_eq!(pointers("POST", r#"{"name": 1, "email": "x", "admin": true}"#), ["/name", "/admin", "/email"]);
        assert_eq!(pointers("PATCH", r#"{"name": null, "email": ""}"#), ["/name", "/email"]);
        assert_eq!(pointers("PUT", r#"{"name": " "}"#), ["/email", "/name"]);
        assert_eq!(pointers("POST", "[]"), [""]);
    }

    #[test]
    fn a_store_that_is_down_gets_503_with_retry_after() {
        let memory = Memory::fresh();
        memory.set_down(true);
        let response = send("GET", "/users", "");
        assert_eq!((response.status, header(&response, "retry-after")), (503, Some("1")));
    }
}
