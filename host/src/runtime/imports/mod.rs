//! The contracts that the host implements for its guests, besides those of WASI that Wasmtime brings along.

mod keyvalue;
mod transactions;

pub(super) use keyvalue::KeyValue;
#[expect(unreachable_pub, reason = "generated code re-exports these two, so they are as public as it is")]
pub use keyvalue::{KeyValueError, OpenBucket};
pub(super) use transactions::Transactions;
