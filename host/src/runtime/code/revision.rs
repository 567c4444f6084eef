//! A component as one service runs it. Its code is loaded when it is first called.
//!
//! One load is under way at a time, in a task of its own. Calls that come meanwhile wait for its end, each until its
//! own deadline; a call that goes away does not stop the load. A load takes no slot of the pool and makes no call, so
//! it never waits for a call that waits for it. When a load fails, the waiting calls get the reason, and the next call
//! loads again.

use super::footprint::Footprint;
use super::handler::{Handler, answers_http};
use super::linked::{Export, LinkedCode};
use crate::base::{Digest, ErrorKind};
use crate::contract::{Contract, CrossingFunctions, FunctionName};
use crate::runtime::context::context::Context;
use crate::runtime::engine::Runtime;
use crate::runtime::error::InvokeError;
use crate::runtime::grants::Grants;
use crate::runtime::imports::typed::Link;
use crate::runtime::lock::lock;
use crate::state::Bucket;
use futures_util::FutureExt;
use futures_util::future::Shared;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component as Code, InstancePre};
use wasmtime::{bail, format_err};

/// A component loaded for a service: what its instances are made of.
pub struct Revision {
    pub(crate) digest: Digest,
    pub(crate) grants: Arc<Grants>,
    /// Slots of the pool that one instance takes.
    pub(crate) slots: u32,
    /// Whether its instances answer HTTP by themselves.
    pub(crate) answers_http: bool,
    contract: Arc<Contract>,
    /// What one of its instances takes from the start.
    pub(super) footprint: Footprint,
    links: Vec<Link>,
    /// Where its bytes can be read again.
    pub(super) source: Option<Arc<Path>>,
    loaded: OnceLock<Box<LinkedCode>>,
    loading: Mutex<Option<Loading>>,
    /// Its functions as other nodes know them, from the first call of one on.
    crossing: OnceLock<Arc<CrossingFunctions>>,
    /// A load has failed and was logged.
    failed: AtomicBool,
    /// The bytes of its component until that is compiled; then 0.
    uncompiled: AtomicU64,
}

/// The end of the load that is under way, with the reason if it fails.
type Loading = Shared<oneshot::Receiver<Result<(), InvokeError>>>;

impl Revision {
    pub(super) fn new(
        digest: Digest,
        slots: u32,
        grants: Arc<Grants>,
        contract: Arc<Contract>,
        links: Vec<Link>,
        source: Option<Arc<Path>>,
        loaded: Option<LinkedCode>,
    ) -> Self {
        let loaded = loaded.map_or_else(OnceLock::new, |loaded| OnceLock::from(Box::new(loaded)));
        let answers_http = answers_http(&contract);
        Self {
            digest,
            grants,
            slots,
            answers_http,
            contract,
            footprint: Footprint::default(),
            links,
            source,
            loaded,
            loading: Mutex::default(),
            crossing: OnceLock::new(),
            failed: AtomicBool::new(false),
            uncompiled: AtomicU64::new(0),
        }
    }

    /// The same revision, of a component that takes so much and whose bytes are not compiled; 0: they are.
    pub(super) fn of_size(self, footprint: Footprint, uncompiled: u64) -> Self {
        Self { footprint, uncompiled: uncompiled.into(), ..self }
    }

    /// Its code, if that is in memory.
    pub(super) fn code_in_memory(&self) -> Option<Arc<Code>> {
        self.loaded.get().map(|loaded| Arc::clone(&loaded.code))
    }

    /// A revision of the same code that reaches the data of `bucket` and nothing else.
    pub(crate) fn confined_to(&self, bucket: Bucket) -> Self {
        let (grants, contract) = (Arc::new(self.grants.confined_to(bucket)), Arc::clone(&self.contract));
        Self::new(self.digest, self.slots, grants, contract, self.links.clone(), self.source.clone(), None)
            .of_size(self.footprint, 0)
    }

