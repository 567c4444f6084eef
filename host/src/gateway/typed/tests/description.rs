//! The gateway keeps to its own description: what OpenAPI and the guide allow is accepted, and every `Location` that is
//! sent can be followed.

use super::shop::{Shop, TypedRoute, ok, or_error, route, string};
use crate::contract::testing::{SampleValue, enumeration, typed, values};
use crate::contract::{Info, Names, Operation, Type, Value as _, document, is_textual, json};
use crate::listen::wire_client::WireAnswer;
use proptest::prelude::*;
use serde_json::Value as Json;
use std::sync::{Arc, Mutex};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Whether a text can be a segment of a path that all readers understand alike.
fn is_segment(text: &str) -> bool {
    let before_parameters = text.split(';').next().unwrap_or_default();
    !text.is_empty() && !text.contains(['/', '\\', '\0']) && !matches!(before_parameters, "." | "..")
}

/// Titles of all kinds, and often those with characters that a path has a meaning for.
fn titles() -> impl Strategy<Value = String> {
    prop_oneof![
        "[./;a]{0,4}",
        r#"[ab/\\;%. +?#&=é€{}"<>|^`\x00\r\n\t]{0,8}"#,
        any::<String>(),
        (7_000..9_000_usize).prop_map(|length| "a".repeat(length)),
    ]
}

/// Names a thing `title`, and follows the location of the answer. Returns whether there was one.
async fn follow(title: &str) -> bool {
    let named = Arc::new(Mutex::new(title.to_owned()));
    let outcome = move || {
        let title = named.lock().expect("no test panics with it").clone();
        Ok(ok(Some(SampleValue::record(vec![("title".into(), SampleValue::string(title))]))))
    };
    let shop = Shop::open(outcome).await;
    let created = shop.request("POST /notes", "").await;
    assert_eq!(created.status, 201, "{title:?}");
    let Some(location) = created.header("location") else { return false };
    let followed = shop.request(&format!("PUT {location}"), "").await;
    assert_eq!(followed.status, 204, "{title:?} at {location}");
    let noted = vec![string(title), SampleValue::option(None)];
    assert_eq!(shop.last(), ("note".to_owned(), noted), "{location}");
    true
}

#[test]
fn a_location_that_the_gateway_would_refuse_is_not_sent() {
    for title in ["a/b", "/", "a\\b", "a\0", ".", "..", "..;x", ".;", ""] {
        assert!(!wait(follow(title)), "{title:?}");
    }
    for title in ["a b", "a%2Fb", "...", ".a", ";", "é", "?#&+", "%"] {
        assert!(wait(follow(title)), "{title:?}");
    }
}

/// A type of one short text, and a value of it.
fn short() -> impl Strategy<Value = (Type, SampleValue)> {
    use Type as T;
    let plain = [T::Bool, T::S8, T::U16, T::S64, T::U64, T::F32, T::F64, T::Char, T::String];
    let plain = prop_oneof![
        4 => prop::sample::select(plain.to_vec()),
        1 => Just(enumeration("kind", &["round", "flat-top"])),
    ];
    let maybe = (plain, any::<bool>()).prop_map(|(ty, option)| if option { T::Option(Arc::new(ty)) } else { ty });
    maybe.prop_flat_map(|ty| values(&ty).prop_map(move |value| (ty.clone(), value)))
}

/// A type that comes as the body, half of the time behind an option, and a value of it. A type of one short text would
/// come in the query.
fn body() -> impl Strategy<Value = (Type, SampleValue)> {
    let body = typed().prop_filter("no short text", |(ty, _)| !is_textual(ty));
    (body, any::<bool>()).prop_map(|((ty, value), option)| {
        if option { (Type::Option(Arc::new(ty)), SampleValue::option(Some(value))) } else { (ty, value) }
    })
}

/// One value for each source of a parameter, with its type.
#[derive(Debug, Clone)]
struct Sent {
    id: (Type, SampleValue),
    key: (Type, SampleValue),
    filter: (Type, SampleValue),
    body: (Type, SampleValue),
}

