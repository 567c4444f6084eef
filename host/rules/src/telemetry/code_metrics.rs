//! What the compiled code of components has cost: compilations, and code that was there already.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is counted of the code of all components.
#[derive(Debug, Default)]
pub struct CodeMetrics {
    compiled: AtomicU64,
    compile_nanos: AtomicU64,
    loaded: AtomicU64,
}

/// The metrics of the code of this process.
pub fn code_metrics() -> &'static CodeMetrics {
    static CODE: CodeMetrics =
        CodeMetrics { compiled: AtomicU64::new(0), compile_nanos: AtomicU64::new(0), loaded: AtomicU64::new(0) };
    &CODE
}

impl CodeMetrics {
    /// A component was compiled, which took so long.
    pub fn compiled(&self, took: Duration) {
        self.compiled.fetch_add(1, Relaxed);
        self.compile_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The code of a component was found in the cache.
    pub fn loaded(&self) {
        self.loaded.fetch_add(1, Relaxed);
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = [
            ("components_compiled", "Components that were compiled", self.compiled.load(Relaxed)),
            ("components_loaded", "Components whose code was found in the cache", self.loaded.load(Relaxed)),
        ];
        for (name, help, count) in counts {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let seconds = ConstCounter::new(Duration::from_nanos(self.compile_nanos.load(Relaxed)).as_secs_f64());
        let help = "Seconds for which components were compiled, added up; each takes all cores";
        seconds.encode(encoder.encode_descriptor("component_compile_seconds", help, None, MetricType::Counter)?)
    }
}
