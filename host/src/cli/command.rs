//! The command line and its help texts.

use super::address::AdminAddress;
use super::apply::{ApplyArgs, DiffArgs};
use super::audit::AuditVerb;
use super::cache::CacheVerb;
use super::cluster::ClusterVerb;
use super::events::EventsVerb;
use super::guard::{LimitVerb, MaintenanceVerb};
use super::key::KeyVerb;
use super::language_arg::LanguageArg;
use super::log_format_arg::LogFormatArg;
use super::node::NodeVerb;
use super::observed::{ChangesArgs, LogsArgs, TrapsArgs, WhyArgs};
use super::order::{BreakerVerb, FaultVerb};
use super::output::Output;
use super::replay::ReplayArgs;
use super::rollout::{self, RolloutArgs, SwapArgs};
use super::saga::SagaVerb;
use super::state::StateVerb;
use super::test::TestArgs;
use super::trace::TraceArgs;
use super::verb_examples::{APPLY_EXAMPLES, BREAKER_EXAMPLES, LOGS_EXAMPLES, REPLAY_EXAMPLES, ROLLOUT_EXAMPLES};
use super::wit::WitVerb;
use crate::base::ServiceName;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// A microservices platform in one process: services are WebAssembly components.
///
/// `atoll run` reads a manifest, loads its services and serves them behind one
/// gateway. `atoll ps`, `routes`, `apply`, `swap`, `rollout`, `rollback`, `breaker`, `fault`,
/// `trace`, `key`, `cache`, `events`, `saga`, `node`, `limit`, `maintenance` and `state` inspect
/// a running host and change it while traffic flows, through its admin; `why`, `logs`,
/// `traps`, `changes` and `top` show what happens in it.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, verbatim_doc_comment, disable_help_subcommand = true, after_long_help = AFTER_HELP)]
pub(super) struct Command {
    #[command(subcommand)]
    pub(super) verb: Verb,

    /// The address of the running host's admin [default: ATOLL_ADMIN; or else the
    /// host of ./atoll.toml, where it runs or where its admin section says that it listens]
    ///
    /// Without a manifest in this folder it is http://127.0.0.1:9090.
    ///
    /// For a host on another machine, use https (`[admin.tls]` of its manifest) or a
    /// tunnel, so that the token stays private: `ssh -L 9090:127.0.0.1:9090 HOST`.
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment, help_heading = "Running host")]
    pub(super) admin: Option<AdminAddress>,

    /// A PEM file of the authorities that may have signed the certificate of an https
    /// admin [default: ATOLL_ADMIN_CA; or else the development authority of ./atoll.toml
    /// for a host on this machine; or else those of the system]
    #[arg(long, global = true, value_name = "FILE", verbatim_doc_comment, help_heading = "Running host")]
    pub(super) ca: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  atoll check                      Check ./atoll.toml, and that every component loads
  atoll inspect new.wasm           Show its exports and imports; with --against users: what it would break
  atoll new mailer --lang js       Make a service in JavaScript; `atoll dev` builds, serves, and swaps in what changes
  atoll test users                 Call its functions with made-up arguments and by its examples, without serving
  atoll run                        Serve ./atoll.toml until SIGTERM or Ctrl-C
  atoll ps                         Show services, revisions, endpoints, breakers and rates
  atoll why                        Say what is wrong in the host; `atoll why users`: why `users` does not fare well
  atoll logs users -f --level warn Show its warnings as they come; `atoll traps users` shows its traps
  atoll top                        Show all services live; `atoll changes` lists what has changed
  atoll swap users new.wasm        Replace the component of `users`; no request is lost
  atoll swap users new.wasm --canary 5%,25% --wait   Give it a share first; take it back by itself if it is worse
  atoll rollback users             Return to the revision before
  atoll state snapshot users       Keep its data as they are now; `export` and `import` take data out and in
  atoll history users              List its revisions; `atoll rollback users REVISION` returns to one
  atoll apply                      Serve what ./atoll.toml says now, without a restart
  atoll breaker open users         Refuse every call of `users` until `atoll breaker reset users`
  atoll trace --errors             List what went wrong lately; `atoll trace ID` shows one request, span by span
  atoll audit verify audit.jsonl   Check that nobody changed the record of changes
  atoll cluster init pki           Make the authority of a cluster; `certificate NODE` makes that of a node
  atoll fault add users --error 10% --for 5m   Make a tenth of its calls fail on purpose; `atoll fault clear` ends it
  atoll key create partner --scope orders:write --expires 90d   Create an API key, and show it once
  atoll cache purge --tag users    Take answers out of the gateway's cache
  atoll events list                Show topics, how far each subscriber is behind, and dead letters
  atoll saga list --parked         Show the sagas that wait for a person: `retry`, `skip` or `compensate` them
  atoll limit show                 Show what each rate limit has admitted and refused
  atoll maintenance on             Answer every request with 503 until `atoll maintenance off`

