//! `atoll:state/transactions` over the service's bucket: several keys at once, whole or not at all.

use crate::runtime::context::context::Context;
use crate::state::{Bucket, Change, Key, StateError, Transaction};
use bindings::atoll::state::transactions as contract;
use wasmtime::component::{Accessor, HasData, Linker};

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

/// The name by which the linker knows this implementation.
struct Transactions;

impl HasData for Transactions {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

type HostResult<T> = wasmtime::Result<Result<T, contract::Error>>;

impl<T: 'static> contract::HostWithStore<T> for Transactions {
    async fn get_many(accessor: &Accessor<T, Self>, keys: Vec<String>) -> HostResult<Vec<Option<contract::Versioned>>> {
        let found = bucket(accessor).get(keys.into_iter().map(Key::from).collect()).await;
        Ok(found.map_err(guest_error).map(|found| {
            let versioned =
                |item: crate::state::Versioned| contract::Versioned { value: item.value, version: item.version };
            found.into_iter().map(|item| item.map(versioned)).collect()
        }))
    }

    async fn scan(
        accessor: &Accessor<T, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> HostResult<contract::Page> {
        let page = bucket(accessor).scan(prefix.into(), after.map(Key::from), limit as usize).await;
        Ok(page.map_err(guest_error).and_then(|page| {
            let entries = page.items.into_iter().map(|entry| {
                let crate::state::Versioned { value, version } = entry.value;
                Ok(contract::Entry { key: text(entry.key)?, value, version })
            });
            Ok(contract::Page { entries: entries.collect::<Result<_, _>>()?, next: page.next.map(text).transpose()? })
        }))
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        checks: Vec<contract::Check>,
        writes: Vec<contract::Write>,
    ) -> HostResult<u64> {
        let transaction = Transaction {
            checks: checks.into_iter().map(|check| (check.key.into(), check.version)).collect(),
            writes: writes.into_iter().map(change).collect(),
        };
        Ok(bucket(accessor).commit(transaction).await.map(|committed| committed.version).map_err(guest_error))
    }
}

fn bucket<T: 'static>(accessor: &Accessor<T, Transactions>) -> Bucket {
    accessor.with(|mut access| {
        let state = access.get().identity.grants.state.as_ref();
        state.expect("a component that imports a store is not loaded without one").clone()
    })
}

fn change(write: contract::Write) -> (Key, Change) {
    match write {
        contract::Write::Put(put) => (put.key.into(), Change::Put(put.value)),
        contract::Write::Delete(key) => (key.into(), Change::Delete),
    }
}

/// A key as text. Both this contract and `wasi:keyvalue` write keys as text, so every key should be.
fn text(key: Key) -> Result<String, contract::Error> {
    String::from_utf8(key).map_err(|_| contract::Error::Unavailable("a key in the store is not text".into()))
}

/// A failure of the store, as the guest reads it.
fn guest_error(error: StateError) -> contract::Error {
    match error {
        StateError::Conflict { key } => contract::Error::Conflict(String::from_utf8_lossy(&key).into_owned()),
        StateError::TooLarge { .. } | StateError::EmptyKey | StateError::NotANumber { .. } => {
            contract::Error::TooLarge(error.for_guest())
        }
        StateError::Overloaded => contract::Error::Unavailable(error.for_guest()),
        _ => {
            tracing::error!(target: "store", error = error.with_causes(), "the store failed");
            contract::Error::Unavailable(error.for_guest())
        }
    }
}
