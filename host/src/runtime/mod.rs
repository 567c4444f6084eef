//! Floor 4: the only room that knows Wasmtime.
//!
//! Owns the engine and its epochs, compiled components and their cache, the linker with every interface that the host grants, the
//! instance pools, one request from the leased instance to the last byte of the answer, and one typed call. A guest that calls another
//! service, or a host outside, does so through [`Outcall`], which this room declares and another makes.
//!
//! What always holds:
//! - Each request gets an instance of its own: memory, tables and resources are fresh, and go with the request. Only a service whose manifest
//!   says so has instances that serve several.
//! - What crosses from one instance to another is values alone; each has a store of its own, so the fault of one leaves the other alive.
//! - A guest reaches what its [`Grants`] name and nothing else: no file, no socket, no other host, no other service's data.
//! - Every wait has a deadline, but that for the end of a stream, which lasts as long as its reader's instance. Every queue has a bound.
//!   A trap, a timeout or a full memory ends that one instance.
//! - The fault of an instance is recorded before its store is dropped, so a broken stream never looks like a finished one.
//!
//! Never: routes, the registry, breakers. It does not decide whether to try again.
//!
//! Tests: pure parts beside their files; real components in `tests/it`.

mod bindings;
mod body;
mod cache;
mod calls;
mod compilers;
mod component;
mod conduit;
mod context;
mod drive;
mod engine;
mod error;
mod fault;
mod grants;
mod imports;
mod job;
mod leash;
mod link;
mod loaded;
mod log;
mod outbound;
mod outcall;
mod parcel;
mod pool;
mod revision;
mod seal;
mod serve;
mod settings;
mod shared_code;
mod shortage;
mod slots;
mod turns;
mod value;
mod warm;
mod worker;

pub use component::{Component, answers_http};
pub use engine::{Runtime, config as engine_config};
pub use error::{InvokeError, LoadError};
pub use grants::{Grants, is_known, is_state};
pub use link::Link;
pub use outcall::{Outcall, OutcallError, OutcallFuture};
pub use parcel::DetachedValues;
pub use pool::InstancePool;
pub use revision::Revision;
pub use settings::{Isolation, Limits, Reuse, Settings};
pub use slots::{DepthClass, SlotPermit, Slots};
pub use wasmtime::component::Val as Value;
