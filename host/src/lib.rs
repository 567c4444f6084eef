//! Atoll: a microservices platform in one process.
//!
//! The crate is a house of rooms on floors; a room imports only from floors below its own, and `tests/tidy.rs` holds the walls.
//! `docs/ARCHITECTURE.md` has the picture; each room's charter stands at the top of its `mod.rs`.

// Floor 0: vocabulary.
pub mod base;

// Floor 1: what the host says of itself.
pub mod telemetry;

// Floor 2: decisions from values.
pub mod balance;
pub mod breaker;
pub mod contract;
pub mod egress;
pub mod fault;
pub mod retry;
pub mod route;

// Floor 3: what is remembered, and sockets.
pub mod listen;
pub mod registry;
pub mod state;

// Floor 4: Wasmtime.
pub mod runtime;

// Floor 5: one service call.
pub mod mesh;

// Floor 6: processes over time.
pub mod health;
pub mod rollout;

// Floor 7: the two HTTP edges.
pub mod admin;
pub mod gateway;

// Floor 8: the manifest.
pub mod config;

// Floor 9: the whole.
pub mod app;

// Floor 10: the verbs.
pub mod cli;
