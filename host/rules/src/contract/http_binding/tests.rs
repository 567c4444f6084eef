//! Bindings of a small contract: functions that can be bound, and each error of those that cannot.

use super::HttpBindingKey as Key;
use super::binding::default_status;
use super::*;
use crate::contract::json::Names;
use crate::contract::testing::{enumeration, record, variant};
use crate::contract::wit::{Function, Param, Type};
use http::Method;
use std::sync::Arc;

fn option(ty: Type) -> Type {
    Type::Option(Arc::new(ty))
}

fn list(ty: Type) -> Type {
    Type::List(Arc::new(ty))
}

fn product() -> Type {
    record(
        "product",
        &[("id", Type::U64), ("unit-price", Type::U64), ("note", option(Type::String)), ("tags", list(Type::String))],
    )
}

/// `name: func(params) -> result<ok, error>`
fn function(name: &str, params: &[(&str, Type)], ok: Option<Type>) -> Function {
    let error = variant(
        "error",
        &[("not-found", None), ("conflict", Some(Type::String)), ("sold-out", None), ("invalid", None)],
    );
    let params = params.iter().map(|(name, ty)| Param { name: (*name).into(), ty: ty.clone() }).collect();
    let result = Type::Result { ok: ok.map(Arc::new), err: Some(Arc::new(error)) };
    Function { name: name.into(), docs: None, asynchronous: true, params, result: Some(result) }
}

/// A route of these tests.
#[derive(Default)]
struct TestRoute {
    path: &'static [&'static str],
    from_header: &'static [(&'static str, &'static str)],
    status: Option<u16>,
    location: Option<&'static str>,
    errors: &'static [(&'static str, u16)],
    names: Names,
}

impl TestRoute {
    fn bind(&self, methods: &[Method], function: &Function) -> Result<HttpBinding, Vec<HttpBindingError>> {
        let from_header = self.from_header.iter().map(|(name, header)| ((*name).into(), (*header).into())).collect();
        let errors = self.errors.iter().map(|(case, status)| ((*case).into(), *status)).collect();
        let spec = HttpBindingSpec {
            methods: methods.to_vec(),
            path_params: self.path.iter().map(|&name| name.to_owned()).collect(),
            from_header,
            status: self.status,
            location: self.location.map(str::to_owned),
            errors,
            names: self.names,
        };
        HttpBinding::bind(function, &spec)
    }
}

#[test]
fn parameters_are_bound_to_the_path_the_headers_the_body_and_the_query() {
    let function = function(
        "update",
        &[
            ("product-id", Type::U64),
            ("changes", product()),
            ("dry-run", option(Type::Bool)),
            ("key", Type::String),
            ("currency", enumeration("currency", &["eur", "usd"])),
        ],
        Some(product()),
    );
    let route = TestRoute { path: &["product_id"], from_header: &[("key", "Idempotency-Key")], ..TestRoute::default() };
    let binding = route.bind(&[Method::PUT, Method::PATCH], &function).expect("a binding");
    let expected = [
        ParamSource::Path("product_id".into()),
        ParamSource::Body,
        ParamSource::Query("dry_run".into()),
        ParamSource::Header(http::HeaderName::from_static("idempotency-key")),
        ParamSource::Query("currency".into()),
    ];
    assert_eq!(binding.sources, expected);
    assert_eq!(binding.body().map(|param| param.name.as_str()), Some("changes"));
    assert_eq!(binding.query_names().collect::<Vec<_>>(), ["dry_run", "currency"]);
    assert!(binding.success().is_some_and(|ty| ty.same(&product())));
    assert!(matches!(binding.error(), Some(Type::Variant(_))));

    let camel = TestRoute {
        names: Names::Camel,
        path: &["product-id"],
        from_header: &[("key", "x-key")],
        ..TestRoute::default()
    };
    let binding = camel.bind(&[Method::PUT], &function).expect("a binding");
    assert_eq!(binding.sources[0], ParamSource::Path("product-id".into()));
    assert_eq!(binding.query_names().collect::<Vec<_>>(), ["dryRun", "currency"]);
}

#[test]
fn a_list_is_the_body_if_the_method_has_one_and_else_in_the_query() {
    let function = function("get-many", &[("ids", list(Type::U64))], Some(list(product())));
    let sources = |method| TestRoute::default().bind(&[method], &function).expect("a binding").sources;
    assert_eq!(sources(Method::POST), [ParamSource::Body]);
    assert_eq!(sources(Method::GET), [ParamSource::Query("ids".into())]);
    assert_eq!(sources(Method::DELETE), [ParamSource::Query("ids".into())]);
}

