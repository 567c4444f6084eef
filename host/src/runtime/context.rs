//! The store's data: what one instance has, and what bounds it.

use super::engine::Runtime;
use super::grants::Grants;
use super::log::{GuestLog, Stream};
use super::outbound::Outbound;
use super::turns::Slice;
use crate::base::{Digest, RequestId};
use std::sync::Arc;
use wasmtime::{ResourceLimiter, Store};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Resources (streams, requests, buckets, …) that a guest may hold at a time. A request needs a dozen; Wasmtime's default is a million.
const MOST_RESOURCES: usize = 10_000;
/// Handles that a guest may hold in its own tables, which Wasmtime keeps for it. Its default is 100,000.
const MOST_HANDLES: usize = 20_000;
/// Bytes that one call into the host may make it copy (strings, lists). Wasmtime's default is 128 MiB.
const CALL_BYTES: usize = 16 << 20;
/// In-memory size of one set of headers; the gateway's limit of 32 KiB on the wire fits in well.
const FIELDS_BYTES: usize = 128 << 10;
/// Core instances and tables of one store: far above what a component is made of.
const MOST_ITEMS: usize = 256;
/// Elements of one table (8 bytes each).
pub(super) const MOST_ELEMENTS: usize = 100_000;

/// Who an instance is, for its log lines.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) grants: Arc<Grants>,
    pub(super) revision: Digest,
    /// Counts instances since the host started.
    pub(super) instance: u64,
    pub(super) request: RequestId,
}

/// The data of one instance's store.
pub(super) struct Context {
    pub(super) identity: Identity,
    pub(super) table: ResourceTable,
    pub(super) memory: MemoryLimit,
    pub(super) slice: Slice,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl Context {
    /// A store for one instance, with every limit set.
    pub(super) fn store(runtime: &Runtime, identity: Identity, memory: usize) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES);
        // No preopened folder, no environment, no arguments, no network: the builder gives what is asked for and nothing else.
        let wasi = WasiCtx::builder()
            .stdout(GuestLog::new(Stream::Out, identity.clone()))
            .stderr(GuestLog::new(Stream::Err, identity.clone()))
            .build();
        let outbound = Outbound::new(identity.clone());
        let memory = MemoryLimit { limit: memory, used: 0, denied: false };
        let mut store = Store::new(
            &runtime.engine,
            Self { identity, table, memory, slice: Slice::default(), wasi, http, outbound },
        );
        store.limiter(|context| &mut context.memory);
        store.set_hostcall_fuel(CALL_BYTES);
        store.set_max_component_handles(MOST_HANDLES);
        store.set_epoch_deadline(1);
        let (turns, slice, mut slices) = (runtime.turns.clone(), store.data().slice.clone(), 0);
        store.epoch_deadline_callback(move |_| Ok(turns.interrupt(&slice, &mut slices)));
        store
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Context {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The limit on the sum of an instance's memories. (Wasmtime's own limiter bounds each memory by itself.)
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// A growth was refused: if the guest traps afterwards, this is why.
    pub(super) denied: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used + (desired - current);
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MOST_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        MOST_ITEMS
    }

    fn tables(&self) -> usize {
        MOST_ITEMS
    }

    fn memories(&self) -> usize {
        MOST_ITEMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_on_the_sum_of_all_memories() {
        let mut memory = MemoryLimit { limit: 100, used: 0, denied: false };
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(!memory.memory_growing(0, 41, None).unwrap());
        assert!(memory.denied);
        assert!(memory.memory_growing(0, 40, None).unwrap());
    }
}
