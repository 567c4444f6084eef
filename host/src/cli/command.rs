//! The command line: what can be said, and the help that teaches it.

use super::address::AdminAddress;
use super::order::{BreakerVerb, FaultVerb};
use crate::base::ServiceName;
use crate::telemetry;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A microservices platform in one process: services are WebAssembly components.
///
/// `atoll run` reads a manifest, loads its services and serves them behind one
/// gateway. `atoll ps`, `routes`, `swap`, `rollback`, `breaker` and `fault` look at
/// a running host and change it while traffic flows, through its admin.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, verbatim_doc_comment, disable_help_subcommand = true, after_long_help = AFTER_HELP)]
pub(super) struct Command {
    #[command(subcommand)]
    pub(super) verb: Verb,

    /// Where the admin of the running host listens: http://127.0.0.1:9090,
    /// unless ATOLL_ADMIN is set
    ///
    /// Plain HTTP. For a host on another machine, a tunnel keeps the token
    /// private: `ssh -L 9090:127.0.0.1:9090 HOST`.
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment, help_heading = "Running host")]
    pub(super) admin: Option<AdminAddress>,
}

const AFTER_HELP: &str = "\
Examples:
  atoll check                      Is ./atoll.toml right, and does every component load?
  atoll inspect new.wasm           What does it offer, what does it need? --against users: what would break?
  atoll run                        Serve ./atoll.toml until SIGTERM or Ctrl-C
  atoll ps                         What runs: services, revisions, endpoints, breakers
  atoll swap users new.wasm        Replace the component of `users`; no request is lost
  atoll rollback users             Return to the revision before
  atoll breaker open users         Let no call of `users` pass until `atoll breaker reset users`
  atoll fault add users --error 10% --for 5m   Fail a tenth of its calls on purpose; `fault list`, `fault clear`

Environment:
  ATOLL_ADMIN            Where the admin of the running host listens, like --admin
  ATOLL_ADMIN_TOKEN      The admin's token: `run` demands it of operators, the other verbs show it
  ATOLL_GATEWAY_LISTEN   For `run`, `check`, `inspect`: takes the place of `listen` in [gateway]
  ATOLL_ADMIN_LISTEN     For `run`, `check`, `inspect`: takes the place of `listen` in [admin]
  ATOLL_STATE_PATH       For `run`, `check`, `inspect`: takes the place of `path` in [state]
  ATOLL_LOG              For `run`: what is logged, `info` unless set; for example `debug` or `access=off,info`

Exit codes:
  0  done
  1  refused or failed; standard error says why and what to do
  2  the command line is wrong";

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serve what the manifest says
    ///
    /// Loads every service, then prints one line for each address on standard
    /// output. The log goes to standard error. On SIGTERM or Ctrl-C the host takes
    /// no new requests and finishes those in flight; a second signal cuts them off.
    #[command(verbatim_doc_comment)]
    Run {
        #[command(flatten)]
        manifest: ManifestArg,

        /// How the log looks
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
        log_format: LogFormatArg,
    },

    /// Check the manifest and every component, without serving
    ///
    /// Reports all faults at once, each with its place and how to mend it. Opens no
    /// socket and no store.
    #[command(verbatim_doc_comment)]
    Check {
        #[command(flatten)]
        manifest: ManifestArg,
    },

    /// Show what a component exports and imports, and what it would break
    ///
    /// With --against, also what the manifest would grant it in the place of that
    /// service, and which services and routes use what it lacks or has otherwise: what
    /// a swap would be refused for. Opens no socket and no store.
    #[command(verbatim_doc_comment)]
    Inspect {
        /// The component, a `.wasm` file
        file: PathBuf,
        /// The service whose place it would take
        #[arg(long, value_name = "SERVICE", value_parser = ServiceName::new)]
        against: Option<ServiceName>,
        /// The manifest that has the service
        #[arg(long, value_name = "MANIFEST", default_value = "atoll.toml", requires = "against")]
        manifest: PathBuf,
    },

    #[command(flatten)]
    Remote(Remote),
}

/// What is asked of a running host.
#[derive(Debug, Subcommand)]
pub(super) enum Remote {
    /// List services, revisions, endpoints, breakers and their counts
    ///
    /// A revision that differs from what the manifest says, because it was swapped,
    /// is marked with `*`, and a circuit that an operator holds with `(forced)`. An
    /// endpoint whose checks fail is `unready`, one that fails far more often than the
    /// others is `ejected` for a while: calls go to the others. Below stand the faults
    /// on purpose, and the outside hosts that services called.
    #[command(verbatim_doc_comment)]
    Ps {
        /// Print the admin's JSON instead of a table
        #[arg(long)]
        json: bool,
    },

    /// List routes in the order of the manifest
    Routes {
        /// Print the admin's JSON instead of a table
        #[arg(long)]
        json: bool,
    },

    /// Replace the component of a service while traffic flows
    ///
    /// The host compiles and checks FILE before anything changes: a broken one
    /// changes nothing. Returns when the new revision serves; requests in flight
    /// finish on the old one. It lasts until the host restarts.
    #[command(verbatim_doc_comment)]
    Swap {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// The new component, a `.wasm` file
        file: PathBuf,
    },

    /// Return a service to the revision that served before
    Rollback {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
    },

    /// Open, close or reset circuits by hand
    ///
    /// What is forced stays so, through swaps too, until a reset or the restart of the
    /// host. Shows the
    /// service as it is then.
    #[command(verbatim_doc_comment, subcommand, after_long_help = BREAKER_EXAMPLES)]
    Breaker(BreakerVerb),

    /// Let calls fail or take longer on purpose, to see who can bear it
    ///
    /// Faults stand for a service, whoever calls it, and count as its own: breakers,
    /// retries and balancing answer them as they would a real one.
    #[command(verbatim_doc_comment, subcommand)]
    Fault(FaultVerb),
}

const BREAKER_EXAMPLES: &str = "\
Examples:
  atoll breaker open users users-1   Take one endpoint out; the others serve
  atoll breaker close users          Let all calls pass, whatever fails
  atoll breaker reset users          Leave it to the breakers again";

/// Which manifest.
#[derive(Debug, Args)]
pub(super) struct ManifestArg {
    /// The manifest; its paths are relative to its own folder
    #[arg(value_name = "MANIFEST", default_value = "atoll.toml")]
    pub(super) path: PathBuf,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum LogFormatArg {
    /// For people
    #[default]
    Pretty,
    /// One JSON object a line, for collectors
    Json,
}

impl From<LogFormatArg> for telemetry::LogFormat {
    fn from(format: LogFormatArg) -> Self {
        match format {
            LogFormatArg::Pretty => Self::Pretty,
            LogFormatArg::Json => Self::Json,
        }
    }
}
