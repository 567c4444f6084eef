//! What languages without a component toolchain of their own need: bindings of a contract, and a component of the core
//! module that their compiler makes. And what the toolchains of others need: views of a contract that they can take.
//!
//! What always holds: the bindings know no `async`. An `async func` of a contract is implemented and called like a
//! `func`, which the binary format allows: the implementation is lifted synchronously, and a call waits for its answer.
//! Nobody who calls such a service sees a difference.
//!
//! Never: it runs a compiler, or knows a manifest.

mod binding_gap;
mod go_module;
mod package_sources;
mod platform;
mod stub;
mod view;
mod world;
mod world_part;

pub use stub::{ServiceStub, StubLanguage};
pub use view::{ComponentTool, VIEW_MARK};
pub use world::{BindingLanguage, BindingsError, ContractWorld};
