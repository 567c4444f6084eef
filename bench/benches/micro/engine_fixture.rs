//! What the benchmarks of real components share: an engine, the component, and calls from a task, as the host makes
//! them.

use host::base::{CallContext, RequestId, ServiceName};
use host::contract::{FunctionName, InterfaceName};
use host::egress::Allow;
use host::runtime::{Grants, InstancePool, Isolation, Limits, Reuse, Runtime, Settings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Slots of the engine's pool.
const SLOTS: usize = 64;

/// An engine, and the tokio runtime on which its calls run.
pub(crate) struct EngineFixture {
    pub(crate) tokio: tokio::runtime::Runtime,
    pub(crate) runtime: Arc<Runtime>,
    _cache: TempDir,
}

impl EngineFixture {
    pub(crate) fn new() -> Self {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let tokio = tokio::runtime::Runtime::new().expect("a runtime starts");
        let settings = Settings { cache: cache.path().join("cache"), ..Settings::default() };
        let runtime = Runtime::new(&settings, SLOTS, Limits::default().memory).expect("an engine starts");
        Self { tokio, runtime: Arc::new(runtime), _cache: cache }
    }

    /// An instance pool of a component, with this isolation.
    pub(crate) fn pool(&self, component: &str, isolation: &Isolation) -> Arc<InstancePool> {
        let component = self.runtime.load(&file(component)).expect("the component loads: ./just build-components");
        let name = ServiceName::new("service").expect("a name");
        let grants = Grants::new(name, None, Vec::new(), Allow::default(), &BTreeMap::new());
        let revision =
            component.revision(&self.runtime, Arc::new(grants), &Limits::default(), &[]).expect("the component links");
        Arc::new(InstancePool::new(Arc::clone(&self.runtime), Arc::new(revision), Limits::default(), isolation))
    }

    /// How long a task takes to run `operation` `times` times, one after the other.
    pub(crate) fn time<F: Future<Output = ()> + Send>(
        &self,
        times: u64,
        operation: impl Fn(CallContext) -> F + Send + 'static,
    ) -> Duration {
        let task = self.tokio.spawn(async move {
            let context = context();
            let start = Instant::now();
            for _ in 0..times {
                operation(context.clone()).await;
            }
            start.elapsed()
        });
        self.tokio.block_on(task).expect("no operation panics")
    }
}

/// Isolation that keeps one instance for the whole benchmark.
pub(crate) fn kept() -> Isolation {
    Isolation::Reuse(Reuse { max_requests: usize::MAX, max_concurrent: 1, idle_timeout: Duration::from_secs(3600) })
}

/// The context of a call with a late deadline.
pub(crate) fn context() -> CallContext {
    CallContext::new(RequestId::from_random(7), Instant::now(), Duration::from_secs(3600))
}

/// The name of a function.
pub(crate) fn function(interface: &str, function: &str) -> FunctionName {
    FunctionName { interface: InterfaceName::new(interface), function: function.to_owned() }
}

/// The file of a component.
pub(crate) fn file(component: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../components/dist/{component}.wasm"))
}
