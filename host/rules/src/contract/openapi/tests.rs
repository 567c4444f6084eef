//! The document of a small shop. `sample.json` is a smaller document as a whole, which the validator
//! `openapi-spec-validator` accepts.

use super::*;
use crate::contract::http_binding::{HttpBinding, HttpBindingSpec};
use crate::contract::json::Names;
use crate::contract::testing::{enumeration, flags, record, variant};
use crate::contract::wit::{Alias, Case, Enum, Field, Function, InterfaceName, Param, Record, Type, Variant};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn option(ty: Type) -> Type {
    Type::Option(Arc::new(ty))
}

fn list(ty: Type) -> Type {
    Type::List(Arc::new(ty))
}

fn alias(name: &str, docs: &str, ty: Type) -> Type {
    Type::Alias(Arc::new(Alias { name: name.into(), docs: Some(docs.into()), ty }))
}

fn product_id() -> Type {
    alias("product-id", "The id of a product.", Type::U64)
}

fn price() -> Type {
    record("price", &[("amount", Type::U64), ("currency", Type::String)])
}

fn product() -> Type {
    let field = |name: &str, docs: Option<&str>, ty| Field { name: name.into(), docs: docs.map(str::to_owned), ty };
    let fields = vec![
        field("id", None, product_id()),
        field("unit-price", Some("Of one piece."), price()),
        field("note", None, option(Type::String)),
    ];
    Type::Record(Arc::new(Record { name: "product".into(), docs: Some("A product of the shop.".into()), fields }))
}

fn error() -> Type {
    let case = |name: &str, docs: Option<&str>, ty| Case { name: name.into(), docs: docs.map(str::to_owned), ty };
    let fault = record("field-error", &[("pointer", Type::String), ("detail", Type::String)]);
    let cases = vec![
        case("not-found", Some("There is no such product."), None),
        case("conflict", None, Some(Type::String)),
        case("sold-out", None, Some(Type::U32)),
        case("invalid", None, Some(list(fault))),
        case("unavailable", None, Some(Type::String)),
        case("internal", None, Some(record("secret", &[]))),
    ];
    Type::Variant(Arc::new(Variant { name: "error".into(), docs: None, cases }))
}

fn function(name: &str, docs: &str, params: &[(&str, Type)], ok: Option<Type>) -> Function {
    let params = params.iter().map(|(name, ty)| Param { name: (*name).into(), ty: ty.clone() }).collect();
    let result = Type::Result { ok: ok.map(Arc::new), err: Some(Arc::new(error())) };
    Function { name: name.into(), docs: Some(docs.into()), asynchronous: true, params, result: Some(result) }
}

/// A route of the tests, with its binding.
struct TestRoute {
    method: Method,
    path: &'static str,
    service: &'static str,
    interface: InterfaceName,
    binding: HttpBinding,
}

impl TestRoute {
    fn new(method: Method, path: &'static str, service: &'static str, function: &Function) -> Self {
        let from_header = BTreeMap::from([("key".to_owned(), "Idempotency-Key".to_owned())]);
        let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let spec = HttpBindingSpec {
            methods: vec![method.clone()],
            path_params: names.map(str::to_owned).collect(),
            from_header: if function.name == "reserve" { from_header } else { BTreeMap::new() },
            status: None,
            location: (method == Method::POST && function.name == "create").then(|| "/api/products/{id}".to_owned()),
            errors: BTreeMap::from([("sold-out".to_owned(), 409)]),
            names: Names::Snake,
        };
        let binding = HttpBinding::bind(function, &spec).expect("a binding");
        let interface = InterfaceName::new(&format!("shop:{service}/{service}@1.0.0"));
        Self { method, path, service, interface, binding }
    }

    fn operation(&self) -> Operation<'_> {
        Operation {
            method: self.method.clone(),
            path: self.path.into(),
            host: None,
            service: self.service,
            interface: &self.interface,
            docs: (self.service == "products").then_some("What the shop sells."),
            binding: &self.binding,
        }
    }
}

