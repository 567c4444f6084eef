//! Users through the gateway: every method and every error.

use super::{Shop, id, location, pointers};
use http::{Method, Request};
use serde_json::{Value, json};

const USERS: &str = "/api/users";

fn ada() -> Value {
    json!({"name": "Ada", "email": "Ada@example.org"})
}

#[tokio::test]
async fn a_user_is_created_read_changed_replaced_listed_and_removed() {
    let shop = Shop::open().await;
    let created = shop.post(USERS, &ada()).await;
    let path = location(&created, USERS);
    assert!(!created.header("x-request-id").is_empty());
    assert_eq!(created.header("content-type"), "application/json");
    let user = created.json();
    assert_eq!(user, json!({"id": user["id"], "name": "Ada", "email": "Ada@example.org"}));
    assert_eq!(shop.get(&path).await.json(), user);

    let head = shop.http.send(Request::head(shop.url(&path)), "").await;
    assert_eq!((head.status.as_u16(), head.body.len(), head.header("content-type")), (200, 0, "application/json"));

    let patched = shop.send(Method::PATCH, &path, &json!({"name": "Ada Lovelace"})).await;
    assert_eq!((patched.status.as_u16(), &patched.json()["name"]), (200, &json!("Ada Lovelace")));
    assert_eq!(patched.json()["email"], "Ada@example.org", "a field that is absent must stay as it is");
    let put = shop.send(Method::PUT, &path, &json!({"name": "Countess", "email": "countess@example.org"})).await;
    assert_eq!(put.status, 200);
    assert_eq!(put.json(), json!({"id": user["id"], "name": "Countess", "email": "countess@example.org"}));
    assert_eq!(shop.get(&path).await.json(), put.json());
    assert_eq!(shop.list(USERS, 10).await, [put.json()]);

    let freed = shop.post(USERS, &ada()).await;
    assert_ne!(
        location(&freed, USERS),
        path,
        "an email that was given up must be free, and an id must never be given again"
    );
    let removed = shop.http.send(Request::delete(shop.url(&path)), "").await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    for (method, body) in [(Method::PUT, ada()), (Method::PATCH, json!({})), (Method::DELETE, Value::Null)] {
        let gone = shop.send(method.clone(), &path, &body).await;
        let kind = &gone.problem()["type"];
        assert_eq!((gone.status.as_u16(), kind), (404, &json!("urn:atoll:problem:not-found")), "{method}");
    }
    assert_eq!(shop.get(&path).await.status, 404);
    assert_eq!(shop.post(USERS, &json!({"name": "C", "email": "COUNTESS@example.org"})).await.status, 201);
}

