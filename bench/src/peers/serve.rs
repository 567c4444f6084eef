//! `wasmtime serve`, of the version that the host is built on.

use super::{Life, REQUESTS, Running, Wasi, Yard};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pool that keeps what small guests use, with the figures of the host's own. A smaller `pooling-max-memory-size`, more table elements, more
/// warm slots and fewer memories a module were tried besides: none made a difference beyond the spread.
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
pub(super) fn program(yard: &Yard) -> PathBuf {
    yard.tool("bin/wasmtime")
}

/// Starts it: with its defaults, or tuned and with instances that live as `life` says.
///
/// # Errors
/// If it does not listen.
pub(super) async fn start(yard: &Yard, folder: &Path, wasi: Wasi, life: Option<Life>) -> anyhow::Result<Running> {
    let address = free_address()?;
    let mut command = Command::new(program(yard));
    // `-S cli`: what Rust's standard library imports besides HTTP.
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
    command.arg(yard.component(wasi));
    let process = Process::listening(command, folder, &address).await?;
    Ok(Running::of(address, process))
}