fn routes() -> Vec<TestRoute> {
    let one = [("id", product_id())];
    let changes = [("product", product_id()), ("changes", record("changes", &[("note", option(Type::String))]))];
    let get = function("get", "The product with this id. Any\nproduct will do.", &one, Some(product()));
    let update = function("update", "Changes a product.", &changes, Some(product()));
    let page = [("limit", option(Type::U8)), ("ids", list(product_id())), ("active", Type::Bool)];
    let list_them = function("list", "Products.", &page, Some(list(option(product()))));
    let create = function(
        "create",
        "A new one.",
        &[("product", record("new-product", &[("sku", Type::String)]))],
        Some(product()),
    );
    let reserve =
        function("reserve", "Takes pieces.", &[("key", Type::String), ("lines", list(Type::U32))], Some(Type::Bool));
    let route = |method, path, function| TestRoute::new(method, path, "products", function);
    vec![
        route(Method::PATCH, "/api/products/{product}", &update),
        route(Method::PUT, "/api/products/{product}", &update),
        route(Method::GET, "/api/products/{id}", &get),
        route(Method::GET, "/api/products", &list_them),
        route(Method::POST, "/api/products", &create),
        route(Method::DELETE, "/api/products/{id}", &function("remove", "Removes it.", &one, None)),
        route(Method::POST, "/api/products/reserve", &reserve),
        TestRoute::new(Method::PUT, "/api/samples/{name}", "samples", &everything()),
    ]
}

/// A function with types of all kinds. Its `price` is another type than the `price` of the products.
fn everything() -> Function {
    let pair = Type::Tuple([Type::U8, Type::String].into());
    let map = |key: Type, value: Type| Type::Map(Arc::new(key), Arc::new(value));
    let (ok, err) = (Some(Arc::new(Type::Bool)), None);
    let colour = Enum {
        name: "colour".into(),
        docs: Some("What it looks like.".into()),
        cases: vec![Case { name: "dark-red".into(), docs: Some("Like wine.".into()), ty: None }],
    };
    let fields = [
        ("small", Type::S8),
        ("signed", Type::S64),
        ("half", Type::F32),
        ("whole", Type::F64),
        ("letter", Type::Char),
        ("bytes", list(Type::U8)),
        ("digest", Type::FixedList(Arc::new(Type::U8), 32)),
        ("point", Type::FixedList(Arc::new(Type::F64), 3)),
        ("pair", pair),
        ("counts", map(Type::U32, Type::Bool)),
        ("switches", map(Type::Bool, Type::Char)),
        ("maybe", option(option(Type::String))),
        ("outcome", Type::Result { ok, err }),
        ("colour", Type::Enum(Arc::new(colour))),
        ("kind", enumeration("kind", &["round", "flat-top"])),
        ("shape", variant("shape", &[("point", None), ("side-length", Some(Type::U16))])),
        ("rights", flags("rights", &["read", "write-all"])),
        ("price", record("price", &[("cents", Type::U32)])),
        ("look", alias("look", "The kind, by another name.", enumeration("kind", &["round", "flat-top"]))),
    ];
    function("put", "Takes anything.", &[("name", Type::String), ("sample", record("sample", &fields))], None)
}

fn shop(routes: &[TestRoute]) -> Value {
    let info = Info { title: "The shop".into(), version: "1.0.0".into(), description: Some("For tests.".into()) };
    document(&info, &routes.iter().map(TestRoute::operation).collect::<Vec<_>>(), &[])
}

fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
}

#[test]
fn a_401_documents_its_challenge_header() {
    let mut routes = routes();
    routes.truncate(1);
    routes[0].binding.errors.insert("conflict".into(), StatusCode::UNAUTHORIZED);
    let document = shop(&routes);
    let headers = at(&document, "/paths/~1api~1products~1{product}/patch/responses/401/headers");
    assert!(headers["WWW-Authenticate"]["schema"].is_object(), "{headers}");
}

#[test]
fn the_document_is_the_one_that_was_validated() {
    let mut routes = routes();
    routes.retain(|route| ["create", "put"].contains(&route.binding.function.name.as_str()));
    let text = serde_json::to_string_pretty(&shop(&routes)).unwrap();
    assert!(text == include_str!("sample.json").trim_end(), "not `sample.json`, validate and keep it:\n{text}");
}

#[test]
fn the_order_of_routes_does_not_change_the_document() {
    let mut routes = routes();
    let document = shop(&routes);
    routes.reverse();
    assert_eq!(shop(&routes), document);
}

#[test]
fn every_operation_has_its_own_id() {
    let document = shop(&routes());
    let mut ids: Vec<&str> = Vec::new();
    for item in at(&document, "/paths").as_object().unwrap().values() {
        ids.extend(item.as_object().unwrap().values().map(|operation| operation["operationId"].as_str().unwrap()));
    }
    ids.sort_unstable();
    let expected = [
        "products_create",
        "products_get",
        "products_list",
        "products_remove",
        "products_reserve",
        "products_update",
        "products_update_put",
        "samples_put",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn paths_that_differ_in_parameter_names_alone_are_one_path() {
    let document = shop(&routes());
    let item = at(&document, "/paths/~1api~1products~1{id}");
    assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), ["delete", "get", "patch", "put"]);
    assert_eq!(item["put"]["parameters"][0]["name"], "id");
    let body = item["patch"]["requestBody"]["content"].as_object().unwrap();
    assert_eq!(body.keys().collect::<Vec<_>>(), ["application/json", "application/merge-patch+json"]);
    assert_eq!(item["put"]["requestBody"]["content"].as_object().unwrap().len(), 1);
}

