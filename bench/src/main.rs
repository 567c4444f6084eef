//! The benchmarks: `./just bench`, `./just bench calls --rounds 9`, `./just bench --write`.
//!
//! Each comparison is a file of its own and prints a markdown table. With `--write`, the table also goes into
//! `docs/performance.md`. The shared parts:
//! - `rounds` alternates the sides, and `machine` describes the machine.
//! - `load`, `wrk` and `raw_client` make a closed-loop load; `open_loop` and `pacer` send requests at a fixed rate.
//! - `atoll` starts the real binary, `native` a native server; `peers` and `proxy` start other programs, each as a
//!   `process`.
//! - `server_comparison` gives the same work to all of them, and `comparison_tables` prints the result.
//! - `upstream` is a server behind a proxy.
//!
//! A comparison whose claim does not hold fails, after its table is printed and written.

mod atoll;
mod bodies;
mod calls;
mod comparison_tables;
mod component_copies;
mod compute;
mod faults;
mod latency;
mod load;
mod machine;
mod memory;
mod native;
mod open_loop;
mod orders;
mod overload;
mod pacer;
mod peers;
mod plain_proxy;
mod plot;
mod process;
mod processors;
mod proxies;
mod proxy;
mod raw_client;
mod rounds;
mod scaling;
mod server_comparison;
mod shop_native;
mod start;
mod table;
mod tracing;
mod trivial_json;
mod upstream;
mod writes;
mod wrk;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, value_parser};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measures Atoll against other programs, side by side, and prints tables in markdown.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure; without it, everything.
    #[command(subcommand)]
    comparison: Option<Comparison>,

    /// How many rounds count; by default 3 or 5, and 1 for `overload`, `faults` and `memory`.
    #[arg(long, global = true, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// The length of one measurement in seconds; by default 2, for `proxies` 12, for `start` 1, for `faults` 8, for
    /// `overload` and `memory` 60.
    #[arg(long, global = true, value_parser = value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,

    /// Measure this host binary; by default it is built from the checkout.
    #[arg(long, global = true)]
    host: Option<PathBuf>,

    /// Also write the tables into docs/performance.md.
    #[arg(long, global = true)]
    write: bool,

    /// Run as the native server of `calls`.
    #[arg(long, hide = true)]
    native_server: bool,

    #[command(flatten)]
    shop: shop_native::NativeServiceArguments,

    /// Run as an upstream of `proxies`.
    #[arg(long, hide = true)]
    upstream: bool,

    /// Run as the native server of `http`.
    #[arg(long, hide = true)]
    axum: bool,

    #[command(flatten)]
    bare: peers::bare::BareArguments,

    #[command(flatten)]
    pacer: pacer::PacerArguments,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Comparison {
    /// Writes by 1, 8 and 64 clients: commits that share a sync, against one sync for each write.
    Writes,
    /// Calls between services, typed and by HTTP, against a loopback connection.
    Calls,
    /// The shop against the same services as native servers: users read and created, orders read and placed.
    Orders,
    /// Atoll, nginx and HAProxy as plain proxies: several body sizes, connections, one and four upstreams.
    Proxy,
    /// Atoll, nginx and HAProxy in front of three upstreams, of which one becomes slow and one dies.
    Proxies,
    /// Five times as much load as a guest can handle.
    Overload,
    /// Thirteen faults in random order, and what a neighbour and the metrics see of them.
    Faults,
    /// Start time and memory of hosts with 3, 100 and 2,000 services.
    Start,
    /// A small JSON answer from Atoll, `wasmtime serve`, native servers and others.
    Http,
    /// Large bodies, and answers of many small chunks.
    Bodies,
    /// A guest that computes.
    Compute,
    /// Response times at half of a server's highest rate.
    Latency,
    /// The memory of the example shop, and the size of the binary.
    Memory,
    /// Throughput by the number of services, routes, endpoints and processors.
    Scaling,
    /// The processor time of a request and of a typed call: without traces, with 1 %, with all of them.
    Tracing,
}

impl Comparison {
    const ALL: [Self; 15] = [
        Self::Writes,
        Self::Calls,
        Self::Orders,
        Self::Proxy,
        Self::Proxies,
        Self::Overload,
        Self::Faults,
        Self::Start,
        Self::Http,
        Self::Bodies,
        Self::Compute,
        Self::Latency,
        Self::Memory,
        Self::Scaling,
        Self::Tracing,
    ];

    /// The default number of rounds, and of seconds for each side in a round.
    fn extent(self) -> (u32, u64) {
        match self {
            Self::Writes | Self::Calls | Self::Orders | Self::Proxy | Self::Http | Self::Tracing => (5, 2),
            Self::Bodies | Self::Compute | Self::Latency | Self::Scaling => (3, 2),
            // Phases of 4 s, longer than the health checks need to see that an upstream is down.
            Self::Proxies => (3, 12),
            // One second without calls before the memory is read.
            Self::Start => (5, 1),
            Self::Overload | Self::Memory => (1, 60),
            // A circuit opens and closes, and a writer fills its disk, within these.
            Self::Faults => (1, 8),
        }
    }

