//! Counts what a request allocates in the host: `cargo bench -p bench --bench allocations [-- --sites]`.
//!
//! The whole host runs in this process as `atoll run` runs it, with its log on. The client, and the plain server that
//! stands for an outside service, allocate nothing themselves. For each kind of request, dhat counts what 1,000 and
//! 2,000 requests allocate. The difference is what requests need, without what is made once. With `--sites`, a
//! further run shows where the allocations happen. The memory of components is not counted: it is in the engine's
//! pool.
//!
//! Counting costs time, so this benchmark says nothing about speed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod client;
mod running_host;
mod sites;

use anyhow::{Context, ensure};
use client::Client;
use running_host::RunningHost;
use std::process::{Command, Stdio};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests of a short run. A long run has twice as many.
const REQUESTS: u64 = 1_000;
/// Requests before the count, until pools are filled and buffers have grown.
const WARM_UP: u64 = 300;
/// Requests of the run that records where each allocation happens.
const TRACED: u64 = 200;

/// The argument of the process that measures.
const INNER: &str = "--inner";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == INNER) {
        // The host's log is part of what a request costs, but nobody needs to read it here.
        let inner = Command::new(&arguments[0]).args(&arguments[1..]).arg(INNER).stderr(Stdio::null()).status()?;
        ensure!(inner.success(), "the measurement failed; run it again with {INNER} to see why");
        return Ok(());
    }
    let with_sites = arguments.iter().any(|argument| argument == "--sites");
    let host = RunningHost::open()?;
    println!("| kind of request | allocations | bytes |\n| --- | --: | --: |");
    let mut sites = String::new();
    for scenario in running_host::SCENARIOS {
        let mut client = Client::connect(host.gateway()).with_context(|| scenario.what)?;
        for _ in 0..WARM_UP {
            client.exchange(scenario.request, scenario.status).with_context(|| scenario.what)?;
        }
        let (short, long) = (count(&mut client, scenario, REQUESTS)?, count(&mut client, scenario, 2 * REQUESTS)?);
        let each = |long: u64, short: u64| long.saturating_sub(short) as f64 / REQUESTS as f64;
        println!("| {} | {:.1} | {:.0} |", scenario.what, each(long.0, short.0), each(long.1, short.1));
        if with_sites {
            sites += &format!("\n### {}\n\n{}", scenario.what, trace(&mut client, scenario)?);
        }
    }
    println!("{sites}");
    // The host ends with the process.
    Ok(())
}

/// Counts the allocations and bytes while `requests` are answered.
fn count(client: &mut Client, scenario: &running_host::Scenario, requests: u64) -> anyhow::Result<(u64, u64)> {
    let profiler = dhat::Profiler::builder().testing().build();
    for _ in 0..requests {
        client.exchange(scenario.request, scenario.status).with_context(|| scenario.what)?;
    }
    let stats = dhat::HeapStats::get();
    drop(profiler);
    Ok((stats.total_blocks, stats.total_bytes))
}

/// A table of the places where requests allocate.
fn trace(client: &mut Client, scenario: &running_host::Scenario) -> anyhow::Result<String> {
    let file = std::env::temp_dir().join(format!("atoll-allocations-{}.json", scenario.name));
    let profiler = dhat::Profiler::builder().file_name(&file).trim_backtraces(None).build();
    for _ in 0..TRACED {
        client.exchange(scenario.request, scenario.status).with_context(|| scenario.what)?;
    }
    drop(profiler);
    let profile = std::fs::read(&file)?;
    Ok(format!("{}\nThe whole profile, for dhat's viewer: {}\n", sites::table(&profile, TRACED)?, file.display()))
}