#[test]
fn parameters_are_documented_where_the_binding_has_them() {
    let document = shop(&routes());
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let expected = json!([
        {"name": "limit", "in": "query", "required": false, "schema":
            {"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255}},
        {"name": "ids", "in": "query", "required": false, "schema": {"type": "array", "items": reference("ProductId")}},
        {"name": "active", "in": "query", "required": true, "schema": {"type": "boolean"}},
    ]);
    assert_eq!(*at(&document, "/paths/~1api~1products/get/parameters"), expected);
    let reserve = at(&document, "/paths/~1api~1products~1reserve/post");
    let key = json!([{"name": "Idempotency-Key", "in": "header", "required": true, "schema": {"type": "string"}}]);
    assert_eq!(reserve["parameters"], key);
    assert!(reserve["requestBody"].is_object());
}

#[test]
fn cases_of_the_error_and_the_gateways_problems_are_responses() {
    let document = shop(&routes());
    let get = at(&document, "/paths/~1api~1products~1{id}/get/responses");
    let statuses: Vec<_> = get.as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["200", "400", "404", "405", "406", "409", "422", "500", "502", "503", "504", "508"]);
    assert_eq!(get["400"], json!({"$ref": "#/components/responses/BadRequest"}));
    assert_eq!(get["404"]["description"], "`not_found`: There is no such product.\n\nThere is nothing at this path.");
    let of = |status: &str| &get[status]["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"];
    let case = |known: &[&str]| json!({"anyOf": [{"enum": known}, {"type": "string"}]});
    assert_eq!(*of("404"), json!({"case": case(&["not_found"])}));
    let number = json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX});
    let both = json!({"anyOf": [{"type": "string"}, number]});
    assert_eq!(*of("409"), json!({"case": case(&["conflict", "sold_out"]), "payload": both}));
    assert_eq!(
        *of("500"),
        json!({"case": case(&["internal"])}),
        "what a service says about its own failures stays inside"
    );
    assert!(document.pointer("/components/schemas/Secret").is_none());

    let create = at(&document, "/paths/~1api~1products/post/responses");
    assert!(create["201"]["headers"]["Location"].is_object());
    assert_eq!(create["415"], json!({"$ref": "#/components/responses/UnsupportedMediaType"}));
    let remove = at(&document, "/paths/~1api~1products~1{id}/delete/responses");
    assert!(remove["204"].get("content").is_none());
}

#[test]
fn equal_types_share_a_schema_and_different_types_of_one_name_do_not() {
    let document = shop(&routes());
    let schemas: Vec<_> = at(&document, "/components/schemas").as_object().unwrap().keys().collect();
    let expected = [
        "Changes",
        "Colour",
        "FieldError",
        "Kind",
        "Look",
        "NewProduct",
        "Problem",
        "Product",
        "ProductId",
        "ProductsPrice",
        "Rights",
        "Sample",
        "SamplesPrice",
        "Shape",
    ];
    assert_eq!(schemas, expected);
    let product = at(&document, "/components/schemas/Product");
    assert_eq!(product["required"], json!(["id", "unit_price"]));
    let expected = json!({"$ref": "#/components/schemas/ProductsPrice", "description": "Of one piece."});
    assert_eq!(product["properties"]["unit_price"], expected);
}

#[test]
fn the_schemas_of_two_aliases_of_one_name_do_not_refer_to_each_other() {
    let id = alias("id", "The outer.", alias("key", "Between.", alias("id", "The inner.", Type::U8)));
    let params = [("outer", id.clone()), ("list", list(alias("key", "Another.", id)))];
    let routes = [
        TestRoute::new(Method::GET, "/x/{outer}", "keys", &function("get", "Gets.", &params[..1], None)),
        TestRoute::new(Method::POST, "/x", "keys", &function("put", "Puts.", &params[1..], None)),
    ];
    let document = shop(&routes);
    for name in ["Id", "Key"] {
        assert_eq!(at(&document, "/components/schemas")[name]["maximum"], 255, "{name}");
    }
}

