//! Atoll: a microservices platform in one process.
//!
//! The crate consists of rooms on floors. A room imports only from floors below its own; `tests/tidy.rs` enforces that.
//! `docs/ARCHITECTURE.md` has the overview; the charter of each room is at the top of its `mod.rs`.

// Floor 0: the vocabulary of all rooms.
pub mod base;

// Floor 1: logs and metrics.
pub mod telemetry;

// Floor 2: decisions that depend only on their arguments.
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod coding;
pub mod contract;
pub mod diagnosis;
pub mod egress;
pub mod expectation;
pub mod fault;
pub mod identity;
pub mod limit;
pub mod recording;
pub mod retry;
pub mod route;
pub mod verdict;

// Floor 3: the discovery table, the database, the audit file, the history, and sockets.
pub mod archive;
pub mod audit;
pub mod events;
pub mod listen;
pub mod registry;
pub mod saga;
pub mod state;

// Floor 4: Wasmtime.
pub mod runtime;

// Floor 5: the making of one service call.
pub mod mesh;

// Floor 6: processes that take several steps or run all the time.
pub mod acme;
pub mod coordinator;
pub mod delivery;
pub mod health;
pub mod rollout;

// Floor 7: the two HTTP edges.
pub mod admin;
pub mod gateway;

// Floor 8: the manifest.
pub mod config;

// Floor 9: all rooms together.
pub mod app;
pub mod project;

// Floor 10: the verbs.
pub mod cli;
