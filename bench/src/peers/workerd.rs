//! workerd, the JavaScript runtime of Cloudflare's workers: one process, one thread for the worker.

use super::{Running, Yard};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that `bench/peers/install.sh` installs.
pub(super) fn program(yard: &Yard) -> PathBuf {
    // Not `.bin/workerd`, which is a script that starts this.
    yard.tool("workerd/node_modules/@cloudflare/workerd-linux-64/bin/workerd")
}

/// Starts it.
///
/// # Errors
/// If it does not listen.
pub(super) async fn start(yard: &Yard, folder: &Path) -> anyhow::Result<Running> {
    let address = free_address()?;
    let mut command = Command::new(program(yard));
    command.arg("serve").arg(yard.settings("workerd/config.capnp")).arg(format!("--socket-addr=http={address}"));
    let process = Process::listening(command, folder, &address).await?;
    Ok(Running::of(address, process))
}
