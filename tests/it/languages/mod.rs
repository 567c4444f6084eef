//! Components as other toolchains make them: contracts as `func` and as `async func`, the garbage collector and
//! exceptions, environment variables; and components that cannot run, which must not load.

mod engine_features;
mod environment;
mod func_and_async_func;
mod refused_at_load;

use super::atoll::{Atoll, Home, Http};
use std::fs;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

/// A running host, whose folder holds its components as files.
struct Guests {
    home: Home,
    atoll: Atoll,
    http: Http,
}

impl Guests {
    async fn start(manifest: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let home = home(manifest, files);
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    /// The status and the text of the answer.
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(&format!("{}{path}", self.atoll.gateway)).await;
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Tries to swap the file `name` in. Returns the status, and the admin's words if it refused.
    async fn swap(&self, service: &str, name: &str) -> (u16, String) {
        let bytes = fs::read(self.home.folder.path().join(name)).unwrap();
        let request = http::Request::post(format!("{}/v1/services/{service}/swap", self.atoll.admin));
        let answer = self.http.send(request.header("content-type", "application/wasm"), bytes).await;
        (answer.status.as_u16(), answer.json()["detail"].as_str().unwrap_or_default().to_owned())
    }
}

/// A folder with the manifest and the components.
fn home(manifest: &str, files: &[(&str, Vec<u8>)]) -> Home {
    let home = Home::new(manifest);
    for (name, bytes) in files {
        fs::write(home.folder.path().join(name), bytes).unwrap();
    }
    home.link_cache();
    home
}

/// What a verb of the command line writes, which must fail.
async fn complaint(home: &Home, arguments: &[&str]) -> String {
    let output = home.output(arguments).await;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Whether an error text contains `part`, wherever the terminal breaks its lines.
fn says(complaint: &str, part: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect::<String>();
    squeezed(complaint).contains(&squeezed(part))
}

fn world(wit: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    let package =
        resolve.push_source("guest.wit", wit).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
    let world = resolve.select_world(&[package], None).unwrap();
    (resolve, world)
}

/// The core module `text` as a component of the only world of `wit`.
fn guest(wit: &str, text: &str) -> Vec<u8> {
    component(wit, |_, _| wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")))
}

/// A component without behaviour for the only world of `wit`.
fn dummy(wit: &str) -> Vec<u8> {
    component(wit, |resolve, world| dummy_module(resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync)))
}

fn component(wit: &str, module: impl FnOnce(&Resolve, WorldId) -> Vec<u8>) -> Vec<u8> {
    let (resolve, world) = world(wit);
    let mut module = module(&resolve, world);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A route of `GET path` to `call`.
fn route(path: &str, call: &str) -> String {
    format!("\n[[route]]\nmethod = \"GET\"\npath = \"{path}\"\ncall = \"{call}\"\n")
}
