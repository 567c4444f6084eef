//! The HTTP face of the products: a request is parsed, the contract is called, its answer is encoded.

use platform::Host;
use serde_json::{Value, json};
use wasip3::http::types;
use web::{Expect, Problem, Request, Response};

use crate::bindings::exports::shop::products::products::{
    Error, FieldError, Guest, Line, NewProduct, Price, PriceChanges, Product, ProductChanges, ProductId, ReservedLine,
};
use crate::bindings::exports::wasi::http::handler;
use crate::products::Products;
use crate::rules::{self, MAX_AMOUNT, MAX_STOCK};

/// In bytes; with the prefix of [`reservation_key`] it stays below the contract's 255.
const MAX_IDEMPOTENCY_KEY: usize = 200;

impl handler::Guest for Products<Host> {
    async fn handle(request: types::Request) -> Result<types::Response, types::ErrorCode> {
        web::serve(request, route::<Self>).await
    }
}

/// Answers a request with the products of `G`.
pub async fn route<G: Guest>(request: &Request) -> Result<Response, Problem> {
    match (request.segments().as_slice(), request.method()) {
        (["products"], "GET") => list::<G>(request).await,
        (["products"], "POST") => create::<G>(request).await,
        (["products"], _) => Err(Problem::method_not_allowed("GET, HEAD, POST")),
        (["products", id], "GET") => get::<G>(parse_id(id)?).await,
        (["products", id], "PUT") => update::<G>(parse_id(id)?, request, Expect::All).await,
        (["products", id], "PATCH") => update::<G>(parse_id(id)?, request, Expect::Some).await,
        (["products", id], "DELETE") => remove::<G>(parse_id(id)?).await,
        (["products", _], _) => Err(Problem::method_not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
        (["products", id, "reserve"], "POST") => reserve::<G>(parse_id(id)?, request).await,
        (["products", _, "reserve"], _) => Err(Problem::method_not_allowed("POST")),
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
    let ProductChanges {
        sku: Some(sku),
        name: Some(name),
        price: Some(PriceChanges { amount: Some(amount), currency: Some(currency) }),
        stock: Some(stock),
    } = read_changes(request, Expect::All)?
    else {
        unreachable!("a body that lacks a field was refused");
    };
    let new = NewProduct { sku, name, price: Price { amount, currency }, stock };
    let product = G::create(new).await.map_err(problem)?;
    Ok(Response::json(201, &encode(&product)).with_header("location", format!("/products/{}", product.id)))
}

async fn get<G: Guest>(id: ProductId) -> Result<Response, Problem> {
    let product = G::get(id).await.map_err(problem)?;
    Ok(Response::json(200, &encode(&product)))
}

async fn update<G: Guest>(id: ProductId, request: &Request, expect: Expect) -> Result<Response, Problem> {
    let changes = read_changes(request, expect)?;
    let product = G::update(id, changes).await.map_err(problem)?;
    Ok(Response::json(200, &encode(&product)))
}

async fn remove<G: Guest>(id: ProductId) -> Result<Response, Problem> {
    G::remove(id).await.map_err(problem)?;
    Ok(Response::no_content())
}

/// Answers with the product as it was right after the reservation, and the quantity; a repeated call gets the same.
async fn reserve<G: Guest>(id: ProductId, request: &Request) -> Result<Response, Problem> {
    let key = reservation_key(request)?;
    let mut fields = request.fields(Expect::All)?;
    let quantity = fields.integer("quantity", 1, u32::MAX.into());
    fields.finish([])?;
    let quantity = quantity.expect("a body that lacks a field was refused");
    let reserved = G::reserve(key, vec![Line { product: id, quantity }]).await.map_err(problem)?;
    match reserved.first() {
        Some(line) => Ok(Response::json(200, &encode_reserved(line))),
        None => Err(Problem::internal("a reservation of one line has no line")),
    }
}

fn read_changes(request: &Request, expect: Expect) -> Result<ProductChanges, Problem> {
    let mut fields = request.fields(expect)?;
    let changes = ProductChanges {
        sku: fields.string("sku"),
        name: fields.string("name"),
        price: fields.object("price", |price| PriceChanges {
            amount: price.integer("amount", 0, MAX_AMOUNT),
            currency: price.string("currency"),
        }),
        stock: fields.integer("stock", 0, MAX_STOCK.into()),
    };
    fields.finish(rules::check(&changes).into_iter().map(field_error))?;
    Ok(changes)
}

/// The contract's key for the header `Idempotency-Key`. Services reserve under the same keys, so those from outside have
/// a prefix: no client can take, or guess, the key of an order.
fn reservation_key(request: &Request) -> Result<String, Problem> {
    let key = request.header("idempotency-key").unwrap_or_default();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) {
        let detail =
            format!("this needs a header Idempotency-Key of 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters");
        return Err(Problem::bad_request(detail));
    }
    Ok(format!("http/{key}"))
}

/// An id as [`encode`] writes it: two spellings of one id would be two addresses of one product.
fn parse_id(text: &str) -> Result<ProductId, Problem> {
    let id = text.parse::<ProductId>().ok().filter(|id| id.to_string() == text);
    id.ok_or_else(|| problem(Error::NotFound))
}

fn encode(product: &Product) -> Value {
    json!({
        "id": product.id.to_string(),
        "sku": product.sku,
        "name": product.name,
        "price": encode_price(&product.price),
        "stock": product.stock,
    })
}

fn encode_reserved(line: &ReservedLine) -> Value {
    json!({
        "id": line.product.to_string(),
        "sku": line.sku,
        "name": line.name,
        "price": encode_price(&line.price),
        "stock": line.stock,
        "quantity": line.quantity,
    })
}

fn encode_price(price: &Price) -> Value {
    json!({"amount": price.amount, "currency": price.currency})
}

fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found("there is no product with this id"),
        Error::Conflict(text) => Problem::conflict(text),
        Error::Invalid(errors) => Problem::invalid(errors.into_iter().map(field_error).collect()),
        Error::Unauthorized => Problem::unauthorized(),
        Error::Forbidden => Problem::forbidden(),
        Error::Unavailable(text) => Problem::unavailable(&text),
        Error::Internal(text) => Problem::internal(&text),
    }
}

