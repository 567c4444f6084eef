//! workerd, the JavaScript runtime of Cloudflare's workers: one process, with one thread for the worker.

use super::{PeerSetup, Running};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that `bench/peers/install.sh` installs.
pub(super) fn program(setup: &PeerSetup) -> PathBuf {
    // Not `.bin/workerd`, which is a script that starts this program.
    setup.tool("workerd/node_modules/@cloudflare/workerd-linux-64/bin/workerd")
}

/// Starts it.
///
/// # Errors
/// If it does not listen.
pub(super) async fn start(setup: &PeerSetup, folder: &Path) -> anyhow::Result<Running> {
    let address = free_address()?;
    let mut command = Command::new(program(setup));
    command.arg("serve").arg(setup.settings("workerd/config.capnp")).arg(format!("--socket-addr=http={address}"));
    let process = Process::listening(command, folder, &address).await?;
    Ok(Running::of(address, process))
}