#[tokio::test]
async fn pages_give_every_user_once_and_a_cursor_outlives_its_item() {
    let shop = Shop::open().await;
    assert_eq!(shop.get(USERS).await.json(), json!({"items": [], "next_cursor": null}));
    let mut created = Vec::new();
    for n in 0..7 {
        let user = shop.post(USERS, &json!({"name": "N", "email": format!("n{n}@example.org")})).await.json();
        created.push(user);
    }
    created.sort_by_key(id);
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(shop.list(USERS, limit).await, created, "limit {limit}");
    }
    let all = shop.get(USERS).await.json();
    assert_eq!(all, json!({"items": created, "next_cursor": null}), "without a limit, `page_size` must apply");

    // A cursor stays valid when the item to which it points is removed.
    let first = shop.get(&format!("{USERS}?limit=2")).await.json();
    shop.http.send(Request::delete(shop.url(&format!("{USERS}/{}", id(&created[1])))), "").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = shop.get(&format!("{USERS}?limit=100&cursor={cursor}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap()[..], created[2..]);

    for (query, pointer) in
        [("limit=0", "/limit"), ("limit=101", "/limit"), ("limit=x", "/limit"), ("cursor=x", "/cursor")]
    {
        assert_eq!(pointers(&shop.get(&format!("{USERS}?{query}")).await), [pointer], "{query}");
    }
}

#[tokio::test]
async fn a_malformed_or_invalid_user_names_every_wrong_field_and_changes_nothing() {
    let shop = Shop::open().await;
    let path = location(&shop.post(USERS, &ada()).await, USERS);
    let targets = [(Method::POST, USERS), (Method::PUT, path.as_str()), (Method::PATCH, path.as_str())];
    for (method, path) in &targets {
        let request =
            |media_type: &str| Request::builder().method(method).uri(shop.url(path)).header("content-type", media_type);
        for body in ["", "{", "{\"name\": }", "nonsense", "{} {}"] {
            let answer = shop.http.send(request("application/json"), body).await;
            assert_eq!(answer.status, 400, "{method} {body}");
            answer.problem();
        }
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/wasm"] {
            let answer = shop.http.send(request(media_type), ada().to_string()).await;
            assert_eq!((answer.status.as_u16(), answer.problem()["status"].as_u64()), (415, Some(415)));
            assert!(answer.header("accept").contains("application/json"), "{answer:?}");
        }
        let both = shop.send(method.clone(), path, &json!({"name": " ", "email": "nobody", "age": 7})).await;
        assert_eq!(pointers(&both), ["/age", "/email", "/name"], "{method}");
        assert_eq!(both.problem()["type"], "urn:atoll:problem:invalid", "{method}");
        let types = shop.send(method.clone(), path, &json!({"name": 1, "email": null})).await;
        assert_eq!(pointers(&types), ["/email", "/name"], "{method}");
        assert_eq!(pointers(&shop.send(method.clone(), path, &json!([])).await), [""], "{method}");
    }
    assert_eq!(pointers(&shop.post(USERS, &json!({})).await), ["/email", "/name"]);
    assert_eq!(pointers(&shop.send(Method::PUT, &path, &json!({"name": "A"})).await), ["/email"]);
    assert_eq!(pointers(&shop.send(Method::PATCH, &path, &json!({"name": "n".repeat(201)})).await), ["/name"]);
    let mut unchanged = ada();
    unchanged["id"] = shop.get(&path).await.json()["id"].clone();
    assert_eq!(shop.list(USERS, 10).await, [unchanged], "refused requests must have changed nothing");
}

#[tokio::test]
async fn an_unknown_id_a_taken_email_or_a_wrong_method_has_its_status() {
    let shop = Shop::open().await;
    let path = location(&shop.post(USERS, &ada()).await, USERS);
    let grace = json!({"name": "Grace", "email": "grace@example.org"});
    let other = location(&shop.post(USERS, &grace).await, USERS);
    for wrong in ["x", "0", "007", "1", "18446744073709551616", "-1", "7/x", ""] {
        let answer = shop.get(&format!("{USERS}/{wrong}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem()["status"].as_u64()), (404, Some(404)), "{wrong}");
    }

    let shouted = json!({"name": "Other", "email": "aDA@EXAMPLE.org"});
    let patch = json!({"email": "ada@example.ORG"});
    for (method, path, body) in
        [(Method::POST, USERS, &shouted), (Method::PUT, &other, &shouted), (Method::PATCH, &other, &patch)]
    {
        let taken = shop.send(method.clone(), path, body).await;
        assert_eq!(taken.status, 409, "{method}");
        assert!(taken.problem()["detail"].as_str().unwrap().contains("email"), "{method}");
    }
    let same = shop.send(Method::PATCH, &path, &shouted).await;
    assert_eq!(
        (same.status.as_u16(), &same.json()["email"]),
        (200, &shouted["email"]),
        "a user may spell its own email differently"
    );

    for (method, path, allow) in [
        (Method::PUT, USERS, "GET, HEAD, POST"),
        (Method::DELETE, USERS, "GET, HEAD, POST"),
        (Method::POST, &path, "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let answer = shop.send(method.clone(), path, &ada()).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        answer.problem();
    }
}

#[tokio::test]
async fn a_refusal_by_the_gateway_is_a_problem_document_too() {
    let shop = Shop::open().await;
    for (path, status) in [("/users", 404), ("/api/usersx", 404), ("/", 404), ("/api/users/%00", 400)] {
        let answer = shop.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        answer.problem();
    }
    let large = |bytes: usize| json!({"name": "n".repeat(bytes), "email": "large@example.org"});
    for (bytes, who) in [(100 << 10, "the service"), (3 << 20, "the gateway")] {
        let answer = shop.post(USERS, &large(bytes)).await;
        assert_eq!((answer.status.as_u16(), answer.problem()["status"].as_u64()), (413, Some(413)), "{who}");
    }
    let ids: Vec<_> =
        [shop.get(USERS).await, shop.get(USERS).await].map(|answer| answer.header("x-request-id").to_owned()).into();
    assert_ne!(ids[0], ids[1]);
}
