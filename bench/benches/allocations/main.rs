//! What a request allocates on its way through the host: `cargo bench -p bench --bench allocations [-- --sites]`.
//!
//! The whole host runs in this process, as `atoll run` runs it, with its log on; the client and the plain server that stands for a service
//! outside allocate nothing themselves. For each way through the host dhat counts what 1,000 and 2,000 requests allocate: the difference is
//! what requests need, without what is made once. With `--sites` a further run says where. A component's own memory is not among it: it lies
//! in the engine's pool.
//!
//! Counting costs time, so nothing here says how fast anything is.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod client;
mod house;
mod sites;

use anyhow::{Context, ensure};
use client::Client;
use house::House;
use std::process::{Command, Stdio};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests of a short run; a long one has twice as many.
const REQUESTS: u64 = 1_000;
/// Requests before any is counted: pools fill, buffers grow.
const WARM_UP: u64 = 300;
/// Requests whose allocations are told apart by their places.
const TRACED: u64 = 200;

/// Says that this process is the one that measures.
const INNER: &str = "--inner";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == INNER) {
        // The host's log is part of what a request needs, and nothing to read here.
        let inner = Command::new(&arguments[0]).args(&arguments[1..]).arg(INNER).stderr(Stdio::null()).status()?;
        ensure!(inner.success(), "the measurement failed; with {INNER} it says why");
        return Ok(());
    }
    let with_sites = arguments.iter().any(|argument| argument == "--sites");
    let house = House::open()?;
    println!("| way of a request | allocations | bytes |\n| --- | --: | --: |");
    let mut sites = String::new();
    for way in house::WAYS {
        let mut client = Client::connect(house.gateway()).with_context(|| way.what)?;
        for _ in 0..WARM_UP {
            client.exchange(way.request, way.status).with_context(|| way.what)?;
        }
        let (short, long) = (count(&mut client, way, REQUESTS)?, count(&mut client, way, 2 * REQUESTS)?);
        let each = |long: u64, short: u64| long.saturating_sub(short) as f64 / REQUESTS as f64;
        println!("| {} | {:.1} | {:.0} |", way.what, each(long.0, short.0), each(long.1, short.1));
        if with_sites {
            sites += &format!("\n### {}\n\n{}", way.what, trace(&mut client, way)?);
        }
    }
    println!("{sites}");
    // The host ends with the process.
    Ok(())
}

/// Allocations and bytes while `requests` are answered.
fn count(client: &mut Client, way: &house::Way, requests: u64) -> anyhow::Result<(u64, u64)> {
    let profiler = dhat::Profiler::builder().testing().build();
    for _ in 0..requests {
        client.exchange(way.request, way.status).with_context(|| way.what)?;
    }
    let stats = dhat::HeapStats::get();
    drop(profiler);
    Ok((stats.total_blocks, stats.total_bytes))
}

/// Where requests allocate, as a table.
fn trace(client: &mut Client, way: &house::Way) -> anyhow::Result<String> {
    let file = std::env::temp_dir().join(format!("atoll-allocations-{}.json", way.name));
    let profiler = dhat::Profiler::builder().file_name(&file).trim_backtraces(None).build();
    for _ in 0..TRACED {
        client.exchange(way.request, way.status).with_context(|| way.what)?;
    }
    drop(profiler);
    let profile = std::fs::read(&file)?;
    Ok(format!("{}\nThe whole profile, for dhat's viewer: {}\n", sites::table(&profile, TRACED)?, file.display()))
}