#[test]
fn a_host_is_the_server_of_its_operations_and_unknown_methods_are_left_out() {
    let routes = routes();
    let mut operations = vec![routes[3].operation(), routes[3].operation(), routes[3].operation()];
    operations[0].host = Some("api.example.com".into());
    operations[1].method = Method::from_bytes(b"PURGE").unwrap();
    let info = Info { title: "t".into(), version: "1".into(), description: None };
    let document = document(&info, &operations, &[]);
    let item = at(&document, "/paths/~1api~1products").as_object().unwrap();
    assert_eq!(item.len(), 1);
    assert_eq!(item["get"]["servers"], json!([{"url": "//api.example.com"}]));
}

#[test]
fn a_type_with_a_record_that_clients_send_and_get_has_two_schemas() {
    let both = record("price", &[("amount", Type::U64), ("kind", enumeration("kind", &["net"]))]);
    let function = function("put", "", &[("price", list(both.clone()))], Some(alias("prices", "", list(both))));
    let document = shop(&[TestRoute::new(Method::PUT, "/api/prices", "products", &function)]);
    let schemas = at(&document, "/components/schemas");
    let names: Vec<_> = schemas.as_object().unwrap().keys().collect();
    assert_eq!(names, ["FieldError", "Kind", "Price", "PriceInput", "Prices", "Problem"]);
    assert_eq!(schemas["PriceInput"]["additionalProperties"], false, "an unknown member is refused");
    assert!(schemas["Price"].get("additionalProperties").is_none(), "an answer may get more members");
    assert_eq!(schemas["Prices"]["items"]["$ref"], "#/components/schemas/Price");
    let body = at(&document, "/paths/~1api~1prices/put/requestBody/content/application~1json/schema");
    assert_eq!(body["items"]["$ref"], "#/components/schemas/PriceInput");
}

#[test]
fn routes_to_sagas_are_operations_with_the_type_of_their_input() {
    let input = record("checkout", &[("user-id", Type::U64), ("note", option(Type::String))]);
    let saga = |method: Method, path: &str, input| SagaOperation {
        method,
        path: path.to_owned(),
        host: None,
        saga: "checkout",
        input,
        names: Names::Snake,
    };
    let sagas = [
        saga(Method::POST, "/api/checkout", Some(&input)),
        saga(Method::GET, "/api/checkout/{id}", Some(&input)),
        saga(Method::POST, "/api/later", None),
        // A function has this method and path already.
        saga(Method::POST, "/api/products", None),
        // Another name in braces is no other path, and the document has one name for both.
        saga(Method::GET, "/api/products/{saga}/{id}", None),
        saga(Method::POST, "/api/products/{product}/{id}", None),
    ];
    let (routes, info) = (routes(), Info { title: "t".into(), version: "1".into(), description: None });
    let operations: Vec<_> = routes.iter().map(TestRoute::operation).collect();
    let document = document(&info, &operations, &sagas);

    let start = &document["paths"]["/api/checkout"]["post"];
    let schema = &start["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema, &json!({"$ref": "#/components/schemas/Checkout"}));
    assert_eq!(document["components"]["schemas"]["Checkout"]["required"], json!(["user_id"]));
    assert_eq!(start["parameters"][0]["name"], "Idempotency-Key");
    let statuses = |operation: &Value| operation["responses"].as_object().expect("responses").keys().cloned().collect();
    let started: Vec<String> = statuses(start);
    assert_eq!(started, ["200", "202", "400", "404", "405", "408", "409", "413", "415", "422", "500", "503"]);
    let show = &document["paths"]["/api/checkout/{id}"]["get"];
    let shown: Vec<String> = statuses(show);
    assert_eq!(
        (shown, &show["requestBody"]),
        (["200", "400", "404", "405", "500", "503"].map(String::from).into(), &Value::Null)
    );
    let saga_schema = json!({"$ref": "#/components/schemas/Saga"});
    assert_eq!(show["responses"]["200"]["content"]["application/json"]["schema"], saga_schema);
    assert_eq!(document["components"]["schemas"]["Saga"]["required"][0], "id");

    let later = &document["paths"]["/api/later"]["post"];
    assert_eq!(
        (&later["operationId"], &start["operationId"]),
        (&json!("checkout_saga_start"), &json!("checkout_start"))
    );
    assert_eq!(document["paths"]["/api/products"]["post"]["operationId"], "products_create");
    let item = &document["paths"]["/api/products/{saga}/{id}"];
    for method in ["get", "post"] {
        assert_eq!(item[method]["parameters"][0]["name"], "saga", "{item}");
    }
    let tags = document["tags"].as_array().expect("tags");
    assert!(tags.iter().any(|tag| tag["name"] == "checkout"), "{tags:?}");
    let refs = document.to_string();
    for status in document["components"]["responses"].as_object().expect("responses").keys() {
        assert!(refs.contains(&format!("#/components/responses/{status}")), "{status}");
    }
}
