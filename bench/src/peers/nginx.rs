//! nginx as a plain proxy in front of the native server: the cost of one hop that does nothing else.

use super::{Held, PeerSetup, Running, axum};
use crate::process::free_address;
use crate::proxy;
use std::fs;
use std::path::Path;

/// The version of nginx. `None` if it is not installed.
pub(super) fn version() -> Option<String> {
    proxy::version("nginx", "-v")
}

/// Starts both.
///
/// # Errors
/// If one does not listen.
pub(super) async fn start(setup: &PeerSetup, folder: &Path) -> anyhow::Result<Running> {
    let Running { address: upstream, mut held } = axum::start()?;
    let address = free_address()?;
    let settings = fs::read_to_string(setup.settings("nginx.conf"))?;
    let settings = settings.replace("@LISTEN@", &address).replace("@UPSTREAM@", &upstream);
    held.push(Held::Process(proxy::nginx(folder, &settings, &address).await?));
    Ok(Running { address, held })
}