    /// The name of its section in docs/performance.md, and its result.
    async fn run(self, plan: &Plan) -> anyhow::Result<(&'static str, Finding)> {
        Ok(match self {
            Self::Writes => ("writes", Finding::of(writes::run(plan).await?)),
            Self::Calls => ("calls", Finding::of(calls::run(plan).await?)),
            Self::Orders => ("orders", orders::run(plan).await?),
            Self::Proxy => ("proxy", plain_proxy::run(plan).await?),
            Self::Proxies => ("proxies", proxies::run(plan).await?),
            Self::Overload => ("overload", overload::run(plan).await?),
            Self::Faults => ("faults", faults::run(plan).await?),
            Self::Start => ("start", start::run(plan).await?),
            Self::Http => ("http", trivial_json::run(plan).await?),
            Self::Bodies => ("bodies", bodies::run(plan).await?),
            Self::Compute => ("compute", compute::run(plan).await?),
            Self::Latency => ("latency", latency::run(plan).await?),
            Self::Memory => ("memory", memory::run(plan).await?),
            Self::Scaling => ("scaling", scaling::run(plan).await?),
            Self::Tracing => ("tracing", tracing::run(plan).await?),
        })
    }
}

/// The result of a comparison.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Tables and text in markdown.
    text: String,
    /// Where a claim does not hold: each a sentence without its full stop.
    misses: Vec<String>,
}

impl Finding {
    /// The result of a comparison without a claim.
    fn of(text: String) -> Self {
        Self { text, misses: Vec::new() }
    }
}

/// The settings of a comparison.
#[derive(Debug)]
pub(crate) struct Plan {
    rounds: u32,
    duration: Duration,
    /// The host binary to measure; `None` to build it.
    host: Option<PathBuf>,
    /// The root of the checkout.
    workspace: PathBuf,
    /// The folder of the release binaries: this program and the host.
    binaries: PathBuf,
    /// A folder for databases and manifests, on the disk of the target folder. A temporary folder may be in memory,
    /// where a sync costs nothing.
    scratch: PathBuf,
    /// Whether docs/performance.md and its pictures are written.
    write: bool,
    /// Whether times are judged: not those of a build without optimisation.
    timed: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(!cfg!(debug_assertions), "a debug build is too slow to measure; run: cargo run --release -p bench");
    if arguments.pacer.is_load() {
        return arguments.pacer.load(print_line);
    }
    tokio::runtime::Runtime::new()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.native_server {
        return native::serve(print_line).await;
    }
    if arguments.shop.is_service() {
        return shop_native::serve(arguments.shop, print_line).await;
    }
    if arguments.upstream {
        return upstream::serve(print_line).await;
    }
    if arguments.axum {
        return peers::axum::serve(print_line).await;
    }
    if arguments.bare.is_server() {
        return arguments.bare.serve(print_line).await;
    }
    let executable = std::env::current_exe().context("the path of this program is unknown")?;
    let binaries = executable.parent().context("the program is in a folder")?.to_owned();
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&binaries)?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("bench/ is a folder of the workspace")?;
    let mut misses = Vec::new();
    for comparison in arguments.comparison.map_or_else(|| Comparison::ALL.to_vec(), |one| vec![one]) {
        let (rounds, seconds) = comparison.extent();
        let plan = Plan {
            rounds: arguments.rounds.unwrap_or(rounds),
            duration: Duration::from_secs(arguments.seconds.unwrap_or(seconds)),
            host: arguments.host.clone(),
            workspace: workspace.to_owned(),
            binaries: binaries.clone(),
            scratch: scratch.path().to_owned(),
            write: arguments.write,
            timed: true,
        };
        let (name, found) = comparison.run(&plan).await?;
        let text = table::wrap(&format!("{}\n{}\n", found.text, machine::describe(&plan)));
        print_line(&text)?;
        if arguments.write {
            write(&workspace.join("docs/performance.md"), name, &text)?;
        }
        misses.extend(found.misses.into_iter().map(|miss| format!("{name}: {miss}")));
    }
    ensure!(misses.is_empty(), "not all claims hold:\n{}", misses.join("\n"));
    Ok(())
}

/// Puts `text` between the markers of `name`, and leaves the rest of the file unchanged.
fn write(file: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let document = match fs::read_to_string(file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "# Performance\n".to_owned(),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let document = table::put(&document, name, text).with_context(|| file.display().to_string())?;
    fs::write(file, document).with_context(|| file.display().to_string())
}

/// Prints to standard output. Progress goes to standard error.
fn print_line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Reports progress on standard error.
pub(crate) fn progress(text: &str) {
    // Standard error may be closed; the measurement continues.
    let _ = writeln!(io::stderr(), "bench: {text}");
}
