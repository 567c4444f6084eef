//! Floor 4: the only room that knows Wasmtime.
//!
//! Owns the engine and its epochs, compiled components and their cache, the linker with every interface that the host
//! grants, the instance pools, one request from the leased instance to the last byte of the answer, and one typed call.
//! A guest that calls another service, or a host outside, does so through [`Outcall`]: this room declares it and
//! another room implements it.
//!
//! What always holds:
//! - Each request gets an instance of its own: memory, tables and resources are fresh, and go with the request. Only a
//!   service whose manifest says so has instances that serve several requests.
//! - Only values cross from one instance to another. Each instance has a store of its own, so the fault of one leaves
//!   the other alive.
//! - A guest reaches what its [`Grants`] name and nothing else: no file, no socket, no other host, no other service's
//!   data.
//! - Every wait has a deadline, except the wait for the end of a stream, which lasts as long as its reader's instance.
//!   Every queue has a bound. A trap, a timeout or a full memory ends that one instance.
//! - The fault of an instance is recorded before its store is dropped, so a broken stream never looks like a finished
//!   one.
//!
//! Never: routes, the registry, breakers. This room does not decide whether a call is tried again.
//!
//! The wings, from the top; each imports only from those after it: `pool` (which instance serves a call), `instance`
//! (one instance at work), `code` (a component and its revisions), the file `engine`, `imports` (what guests import
//! beyond WASI), `context` (the data of one store), `tape` (what a call is recorded on), the file `outcall`, and at the
//! bottom `values` (what crosses),
//! `capacity` (slots and processor time) and `cache` (compiled code), which do not know each other. The other files are
//! below all wings.
//!
//! Tests: pure parts beside their files; real components in `tests/it`.

mod cache;
mod capacity;
mod code;
mod context;
mod engine;
mod error;
mod fault;
mod grants;
mod imports;
mod instance;
mod lock;
mod niceness;
mod offer;
mod outcall;
mod pool;
mod settings;
mod tape;
mod values;

pub use capacity::depth_class::DepthClass;
pub use capacity::slots::{PoolShare, ServiceSlots, SlotPermit, Slots};
pub use code::component::Component;
pub use code::handler::answers_http;
pub use code::refusals::refusals;
pub use code::revision::Revision;
pub use engine::{Runtime, config as engine_config};
pub use error::{GuestLocation, InvokeError, LoadError};
pub use grants::{Grants, GuestEnv, PublishGrant, is_publisher, is_state};
pub use imports::typed::Link;
pub use offer::{Offer, offer_of};
pub use outcall::{Outcall, OutcallError, OutcallFuture};
pub use pool::instance_pool::InstancePool;
pub use pool::migration::Migration;
pub use settings::{Isolation, Limits, Reuse, Settings};
pub use tape::recorder::{RecordShare, Recorder, RecordingPlace, ShadowCalls};
pub use values::detached::DetachedValues;
pub use wasmtime::component::Val as Value;
