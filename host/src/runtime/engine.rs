//! The engine: its configuration, its epochs, and the loading of components.

use super::bindings;
use super::cache::Cache;
use super::component::Component;
use super::context::{Context, MOST_ELEMENTS};
use super::error::LoadError;
use super::outcall::{Outcall, OutcallHandle};
use super::settings::Settings;
use super::shared_code::SharedCode;
use super::shortage::PoolPressure;
use super::slots::Slots;
use super::turns::CpuTokens;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a guest that computes must let others run. 10 ms: long against a switch, short against a deadline.
const EPOCH: Duration = Duration::from_millis(10);
/// Memory that a freed slot keeps mapped and clears by hand: a small guest's whole heap, so that most requests fault no page in. It is what each of
/// the pool's memories may keep, whatever is set below: after a flood all that were used at once are warm.
const KEEP_RESIDENT: usize = 1 << 20;
/// Freed memories and tables that are given back to the kernel in one go. One: what waits for company counts as used for Wasmtime, also where
/// there is nothing to give back, and while another thread is giving it back nobody can have it. A slot is free by our count when its instance
/// is gone, and then it has to be.
const DECOMMIT_BATCH: usize = 1;
/// What the pool has of each kind beyond its slots: Wasmtime looks through the parts of its free lists one after the other, and takes entries
/// out for a moment when a component goes. With all others in use it could find none for a slot that is free.
const SPARE: u32 = 16;
/// What one slot of the pool may use. Components from wit-bindgen need one memory and two tables; a composed component takes several
/// slots (see `Component::slots`).
pub(super) const MEMORIES_PER_SLOT: u32 = 2;
pub(super) const TABLES_PER_SLOT: u32 = 4;
/// Fibers that one slot may have: the call itself, and calls that it has suspended.
const STACKS_PER_SLOT: u32 = 2;
/// The most that one component may be made of.
const MOST_PER_COMPONENT: u32 = 64;

/// The engine with everything that all services share.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<Context>,
    pub(super) cache: Cache,
    pub(super) shared_code: SharedCode,
    /// Code is loaded for so many revisions at a time: one for each core.
    pub(super) loads: Semaphore,
    /// The free slots of the pool: whoever wants an instance waits here, so that the pool itself is never found full.
    pub(super) slots: Slots,
    pub(super) shortage: Arc<PoolPressure>,
    pub(super) turns: CpuTokens,
    pub(super) exit: OutcallHandle,
}

impl Runtime {
    /// Starts an engine whose pool holds `slots` instances of at most `memory` bytes each.
    ///
    /// # Errors
    /// When the pool's address space cannot be reserved, or the linker's interfaces clash.
    pub fn new(settings: &Settings, slots: usize, memory: usize) -> wasmtime::Result<Self> {
        // Each store that goes makes an error for the fiber that it keeps, and nobody looks at where it was made. With `RUST_BACKTRACE` set
        // that look was an eighth of a fresh instance's cost. The backtraces of guests' traps are another thing, and stay.
        wasmtime::error::disable_backtrace();
        let engine = Engine::new(&config(slots, memory))?;
        let turns = CpuTokens::new();
        tick(&engine, turns.clone())?;
        Ok(Self {
            linker: bindings::linker(&engine)?,
            cache: Cache::open(&settings.cache, &engine),
            shared_code: SharedCode::default(),
            loads: Semaphore::new(available_parallelism().map_or(1, usize::from)),
            slots: Slots::new(slots),
            shortage: Arc::default(),
            turns,
            exit: OutcallHandle::default(),
            engine,
        })
    }

    /// Connects the guests' calls of other services to whoever makes them. Until then, and when `outcall` is gone, they fail.
    ///
    /// # Panics
    /// When it is called twice.
    pub fn connect(&self, outcall: Weak<dyn Outcall>) {
        self.exit.connect(outcall);
    }

    /// Reads the component in `path`, and compiles it if the cache has no code of it. Where the code is kept there, no revision made of the
    /// component loads it before it is [ready](super::Revision::ready). It computes for up to a second: call it from a blocking thread.
    ///
    /// # Errors
    /// When the file cannot be read, or is no component that can be called and fits the host's interfaces.
    pub fn load(&self, path: &Path) -> Result<Component, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
        Component::new(self, &bytes, Some(path))
    }

    /// Compiles the component in `bytes`, or takes its code from memory or the cache, and keeps the code in memory: its revisions are ready.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::new(self, bytes, None)
    }

    /// Removes the oldest entries from the cache of compiled code, beyond what this host uses and 512 others. It reads the folder: call it
    /// from a blocking thread, and when the components are loaded.
    pub fn prune_cache(&self) {
        self.cache.prune();
    }

    /// Waits until no instance is left, for `patience` at most; says whether that came about.
    pub async fn idle(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.slots.all_free()).await.is_ok()
    }
}

/// Starts the one thread that ends the guests' slices and hands out turns for the next.
fn tick(engine: &Engine, turns: CpuTokens) -> std::io::Result<()> {
    let engine = engine.weak();
    let run = move || {
        for epoch in 0.. {
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            turns.hand_out(epoch);
            drop(engine);
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(EPOCH);
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(run).map(drop)
}

/// The engine's configuration, for `slots` instances of at most `memory` bytes each. It is public for the benchmarks alone, which compare
/// with the least that can stand round the same engine.
pub fn config(slots: usize, memory: usize) -> Config {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX / 64);
    let all = |of_each_slot: u32| slots.saturating_mul(of_each_slot).saturating_add(SPARE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // A mere counter: it reserves nothing, so it never runs out before the slots do.
        .total_core_instances(slots.saturating_mul(MOST_PER_COMPONENT))
        .total_memories(all(MEMORIES_PER_SLOT))
        .total_tables(all(TABLES_PER_SLOT))
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
        // All: with fewer than components that are called in turns, each instance would map its component's memory anew. Wasmtime divides them
        // among as many parts of the pool as there are processors (16 at most), and each thread looks in its own.
        .max_unused_warm_slots(all(MEMORIES_PER_SLOT));
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
