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
struct Route {
    path: &'static [&'static str],
    from_header: &'static [(&'static str, &'static str)],
    status: Option<u16>,
    location: Option<&'static str>,
    errors: &'static [(&'static str, u16)],
    names: Names,
}

impl Route {
    fn bind(&self, methods: &[Method], function: &Function) -> Result<HttpBinding, Vec<HttpBindingError>> {
        let from_header = self.from_header.iter().map(|(name, header)| ((*name).into(), (*header).into())).collect();
        let errors = self.errors.iter().map(|(case, status)| ((*case).into(), *status)).collect();
        let spec = HttpBindingSpec {
            methods,
            path_params: self.path.to_vec(),
            from_header: &from_header,
            status: self.status,
            location: self.location,
            errors: &errors,
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
    let route = Route { path: &["product_id"], from_header: &[("key", "Idempotency-Key")], ..Route::default() };
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

    let camel =
        Route { names: Names::Camel, path: &["product-id"], from_header: &[("key", "x-key")], ..Route::default() };
    let binding = camel.bind(&[Method::PUT], &function).expect("a binding");
    assert_eq!(binding.sources[0], ParamSource::Path("product-id".into()));
    assert_eq!(binding.query_names().collect::<Vec<_>>(), ["dryRun", "currency"]);
}

#[test]
fn a_list_is_the_body_if_the_method_has_one_and_else_in_the_query() {
    let function = function("get-many", &[("ids", list(Type::U64))], Some(list(product())));
    let sources = |method| Route::default().bind(&[method], &function).expect("a binding").sources;
    assert_eq!(sources(Method::POST), [ParamSource::Body]);
    assert_eq!(sources(Method::GET), [ParamSource::Query("ids".into())]);
    assert_eq!(sources(Method::DELETE), [ParamSource::Query("ids".into())]);
}

#[test]
fn statuses_follow_from_the_function_and_its_route() {
    let status = |method, ok: Option<Type>, location, status| {
        let route = Route { location, status, ..Route::default() };
        route.bind(&[method], &function("f", &[], ok)).expect("a binding").status.as_u16()
    };
    let at = Some("/products/{id}");
    assert_eq!(status(Method::GET, Some(product()), None, None), 200);
    assert_eq!(status(Method::POST, Some(product()), None, None), 200);
    assert_eq!(status(Method::POST, Some(product()), at, None), 201);
    assert_eq!(status(Method::PUT, Some(product()), at, None), 200);
    assert_eq!(status(Method::DELETE, None, None, None), 204);
    assert_eq!(status(Method::POST, Some(product()), at, Some(202)), 202);

    let route = Route { errors: &[("sold_out", 409), ("invalid", 400)], ..Route::default() };
    let binding = route.bind(&[Method::GET], &function("f", &[], None)).expect("a binding");
    let expected = [("not-found", 404), ("conflict", 409), ("sold-out", 409), ("invalid", 400), ("other", 500)];
    for (case, status) in expected {
        assert_eq!(binding.status_of(case).as_u16(), status, "{case}");
    }
    let plain = Function { result: Some(Type::String), ..function("f", &[], None) };
    let binding = Route::default().bind(&[Method::GET], &plain).expect("a binding");
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
    let route = Route { location: Some("/api/{shop-name}/products/{id}?price={unit_price}"), ..Route::default() };
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

#[test]
fn each_error_is_reported_with_its_key() {
    let get = || function("get", &[("id", Type::U64)], Some(product()));
    let two = || function("two", &[("a", product()), ("b", list(Type::U8))], None);
    let stream = || function("upload", &[("id", Type::U64), ("data", Type::Stream(None))], None);
    let (route, methods) = (Route::default, |method| vec![method]);
    let table = [
        (route(), vec![], get(), Key::Call, "the route names no method for `get`"),
        (
            route(),
            vec![Method::GET, Method::PUT],
            get(),
            Key::Call,
            "PUT has a body and GET has none, so `get` cannot be bound for both",
        ),
        (route(), methods(Method::POST), two(), Key::Call, "`a` and `b` would both be the body of the request"),
        (
            route(),
            methods(Method::GET),
            function("f", &[("a", product())], None),
            Key::Call,
            "parameter `a` (record `product`) needs a body, and GET has none",
        ),
        (
            route(),
            methods(Method::GET),
            function("f", &[("a", list(Type::U8))], None),
            Key::Call,
            "parameter `a` (list<u8>) needs a body, and GET has none",
        ),
        (
            route(),
            methods(Method::PUT),
            stream(),
            Key::Call,
            "parameter `data` of `upload` holds a stream, which has no JSON",
        ),
        (
            route(),
            methods(Method::GET),
            function("f", &[], Some(Type::Resource("file".into()))),
            Key::Call,
            "the result of `f` holds the resource `file`, which has no JSON",
        ),
        (
            Route { path: &["name"], ..route() },
            methods(Method::GET),
            get(),
            Key::Path,
            "`{name}` is not a parameter of `get`",
        ),
        (
            Route { path: &["a"], ..route() },
            methods(Method::POST),
            function("f", &[("a", product())], None),
            Key::Path,
            "parameter `a` (record `product`) cannot stand in a segment of a path",
        ),
        (
            Route { path: &["a-b", "a_b"], ..route() },
            methods(Method::GET),
            function("f", &[("a-b", Type::U8)], None),
            Key::Path,
            "`{a_b}` names parameter `a-b` a second time",
        ),
        (
            Route { from_header: &[("key", "X-Key")], ..route() },
            methods(Method::GET),
            get(),
            Key::FromHeader,
            "`key` is not a parameter of `get`",
        ),
        (
            Route { from_header: &[("id", "X Id")], ..route() },
            methods(Method::GET),
            get(),
            Key::FromHeader,
            "`X Id` is not a header name",
        ),
        (
            Route { from_header: &[("id", "X-Id")], path: &["id"], ..route() },
            methods(Method::GET),
            get(),
            Key::FromHeader,
            "parameter `id` is bound already, to the path or to another header",
        ),
        (
            Route { from_header: &[("a", "X-A")], ..route() },
            methods(Method::POST),
            function("f", &[("a", product())], None),
            Key::FromHeader,
            "parameter `a` (record `product`) cannot stand in a header",
        ),
        (
            Route { status: Some(199), ..route() },
            methods(Method::GET),
            get(),
            Key::Status,
            "199 is not a status of a success",
        ),
        (
            Route { status: Some(600), ..route() },
            methods(Method::GET),
            get(),
            Key::Status,
            "600 is not a status of a success",
        ),
        (
            Route { status: Some(204), ..route() },
            methods(Method::GET),
            get(),
            Key::Status,
            "an answer with status 204 has no body, but `get` answers a value",
        ),
        (
            Route { location: Some("products/{id}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`products/{id}` is not a path of this host",
        ),
        (
            Route { location: Some("//evil/{id}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`//evil/{id}` is not a path of this host",
        ),
        (
            Route { location: Some("/{id"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`/{id` has a `{` without `}`",
        ),
        (
            Route { location: Some("/a b/{id}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "' ' may not stand in a location, except within braces",
        ),
        (
            Route { location: Some("/{sku}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`{sku}` is neither a field of what `get` answers nor a parameter",
        ),
        (
            Route { location: Some("/{note}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`{note}` is an option, and a location needs a value",
        ),
        (
            Route { location: Some("/{tags}"), ..route() },
            methods(Method::POST),
            get(),
            Key::Location,
            "`{tags}` (list<string>) cannot stand in a location",
        ),
        (
            Route { errors: &[("gone", 410)], ..route() },
            methods(Method::GET),
            get(),
            Key::Errors,
            "`gone` is not a case of the error of `get`",
        ),
        (
            Route { errors: &[("conflict", 399)], ..route() },
            methods(Method::GET),
            get(),
            Key::Errors,
            "399 is not a status of an error",
        ),
        (
            Route { errors: &[("conflict", 600)], ..route() },
            methods(Method::GET),
            get(),
            Key::Errors,
            "600 is not a status of an error",
        ),
    ];
    for (route, methods, function, key, message) in table {
        let errors = route.bind(&methods, &function).expect_err(message);
        let found = errors.iter().find(|error| error.message == message);
        let found = found.unwrap_or_else(|| panic!("no {message:?} in {errors:#?}"));
        assert_eq!(found.key, key, "{message}");
        assert!(!found.help.is_empty(), "{message}");
    }
}

#[test]
fn one_mistake_is_one_error_and_several_are_reported_together() {
    let get = function("get", &[("id", Type::U64)], Some(product()));
    let route = Route { path: &["name"], errors: &[("gone", 410)], status: Some(100), ..Route::default() };
    let errors = route.bind(&[Method::GET], &get).expect_err("three mistakes");
    assert_eq!(errors.iter().map(|error| error.key).collect::<Vec<_>>(), [Key::Path, Key::Status, Key::Errors]);
    assert_eq!(errors[0].help, "its parameters: `id`");
    assert_eq!(errors[2].help, "its cases: `not-found`, `conflict`, `sold-out`, `invalid`");

    let upload = function("upload", &[("data", Type::Stream(None))], None);
    for method in [Method::GET, Method::POST] {
        assert_eq!(Route::default().bind(&[method], &upload).expect_err("a stream").len(), 1);
    }
}
