//! `wasmtime serve`, in the version on which the host is built.

use super::{Life, PeerSetup, REQUESTS, Running, Wasi};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pool that keeps the memory of small guests, with the values of the host's own pool. A smaller
/// `pooling-max-memory-size`, more table elements, more warm slots and fewer memories for each module were tried too:
/// none made a difference beyond the spread.
const TUNED: [&str; 11] = [
    "pooling-allocator=y",
    "pooling-total-component-instances=512",
    "pooling-total-core-instances=4096",
    "pooling-total-memories=1024",
    "pooling-total-tables=2048",
    "pooling-total-stacks=1024",
    "pooling-memory-keep-resident=1048576",
    "pooling-table-keep-resident=65536",
    "pooling-async-stack-keep-resident=65536",
    "pooling-pagemap-scan=auto",
    "pooling-decommit-batch-size=32",
];

/// The program that `bench/peers/install.sh` builds.
pub(super) fn program(setup: &PeerSetup) -> PathBuf {
    setup.tool("bin/wasmtime")
}

/// Starts the server with its defaults, or tuned and with instances that live as `life` says.
///
/// # Errors
/// If it does not listen.
pub(super) async fn start(setup: &PeerSetup, folder: &Path, wasi: Wasi, life: Option<Life>) -> anyhow::Result<Running> {
    let address = free_address()?;
    let mut command = Command::new(program(setup));
    // `-S cli`: the interfaces that Rust's standard library imports besides HTTP.
    command.args(["serve", "-S", "cli", "--addr", &address]);
    if let Some(life) = life {
        command.args(TUNED.iter().flat_map(|option| ["-O", option]));
        let (requests, concurrent) = match life {
            Life::Request => (1, 1),
            Life::Reuse(concurrent) => (REQUESTS, concurrent),
        };
        command.args(["--max-instance-reuse-count", &requests.to_string()]);
        command.args(["--max-instance-concurrent-reuse-count", &concurrent.to_string()]);
    }
    command.arg(setup.component(wasi));
    let process = Process::listening(command, folder, &address).await?;
    Ok(Running::of(address, process))
}
