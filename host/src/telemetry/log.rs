//! The log: one line an event, to standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for collectors.
    Json,
}

/// What is logged when `ATOLL_LOG` says nothing else: a filter as `tracing_subscriber`'s `EnvFilter` reads it.
const DEFAULT: &str = "info";

/// Starts the log of this process, on standard error; standard output is for the lines that programs read. The variable `ATOLL_LOG`
/// sets the filter (`debug`, `access=off,info`, …). A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("ATOLL_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Pretty => {
            let colours = std::io::stderr().is_terminal();
            registry.with(layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
    // The only failure is a log that runs already, in a process that starts the host twice: a test.
    drop(started);
}
