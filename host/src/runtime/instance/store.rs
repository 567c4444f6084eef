//! The store of one instance, with every limit set.

use crate::base::CallContext;
use crate::runtime::capacity::cpu::ServiceCpu;
use crate::runtime::context::context::Context;
use crate::runtime::context::identity::InstanceIdentity;
use crate::runtime::context::memory::MemoryLimit;
use crate::runtime::engine::Runtime;
use crate::runtime::fault::InstanceFault;
use std::sync::Arc;
use wasmtime::Store;

/// Handles that a guest may hold in its own tables, which Wasmtime keeps for it. Wasmtime's default is 100,000.
const MOST_HANDLES: usize = 20_000;
/// Bytes that one call into the host may make the host copy (strings, lists). Wasmtime's default is 128 MiB.
const CALL_BYTES: usize = 16 << 20;

/// A store for one instance, which may use so much `memory`. `first`: the call that it is made for. `fault`: where its
/// failure will be recorded. `cpu`: the account of its service.
pub(super) fn new_store(
    runtime: &Runtime,
    cpu: &Arc<ServiceCpu>,
    identity: InstanceIdentity,
    memory: MemoryLimit,
    first: CallContext,
    fault: InstanceFault,
) -> Store<Context> {
    let context = Context::new(identity, memory, runtime.outcall.clone(), first, fault);
    let mut store = Store::new(&runtime.engine, context);
    store.limiter(|context| &mut context.memory);
    store.set_hostcall_fuel(CALL_BYTES);
    store.set_max_component_handles(MOST_HANDLES);
    store.set_epoch_deadline(1);
    let (cpu, slice) = (Arc::clone(cpu), store.data().slice.clone());
    store.epoch_deadline_callback(move |_| Ok(cpu.interrupt(&slice)));
    store
}
