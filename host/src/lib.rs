//! Atoll: a microservices platform in one process.
//!
//! The host consists of rooms on floors; the ground floors stand in the crate `rules`. A room imports only from floors
//! below its own; `tests/tidy.rs` enforces that. `docs/ARCHITECTURE.md` has the overview; the charter of each room is
//! at the top of its `mod.rs`.

// Floors 0 to 2: the vocabulary, logs and metrics, and decisions. They are a crate of their own.
pub use rules::{
    balance, base, breaker, cache, coding, contract, diagnosis, egress, fault, identity, limit, membership, naming,
    recording, retry, route, schedule, telemetry, verdict,
};

// Floor 3: the discovery table, the database, the audit file, the history, sockets of HTTP and of DNS, and calls to
// other nodes.
pub mod archive;
pub mod audit;
pub mod events;
pub mod expectation;
pub mod listen;
pub mod name_server;
pub mod peer;
pub mod registry;
pub mod saga;
pub mod state;

// Floor 4: Wasmtime, a broker of events, and sources of endpoints.
pub mod broker;
pub mod discovery;
pub mod runtime;

// Floor 5: the making of one service call, and the table of the nodes.
pub mod cluster;
pub mod mesh;

// Floor 6: processes that take several steps or run all the time.
pub mod acme;
pub mod coordinator;
pub mod delivery;
pub mod health;
pub mod rollout;

// Floor 7: the two HTTP edges, and what the host does as a node.
pub mod admin;
pub mod gateway;
pub mod node;

// Floor 8: the manifest.
pub mod config;

// Floor 9: all rooms together.
pub mod app;
pub mod project;

// Floor 10: the verbs.
pub mod cli;