    /// The bytes of its component, if that is not compiled yet.
    pub fn uncompiled(&self) -> Option<u64> {
        Some(self.uncompiled.load(Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Compiles its component, from the file where the component was examined. If the cache keeps the code, the code is
    /// not in memory afterwards. It computes for seconds: call it from a blocking thread.
    ///
    /// # Errors
    /// [`ErrorKind::Instantiation`]: the compiler refuses the component, or its file is not what it was.
    pub fn compile(&self, runtime: &Runtime) -> Result<(), InvokeError> {
        let compile = || {
            let bytes = self.bytes()?;
            let compiled = || runtime.cache.get_or_compile(&runtime.engine, self.digest, &bytes);
            let code = runtime.shared_code.get_or_load(self.digest, compiled)?;
            let linked = LinkedCode::new(runtime, code, &self.contract, &self.links)?;
            if !runtime.cache.confirm(self.digest, self.slots) {
                // A call that came meanwhile may have loaded it: then it is there, which is all that is wanted.
                let _ = self.loaded.set(Box::new(linked));
            }
            self.uncompiled.store(0, Relaxed);
            Ok(())
        };
        compile().map_err(|error| InvokeError::caused_by(ErrorKind::Instantiation, error))
    }

    /// The digest of its component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Its functions, as other nodes know them.
    pub fn crossing(&self) -> &Arc<CrossingFunctions> {
        self.crossing.get_or_init(|| Arc::new(CrossingFunctions::of(&self.contract)))
    }

    /// Which services answer its imports.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Waits until its code is in memory; the first call starts the load. It costs nothing once the code is there.
    ///
    /// # Errors
    /// [`ErrorKind::Instantiation`] when the code cannot be loaded, [`ErrorKind::Overloaded`] when it was not loaded
    /// before the deadline. The next call loads again.
    pub async fn ready(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        deadline: std::time::Instant,
    ) -> Result<(), InvokeError> {
        if self.loaded.get().is_some() {
            return Ok(());
        }
        let Some(loading) = self.loading(runtime) else { return Ok(()) };
        match timeout_at(Instant::from_std(deadline), loading).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(InvokeError::new(ErrorKind::Host, "the host panicked while it loaded the code")),
            Err(_) => {
                let detail = "its code was still being loaded at the deadline";
                Err(InvokeError::not_begun(ErrorKind::Overloaded, detail))
            }
        }
    }

    /// The load that is under way, or a new one. `None` if a load has just succeeded.
    fn loading(self: &Arc<Self>, runtime: &Arc<Runtime>) -> Option<Loading> {
        let mut loading = lock(&self.loading);
        // `ready` read `loaded` without the lock, and a load may have ended since. A load sets `loaded` before it takes
        // this lock to clear `loading`, so this second read sees that end. Without it the code would be loaded twice.
        if self.loaded.get().is_some() {
            return None;
        }
        if let Some(loading) = &*loading {
            return Some(loading.clone());
        }
        let (end, ended) = oneshot::channel();
        let ended = ended.shared();
        *loading = Some(ended.clone());
        let (load, runtime) = (CodeLoad(Arc::clone(self)), Arc::clone(runtime));
        tokio::spawn(async move {
            let core = runtime.loads.acquire().await.expect("the semaphore is never closed");
            let work = Arc::clone(&runtime);
            let loaded = spawn_blocking(move || load.run(&work)).await;
            drop(core);
            // After a panic nothing is sent: the dropped sender tells the waiting calls.
            if let Ok(result) = loaded {
                let _ = end.send(result); // it fails only if no call waits any more
            }
        });
        Some(ended)
    }

    /// Takes the code from memory or from the cache, or compiles the component again if its code is gone. It may
    /// compute for up to a second.
    fn load(&self, runtime: &Runtime) -> wasmtime::Result<LinkedCode> {
        let code = runtime.shared_code.get_or_load(self.digest, || self.code(runtime))?;
        LinkedCode::new(runtime, code, &self.contract, &self.links)
    }

    /// Its code from the cache, or compiled again.
    fn code(&self, runtime: &Runtime) -> wasmtime::Result<Code> {
        if let Some(code) = runtime.cache.get(&runtime.engine, self.digest) {
            return Ok(code);
        }
        let bytes = self.bytes()?;
        let compiled = runtime.cache.compile(&runtime.engine, self.digest, &bytes);
        let code = compiled.map_err(|error| format_err!("the component {error}"))?;
        // It linked when the host started. If this fails, the next start has to check that again, and nothing else is
        // lost.
        let _ = runtime.cache.confirm(self.digest, self.slots);
        Ok(code)
    }

    /// The component's bytes, read from the file of the start.
    fn bytes(&self) -> wasmtime::Result<Vec<u8>> {
        let gone = match self.uncompiled() {
            Some(_) => "it is not compiled yet",
            None => "its compiled code is not in the cache any more",
        };
        let Some(source) = self.source.as_deref() else { bail!("{gone}") };
        let bytes = std::fs::read(source);
        let bytes =
            bytes.map_err(|error| wasmtime::Error::new(error).context(format!("{gone}, and {}", source.display())))?;
        if Digest::of(&bytes) == self.digest {
            Ok(bytes)
        } else {
            bail!("{gone}, and {} is another component now: swap it in, or put the old one back", source.display())
        }
    }

    /// Its code. Every method that makes an instance has waited for [`Revision::ready`].
    fn loaded(&self) -> &LinkedCode {
        self.loaded.get().expect("an instance is made only of a revision that is ready, and code that is loaded stays")
    }

    /// What its instances are made of.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(crate) fn pre(&self) -> &InstancePre<Context> {
        &self.loaded().pre
    }

    /// Where its instances' HTTP handler is; `None` for a component that answers no HTTP by itself.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(crate) fn handler(&self) -> Option<&Handler> {
        self.loaded().handler.as_ref()
    }

    /// The function that a caller means by `name`: of that interface, or of a compatible version of the interface.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(crate) fn export(&self, name: &FunctionName) -> Option<Arc<Export>> {
        self.loaded().export(name)
    }
}

/// One load. However it ends, its end clears the `loading` of the revision, so that the next call can load again.
struct CodeLoad(Arc<Revision>);

impl CodeLoad {
    fn run(self, runtime: &Runtime) -> Result<(), InvokeError> {
        let revision = &self.0;
        let started = std::time::Instant::now();
        let (service, digest) = (&revision.grants.service, revision.digest.short());
        match revision.load(runtime) {
            Ok(loaded) => {
                tracing::debug!(%service, revision = digest, ms = started.elapsed().as_millis(), "loaded");
                let set = revision.loaded.set(Box::new(loaded));
                debug_assert!(set.is_ok(), "one load is under way at a time");
                Ok(())
            }
            Err(error) => {
                let error = InvokeError::caused_by(ErrorKind::Instantiation, error).within("its code cannot be loaded");
                // Every call loads again and gets the error. Only the first failure is logged: a flood of calls must
                // not become a flood of lines.
                if !revision.failed.swap(true, Relaxed) {
                    tracing::error!(%service, revision = digest, "{}", error.detail);
                }
                Err(error)
            }
        }
    }
}

impl Drop for CodeLoad {
    fn drop(&mut self) {
        *lock(&self.0.loading) = None;
    }
}
