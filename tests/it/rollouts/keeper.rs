//! Revisions of the service `keeper`, which keep texts in formats of their own.

use super::*;

const FIRST: &str = "format-1-migration-runsa";

/// A service `keeper`, with its routes. `{plan}` is the rest of its section.
pub fn manifest(plan: &str) -> String {
    format!(
        r#"
[service.keeper]
component = "{{component:fixture-keeper}}"
state = true
calls = ["keeper"]
{plan}

[history]

[[route]]
path = "/keep/{{key}}"
method = "GET"
call = "keeper/keep#get"

[[route]]
path = "/keep/{{key}}"
method = "PUT"
call = "keeper/keep#put"
"#
    )
}

/// A revision with this format, whose migration `runs`, `errs`, makes a `trap` or a `call`.
pub fn revision(format: u32, does: &str, mark: char) -> Bytes {
    let mut bytes = fs::read(component("fixture-keeper")).unwrap();
    let at: Vec<_> = bytes.windows(FIRST.len()).enumerate().filter(|(_, w)| *w == FIRST.as_bytes()).collect();
    let [(at, _)] = at[..] else { panic!("the conduct must occur once in the component") };
    let conduct = format!("format-{format}-migration-{does}{mark}");
    bytes[at..at + FIRST.len()].copy_from_slice(conduct.as_bytes());
    bytes.into()
}

/// A revision that knows of no formats: its values begin with 0, and it exports another interface in the place of the
/// one for migrations.
pub fn unnumbered(mark: char) -> Bytes {
    let (own, other) = (b"atoll:migration/migration", b"other:migration/migration");
    let mut bytes = revision(0, "runs", mark).to_vec();
    let at: Vec<_> = bytes.windows(own.len()).enumerate().filter(|(_, w)| w == own).map(|(at, _)| at).collect();
    assert!(!at.is_empty());
    at.into_iter().for_each(|at| bytes[at..at + other.len()].copy_from_slice(other));
    bytes.into()
}

/// Begins a rollout.
pub async fn begin(http: &Http, atoll: &Atoll, component: &Bytes, query: &str) -> Answer {
    let url = format!("{}/v1/services/keeper/rollouts{query}", atoll.admin);
    let request = Request::post(url).header("content-type", "application/wasm");
    http.try_send(request.body(Full::from(component.clone())).unwrap()).await.unwrap()
}

/// Keeps so many texts.
pub async fn fill(http: &Http, atoll: &Atoll, count: usize) {
    for number in 0..count {
        put(http, atoll, &format!("k{number:03}"), &format!("text {number}")).await;
    }
}

pub async fn put(http: &Http, atoll: &Atoll, key: &str, text: &str) {
    let url = format!("{}/keep/{key}?text={}", atoll.gateway, text.replace(' ', "%20"));
    let answer = http.try_send(Request::put(url).body(Full::default()).unwrap()).await.unwrap();
    assert!(answer.status.is_success(), "{} {:?}", answer.status, answer.body);
}

pub async fn get(http: &Http, atoll: &Atoll, key: &str) -> Answer {
    http.get(&format!("{}/keep/{key}", atoll.gateway)).await
}

/// The data as an export has them: without the header, whose version grows with each commit.
pub async fn data(http: &Http, atoll: &Atoll) -> Vec<Value> {
    let answer = http.get(&format!("{}/v1/services/keeper/data", atoll.admin)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The format in the header of an export.
pub async fn format(http: &Http, atoll: &Atoll) -> Value {
    data(http, atoll).await[0]["format"].clone()
}
