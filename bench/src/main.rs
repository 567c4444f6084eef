//! The benchmarks: `./just bench`, `./just bench calls --rounds 9`, `./just bench --write`.
//!
//! Each comparison is a file of its own and prints a markdown table; with `--write` the table goes into `docs/performance.md` too. What
//! they share: `rounds` alternates the sides, `load` and `wrk` let clients loose, `open_loop` does not wait for answers, `atoll` starts the
//! real binary, `native` does without it, `peers` and `proxy` start others, each as a `process`, `contest` asks the same of all of them, `upstream`
//! is what stands behind them, `machine` says where all this ran.
//!
//! A comparison that makes a claim fails when it does not hold, after its table is printed and written.

mod atoll;
mod bodies;
mod calls;
mod compute;
mod contest;
mod crowd;
mod latency;
mod lean;
mod load;
mod machine;
mod memory;
mod native;
mod open_loop;
mod orders;
mod overload;
mod pacer;
mod peers;
mod plot;
mod process;
mod processors;
mod proxies;
mod proxy;
mod rounds;
mod scaling;
mod shop_native;
mod standings;
mod start;
mod table;
mod trivial;
mod upstream;
mod writes;
mod wrk;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, value_parser};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measures Atoll, one side against another in turns, and prints tables in markdown.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure; everything, if absent.
    #[command(subcommand)]
    comparison: Option<Comparison>,

    /// How often each side is measured: 3 or 5 times, `overload` and `memory` once, if absent.
    #[arg(long, global = true, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// How long one measurement takes, in seconds: 2, `proxies` 12, `overload` and `memory` 60, if absent.
    #[arg(long, global = true, value_parser = value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,

    /// Measure this binary of the host; it is built, if absent.
    #[arg(long, global = true)]
    host: Option<PathBuf>,

    /// Put the tables into docs/performance.md too.
    #[arg(long, global = true)]
    write: bool,

    /// Be the native server of `calls`.
    #[arg(long, hide = true)]
    native_server: bool,

    #[command(flatten)]
    shop: shop_native::Arguments,

    /// Be an upstream of `proxies`.
    #[arg(long, hide = true)]
    upstream: bool,

    /// Be the native server of `http`.
    #[arg(long, hide = true)]
    axum: bool,

    #[command(flatten)]
    bare: peers::bare::Arguments,

    #[command(flatten)]
    pacer: pacer::Arguments,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Comparison {
    /// Writes by 1, 8 and 64 clients: grouped commits against one sync for each write.
    Writes,
    /// Calls from service to service, typed and by HTTP, against a loopback connection.
    Calls,
    /// Users read and created, an order read with its user and products, and placed: the shop against the same services as native servers.
    Orders,
    /// Three upstreams of which one turns slow and one dies: Atoll, nginx and HAProxy in front of them.
    Proxies,
    /// Five times as much load as a guest can take.
    Overload,
    /// Starts of 3, 100 and 2,000 services, and what they weigh.
    Start,
    /// A trivial JSON: Atoll, `wasmtime serve`, native servers and others.
    Http,
    /// Large bodies, and many small chunks.
    Bodies,
    /// A guest that computes.
    Compute,
    /// How long answers take at half of the rate that a server can do.
    Latency,
    /// What the shop takes: memory, and the size of the binary.
    Memory,
    /// Throughput by the number of services, routes, endpoints and processors.
    Scaling,
}

impl Comparison {
    const ALL: [Self; 12] = [
        Self::Writes,
        Self::Calls,
        Self::Orders,
        Self::Proxies,
        Self::Overload,
        Self::Start,
        Self::Http,
        Self::Bodies,
        Self::Compute,
        Self::Latency,
        Self::Memory,
        Self::Scaling,
    ];

    /// How many rounds, and how many seconds each side runs in one, unless the command line says otherwise.
    fn extent(self) -> (u32, u64) {
        match self {
            Self::Writes | Self::Calls | Self::Orders | Self::Http => (5, 2),
            Self::Bodies | Self::Compute | Self::Latency | Self::Scaling => (3, 2),
            // Phases of 4 s: longer than the checks of health need to see that an upstream is down.
            Self::Proxies => (3, 12),
            // A second of rest before the memory is read.
            Self::Start => (5, 1),
            Self::Overload | Self::Memory => (1, 60),
        }
    }

