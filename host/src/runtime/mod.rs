//! Floor 4: the only room that knows Wasmtime.
//!
//! Owns the engine and its epochs, compiled components and their cache, the linker with every interface that the host grants, the
//! instance pools, and one invocation from the leased instance to the last byte of the answer.
//!
//! What always holds:
//! - Each request gets an instance of its own: memory, tables and resources are fresh, and go with the request.
//! - A guest reaches what its [`Grants`] name and nothing else: no file, no socket, no host, no other service's data.
//! - Every wait has a deadline, every queue a bound. A trap, a timeout or a full memory ends that one instance.
//! - The fault of an instance is recorded before its store is dropped, so a broken stream never looks like a finished one.
//!
//! Never: routes, the registry, breakers. It does not decide whether to try again.
//!
//! Tests: pure parts beside their files; real components in `tests/it`.

mod bindings;
mod body;
mod cache;
mod component;
mod context;
mod engine;
mod error;
mod grants;
mod imports;
mod invocation;
mod log;
mod outbound;
mod pool;
mod settings;
mod turns;

pub use component::{Component, Revision};
pub use engine::Runtime;
pub use error::{InvokeError, LoadError};
pub use grants::Grants;
pub use pool::InstancePool;
pub use settings::{Limits, Settings};
