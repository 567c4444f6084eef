//! Random values of every type: from JSON into a guest, from there into another guest, and back.

use super::random_values::{Random, same, text};
use super::{Answer, Typed, seed};
use crate::it::components::component;
use host::contract::{Contract, Function, Interface, InterfaceName, Names, Type, is_textual};
use http::Request;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How many values each function gets, directly and through the other guest, in each of the three name styles.
const ROUNDS: usize = 8;

/// The functions that do not answer with what they are given.
const NO_ECHOES: [&str; 3] = ["nothing", "sync-nothing", "sync-many"];

/// The functions of the fixture `types`, as its component exports them.
fn functions() -> Interface {
    let bytes = std::fs::read(component("fixture-types")).unwrap();
    let mut contract = Contract::decode(&bytes).unwrap();
    contract.exports.remove(&InterfaceName::new("atoll:fixture-types/echo@1.0.0")).unwrap()
}

async fn open(names: &str, echo: &Interface) -> Typed {
    let mut manifest = format!(
        r#"
[gateway]
names = "{names}"

[service.types]
component = "{{component:fixture-types}}"
isolation = "reuse"

[service.relay]
component = "{{component:fixture-relay}}"
calls = ["types"]
isolation = "reuse"
reuse = {{ max_concurrent = 4 }}
"#
    );
    for name in echo.functions.keys() {
        for (via, interface) in [("echo", "types/echo"), ("relay", "relay/relay")] {
            let route = format!("method = \"POST\"\npath = \"/{via}/{name}\"\ncall = \"{interface}#{name}\"");
            write!(manifest, "\n[[route]]\n{route}\n").unwrap();
        }
    }
    // The tests read every function's error in the log.
    manifest += "\n[log]\nrepeats = 1_000_000\n";
    Typed::start(&manifest).await
}

/// Sends `arguments` as the gateway expects them: textual values in the query, the other one as the body.
async fn call(host: &Typed, path: &str, function: &Function, names: Names, arguments: &[Value]) -> Answer {
    let (mut query, mut body) = (String::new(), None);
    for (param, argument) in function.params.iter().zip(arguments) {
        if !is_textual(&param.ty) {
            body = Some(argument.to_string());
        } else if !argument.is_null() {
            let sign = if query.is_empty() { '?' } else { '&' };
            write!(query, "{sign}{}=", names.of(&param.name)).unwrap();
            text(argument).bytes().for_each(|byte| write!(query, "%{byte:02X}").unwrap());
        }
    }
    let request = Request::post(host.url(&format!("{path}{query}")));
    match body {
        Some(body) => host.http.send(request.header("content-type", "application/json"), body).await,
        None => host.http.send(request, "").await,
    }
}

/// The value that came back, in the form in which it was sent. A function's own result is a body or a problem.
async fn returned_value(host: &Typed, answer: &Answer, function: &Function) -> Value {
    let Some(Type::Result { ok, .. }) = function.result.as_ref().map(Type::resolved) else {
        assert_eq!(answer.status, 200, "{answer:?}");
        return answer.json();
    };
    if answer.status == 200 && ok.is_some() {
        return json!({ "ok": answer.json() });
    }
    if answer.status == 204 && ok.is_none() && answer.body.is_empty() {
        return json!({ "ok": null });
    }
    assert_eq!((answer.status.as_u16(), &answer.problem()["case"]), (500, &json!("error")));
    // The text of a service's own error is shown in the log only.
    let line: Value = serde_json::from_str(&host.atoll.logged(answer.header("x-request-id")).await).unwrap();
    let error_text = line["error"].as_str().unwrap_or_else(|| panic!("{line}"));
    json!({ "err": if error_text.is_empty() { Value::Null } else { serde_json::from_str(error_text).unwrap() } })
}

async fn assert_every_value_comes_back(style: &str, names: Names) {
    let echo = functions();
    let host = open(style, &echo).await;
    let seed = seed();
    let mut random = Random::new(seed, names);
    for function in echo.functions.values().filter(|function| !NO_ECHOES.contains(&function.name.as_str())) {
        for _ in 0..ROUNDS {
            let sent: Vec<_> = function.params.iter().map(|param| random.value(&param.ty)).collect();
            for via in ["echo", "relay"] {
                let answer = call(&host, &format!("/{via}/{}", function.name), function, names, &sent).await;
                let back = returned_value(&host, &answer, function).await;
                let whole = if sent.len() == 1 { sent[0].clone() } else { Value::from(sent.clone()) };
                let details = format!("{via} of {function}, ATOLL_TEST_SEED={seed}\n sent {whole}\n back {back}");
                assert!(same(&whole, &back), "{details}");
            }
        }
    }
    for via in ["echo", "relay"] {
        for name in ["nothing", "sync-nothing"] {
            let answer = call(&host, &format!("/{via}/{name}"), &echo.functions[name], names, &[]).await;
            assert!(answer.status == 204 && answer.body.is_empty(), "{answer:?}");
        }
        let words: Vec<_> = ["a", "b b", "", "ç", "e", "f", "g", "h", "🏝"].map(Value::from).into();
        let many = call(&host, &format!("/{via}/sync-many"), &echo.functions["sync-many"], names, &words).await;
        assert_eq!(many.json(), json!("a b b  ç e f g h 🏝 "), "{many:?}");
    }
}

#[tokio::test]
async fn random_values_of_every_type_come_back_unchanged_in_snake_case() {
    assert_every_value_comes_back("snake_case", Names::Snake).await;
}

#[tokio::test]
async fn random_values_of_every_type_come_back_unchanged_in_camel_case() {
    assert_every_value_comes_back("camelCase", Names::Camel).await;
}

#[tokio::test]
async fn random_values_of_every_type_come_back_unchanged_in_kebab_case() {
    assert_every_value_comes_back("kebab-case", Names::Kebab).await;
}
