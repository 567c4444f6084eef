//! The engine and what all services share of it: the linker, the caches of code, the slots, and the processor time.

use super::cache::code_cache::CodeCache;
use super::cache::shared_code::SharedCode;
use super::capacity::cpu::CpuShares;
use super::capacity::pressure::PoolPressure;
use super::capacity::slots::Slots;
use super::context::context::Context;
use super::context::memory::MOST_ELEMENTS;
use super::imports::linker;
use super::outcall::{Outcall, OutcallHandle};
use super::settings::Settings;
use crate::base::Digest;
use std::sync::{Arc, Weak};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// The bytes that a freed memory keeps mapped; Wasmtime clears them by writing zeros. 1 MiB is the whole heap of a
/// small guest, so most requests cause no page fault. Every memory of the pool may keep as much, whatever is set below:
/// after a flood, all memories that were in use at the same time stay mapped.
const KEEP_RESIDENT: usize = 1 << 20;
/// How many freed memories and tables Wasmtime collects before it gives them back to the kernel together. One means:
/// each at once. Until its batch is given back, Wasmtime counts a freed memory as used, even if there is nothing to
/// give back; and while another thread gives a batch back, nobody can use the memories in it. But by the host's count a
/// slot is free as soon as its instance is gone, and then it must really be free. Batches came with
/// bytecodealliance/wasmtime#8590, which names a size of one as the way to switch them off.
const DECOMMIT_BATCH: usize = 1;
/// How many memories, tables and so on the pool has beyond those of its slots. When a component goes, Wasmtime takes
/// entries out of its free lists for a moment; and it searches the parts of a list one after the other. So without
/// spare entries, when all others are in use, it could find none for a slot that is free.
const SPARE: u32 = 16;
/// The memories that one slot of the pool may use. A component from wit-bindgen needs one memory and two tables. A
/// composed component takes several slots (see `Component::slots`).
pub(crate) const MEMORIES_PER_SLOT: u32 = 2;
/// The tables that one slot of the pool may use.
pub(crate) const TABLES_PER_SLOT: u32 = 4;
/// Fibers that one slot may have: the call itself, and calls that it has suspended.
const STACKS_PER_SLOT: u32 = 2;
/// The most core instances, memories and tables that one component may be made of.
const MOST_PER_COMPONENT: u32 = 64;

/// The engine with everything that all services share.
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Context>,
    pub(crate) cache: CodeCache,
    pub(crate) shared_code: SharedCode,
    /// The revisions whose code may be loaded at a time: one for each core.
    pub(crate) loads: Semaphore,
    /// The free slots of Wasmtime's pool. A call that needs an instance first waits for a slot here. So the pool itself
    /// is never full when the instance is made; it would refuse instead of letting the call wait.
    pub(crate) slots: Slots,
    pool_slots: usize,
    pub(crate) pressure: Arc<PoolPressure>,
    pub(crate) cpu: Arc<CpuShares>,
    pub(crate) outcall: OutcallHandle,
    /// The bytes of the largest memory that the pool has room for.
    pub(crate) most_memory: usize,
    /// Whether guests compute the same on every machine.
    pub(crate) is_deterministic: bool,
}

impl Runtime {
    /// How many slots the pool has.
    pub fn pool_slots(&self) -> usize {
        self.pool_slots
    }

    /// Starts an engine whose pool holds `slots` instances of at most `memory` bytes each.
    ///
    /// # Errors
    /// When the pool's address space cannot be reserved, or the linker's interfaces clash.
    pub fn new(settings: &Settings, slots: usize, memory: usize) -> wasmtime::Result<Self> {
        Self::start(settings, slots, memory, false)
    }

