//! Services of Atoll in Rust.
//!
//! [`service!`] makes a component of a contract and its implementation. [`Table`] keeps records, and [`transact`]
//! changes several keys together. [`errors!`] turns what fails into the contract's own error. [`http`] is the way in
//! and out by HTTP; [`answer_by!`] serves an older version of a contract. All that the host offers is linked when it
//! is used: a component has no import that its code does not need.
//!
//! For native tests, code is written for any [`Platform`]: in a component that is [`Host`], and with the feature
//! `memory` it is `memory::Memory`, which can run other requests between any two steps.

mod bindings;
mod failure;
mod host;
pub mod http;
mod id;
mod join;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod platform;
mod records;
mod service;
mod table;
mod transaction;
mod version;

pub use bindings::atoll::events::publisher as events;
pub use bindings::atoll::platform::caller;
pub use bindings::atoll::state::transactions;
pub use bindings::wasi::config::store as config;
pub use failure::{Failure, FieldError, Validation};
pub use host::Host;
pub use id::new_id;
pub use join::both;
pub use platform::Platform;
pub use records::{Listing, MAX_RECORDS, find_many, list, record_key};
pub use table::{Table, TableKey};
pub use transaction::{Transaction, decode, transact};
// What the macros name, so that a service depends on this crate alone.
#[doc(hidden)]
pub use wasip3;
#[doc(hidden)]
pub use wit_bindgen;

/// Milliseconds since 1970 by the host's wall clock, which may go backwards.
pub fn now_ms() -> u64 {
    Host.now()
}

/// 64 random bits that cannot be guessed, also in an instance that was made from a snapshot.
pub fn random() -> u64 {
    Host.random()
}

/// A setting of the service: a key of its `config` in the manifest; `None` if it is not set.
///
/// # Errors
/// [`Failure::Unavailable`] if it cannot be read.
pub fn setting(key: &str) -> Result<Option<String>, Failure> {
    Host.setting(key).map_err(Failure::Unavailable)
}
