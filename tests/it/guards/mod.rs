//! What keeps clients within bounds and data from eyes: limits by work, quotas, floods of wrong credentials, addresses,
//! connections, maintenance, secrets, and the key of the database.

mod entry;
mod floods;
mod host_secrets;
mod quotas;
mod secrets;
mod state_keys;
mod work;

use super::atoll::{Answer, Atoll, Home, Http};
use http::Request;

/// Sends a GET with this header.
async fn get(atoll: &Atoll, path: &str, (name, value): (&str, &str)) -> Answer {
    Http::default().send(Request::get(format!("{}{path}", atoll.gateway)).header(name, value), "").await
}

/// The standard output of a verb that succeeds against the host.
async fn verb(home: &Home, atoll: &Atoll, arguments: &[&str]) -> String {
    let output = home.output(&[arguments, &["--admin", &atoll.admin]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The `r` of the policy in the field `RateLimit`.
#[track_caller]
fn left(answer: &Answer, policy: &str) -> u64 {
    let field = answer.header("ratelimit").to_owned();
    let item = field.split(", ").find_map(|item| item.strip_prefix(&format!("\"{policy}\";r=")));
    let item = item.unwrap_or_else(|| panic!("{policy} is not in {field:?}: {answer:?}"));
    item.split(';').next().unwrap().parse().unwrap()
}
