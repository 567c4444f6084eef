//! Numbers of requests are decided by their texts: one that would have to be rounded never reaches a function.

use super::{Answer, Typed, runtime};
use http::Request;
use serde_json::{Value, json};

/// Texts that a double rounds to a whole number, each with a type whose bounds hold that number.
const ROUNDED: [(&str, &str); 8] = [
    ("u64", "4503599627370497.5"),
    ("s64", "-4503599627370497.5"),
    ("u64", "9007199254740990.99999"),
    ("u32", "1e-400"),
    ("s32", "-1e-400"),
    ("u32", "4294967294.0000000001"),
    ("u16", "65535.000000000000001"),
    ("s8", "-128.00000000000000001"),
];

/// Texts that stand for a whole number.
const WHOLE: [(&str, &str, u64); 5] = [
    ("u64", "1.0", 1),
    ("u64", "4503599627370497.0", 4_503_599_627_370_497),
    ("u32", "10e-1", 1),
    ("u32", "0e400", 0),
    ("u8", "0.7E+2", 70),
];

async fn start() -> Typed {
    let mut manifest = "[service.types]\ncomponent = \"{component:fixture-types}\"\n".to_owned();
    for ty in ["s8", "u8", "u16", "s32", "u32", "s64", "u64"] {
        manifest += &super::route(&format!("/path/{ty}/{{value}}"), &format!("types/echo#echo-{ty}"), "");
        manifest += &super::route(&format!("/query/{ty}"), &format!("types/echo#echo-{ty}"), "");
    }
    for (path, function) in [("/numbers", "echo-numbers"), ("/keys", "echo-by-u32")] {
        manifest += &format!("\n[[route]]\nmethod = \"POST\"\npath = \"{path}\"\ncall = \"types/echo#{function}\"\n");
    }
    Typed::start(&(manifest + &runtime(""))).await
}

/// Sends this JSON as it stands: a library would write another text for the same number.
async fn post(host: &Typed, path: &str, text: &str) -> Answer {
    let request = Request::post(host.url(path)).header("content-type", "application/json");
    host.http.send(request, text.to_owned()).await
}

/// A record of numbers, of which the one of type `ty` is written like that.
fn numbers(ty: &str, text: &str) -> String {
    let field = |name: &&str| format!("\"{name}\": {}", if *name == ty { text } else { "7" });
    let fields: Vec<_> =
        ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64"].iter().map(field).collect();
    format!("{{{}}}", fields.join(", "))
}

#[tokio::test]
async fn a_number_that_would_be_rounded_is_refused_in_a_body_a_path_and_a_query() {
    let host = start().await;
    for (ty, text) in ROUNDED {
        let answer = post(&host, "/numbers", &numbers(ty, text)).await;
        assert_eq!(answer.status, 422, "{ty} {text}: {answer:?}");
        let problem = answer.problem();
        assert_eq!(problem["errors"][0]["pointer"], format!("/{ty}"), "{problem}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(text), "{problem}");
        assert_eq!(host.failure(&format!("/path/{ty}/{text}")).await, (404, "not-found".to_owned()), "{ty} {text}");
        let query = format!("/query/{ty}?value={text}");
        assert_eq!(host.failure(&query).await, (400, "bad-parameter".to_owned()), "{ty} {text}");
    }
    for key in ["1e-400", "4294967294.0000000001"] {
        assert_eq!(post(&host, "/keys", &format!("{{\"{key}\": \"a\"}}")).await.status, 422, "{key}");
    }
    assert_eq!(host.metric("atoll_requests_total", "types").await, 0.0, "no function was called");
}

#[tokio::test]
async fn a_number_whose_fraction_is_zero_is_whole() {
    let host = start().await;
    for (ty, text, number) in WHOLE {
        let answer = post(&host, "/numbers", &numbers(ty, text)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()[ty]), (200, &json!(number)), "{ty} {text}: {answer:?}");
    }
    assert_eq!(post(&host, "/keys", r#"{"7": "a"}"#).await.json(), json!({"7": "a"}));
    for (path, number) in [("/path/u64/18446744073709551615", json!("18446744073709551615")), ("/path/u32/7", json!(7))]
    {
        assert_eq!(host.value(path).await, number);
    }
    let there: Value = host.value("/query/u64?value=4503599627370497").await;
    assert_eq!(there, json!(4_503_599_627_370_497_u64));
}
