//! `atoll:state/transactions` over the service's bucket: several keys at once, whole or not at all.
//!
//! The contract says `async func`. A component may import its functions as `func` all the same, as a service of WASI
//! 0.2 must: then a call holds its whole instance until the answer is there.

use super::state_span::{OwnBucket, traced};
use crate::contract::{Contract, Interface};
use crate::runtime::context::context::Context;
use crate::state::{Change, Key, StateError, Transaction};
use bindings::atoll::state::transactions as contract;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, ComponentNamedList, ComponentType, HasData, Lift, Linker, LinkerInstance, Lower};

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

/// Whether a component with this contract imports one of the functions as `func`.
pub(crate) fn is_blocking(contract: &Contract) -> bool {
    contract.state_imports.values().any(|used| blocking(used).next().is_some())
}

/// The names of the functions that a component imports as `func`.
fn blocking(used: &Interface) -> impl Iterator<Item = &str> {
    used.functions.values().filter(|function| !function.asynchronous).map(|function| function.name.as_str())
}

/// Defines in `linker`, in place of the `async func`s, each function that a component with this contract imports as
/// `func`.
pub(crate) fn define_blocking(linker: &mut Linker<Context>, contract: &Contract) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for (interface, used) in &contract.state_imports {
        let mut instance = linker.instance(&interface.to_string())?;
        for function in blocking(used) {
            match function {
                "get-many" => define(&mut instance, "get-many", |bucket, (keys,)| get_many(bucket, keys))?,
                "scan" => {
                    define(&mut instance, "scan", |bucket, (prefix, after, limit)| scan(bucket, prefix, after, limit))?
                }
                "commit" => define(&mut instance, "commit", |bucket, (checks, writes)| commit(bucket, checks, writes))?,
                // The linker says that the host does not have it.
                _ => {}
            }
        }
    }
    Ok(())
}

/// The name by which the linker knows this implementation.
struct Transactions;

impl HasData for Transactions {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

type Answer<T> = Result<T, contract::Error>;
type HostResult<T> = wasmtime::Result<Answer<T>>;

impl<T: 'static> contract::HostWithStore<T> for Transactions {
    async fn get_many(accessor: &Accessor<T, Self>, keys: Vec<String>) -> HostResult<Vec<Option<contract::Versioned>>> {
        Ok(get_many(bucket(accessor, "get-many"), keys).await)
    }

    async fn scan(
        accessor: &Accessor<T, Self>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> HostResult<contract::Page> {
        Ok(scan(bucket(accessor, "scan"), prefix, after, limit).await)
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        checks: Vec<contract::Check>,
        writes: Vec<contract::Write>,
    ) -> HostResult<u64> {
        Ok(commit(bucket(accessor, "commit"), checks, writes).await)
    }
}

async fn get_many(
    OwnBucket { bucket, span }: OwnBucket,
    keys: Vec<String>,
) -> Answer<Vec<Option<contract::Versioned>>> {
    let read = bucket.get(keys.into_iter().map(Key::from).collect());
    let found = traced(span, read).await.map_err(guest_error)?;
    let versioned = |item: crate::state::Versioned| contract::Versioned { value: item.value, version: item.version };
    Ok(found.into_iter().map(|item| item.map(versioned)).collect())
}

async fn scan(
    OwnBucket { bucket, span }: OwnBucket,
    prefix: String,
    after: Option<String>,
    limit: u32,
) -> Answer<contract::Page> {
    let read = bucket.scan(prefix.into(), after.map(Key::from), limit as usize);
    let page = traced(span, read).await.map_err(guest_error)?;
    let entries = page.items.into_iter().map(|entry| {
        let crate::state::Versioned { value, version } = entry.value;
        Ok(contract::Entry { key: text(entry.key)?, value, version })
    });
    Ok(contract::Page { entries: entries.collect::<Answer<_>>()?, next: page.next.map(text).transpose()? })
}

async fn commit(
    OwnBucket { bucket, span }: OwnBucket,
    checks: Vec<contract::Check>,
    writes: Vec<contract::Write>,
) -> Answer<u64> {
    let transaction = Transaction {
        checks: checks.into_iter().map(|check| (check.key.into(), check.version)).collect(),
        writes: writes.into_iter().map(change).collect(),
    };
    traced(span, bucket.commit(transaction)).await.map(|committed| committed.version).map_err(guest_error)
}

fn bucket<T: 'static>(accessor: &Accessor<T, Transactions>, operation: &'static str) -> OwnBucket {
    accessor.with(|mut access| OwnBucket::of(access.get(), operation))
}

/// Defines the function `name` as a `func`, answered by `answer`.
fn define<P, R, F>(
    instance: &mut LinkerInstance<'_, Context>,
    name: &'static str,
    answer: impl Fn(OwnBucket, P) -> F + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    Answer<R>: ComponentType + Lower + 'static,
    F: Future<Output = Answer<R>> + Send,
{
    instance.func_wrap_async(name, move |store: StoreContextMut<'_, Context>, parameters: P| {
        let bucket = OwnBucket::of(store.data(), name);
        Box::new(async move { Ok((answer(bucket, parameters).await,)) })
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