Environment:
  ATOLL_ADMIN            The address of the running host's admin, like --admin
  ATOLL_ADMIN_CA         The authorities of an https admin, like --ca
  ATOLL_ADMIN_TOKEN      The admin's token: `run` requires it of operators, the other verbs send it
  ATOLL_GATEWAY_LISTEN   For `run`, `check`, `inspect`: overrides `listen` in [gateway]
  ATOLL_TLS_LISTEN       For `run`, `check`, `inspect`: overrides `listen` in [gateway.tls]
  ATOLL_ADMIN_LISTEN     For every verb: overrides `listen` in [admin]
  ATOLL_STATE_PATH       For `run`, `check`, `inspect`: overrides `path` in [state]
  ATOLL_LOG              For `run`: what is logged, by default `info`; for example `debug` or `access=off,info`

Exit codes:
  0  done
  1  refused or failed; standard error says why and what to do
  2  the command line is wrong; of `apply --dry-run` and `diff`: something would change";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serve the services of a manifest
    ///
    /// Loads every service, then prints one line for each address on standard
    /// output. The log goes to standard error. On SIGTERM or Ctrl-C the host takes no new
    /// requests and finishes those in flight; a second signal cuts them off. On SIGHUP it
    /// applies its manifest again, like `atoll apply`.
    #[command(verbatim_doc_comment)]
    Run {
        #[command(flatten)]
        manifest: ManifestArg,

        /// Leave out the services and routes that cannot be served, and serve the rest
        ///
        /// A service is left out if its component is missing or cannot serve, or if it imports what
        /// such a service exports. A line at the start, `/readyz` and `atoll ps` name it; its routes
        /// are answered with 503. A manifest that is wrong in itself is refused all the same.
        #[arg(long, verbatim_doc_comment)]
        partial: bool,

        /// The format of the log [default: that of the manifest; or else pretty]
        #[arg(long, value_name = "FORMAT", value_enum)]
        log_format: Option<LogFormatArg>,
    },

    /// Replay a recorded call here, or list the recorded calls
    ///
    /// A recording has all that a component got in one call, so the replay needs no other
    /// service, no store and no host: the same component gives the same answer, or fails in
    /// the same place, also on another machine. Writes and calls are compared, and never made.
    /// With --against it shows what another component does differently. The exit code is 1 if
    /// anything differs.
    #[command(verbatim_doc_comment, after_long_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),

    /// Check the manifest and every component, without serving
    ///
    /// Reports all problems together, each with its position and with help. Opens no
    /// socket and no store.
    #[command(verbatim_doc_comment)]
    Check {
        #[command(flatten)]
        manifest: ManifestArg,
    },

    /// Show what a component exports and imports, and what it would break
    ///
    /// With --against, also shows what other services and routes use that it lacks or has
    /// with other types. A swap is refused for these reasons. If the host of the manifest
    /// runs, it is compared with what that host serves now; otherwise with the component
    /// that the manifest names, and what the manifest grants is shown. The output says
    /// which of the two it was. Opens no store.
    #[command(verbatim_doc_comment)]
    Inspect {
        /// The component, a `.wasm` file
        file: PathBuf,
        /// The service whose component it would replace
        #[arg(long, value_name = "SERVICE", value_parser = ServiceName::new)]
        against: Option<ServiceName>,
        /// The manifest that has the service [default: atoll.toml]
        #[arg(long, value_name = "MANIFEST", requires = "against")]
        manifest: Option<PathBuf>,
    },

    /// Make a new service from a template: its contract, its code, its section of the manifest
    ///
    /// The service is typed: the host makes HTTP from its contract. With `--http` it speaks
    /// HTTP itself: by `wasi:http` 0.3, in C, Zig and Go by 0.2. The folder NAME must not
    /// exist. Prints the sections for the manifest.
    #[command(verbatim_doc_comment)]
    New {
        /// The service, and its folder
        #[arg(value_parser = ServiceName::new)]
        name: ServiceName,
        /// The language
        #[arg(long, value_name = "LANGUAGE", value_enum, default_value_t)]
        lang: LanguageArg,
        /// Make a service that speaks HTTP itself
        #[arg(long)]
        http: bool,
        /// Implement the contract of this WIT file or folder: the code has its functions,
        /// which say that they are not written yet
        #[arg(long, value_name = "PATH", conflicts_with = "http", verbatim_doc_comment)]
        contract: Option<PathBuf>,
    },

    /// Run the builds of services whose sources are newer than their components
    ///
    /// The command is `build` of the service in the manifest. Builds run at the same time.
    #[command(verbatim_doc_comment)]
    Build {
        /// The services; without them all that have a `build`
        #[arg(value_parser = ServiceName::new)]
        services: Vec<ServiceName>,
        /// The manifest
        #[arg(long, value_name = "MANIFEST", default_value = "atoll.toml")]
        manifest: PathBuf,
        /// Build what is up to date too
        #[arg(long)]
        all: bool,
    },

    /// Build, serve, and swap in what changes
    ///
    /// Like `atoll build` and `atoll run`; then the sources of every service with a
    /// `build` are watched, and a service whose sources have changed is built and swapped
    /// while requests flow. A build or a swap that fails changes nothing.
    #[command(verbatim_doc_comment)]
    Dev {
        #[command(flatten)]
        manifest: ManifestArg,
    },

    /// Call the functions of services with made-up arguments and by examples, without serving
    ///
    /// Each exported function gets valid arguments, which are made from its types: it must
    /// not trap, and must answer within its type. A failing argument is made smaller
    /// before it is shown. The examples of a contract stand in the docs of its WIT, in
    /// lines `Example: {"id": 7} => {"name": "Ada"}`, and in the files of the folder
    /// `tests` of a service; those on other services are what it expects of them. State
    /// is empty at the start and gone at the end; no host outside is reached.
    #[command(verbatim_doc_comment)]
    Test(TestArgs),

    /// Make bindings and components for languages whose compilers make neither
    #[command(subcommand)]
    Wit(WitVerb),

    /// Look whether this machine has what Atoll and the builds of the manifest need
    ///
    /// Limits of the system, the tools of each language, the manifest, and the host that
    /// runs by it. Says how to mend what is wrong.
    #[command(verbatim_doc_comment)]
    Doctor {
        #[command(flatten)]
        manifest: ManifestArg,
        #[command(flatten)]
        output: Output,
    },

    /// Print the JSON schema of the manifest, for editors
    ///
    /// `atoll schema > atoll.schema.json`, and `#:schema ./atoll.schema.json` as the first
    /// line of the manifest.
    #[command(verbatim_doc_comment)]
    Schema,

    /// Print completions for a shell
    ///
    /// Bash: `atoll completions bash > ~/.local/share/bash-completion/completions/atoll`.
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Write man pages: one for `atoll`, one for each verb
    Man {
        /// The folder; made where it is not there
        folder: PathBuf,
    },

    /// Make the certificates by which the nodes of a cluster know each other
    #[command(subcommand)]
    Cluster(ClusterVerb),

    /// List or check an audit file
    #[command(subcommand)]
    Audit(AuditVerb),

    #[command(flatten)]
    Remote(Remote),
}

