//! `atoll:state/transactions` over the service's bucket: several keys at once, whole or not at all.
//!
//! The contract says `async func`. A component may import its functions as `func` all the same, as a service of WASI
//! 0.2 must: then a call holds its whole instance until the answer is there.

use super::blocking_function::define;
use super::outbox::{CommitFailure, CommitScope};
use super::own_bucket::OwnBucket;
use crate::runtime::context::context::Context;
use crate::state::{Change, Key, StateError, Transaction};
pub(super) use bindings::atoll::state::transactions as contract;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, HasData, Linker, LinkerInstance};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/state",
        world: "atoll:state/imports",
        imports: { default: trappable },
    });
}

/// Adds `atoll:state/transactions` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, Transactions>(linker, |context| context)
}

/// Defines the function of this name. If there is none, the linker says later that the host does not have it.
pub(super) fn define_blocking(instance: &mut LinkerInstance<'_, Context>, function: &str) -> wasmtime::Result<()> {
    match function {
        "get-many" => define(instance, "get-many", |scope, (keys,)| get_many(scope.own, keys)),
        "scan" => define(instance, "scan", |scope, (prefix, after, limit)| scan(scope.own, prefix, after, limit)),
        "commit" => define(instance, "commit", |scope, (checks, writes)| commit(scope, checks, writes)),
        _ => Ok(()),
    }
}

/// The name by which the linker knows this implementation.
struct Transactions;

impl HasData for Transactions {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

type Answer<T> = Result<T, contract::Error>;
type HostResult<T> = wasmtime::Result<Answer<T>>;

impl contract::HostWithStore<Context> for Transactions {
    async fn get_many(
        accessor: &Accessor<Context, Self>,
        keys: Vec<String>,
    ) -> HostResult<Vec<Option<contract::Versioned>>> {
        Ok(get_many(scope(accessor, "get-many").own, keys).await)
    }

    async fn scan(
        accessor: &Accessor<Context, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> HostResult<contract::Page> {
        Ok(scan(scope(accessor, "scan").own, prefix, after, limit).await)
    }

    async fn commit(
        accessor: &Accessor<Context, Self>,
        checks: Vec<contract::Check>,
        writes: Vec<contract::Write>,
    ) -> HostResult<u64> {
        Ok(commit(scope(accessor, "commit"), checks, writes).await)
    }
}

async fn get_many(own: OwnBucket, keys: Vec<String>) -> Answer<Vec<Option<contract::Versioned>>> {
    let found = own.get(keys.into_iter().map(Key::from).collect()).await.map_err(guest_error)?;
    let versioned = |item: crate::state::Versioned| contract::Versioned { value: item.value, version: item.version };
    Ok(found.into_iter().map(|item| item.map(versioned)).collect())
}

async fn scan(own: OwnBucket, prefix: String, after: Option<String>, limit: u32) -> Answer<contract::Page> {
    let page = own.scan(prefix.into(), after.map(Key::from), limit as usize).await.map_err(guest_error)?;
    let entries = page.items.into_iter().map(|entry| {
        let crate::state::Versioned { value, version } = entry.value;
        Ok(contract::Entry { key: text(entry.key)?, value, version })
    });
    Ok(contract::Page { entries: entries.collect::<Answer<_>>()?, next: page.next.map(text).transpose()? })
}

async fn commit(scope: CommitScope, checks: Vec<contract::Check>, writes: Vec<contract::Write>) -> Answer<u64> {
    let transaction = Transaction {
        beside: Vec::new(),
        checks: checks.into_iter().map(|check| (check.key.into(), check.version)).collect(),
        writes: writes.into_iter().map(change).collect(),
    };
    match scope.commit(transaction, Vec::new()).await {
        Ok(committed) => Ok(committed.version),
        Err(CommitFailure::State(error)) => Err(guest_error(error)),
        Err(CommitFailure::Replayed(_, text)) => Err(contract::Error::Unavailable(text)),
        Err(CommitFailure::NotGranted(_) | CommitFailure::Refused(_)) => {
            unreachable!("a commit without events is not refused for one")
        }
    }
}

fn scope(accessor: &Accessor<Context, Transactions>, operation: &'static str) -> CommitScope {
    accessor.with(|mut access| CommitScope::of(&mut access.as_context_mut(), operation))
}

fn change(write: contract::Write) -> (Key, Change) {
    match write {
        contract::Write::Put(put) => (put.key.into(), Change::Put(put.value)),
        contract::Write::Delete(key) => (key.into(), Change::Delete),
    }
}

/// A key as text. Both this contract and `wasi:keyvalue` write keys as text, so every key should be.
pub(super) fn text(key: Key) -> Result<String, contract::Error> {
    String::from_utf8(key).map_err(|_| contract::Error::Unavailable("a key in the store is not text".into()))
}

/// A failure of the store, as the guest reads it.
pub(super) fn guest_error(error: StateError) -> contract::Error {
    match error {
        StateError::Conflict { key } => contract::Error::Conflict(String::from_utf8_lossy(&key).into_owned()),
        StateError::TooLarge { .. } | StateError::EmptyKey | StateError::NotANumber { .. } => {
            contract::Error::TooLarge(error.for_guest())
        }
        StateError::Replayed { text, too_large: true } => contract::Error::TooLarge(text),
        StateError::Overloaded | StateError::Replayed { .. } => contract::Error::Unavailable(error.for_guest()),
        // An action of a saga that has turned meanwhile. Nobody waits for its answer.
        StateError::ConflictBeside { .. } => contract::Error::Unavailable("the saga of this call is undone".into()),
        _ => {
            tracing::error!(target: "store", error = error.with_causes(), "the store failed");
            contract::Error::Unavailable(error.for_guest())
        }
    }
}