    /// The name of its place in docs/performance.md, and what it found.
    async fn run(self, plan: &Plan) -> anyhow::Result<(&'static str, Finding)> {
        Ok(match self {
            Self::Writes => ("writes", Finding::of(writes::run(plan).await?)),
            Self::Calls => ("calls", Finding::of(calls::run(plan).await?)),
            Self::Orders => ("orders", orders::run(plan).await?),
            Self::Proxies => ("proxies", proxies::run(plan).await?),
            Self::Overload => ("overload", overload::run(plan).await?),
            Self::Start => ("start", start::run(plan).await?),
            Self::Http => ("http", trivial::run(plan).await?),
            Self::Bodies => ("bodies", bodies::run(plan).await?),
            Self::Compute => ("compute", compute::run(plan).await?),
            Self::Latency => ("latency", latency::run(plan).await?),
            Self::Memory => ("memory", memory::run(plan).await?),
            Self::Scaling => ("scaling", scaling::run(plan).await?),
        })
    }
}

/// What a comparison found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Its tables, in markdown.
    text: String,
    /// Where its claim does not hold, each a sentence without its full stop.
    misses: Vec<String>,
}

impl Finding {
    /// Of a comparison that claims nothing.
    fn of(text: String) -> Self {
        Self { text, misses: Vec::new() }
    }
}

/// What every comparison is told.
#[derive(Debug)]
pub(crate) struct Plan {
    rounds: u32,
    duration: Duration,
    /// The binary of the host to measure, where it is not to be built.
    host: Option<PathBuf>,
    /// The root of the checkout.
    workspace: PathBuf,
    /// The folder of the release binaries, this one's and the host's.
    binaries: PathBuf,
    /// A folder for databases and manifests, on the disk of the target folder: a temporary folder may be in memory, where a sync is free.
    scratch: PathBuf,
    /// Whether docs/performance.md is written, and so the pictures that it shows.
    write: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing worth knowing: cargo run --release -p bench");
    if arguments.pacer.is_load() {
        return arguments.pacer.load(say);
    }
    tokio::runtime::Runtime::new()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.native_server {
        return native::serve(say).await;
    }
    if arguments.shop.is_service() {
        return shop_native::serve(arguments.shop, say).await;
    }
    if arguments.upstream {
        return upstream::serve(say).await;
    }
    if arguments.axum {
        return peers::axum::serve(say).await;
    }
    if arguments.bare.is_server() {
        return arguments.bare.serve(say).await;
    }
    let executable = std::env::current_exe().context("where this program is")?;
    let binaries = executable.parent().context("the program lies in a folder")?.to_owned();
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&binaries)?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("bench/ stands in the workspace")?;
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
        };
        let (name, found) = comparison.run(&plan).await?;
        let text = format!("{}\n{}\n", found.text, machine::describe(&plan));
        say(&text)?;
        if arguments.write {
            write(&workspace.join("docs/performance.md"), name, &text)?;
        }
        misses.extend(found.misses.into_iter().map(|miss| format!("{name}: {miss}")));
    }
    ensure!(misses.is_empty(), "a claim does not hold\n{}", misses.join("\n"));
    Ok(())
}

/// Puts `text` between the markers of `name`, and leaves the rest of the file as it is.
fn write(file: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let document = match fs::read_to_string(file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "# Performance\n".to_owned(),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let document = table::put(&document, name, text).with_context(|| file.display().to_string())?;
    fs::write(file, document).with_context(|| file.display().to_string())
}

/// Prints to standard output; where it goes on, standard error is told.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Tells on standard error how far it is.
pub(crate) fn progress(text: &str) {
    // Nobody may be listening there; the measurement goes on.
    let _ = writeln!(io::stderr(), "bench: {text}");
}
