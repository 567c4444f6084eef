//! Manifests that are applied to a running host through the real binary.

mod manifest_before;
mod plans;
mod promotions;
mod random_pairs;
mod under_load;
mod way_back;

use super::atoll::{Atoll, Home, Http, eventually, hello_revision};
use rustix::process::Signal;
use serde_json::Value;
use std::process::Output;

/// A service `hello` with these further keys of its section, and a route to it.
fn manifest(keys: &str, more: &str) -> String {
    format!(
        "[service.hello]\ncomponent = \"{{component:fixture-hello}}\"\n{keys}\n[[route]]\nprefix = \"/hello\"\n\
         service = \"hello\"\n{more}\n"
    )
}

/// Writes a manifest that has the test's cache, as the host's first one.
fn write(home: &Home, manifest: &str) {
    home.write(manifest);
    home.link_cache();
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Applies the manifest of `home`, which must be one that changes something.
async fn apply(home: &Home) {
    let applied = home.output(&["apply", "--yes"]).await;
    assert_eq!(applied.status.code(), Some(0), "{}{}", out(&applied), err(&applied));
    assert!(out(&applied).contains(" applied"), "{}", out(&applied));
}

/// Sends a manifest to the admin.
async fn post(http: &Http, atoll: &Atoll, query: &str, manifest: &str) -> super::atoll::Answer {
    let request = http::Request::post(format!("{}/v1/apply?{query}", atoll.admin));
    http.send(request.header("content-type", "application/toml"), manifest.to_owned()).await
}

async fn status(http: &Http, atoll: &Atoll, path: &str) -> u16 {
    http.get(&format!("{}{path}", atoll.gateway)).await.status.as_u16()
}

async fn service(http: &Http, atoll: &Atoll, name: &str) -> Value {
    http.get(&format!("{}/v1/services/{name}", atoll.admin)).await.json()
}