impl Sent {
    fn types(&self) -> [(&'static str, Type); 4] {
        [("id", &self.id), ("key", &self.key), ("filter", &self.filter), ("body", &self.body)]
            .map(|(name, (ty, _))| (name, ty.clone()))
    }

    /// The route, and the operation that describes it.
    fn route(&self) -> (TypedRoute, Json) {
        let line: (&[&str], &str) = (&["POST"], "/things/{id}");
        let (rule, mut target, function) = route(line, "reserve", &self.types(), or_error(None), None);
        target.body_limit = 1 << 20;
        let operation = Operation {
            method: http::Method::POST,
            path: line.1.to_owned(),
            host: None,
            service: "products",
            interface: &function.name.interface,
            docs: None,
            binding: &function.binding,
        };
        let info = Info { title: "t".into(), version: "1".into(), description: None };
        let described = document(&info, &[operation], &[])["paths"][line.1]["post"].clone();
        ((rule, target, function), described)
    }

    /// Sends a request with all parts but `absent`.
    async fn send(&self, shop: &Shop, absent: &str) -> WireAnswer {
        let text = |(ty, value): &(Type, SampleValue)| json::write_text(ty, Names::Snake, value);
        let encoded = |text: String| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let mut head = format!("POST /things/{}", encoded(text(&self.id).expect("a path has a value")));
        if let Some(text) = text(&self.filter).filter(|_| absent != "filter") {
            head += &format!("?filter={}", encoded(text));
        }
        if let Some(text) = text(&self.key).filter(|_| absent != "key") {
            head += &format!("\nIdempotency-Key: {text}");
        }
        if absent == "body" {
            return shop.request(&head, "").await;
        }
        let mut body = Vec::new();
        json::write(&self.body.0, Names::Snake, &self.body.1, &mut body).expect("it is of its type");
        shop.request(&format!("{head}\nContent-Type: application/json"), std::str::from_utf8(&body).expect("text"))
            .await
    }

    /// The arguments that the function gets of a request without `absent`.
    fn arguments(&self, absent: &str) -> Vec<SampleValue> {
        let parts = [("id", &self.id), ("key", &self.key), ("filter", &self.filter), ("body", &self.body)];
        let none = || SampleValue::option(None);
        parts.map(|(name, (_, value))| if name == absent { none() } else { value.clone() }).to_vec()
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    // A value in a path is there, and the description has a pattern for its text.
    let id = short().prop_filter("a segment", |(ty, value)| {
        json::write_text(ty, Names::Snake, value).is_some_and(|text| is_segment(&text))
    });
    // A header has no control characters and no outer blanks.
    let key = short().prop_filter("a field", |(ty, value)| {
        let text = json::write_text(ty, Names::Snake, value).unwrap_or_default();
        text.bytes().all(|byte| byte.is_ascii_graphic()) && (!text.is_empty() || matches!(ty, Type::Option(_)))
    });
    (id, key, short(), body()).prop_map(|(id, key, filter, body)| Sent { id, key, filter, body })
}

/// Whether the description demands a part of the request.
fn requires(described: &Json, part: &str) -> bool {
    let name = if part == "key" { "Idempotency-Key" } else { part };
    let parameters = described["parameters"].as_array().expect("parameters");
    let found = parameters.iter().find(|parameter| parameter["name"] == name);
    found.unwrap_or(&described["requestBody"])["required"].as_bool().expect("it says so")
}

async fn check(sent: &Sent) {
    let (route, described) = sent.route();
    let shop = Shop::with_routes(vec![route], || Ok(ok(None))).await;
    for absent in ["", "key", "filter", "body"] {
        let required = !absent.is_empty() && requires(&described, absent);
        let answer = sent.send(&shop, absent).await;
        if required {
            assert!(matches!(answer.status, 400 | 415), "{absent} is required: {}", answer.text());
        } else {
            assert_eq!(answer.status, 204, "{absent:?} is absent: {}", answer.text());
            assert_eq!(shop.last().1, sent.arguments(absent), "{absent:?} is absent");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_location_that_is_sent_can_be_followed(title in titles()) {
        let sent = wait(follow(&title));
        prop_assert!(!sent || is_segment(&title), "{title:?}");
        prop_assert!(sent || !is_segment(&title) || title.len() > 2_000, "{title:?}");
    }

    #[test]
    fn what_the_description_allows_is_accepted_and_what_it_demands_is_demanded(sent in sent()) {
        wait(check(&sent));
    }
}

#[test]
fn a_body_that_may_be_absent_is_json_if_it_is_there() {
    let body = (Type::Option(Arc::new(Type::List(Arc::new(Type::U16)))), SampleValue::option(None));
    let text = (Type::String, string("a"));
    let sent = Sent { id: text.clone(), key: text.clone(), filter: text, body };
    let table = [
        ("Content-Length: 0", "", 204),
        ("Content-Type: text/plain\nContent-Length: 0", "", 204),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", 204),
        ("Transfer-Encoding: chunked", "3\r\n[7]\r\n0\r\n\r\n", 415),
        ("Content-Length: 3", "[7]", 415),
        ("Content-Type: text/plain\nContent-Length: 3", "[7]", 415),
        ("Content-Type: application/json\nContent-Length: 3", "[7]", 204),
        ("Content-Type: application/json\nTransfer-Encoding: chunked", "3\r\n[7]\r\n0\r\n\r\n", 204),
        ("Content-Type: application/json\nContent-Length: 4", "null", 204),
        ("Content-Type: application/json\nContent-Length: 1", " ", 400),
    ];
    wait(async {
        let (route, _) = sent.route();
        let shop = Shop::with_routes(vec![route], || Ok(ok(None))).await;
        for (fields, body, status) in table {
            let fields = fields.replace('\n', "\r\n");
            let head = format!("POST /things/a?filter=a HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a\r\n{fields}\r\n\r\n");
            let mut client = crate::listen::wire_client::WireClient::connect(shop.addr).await;
            assert_eq!(client.request(format!("{head}{body}")).await.status, status, "{fields} {body}");
        }
    });
}
