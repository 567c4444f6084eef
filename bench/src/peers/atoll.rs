//! Atoll itself: the real binary with a manifest of one service and one route, everything at its default but the access log, which is off
//! as the other sides have none.

use super::{Guest, Held, Life, REQUESTS, Running, Wasi, Yard};
use crate::atoll::Atoll;
use anyhow::Context;
use std::path::Path;

/// Starts it with the component by HTTP.
///
/// # Errors
/// If it does not start.
pub(super) fn start(yard: &Yard, folder: &Path, Guest { wasi, life }: Guest) -> anyhow::Result<Running> {
    start_with(yard, folder, &service(yard, wasi, life), "prefix = \"/\"\nservice = \"bench\"\nbody = \"2MiB\"")
}

/// Starts it with the component's typed function, whose answer is that of `/json`.
///
/// # Errors
/// If it does not start.
pub(super) fn start_typed(yard: &Yard, folder: &Path, life: Life) -> anyhow::Result<Running> {
    let route = "method = \"GET\"\npath = \"/json\"\ncall = \"bench/greetings#hello\"";
    start_with(yard, folder, &service(yard, Wasi::P3, life), route)
}

fn start_with(yard: &Yard, folder: &Path, service: &str, route: &str) -> anyhow::Result<Running> {
    let cache = yard.scratch.join("cache");
    let manifest = format!("[runtime]\ncache = {cache:?}\n\n{service}\n[[route]]\n{route}\n");
    let atoll = Atoll::start_with(&yard.host, folder, &manifest, &[crate::atoll::QUIET])?;
    let address = atoll.gateway.strip_prefix("http://").context("the gateway's address")?.to_owned();
    Ok(Running { address, held: vec![Held::Atoll(atoll)] })
}

fn service(yard: &Yard, wasi: Wasi, life: Life) -> String {
    let component = yard.component(wasi);
    let life = match life {
        Life::Request => "isolation = \"request\"".to_owned(),
        Life::Reuse(concurrent) => {
            // An instance of WASI 0.2 serves one request at a time.
            let concurrent = if wasi == Wasi::P2 { 1 } else { concurrent };
            format!(
                "isolation = \"reuse\"\nreuse = {{ max_requests = {REQUESTS}, max_concurrent = {concurrent}, idle_timeout = \"1s\" }}"
            )
        }
    };
    format!("[service.bench]\ncomponent = {component:?}\n{life}\n")
}