    /// As [`Runtime::new`], and guests compute the same on every machine: each NaN has one form, and relaxed SIMD has
    /// one result. Functions on floating-point numbers check each result for that; other code costs nothing more.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn deterministic(settings: &Settings, slots: usize, memory: usize) -> wasmtime::Result<Self> {
        Self::start(settings, slots, memory, true)
    }

    fn start(settings: &Settings, slots: usize, memory: usize, is_deterministic: bool) -> wasmtime::Result<Self> {
        // Each store that is dropped makes an error for the fiber that it keeps, and nobody reads that error's
        // backtrace. With `RUST_BACKTRACE` set, recording it was an eighth of a fresh instance's cost. The backtraces
        // of guests' traps are separate, and stay.
        wasmtime::error::disable_backtrace();
        let mut config = config(slots, memory);
        if is_deterministic {
            config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
        }
        let engine = Engine::new(&config)?;
        let cpu = CpuShares::new();
        start_ticks(&engine, Arc::clone(&cpu))?;
        Ok(Self {
            linker: linker::linker(&engine)?,
            cache: CodeCache::open(&settings.cache, &engine),
            shared_code: SharedCode::default(),
            loads: Semaphore::new(available_parallelism().map_or(1, usize::from)),
            slots: Slots::new(slots),
            pool_slots: slots,
            pressure: Arc::default(),
            cpu,
            outcall: OutcallHandle::default(),
            most_memory: memory,
            is_deterministic,
            engine,
        })
    }

    /// Connects the guests' calls of other services to `outcall`, which makes them. Until then, and after `outcall` is
    /// dropped, they fail.
    ///
    /// # Panics
    /// When it is called twice.
    pub fn connect(&self, outcall: Weak<dyn Outcall>) {
        self.outcall.connect(outcall);
    }

    /// Removes the oldest entries from the cache of compiled code, beyond what this host uses and 512 others. It reads
    /// the folder: call it from a blocking thread, after the components are loaded.
    pub fn prune_cache(&self) {
        self.cache.prune();
    }

    /// The file of the component with this digest, if it has debug information and was compiled into the cache. It
    /// reads the file: call it from a blocking thread.
    pub fn debug_information(&self, component: Digest) -> Option<Vec<u8>> {
        self.cache.debug_information(component)
    }

    /// Waits until no instance is left, for `timeout` at most. Returns whether none is left.
    pub async fn idle(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.slots.all_free()).await.is_ok()
    }
}

/// Starts the one thread that begins each epoch of the engine with a tick: it interrupts the guests.
fn start_ticks(engine: &Engine, cpu: Arc<CpuShares>) -> std::io::Result<()> {
    let engine = engine.weak();
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(cpu.tick());
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(run).map(drop)
}

/// The engine's configuration, for `slots` instances of at most `memory` bytes each. It is public for the benchmarks
/// alone: they compare the host with the smallest possible host of the same engine.
pub fn config(slots: usize, memory: usize) -> Config {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX / 64);
    let all = |of_each_slot: u32| slots.saturating_mul(of_each_slot).saturating_add(SPARE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // A mere counter: it reserves nothing, so it never runs out before the slots do.
        .total_core_instances(slots.saturating_mul(MOST_PER_COMPONENT))
        .total_memories(all(MEMORIES_PER_SLOT))
        .total_tables(all(TABLES_PER_SLOT))
        // A heap takes one of the memories too (see `Component::slots`). A store has one heap at most.
        .total_gc_heaps(all(1))
        .total_stacks(all(STACKS_PER_SLOT))
        .max_core_instances_per_component(MOST_PER_COMPONENT)
        .max_memories_per_component(MOST_PER_COMPONENT)
        .max_tables_per_component(MOST_PER_COMPONENT)
        .max_memories_per_module(MEMORIES_PER_SLOT)
        .max_tables_per_module(TABLES_PER_SLOT)
        .max_memory_size(memory)
        .table_elements(MOST_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(DECOMMIT_BATCH)
        // All memories: if fewer stayed warm than components are called in turn, each instance would map its
        // component's memory anew. Wasmtime divides them among as many parts of the pool as there are processors (16 at
        // most), and each thread searches its own part.
        .max_unused_warm_slots(all(MEMORIES_PER_SLOT));
    let mut config = Config::new();
    config
        // Whatever the environment says: lines of source are looked up when somebody asks for them, in the component's
        // file (`Runtime::debug_information`). Wasmtime would read the debug information for each frame of each trap,
        // and keep it in the code of each component.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_component_model_async(true)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