fn field_error(error: FieldError) -> web::FieldError {
    web::FieldError::new(error.pointer, error.detail)
}

#[cfg(test)]
mod tests {
    use platform::memory::{Memory, block_on};

    use super::*;

    fn run(request: Request) -> Response {
        block_on(web::answer(request, route::<Products<Memory>>))
    }

    fn json_request(method: &str, path: &str, body: &str) -> Request {
        Request::new(method, path).with_header("content-type", "application/json").with_body(body)
    }

    fn send(method: &str, path: &str, body: &str) -> Response {
        run(json_request(method, path, body))
    }

    fn document(response: &Response) -> Value {
        serde_json::from_slice(&response.body).expect("the body is JSON")
    }

    fn pointers(response: &Response) -> Vec<String> {
        let errors = document(response)["errors"].as_array().expect("errors").clone();
        errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }

    const MUG: &str = r#"{"sku": "mug", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}"#;

    fn create_mug() -> String {
        let created = send("POST", "/products", MUG);
        assert_eq!(created.status, 201);
        let location = created.headers.into_iter().find(|(name, _)| *name == "location");
        location.expect("a location").1
    }

    #[test]
    fn all_verbs() {
        let _memory = Memory::fresh();
        let path = create_mug();
        let mug = document(&send("GET", &path, ""));
        let price = json!({"amount": 1250, "currency": "EUR"});
        assert_eq!(mug, json!({"id": mug["id"], "sku": "mug", "name": "Mug", "price": price, "stock": 3}));
        assert_eq!(path, format!("/products/{}", mug["id"].as_str().expect("an id is a string")));
        assert_eq!(document(&send("GET", "/products", "")), json!({"items": [mug], "next_cursor": null}));
        let patched = send("PATCH", &path, r#"{"price": {"amount": 999}}"#);
        assert_eq!(document(&patched)["price"], json!({"amount": 999, "currency": "EUR"}));
        assert_eq!((send("PUT", &path, MUG).status, document(&send("GET", &path, ""))), (200, mug));
        assert_eq!(send("POST", "/products", MUG).status, 409);
        assert_eq!(send("DELETE", &path, "").status, 204);
        assert_eq!(send("GET", &path, "").status, 404);
    }

    #[test]
    fn validation_names_every_field_that_failed() {
        let _memory = Memory::fresh();
        let missing = send("POST", "/products", "{}");
        assert_eq!(
            (missing.status, pointers(&missing)),
            (422, ["/sku", "/name", "/price", "/stock"].map(String::from).into())
        );
        let wrong =
            r#"{"sku": "a b", "name": "", "price": {"amount": -1, "currency": "eur"}, "stock": 4294967296, "x": 0}"#;
        let mut found = pointers(&send("POST", "/products", wrong));
        found.sort_unstable();
        assert_eq!(found, ["/name", "/price/amount", "/price/currency", "/sku", "/stock", "/x"]);
        let path = create_mug();
        assert_eq!(pointers(&send("PUT", &path, &MUG.replace(r#", "currency": "EUR""#, ""))), ["/price/currency"]);
        for stock in ["-1", "1000000001", "4294967295"] {
            assert_eq!(pointers(&send("PATCH", &path, &format!(r#"{{"stock": {stock}}}"#))), ["/stock"], "{stock}");
        }
        assert_eq!(send("PATCH", &path, r#"{"stock": 1000000000}"#).status, 200);
        assert_eq!(pointers(&send("PATCH", &path, r#"{"price": {"amount": 9007199254740992}}"#)), ["/price/amount"]);
    }

    #[test]
    fn reserving_takes_stock_once_for_each_key() {
        let _memory = Memory::fresh();
        let path = create_mug();
        let reserve = |key: &str, quantity: &str| {
            let body = format!(r#"{{"quantity": {quantity}}}"#);
            run(json_request("POST", &format!("{path}/reserve"), &body).with_header("Idempotency-Key", key))
        };
        let first = reserve("a", "2");
        assert_eq!(
            (first.status, &document(&first)["stock"], &document(&first)["quantity"]),
            (200, &1.into(), &2.into())
        );
        assert_eq!(reserve("a", "2"), first);
        assert_eq!(reserve("a", "1").status, 409);
        assert_eq!(reserve("b", "2").status, 409);
        assert_eq!(reserve("b", "1").status, 200);
        assert_eq!(document(&send("GET", &path, ""))["stock"], 0);
        for quantity in ["0", "-1", "1.5", "\"1\"", "4294967296"] {
            assert_eq!(pointers(&reserve("c", quantity)), ["/quantity"], "{quantity}");
        }
        for key in ["", "a b", "\u{7f}", &"k".repeat(201)] {
            assert_eq!(reserve(key, "1").status, 400, "{key}");
        }
        assert_eq!(send("POST", &format!("{path}/reserve"), r#"{"quantity": 1}"#).status, 400);
        let unknown =
            json_request("POST", "/products/7/reserve", r#"{"quantity": 1}"#).with_header("idempotency-key", "d");
        assert_eq!(run(unknown).status, 404);
        let wrong = send("GET", &format!("{path}/reserve"), "");
        assert!(wrong.status == 405 && wrong.headers.contains(&("allow", "POST".to_owned())));
    }
}
