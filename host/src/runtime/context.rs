//! The store's data: what one instance has, and what bounds it.

use super::calls::Calls;
use super::conduit::Lifeline;
use super::engine::Runtime;
use super::error::InvokeError;
use super::fault::InstanceFault;
use super::grants::Grants;
use super::log::{GuestLog, OutputStream};
use super::outbound::Outbound;
use super::outcall::OutcallError;
use super::turns::CpuSlice;
use crate::base::{Blame, CallContext, Digest, RequestId};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;
use wasmtime::component::GuestTaskId;
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
pub(super) struct InstanceIdentity {
    pub(super) grants: Arc<Grants>,
    pub(super) revision: Digest,
    /// Counts instances since the host started.
    pub(super) instance: u64,
    pub(super) request: CurrentRequest,
}

/// The request that an instance serves: the latest, if it serves several. All that the instance logs tells it.
#[derive(Clone)]
pub(super) struct CurrentRequest(Arc<RwLock<RequestId>>);

impl CurrentRequest {
    pub(super) fn new(id: RequestId) -> Self {
        Self(Arc::new(RwLock::new(id)))
    }

    fn replace(&self, id: &RequestId) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = id.clone();
    }
}

impl fmt::Display for CurrentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0.read().unwrap_or_else(PoisonError::into_inner), f)
    }
}

impl InstanceIdentity {
    /// The line of the log about an instance that failed.
    pub(super) fn warn(&self, error: &InvokeError) {
        let Self { grants, revision, instance, request } = self;
        tracing::warn!(
            service = %grants.service, revision = %revision.short(), instance, request_id = %request,
            kind = %error.kind, "the instance failed: {}", error.detail
        );
    }

    /// The line of the log about a call of another service, or of a host outside, that got no answer. A flood of refusals must not become a
    /// flood of lines.
    pub(super) fn failed_to_call(&self, whom: &dyn fmt::Display, what: &str, error: &OutcallError) {
        let Self { grants, instance, request, .. } = self;
        let (by, kind) = (&grants.service, error.kind);
        if kind.blame() == Blame::Refusal {
            tracing::debug!(service = %by, instance, request_id = %request, %kind, "a call of `{whom}` ({what}) was refused: {error}");
        } else {
            tracing::warn!(service = %by, instance, request_id = %request, %kind, "a call of `{whom}` ({what}) failed: {error}");
        }
    }
}

/// The data of one instance's store.
pub(super) struct Context {
    pub(super) identity: InstanceIdentity,
    pub(super) table: ResourceTable,
    pub(super) memory: MemoryLimit,
    pub(super) slice: CpuSlice,
    /// On whose behalf it calls others.
    pub(super) calls: Calls,
    /// Held by every reader of a stream of this instance, and by the instance until its calls are answered.
    pub(super) flow: Option<mpsc::Sender<Infallible>>,
    fault: InstanceFault,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl Context {
    /// A store for one instance, with every limit set: at most `memory` bytes, and the way out for the call `first`.
    pub(super) fn store(
        runtime: &Runtime,
        identity: InstanceIdentity,
        memory: usize,
        first: CallContext,
        fault: InstanceFault,
    ) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES);
        // No preopened folder, no environment, no arguments, no network: the builder gives what is asked for and nothing else.
        let wasi = WasiCtx::builder()
            .stdout(GuestLog::new(OutputStream::Out, identity.clone()))
            .stderr(GuestLog::new(OutputStream::Err, identity.clone()))
            .build();
        let outbound = Outbound::new(identity.clone(), runtime.exit.clone(), first.clone());
        let context = Self {
            identity,
            table,
            memory: MemoryLimit { limit: memory, used: 0, denied: false },
            slice: CpuSlice::default(),
            calls: Calls::new(first),
            flow: None,
            fault,
            wasi,
            http,
            outbound,
        };
        let mut store = Store::new(&runtime.engine, context);
        store.limiter(|context| &mut context.memory);
        store.set_hostcall_fuel(CALL_BYTES);
        store.set_max_component_handles(MOST_HANDLES);
        store.set_epoch_deadline(1);
        let (turns, slice) = (runtime.turns.clone(), store.data().slice.clone());
        store.epoch_deadline_callback(move |_| Ok(turns.interrupt(&slice)));
        store
    }

    /// The instance begins one more call. If it had none, it begins it as a new one would.
    pub(super) fn begin(&mut self, task: GuestTaskId, context: CallContext) {
        if self.calls.is_idle() {
            self.slice.renew();
            self.memory.denied = false;
        }
        self.identity.request.replace(&context.request_id);
        self.calls.begin(task, context);
        self.outbound.follow(self.calls.most_patient());
    }

    /// One of its calls has its answer.
    pub(super) fn end(&mut self, task: GuestTaskId) {
        self.calls.end(task);
        self.outbound.follow(self.calls.most_patient());
    }

    /// What a reader of one of this instance's streams holds.
    pub(super) fn lifeline(&self) -> Lifeline {
        Lifeline { fault: self.fault.clone(), _open: self.flow.clone() }
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
