//! Atoll itself: the real binary with one service and one route. All settings are defaults, but the access log is
//! off, because the other sides have none.

use super::{Guest, Held, Life, PeerSetup, REQUESTS, Running, Wasi};
use crate::atoll::Atoll;
use anyhow::Context;
use std::path::Path;

/// Starts Atoll with the component that speaks HTTP.
///
/// # Errors
/// If it does not start.
pub(super) fn start(setup: &PeerSetup, folder: &Path, Guest { wasi, life }: Guest) -> anyhow::Result<Running> {
    start_with(setup, folder, &service(setup, wasi, life), "prefix = \"/\"\nservice = \"bench\"\nbody = \"2MiB\"")
}

/// Starts Atoll with a typed route to the component's function, which returns the answer of `/json`.
///
/// # Errors
/// If it does not start.
pub(super) fn start_typed(setup: &PeerSetup, folder: &Path, life: Life) -> anyhow::Result<Running> {
    let route = "method = \"GET\"\npath = \"/json\"\ncall = \"bench/greetings#hello\"";
    start_with(setup, folder, &service(setup, Wasi::P3, life), route)
}

fn start_with(setup: &PeerSetup, folder: &Path, service: &str, route: &str) -> anyhow::Result<Running> {
    let cache = setup.scratch.join("cache");
    let manifest = format!("[runtime]\ncache = {cache:?}\n\n{service}\n[[route]]\n{route}\n");
    let atoll = Atoll::start_with(&setup.host, folder, &manifest, &[crate::atoll::QUIET])?;
    let address = atoll.gateway.strip_prefix("http://").context("the gateway's address")?.to_owned();
    Ok(Running { address, held: vec![Held::Atoll(atoll)] })
}

fn service(setup: &PeerSetup, wasi: Wasi, life: Life) -> String {
    let component = setup.component(wasi);
    let life = match life {
        Life::Request => "isolation = \"request\"".to_owned(),
        Life::Reuse(concurrent) => {
            // An instance of WASI 0.2 serves one request at a time.
            let concurrent = if wasi == Wasi::P2 { 1 } else { concurrent };
            format!(
                "isolation = \"reuse\"\n\
                 reuse = {{ max_requests = {REQUESTS}, max_concurrent = {concurrent}, idle_timeout = \"1s\" }}"
            )
        }
    };
    format!("[service.bench]\ncomponent = {component:?}\n{life}\n")
}