/// The verbs that need a running host.
#[derive(Debug, Subcommand)]
pub(super) enum Remote {
    /// List services, revisions, endpoints, breakers and their counts
    ///
    /// A revision that is not the manifest's, because it was swapped, is marked with
    /// `*`; a circuit whose state an operator forced, with `(forced)`. An endpoint whose
    /// health checks fail is `unready`. One that fails much more often than the others is
    /// `ejected` for a while. Calls go to the others then. Below the table are the faults
    /// on purpose, and the outside hosts that services called.
    #[command(verbatim_doc_comment)]
    Ps {
        /// Show what each node of the cluster serves
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: Output,
    },

    /// List routes in the order of the manifest
    Routes {
        #[command(flatten)]
        output: Output,
    },

    /// Replace the component of a service while traffic flows
    ///
    /// The host compiles and checks FILE before anything changes: a broken component
    /// changes nothing. Returns when the new revision serves; requests in flight
    /// finish on the old one. With `rollout` in the manifest or with --canary it gets
    /// a share of the calls first, and goes by itself if it fares worse than the old
    /// one. The swap lasts until the host restarts, unless the manifest has a history.
    /// In a cluster it is of all nodes, or of none, and lasts; a canary is refused there.
    #[command(verbatim_doc_comment)]
    Swap(SwapArgs),

    /// Serve another manifest while traffic flows: all of it, or nothing
    ///
    /// Shows what would change, and how: `live`, `swap` or `restart`. Asks, and applies
    /// it. What both manifests say alike keeps its circuits, limits, caches, WebSockets
    /// and requests in flight. A change that needs a restart refuses all. SIGHUP applies
    /// the host's own file without a question.
    #[command(verbatim_doc_comment, after_long_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),

    /// Compare what a host serves with a manifest
    ///
    /// The exit code is 0 if they are the same, and 2 if not.
    #[command(verbatim_doc_comment)]
    Diff(DiffArgs),

