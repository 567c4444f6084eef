//! The limit on what an instance may keep in its memories and tables.

use crate::base::MemoryNote;
use crate::runtime::capacity::cpu_slice::CpuSlice;
use crate::telemetry::PoolMetrics;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Core instances, memories and tables of one store: far more than a component is made of.
const MOST_ITEMS: usize = 256;
/// Elements of one table (8 bytes each).
pub(crate) const MOST_ELEMENTS: usize = 100_000;
/// The calls after which a kept instance has what all its calls need: what it caches and what its allocator holds in
/// reserve. What it grows by later is what a call has left.
const WARM: u32 = 100;

/// The limit on the sum of an instance's memories, in bytes. Wasmtime's own limiter bounds each memory by itself.
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// Is told what is used.
    slice: CpuSlice,
    /// The guest was refused more memory. If it traps afterwards, this is why.
    pub(crate) denied: bool,
    /// Where the largest use is noted.
    metrics: Arc<PoolMetrics>,
    /// Where the use is noted for the only call of the instance, if somebody asks.
    note: Option<Arc<MemoryNote>>,
    /// The calls that the instance has begun, and what was used when the last one began.
    calls: u32,
    before: usize,
}

impl MemoryLimit {
    /// No memory is used, and at most `limit` bytes may be. The largest use is noted in `metrics`.
    pub(crate) fn new(limit: usize, metrics: Arc<PoolMetrics>) -> Self {
        Self { limit, used: 0, denied: false, slice: CpuSlice::default(), metrics, note: None, calls: 0, before: 0 }
    }

    /// The same, of an instance that serves one call, whose `note` it is.
    pub(crate) fn noted_in(self, note: Option<Arc<MemoryNote>>) -> Self {
        Self { note, ..self }
    }

    /// The counters of the service whose instance it is.
    pub(crate) fn metrics(&self) -> &Arc<PoolMetrics> {
        &self.metrics
    }

    /// One more call begins. Its `note` is told what the instance has grown by since the call before it, once the
    /// instance is warm. Whose growth that is nobody knows exactly, and need not: it is a call of the same revision.
    pub(super) fn begin_call(&mut self, note: Option<&MemoryNote>) {
        let grown = self.used - std::mem::replace(&mut self.before, self.used);
        self.calls = self.calls.saturating_add(1);
        if let Some(note) = note.filter(|_| self.calls > WARM) {
            note.has_grown(grown, self.calls);
        }
    }

    /// The same, of the instance whose work `slice` measures.
    pub(super) fn measured_by(self, slice: CpuSlice) -> Self {
        Self { slice, ..self }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used + (desired - current);
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = true;
            return Ok(false);
        }
        self.used = used;
        self.slice.meter().has_memory(used);
        self.metrics.uses_memory(used);
        if let Some(note) = &self.note {
            note.has(used);
        }
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
    fn a_call_learns_of_what_its_instance_has_and_not_of_what_it_was_refused() {
        let note = Arc::<MemoryNote>::default();
        let mut memory = MemoryLimit::new(100, Arc::default()).noted_in(Some(Arc::clone(&note)));
        assert!(memory.memory_growing(0, 60, None).unwrap() && memory.memory_growing(60, 80, None).unwrap());
        assert!(!memory.memory_growing(80, 200, None).unwrap());
        assert_eq!(note.most(), Some(80));
    }

    #[test]
    fn a_call_of_a_warm_instance_learns_of_its_growth_since_the_call_before() {
        let mut memory = MemoryLimit::new(1000, Arc::default());
        let mut used = 0;
        let mut call = |grows: usize| {
            let note = MemoryNote::default();
            memory.begin_call(Some(&note));
            assert!(memory.memory_growing(used, used + grows, None).unwrap());
            used += grows;
            note.most().zip(note.age())
        };
        assert!((0..WARM).all(|_| call(5).is_none()), "what it loads and caches is no growth");
        let ages = [(5, 101), (0, 102), (7, 103), (0, 104)];
        assert_eq!([call(0), call(7), call(0), call(0)], ages.map(Some));
    }

    #[test]
    fn the_limit_is_on_the_sum_of_all_memories() {
        let mut memory = MemoryLimit::new(100, Arc::default());
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(!memory.memory_growing(0, 41, None).unwrap());
        assert!(memory.denied);
        assert!(memory.memory_growing(0, 40, None).unwrap());
    }
}
