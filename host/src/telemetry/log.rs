//! The log: one line for each event, on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for log collectors.
    Json,
}

/// The filter when `ATOLL_LOG` is not set or not valid, in the syntax of `tracing_subscriber`'s `EnvFilter`.
const DEFAULT_FILTER: &str = "info";

/// Starts the log of this process, on standard error; standard output is for lines that programs read. The environment
/// variable `ATOLL_LOG` sets the filter (`debug`, `access=off,info`, …). A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("ATOLL_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Pretty => {
            let colours = std::io::stderr().is_terminal();
            registry.with(layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
    // This fails only if the log runs already, in a process that starts the host twice: a test.
    drop(started);
}