    /// Return a service to the revision that served before, or to one of its history
    ///
    /// Without REVISION a canary under way is taken back, if there is one.
    #[command(verbatim_doc_comment)]
    Rollback {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// The first digits of a revision's digest, six or more, as `atoll history` shows them
        #[arg(value_parser = rollout::revision)]
        revision: Option<String>,
    },

    /// Show the rollout of a service, follow it, or end it
    #[command(after_long_help = ROLLOUT_EXAMPLES)]
    Rollout(RolloutArgs),

    /// List the revisions of a service, with who, why and the verdict
    History {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        #[command(flatten)]
        output: Output,
    },

    /// Write the component that serves over the manifest's file
    ///
    /// Then what serves and what the manifest names are the same again. It is refused for
    /// a component that lacks what the service's `wit` describes, as after a rollback.
    #[command(verbatim_doc_comment)]
    Adopt {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
    },

    /// Open, close or reset circuits by hand
    ///
    /// A forced state lasts until a reset or the restart of the host, through swaps too.
    /// Prints the service as it is then.
    #[command(verbatim_doc_comment, subcommand, after_long_help = BREAKER_EXAMPLES)]
    Breaker(BreakerVerb),

    /// Make calls fail or take longer on purpose, to test their callers
    ///
    /// A fault affects all calls of a service, and counts as the service's own:
    /// breakers, retries and balancing react as they would to a real one.
    #[command(verbatim_doc_comment, subcommand)]
    Fault(FaultVerb),

    /// List the kept traces, or show one as a waterfall
    ///
    /// For a host with `[telemetry]` in its manifest. Requests that failed, trapped, met an
    /// open circuit or were slower than the p99 of their route are all kept, and a share
    /// of the others. ID is that of a trace, or the request id that the access log has.
    #[command(verbatim_doc_comment)]
    Trace(TraceArgs),

    /// Create, list and revoke the API keys of callers
    ///
    /// For policies of the manifest with `kind = "api-key"`. A change counts from the
    /// next request on, and survives restarts.
    #[command(verbatim_doc_comment, subcommand)]
    Key(KeyVerb),

    /// Show the gateway's cache, or take answers out of it
    #[command(subcommand)]
    Cache(CacheVerb),

    /// Show the last lines of the host's log
    ///
    /// From the host's memory, whose size `keep` in [telemetry.logs] of the manifest sets.
    /// It has the lines of the log, the access log and what components print, each with the
    /// service and the request that it is about.
    #[command(verbatim_doc_comment, after_long_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),

    /// Show how components failed, grouped by where it happened
    ///
    /// Each report has the functions on the stack, the end of what the call printed to
    /// standard error, the revision, how often it happened, and the shape of a request that
    /// led to it.
    #[command(verbatim_doc_comment)]
    Traps(TrapsArgs),

    /// Show what changed in the host: circuits, readiness, faults, swaps
    ///
    /// The newest two thousand changes, each with its reason, and with the operator who
    /// ordered it.
    #[command(verbatim_doc_comment)]
    Changes(ChangesArgs),

    /// Say what is wrong, or why a service does not fare well: the first cause, and the path to it
    ///
    /// Without a service: all services that do not fare well, each with its causes, those first
    /// that explain others; what does not work of the host itself; and what changed in the
    /// last ten minutes.
    #[command(verbatim_doc_comment)]
    Why(WhyArgs),

    /// Show all services live: rates, latency, limits, circuits, changes
    Top,

    /// List schedules: when each is due, what it did, what was missed
    Schedules {
        #[command(flatten)]
        output: Output,
    },

    /// List the nodes of the cluster, and take them out or back in
    #[command(subcommand)]
    Node(NodeVerb),

    /// List topics, print and publish events, look at dead letters, make data again from events
    #[command(subcommand)]
    Events(EventsVerb),

    /// Start sagas, look at them, and decide about those that wait for a person
    #[command(subcommand)]
    Saga(SagaVerb),

    /// Show the rate limits
    #[command(subcommand)]
    Limit(LimitVerb),

    /// Answer every request with 503 for a while
    #[command(subcommand)]
    Maintenance(MaintenanceVerb),

    /// Export, import, snapshot or delete the data of a service, or replace the key that encrypts all of them
    #[command(subcommand)]
    State(StateVerb),
}

/// The manifest argument.
#[derive(Debug, Args)]
pub(super) struct ManifestArg {
    /// The manifest; its paths are relative to its own folder
    #[arg(value_name = "MANIFEST", default_value = "atoll.toml")]
    pub(super) path: PathBuf,
}
