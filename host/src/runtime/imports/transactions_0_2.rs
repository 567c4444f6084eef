//! `atoll:state/transactions@0.2.0`: as 0.1.0, with events in the same commit.

use super::blocking_function::define;
use super::outbox::{CommitFailure, CommitScope};
use super::own_bucket::OwnBucket;
use super::publisher::not_granted;
use super::transactions::{guest_error, text};
use crate::events::{NewEvent, RefusedEvent};
use crate::runtime::context::context::Context;
use crate::state::{Change, Key, StateError, Transaction, Versioned};
use bindings::atoll::events::publisher::Event;
use bindings::atoll::state::transactions as contract;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, HasData, Linker, LinkerInstance};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/state-0.2",
        world: "atoll:state/imports",
        imports: { default: trappable },
    });
}

/// Adds `atoll:state/transactions@0.2.0` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, TransactionsImport>(linker, |context| context)
}

/// Defines the function of this name as a `func`.
pub(super) fn define_blocking(instance: &mut LinkerInstance<'_, Context>, function: &str) -> wasmtime::Result<()> {
    match function {
        "get-many" => define(instance, "get-many", |scope, (keys,)| get_many(scope.own, keys)),
        "scan" => define(instance, "scan", |scope, (prefix, after, limit)| scan(scope.own, prefix, after, limit)),
        "commit" => define(instance, "commit", |scope, (checks, writes, events)| commit(scope, checks, writes, events)),
        _ => Ok(()),
    }
}

/// The name by which the linker knows this implementation.
struct TransactionsImport;

impl HasData for TransactionsImport {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

type Answer<T> = Result<T, contract::Error>;
type HostResult<T> = wasmtime::Result<Answer<T>>;

impl contract::HostWithStore<Context> for TransactionsImport {
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
        events: Vec<Event>,
    ) -> HostResult<u64> {
        Ok(commit(scope(accessor, "commit"), checks, writes, events).await)
    }
}

fn scope(accessor: &Accessor<Context, TransactionsImport>, operation: &'static str) -> CommitScope {
    accessor.with(|mut access| CommitScope::of(&mut access.as_context_mut(), operation))
}

async fn get_many(own: OwnBucket, keys: Vec<String>) -> Answer<Vec<Option<contract::Versioned>>> {
    let found = own.get(keys.into_iter().map(Key::from).collect()).await.map_err(failed)?;
    let versioned = |Versioned { value, version }| contract::Versioned { value, version };
    Ok(found.into_iter().map(|item| item.map(versioned)).collect())
}

async fn scan(own: OwnBucket, prefix: String, after: Option<String>, limit: u32) -> Answer<contract::Page> {
    let page = own.scan(prefix.into(), after.map(Key::from), limit as usize).await.map_err(failed)?;
    let entries = page.items.into_iter().map(|entry| {
        let Versioned { value, version } = entry.value;
        Ok(contract::Entry { key: text(entry.key).map_err(renamed)?, value, version })
    });
    let entries = entries.collect::<Answer<_>>()?;
    Ok(contract::Page { entries, next: page.next.map(text).transpose().map_err(renamed)? })
}

async fn commit(
    scope: CommitScope,
    checks: Vec<contract::Check>,
    writes: Vec<contract::Write>,
    events: Vec<Event>,
) -> Answer<u64> {
    let transaction = Transaction {
        beside: Vec::new(),
        checks: checks.into_iter().map(|check| (check.key.into(), check.version)).collect(),
        writes: writes.into_iter().map(change).collect(),
    };
    let event = |Event { topic, key, payload }| (topic, NewEvent { key, payload });
    match scope.commit(transaction, events.into_iter().map(event).collect()).await {
        Ok(committed) => Ok(committed.version),
        Err(CommitFailure::NotGranted(topic)) => Err(contract::Error::Refused(not_granted(&topic))),
        Err(CommitFailure::Refused(refused)) => Err(match refused {
            RefusedEvent::Payload(_) => contract::Error::Refused(refused.to_string()),
            RefusedEvent::TooLong(_) => contract::Error::TooLarge(refused.to_string()),
            RefusedEvent::Full { .. } => contract::Error::Unavailable(refused.to_string()),
        }),
        Err(CommitFailure::State(error)) => Err(failed(error)),
        Err(CommitFailure::Replayed(_, text)) => Err(contract::Error::Refused(text)),
    }
}

fn change(write: contract::Write) -> (Key, Change) {
    match write {
        contract::Write::Put(put) => (put.key.into(), Change::Put(put.value)),
        contract::Write::Delete(key) => (key.into(), Change::Delete),
    }
}

fn failed(error: StateError) -> contract::Error {
    renamed(guest_error(error))
}

/// The error of 0.1.0 as this version has it.
fn renamed(error: super::transactions::contract::Error) -> contract::Error {
    use super::transactions::contract::Error;
    match error {
        Error::Conflict(key) => contract::Error::Conflict(key),
        Error::TooLarge(text) => contract::Error::TooLarge(text),
        Error::Unavailable(text) => contract::Error::Unavailable(text),
    }
}