#[test]
fn statuses_follow_from_the_function_and_its_route() {
    let status = |method, ok: Option<Type>, location, status| {
        let route = TestRoute { location, status, ..TestRoute::default() };
        route.bind(&[method], &function("f", &[], ok)).expect("a binding").status.as_u16()
    };
    let at = Some("/products/{id}");
    assert_eq!(status(Method::GET, Some(product()), None, None), 200);
    assert_eq!(status(Method::POST, Some(product()), None, None), 200);
    assert_eq!(status(Method::POST, Some(product()), at, None), 201);
    assert_eq!(status(Method::PUT, Some(product()), at, None), 200);
    assert_eq!(status(Method::DELETE, None, None, None), 204);
    assert_eq!(status(Method::POST, Some(product()), at, Some(202)), 202);

    let route = TestRoute { errors: &[("sold_out", 409), ("invalid", 400)], ..TestRoute::default() };
    let binding = route.bind(&[Method::GET], &function("f", &[], None)).expect("a binding");
    let expected = [("not-found", 404), ("conflict", 409), ("sold-out", 409), ("invalid", 400), ("other", 500)];
    for (case, status) in expected {
        assert_eq!(binding.status_of(case).as_u16(), status, "{case}");
    }
    let plain = Function { result: Some(Type::String), ..function("f", &[], None) };
    let binding = TestRoute::default().bind(&[Method::GET], &plain).expect("a binding");
    assert!(binding.error().is_none() && binding.errors.is_empty());
    assert!(matches!(binding.success(), Some(Type::String)));
}

#[test]
fn the_default_statuses_are_those_of_the_docs() {
    let table = [
        ("not-found", 404),
        ("conflict", 409),
        ("invalid", 422),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("unavailable", 503),
        ("internal", 500),
    ];
    for (case, status) in table {
        assert_eq!(default_status(case).as_u16(), status, "{case}");
    }
}

#[test]
fn a_location_is_filled_from_the_answer_and_the_parameters() {
    let function = function("f", &[("id", Type::String), ("shop-name", Type::String)], Some(product()));
    let route =
        TestRoute { location: Some("/api/{shop-name}/products/{id}?price={unit_price}"), ..TestRoute::default() };
    let location = route.bind(&[Method::POST], &function).expect("a binding").location.expect("a location");
    assert_eq!(location.fields().collect::<Vec<_>>(), ["id", "unit-price"]);
    assert_eq!(location.parameters().collect::<Vec<_>>(), ["shop-name"]);

    let render = |shop: &str| {
        location.render(|name| match name {
            "shop-name" => Some(shop.to_owned()),
            "id" => Some("7".into()),
            "unit-price" => Some("250".into()),
            _ => None,
        })
    };
    assert_eq!(render("corner").as_deref(), Some("/api/corner/products/7?price=250"));
    assert_eq!(render("a/b é?~%").as_deref(), Some("/api/a%2Fb%20%C3%A9%3F~%25/products/7?price=250"));
    for elsewhere in ["", ".", ".."] {
        assert_eq!(render(elsewhere), None);
    }
    assert_eq!(location.render(|_| None), None);
}

/// `get: func(id: u64) -> result<product, error>`
fn get() -> Function {
    function("get", &[("id", Type::U64)], Some(product()))
}

/// Checks that the route cannot be bound, that this message is among the errors, and that its key is `key`.
#[track_caller]
fn assert_error(route: &TestRoute, methods: &[Method], function: &Function, key: Key, message: &str) {
    let errors = route.bind(methods, function).expect_err(message);
    let found = errors.iter().find(|error| error.message == message);
    let found = found.unwrap_or_else(|| panic!("no {message:?} in {errors:#?}"));
    assert_eq!(found.key, key, "{message}");
    assert!(!found.help.is_empty(), "{message}");
}

#[test]
fn a_function_that_does_not_fit_the_methods_or_json_is_an_error_of_call() {
    let two = || function("two", &[("a", product()), ("b", list(Type::U8))], None);
    let stream = || function("upload", &[("id", Type::U64), ("data", Type::Stream(None))], None);
    let takes = |ty| function("f", &[("a", ty)], None);
    let resource = || function("f", &[], Some(Type::Resource("file".into())));
    let table: [(&[Method], Function, &str); 7] = [
        (&[], get(), "the route names no method for `get`"),
        (&[Method::GET, Method::PUT], get(), "PUT has a body and GET has none, so `get` cannot be bound for both"),
        (&[Method::POST], two(), "`a` and `b` would both be the body of the request"),
        (&[Method::GET], takes(product()), "parameter `a` (record `product`) needs a body, and GET has none"),
        (&[Method::GET], takes(list(Type::U8)), "parameter `a` (list<u8>) needs a body, and GET has none"),
        (&[Method::PUT], stream(), "parameter `data` of `upload` holds a stream, which has no JSON"),
        (&[Method::GET], resource(), "the result of `f` holds the resource `file`, which has no JSON"),
    ];
    for (methods, function, message) in table {
        assert_error(&TestRoute::default(), methods, &function, Key::Call, message);
    }
}

