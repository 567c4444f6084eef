//! `wasi:keyvalue` 0.2.0-draft over the service's bucket, for components that are written against the draft.
//!
//! `atoll:state/transactions` reads what this interface writes, and the other way round. Two choices that the draft
//! leaves open: `increment` keeps its counter as decimal text, and `list-keys` lists the keys in their order. Its
//! cursor stands for the last key of the page before, and not for a number of keys: keys that are deleted or added
//! between two pages do not move the others. The cursor is one word, so it is a hash of that key
//! ([`Bucket::cursor`]).

use super::own_bucket::OwnBucket;
use crate::runtime::context::context::Context;
use crate::state::{Bucket, Change, Key, StateError, Transaction, limit};
use bindings::wasi::keyvalue::{atomics, batch, store};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::TrappableError;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        trappable_error_type: { "wasi:keyvalue/store.error" => super::KeyValueError },
        with: { "wasi:keyvalue/store.bucket": super::OpenBucket },
    });
}

/// Adds the three interfaces of `wasi:keyvalue` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, KeyValue>(linker, |context| context)?;
    atomics::add_to_linker::<_, KeyValue>(linker, |context| context)?;
    batch::add_to_linker::<_, KeyValue>(linker, |context| context)
}

/// The name by which the linker knows this implementation.
struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = &'a mut Context;
}

/// A bucket that the guest has opened. A guest may open one bucket, its service's own.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OpenBucket(Bucket);

/// An error that the guest sees, or a trap.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub type KeyValueError = TrappableError<store::Error>;

impl From<StateError> for KeyValueError {
    fn from(error: StateError) -> Self {
        if error.kind().is_some() {
            tracing::error!(target: "store", error = error.with_causes(), "the store failed");
        }
        store::Error::Other(error.for_guest()).into()
    }
}

impl Context {
    fn bucket(&self, bucket: &Resource<OpenBucket>) -> Result<Bucket, KeyValueError> {
        Ok(self.table.get(bucket).map_err(KeyValueError::trap)?.0.clone())
    }

    /// The bucket for one operation, which has this name.
    fn own(&self, bucket: &Resource<OpenBucket>, operation: &'static str) -> Result<OwnBucket, KeyValueError> {
        Ok(OwnBucket::opened(self, self.bucket(bucket)?, operation))
    }
}

impl store::Host for Context {
    async fn open(&mut self, identifier: String) -> Result<Resource<OpenBucket>, KeyValueError> {
        let state = self.identity.grants.state.as_ref().filter(|bucket| bucket.has_name(&identifier));
        let Some(bucket) = state.cloned() else { return Err(store::Error::AccessDenied.into()) };
        self.table.push(OpenBucket(bucket)).map_err(KeyValueError::trap)
    }

    fn convert_error(&mut self, error: KeyValueError) -> wasmtime::Result<store::Error> {
        error.downcast()
    }
}

impl store::HostBucket for Context {
    async fn get(&mut self, bucket: Resource<OpenBucket>, key: String) -> Result<Option<Vec<u8>>, KeyValueError> {
        let found = self.own(&bucket, "get")?.get(vec![key.into()]).await?;
        Ok(found.into_iter().flatten().next().map(|item| item.value))
    }

    async fn set(&mut self, bucket: Resource<OpenBucket>, key: String, value: Vec<u8>) -> Result<(), KeyValueError> {
        write(self.own(&bucket, "set")?, [(key, Change::Put(value))]).await
    }

    async fn delete(&mut self, bucket: Resource<OpenBucket>, key: String) -> Result<(), KeyValueError> {
        write(self.own(&bucket, "delete")?, [(key, Change::Delete)]).await
    }

    async fn exists(&mut self, bucket: Resource<OpenBucket>, key: String) -> Result<bool, KeyValueError> {
        Ok(self.get(bucket, key).await?.is_some())
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<OpenBucket>,
        cursor: Option<u64>,
    ) -> Result<store::KeyResponse, KeyValueError> {
        let (own, bucket) = (self.own(&bucket, "list-keys")?, self.bucket(&bucket)?);
        // No cursor is 0. Guests that count pages begin with it.
        let after = match cursor.filter(|&cursor| cursor != 0) {
            Some(cursor) => {
                let key = OwnBucket::opened(self, bucket.clone(), "list-keys").key_of_cursor(cursor).await?;
                Some(key.ok_or_else(unknown_cursor)?)
            }
            None => None,
        };
        let page = own.keys(Key::new(), after, limit::PAGE).await?;
        let cursor = page.next.as_ref().map(|last| bucket.cursor(last));
        let keys = page.items.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()).collect();
        Ok(store::KeyResponse { keys, cursor })
    }

    async fn drop(&mut self, bucket: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Context {
    async fn increment(&mut self, bucket: Resource<OpenBucket>, key: String, delta: u64) -> Result<u64, KeyValueError> {
        let add = vec![(key.into(), Change::Add(delta))];
        let committed = self.own(&bucket, "increment")?.commit(transaction(add)).await?;
        Ok(committed.sums.first().copied().expect("one addition has one sum"))
    }
}

impl batch::Host for Context {
    async fn get_many(
        &mut self,
        bucket: Resource<OpenBucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, KeyValueError> {
        let read = keys.iter().map(|key| key.clone().into()).collect();
        let found = self.own(&bucket, "get-many")?.get(read).await?;
        Ok(keys.into_iter().zip(found).map(|(key, item)| Some((key, item?.value))).collect())
    }

    async fn set_many(
        &mut self,
        bucket: Resource<OpenBucket>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<(), KeyValueError> {
        let changes = pairs.into_iter().map(|(key, value)| (key, Change::Put(value)));
        write(self.own(&bucket, "set-many")?, changes).await
    }

    async fn delete_many(&mut self, bucket: Resource<OpenBucket>, keys: Vec<String>) -> Result<(), KeyValueError> {
        let changes = keys.into_iter().map(|key| (key, Change::Delete));
        write(self.own(&bucket, "delete-many")?, changes).await
    }
}

/// The error for a cursor whose key is neither remembered nor there: nobody can tell which keys come after it.
fn unknown_cursor() -> KeyValueError {
    store::Error::Other("the cursor is not known, or its key was deleted long ago; list from the start".into()).into()
}

/// Commits all changes as one: the draft does not demand it, but here a batch is whole or absent.
async fn write(bucket: OwnBucket, changes: impl IntoIterator<Item = (String, Change)>) -> Result<(), KeyValueError> {
    let writes = changes.into_iter().map(|(key, change)| (key.into(), change)).collect();
    bucket.commit(transaction(writes)).await?;
    Ok(())
}

fn transaction(writes: Vec<(Key, Change)>) -> Transaction {
    Transaction { writes, ..Transaction::default() }
}
