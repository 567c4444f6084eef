//! The benchmarks: `./just bench`, `./just bench calls --rounds 9`, `./just bench --write`.
//!
//! Each comparison is a file of its own and prints a markdown table; with `--write` the table goes into `docs/performance.md` too. What
//! they share: `rounds` alternates the sides, `load` lets clients loose, `atoll` starts the real binary, `native` does without it, `machine` says where all this ran.

mod atoll;
mod calls;
mod load;
mod machine;
mod native;
mod rounds;
mod table;
mod writes;

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

    /// How often each side is measured.
    #[arg(long, global = true, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// How long one measurement takes, in seconds.
    #[arg(long, global = true, default_value_t = 2, value_parser = value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Put the tables into docs/performance.md too.
    #[arg(long, global = true)]
    write: bool,

    /// Be the native server of `calls`.
    #[arg(long, hide = true)]
    native_server: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Comparison {
    /// Writes by 1, 8 and 64 clients: grouped commits against one sync for each write.
    Writes,
    /// Calls from service to service, typed and by HTTP, against a loopback connection.
    Calls,
}

/// What every comparison is told.
#[derive(Debug)]
pub(crate) struct Plan {
    rounds: u32,
    duration: Duration,
    /// The root of the checkout.
    workspace: PathBuf,
    /// The folder of the release binaries, this one's and the host's.
    binaries: PathBuf,
    /// A folder for databases and manifests, on the disk of the target folder: a temporary folder may be in memory, where a sync is free.
    scratch: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing worth knowing: cargo run --release -p bench");
    if arguments.native_server {
        return native::serve(say).await;
    }
    let executable = std::env::current_exe().context("where this program is")?;
    let binaries = executable.parent().context("the program lies in a folder")?.to_owned();
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&binaries)?;
    let plan = Plan {
        rounds: arguments.rounds,
        duration: Duration::from_secs(arguments.seconds),
        workspace: Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("bench/ stands in the workspace")?.to_owned(),
        binaries,
        scratch: scratch.path().to_owned(),
    };
    let chosen = arguments.comparison.map_or_else(|| vec![Comparison::Writes, Comparison::Calls], |one| vec![one]);
    for comparison in chosen {
        let (name, text) = match comparison {
            Comparison::Writes => ("writes", writes::run(&plan).await?),
            Comparison::Calls => ("calls", calls::run(&plan).await?),
        };
        let text = format!("{text}\n{}\n", machine::describe(&plan));
        say(&text)?;
        if arguments.write {
            write(&plan.workspace.join("docs/performance.md"), name, &text)?;
        }
    }
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