#[test]
fn a_name_or_type_that_cannot_be_in_the_path_is_an_error_of_path() {
    let takes = |name: &str, ty| function("f", &[(name, ty)], None);
    let table: [(&[&str], Function, &str); 3] = [
        (&["name"], get(), "`{name}` is not a parameter of `get`"),
        (&["a"], takes("a", product()), "parameter `a` (record `product`) cannot stand in a segment of a path"),
        (&["a-b", "a_b"], takes("a-b", Type::U8), "`{a_b}` names parameter `a-b` a second time"),
    ];
    for (path, function, message) in table {
        let route = TestRoute { path, ..TestRoute::default() };
        assert_error(&route, &[Method::POST], &function, Key::Path, message);
    }
}

#[test]
fn a_name_or_type_that_cannot_be_in_a_header_is_an_error_of_from_header() {
    let refused = |from_header, path, function: &Function, message| {
        let route = TestRoute { from_header, path, ..TestRoute::default() };
        assert_error(&route, &[Method::POST], function, Key::FromHeader, message);
    };
    let takes = function("f", &[("a", product())], None);
    refused(&[("key", "X-Key")], &[], &get(), "`key` is not a parameter of `get`");
    refused(&[("id", "X Id")], &[], &get(), "`X Id` is not a header name");
    let bound = "parameter `id` is bound already, to the path or to another header";
    refused(&[("id", "X-Id")], &["id"], &get(), bound);
    refused(&[("a", "X-A")], &[], &takes, "parameter `a` (record `product`) cannot stand in a header");
}

#[test]
fn a_status_that_is_none_of_a_success_is_an_error_of_status() {
    let table = [
        (199, "199 is not a status of a success"),
        (600, "600 is not a status of a success"),
        (204, "an answer with status 204 has no body, but `get` answers a value"),
    ];
    for (status, message) in table {
        let route = TestRoute { status: Some(status), ..TestRoute::default() };
        assert_error(&route, &[Method::GET], &get(), Key::Status, message);
    }
}

#[test]
fn a_location_that_cannot_be_filled_is_an_error_of_location() {
    let table = [
        ("products/{id}", "`products/{id}` is not a path of this host"),
        ("//evil/{id}", "`//evil/{id}` is not a path of this host"),
        ("/{id", "`/{id` has a `{` without `}`"),
        ("/a b/{id}", "' ' may not stand in a location, except within braces"),
        ("/{sku}", "`{sku}` is neither a field of what `get` answers nor a parameter"),
        ("/{note}", "`{note}` is an option, and a location needs a value"),
        ("/{tags}", "`{tags}` (list<string>) cannot stand in a location"),
    ];
    for (location, message) in table {
        let route = TestRoute { location: Some(location), ..TestRoute::default() };
        assert_error(&route, &[Method::POST], &get(), Key::Location, message);
    }
}

#[test]
fn an_unknown_case_or_a_status_that_is_none_of_an_error_is_an_error_of_errors() {
    let table: [(&[(&str, u16)], &str); 3] = [
        (&[("gone", 410)], "`gone` is not a case of the error of `get`"),
        (&[("conflict", 399)], "399 is not a status of an error"),
        (&[("conflict", 600)], "600 is not a status of an error"),
    ];
    for (errors, message) in table {
        let route = TestRoute { errors, ..TestRoute::default() };
        assert_error(&route, &[Method::GET], &get(), Key::Errors, message);
    }
}

#[test]
fn one_mistake_is_one_error_and_several_are_reported_together() {
    let route = TestRoute { path: &["name"], errors: &[("gone", 410)], status: Some(100), ..TestRoute::default() };
    let errors = route.bind(&[Method::GET], &get()).expect_err("three mistakes");
    assert_eq!(errors.iter().map(|error| error.key).collect::<Vec<_>>(), [Key::Path, Key::Status, Key::Errors]);
    assert_eq!(errors[0].help, "its parameters: `id`");
    assert_eq!(errors[2].help, "its cases: `not-found`, `conflict`, `sold-out`, `invalid`");

    let upload = function("upload", &[("data", Type::Stream(None))], None);
    for method in [Method::GET, Method::POST] {
        assert_eq!(TestRoute::default().bind(&[method], &upload).expect_err("a stream").len(), 1);
    }
}
