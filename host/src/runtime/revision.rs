//! A component as one service runs it. Its code is loaded when it is first called.
//!
//! One load is under way at a time, in a task of its own: whoever calls meanwhile waits for its end, each until its own deadline, and one
//! that goes away ends nothing. A load takes no slot of the pool and calls nobody, so nothing that waits for it is waited for by it. When it
//! fails, those who waited are told why, and the next call tries again.

use super::component::{Component, answers_http};
use super::context::Context;
use super::engine::Runtime;
use super::error::InvokeError;
use super::grants::Grants;
use super::link::Link;
use super::loaded::{Export, Handler, LinkedCode};
use crate::base::{Digest, ErrorKind};
use crate::contract::{Contract, FunctionName};
use futures_util::FutureExt;
use futures_util::future::Shared;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component as Code, InstancePre};

/// A component loaded for a service: what its instances are made of.
pub struct Revision {
    pub(super) digest: Digest,
    pub(super) grants: Arc<Grants>,
    /// Slots of the pool that one instance takes.
    pub(super) slots: u32,
    /// Whether its instances answer HTTP by themselves.
    pub(super) answers_http: bool,
    contract: Arc<Contract>,
    links: Vec<Link>,
    /// Where its bytes can be read again.
    source: Option<Arc<Path>>,
    loaded: OnceLock<Box<LinkedCode>>,
    loading: Mutex<Option<Loading>>,
    /// A load has failed, and the log was told.
    failed: AtomicBool,
}

/// The end of the load that is under way, and why it failed.
type Loading = Shared<oneshot::Receiver<Result<(), String>>>;

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
            links,
            source,
            loaded,
            loading: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// The digest of its component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Which services answer its imports.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Waits until its code is in memory; the first who asks has it loaded. It costs nothing once it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Instantiation`] when it cannot be loaded, [`ErrorKind::Overloaded`] when it was not before the deadline. The next call
    /// tries again.
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
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => {
                Err(InvokeError::new(ErrorKind::Instantiation, format!("its code cannot be loaded: {why}")))
            }
            Ok(Err(_)) => Err(InvokeError::new(ErrorKind::Host, "the host panicked while it loaded the code")),
            Err(_) => Err(InvokeError::new(ErrorKind::Overloaded, "its code was still being loaded at the deadline")),
        }
    }

    /// The load that is under way, or a new one; `None` if it has just ended well.
    fn loading(self: &Arc<Self>, runtime: &Arc<Runtime>) -> Option<Loading> {
        let mut loading = self.lock();
        // Looked at under the lock: a load sets the one before it clears the other.
        if self.loaded.get().is_some() {
            return None;
        }
        if let Some(loading) = &*loading {
            return Some(loading.clone());
        }
        let (end, ended) = oneshot::channel();
        let ended = ended.shared();
        *loading = Some(ended.clone());
        let (attempt, runtime) = (CodeLoad(Arc::clone(self)), Arc::clone(runtime));
        tokio::spawn(async move {
            let core = runtime.loads.acquire().await.expect("the semaphore is never closed");
            let work = Arc::clone(&runtime);
            let loaded = spawn_blocking(move || attempt.run(&work)).await;
            drop(core);
            // A panic drops the sender, which tells it.
            if let Ok(result) = loaded {
                let _ = end.send(result); // all who waited may have gone
            }
        });
        Some(ended)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Loading>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the code from memory or from the cache, or compiles the component anew where it is gone. It may compute for up to a second.
    fn load(&self, runtime: &Runtime) -> Result<LinkedCode, String> {
        let code = runtime.shared_code.get_or_load(self.digest, || self.code(runtime))?;
        LinkedCode::new(runtime, code, &self.contract, &self.links)
    }

    /// Its code from the cache, or compiled anew.
    fn code(&self, runtime: &Runtime) -> Result<Code, String> {
        if let Some(code) = runtime.cache.get(&runtime.engine, self.digest) {
            return Ok(code);
        }
        let bytes = self.bytes()?;
        let compiled = runtime.cache.compile(&runtime.engine, self.digest, &bytes);
        let code = compiled.map_err(|error| format!("the component {error}"))?;
        // It linked when the host started. That the next start has to find out again is all that a failure costs.
        let _ = runtime.cache.confirm(self.digest, self.slots);
        Ok(code)
    }

    /// The component's bytes, from where they were read at the start.
    fn bytes(&self) -> Result<Vec<u8>, String> {
        let gone = "its compiled code is not in the cache any more";
        let source = self.source.as_deref().ok_or(gone)?;
        let bytes = std::fs::read(source).map_err(|error| format!("{gone}, and {}: {error}", source.display()))?;
        if Component::digest_of(&bytes) == self.digest {
            Ok(bytes)
        } else {
            Err(format!(
                "{gone}, and {} is another component now: swap it in, or put the old one back",
                source.display()
            ))
        }
    }

    /// Its code. Whoever makes an instance has waited for [`Revision::ready`].
    fn loaded(&self) -> &LinkedCode {
        self.loaded.get().expect("an instance is made only of a revision that is ready, and code that is loaded stays")
    }

    /// What its instances are made of.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(super) fn pre(&self) -> &InstancePre<Context> {
        &self.loaded().pre
    }

    /// Where their handler of HTTP is; `None` for a component that answers none by itself.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(super) fn handler(&self) -> Option<&Handler> {
        self.loaded().handler.as_ref()
    }

    /// The function that a caller means by `name`: of that interface, or of a version of it that is compatible.
    ///
    /// # Panics
    /// Before [`Revision::ready`].
    pub(super) fn export(&self, name: &FunctionName) -> Option<Arc<Export>> {
        self.loaded().export(name)
    }
}

/// One load. However it ends, the next call finds none under way.
struct CodeLoad(Arc<Revision>);

impl CodeLoad {
    fn run(self, runtime: &Runtime) -> Result<(), String> {
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
            Err(why) => {
                // Each call tries again and is told; the log is told once, since a flood of calls must not become a flood of lines.
                if !revision.failed.swap(true, Relaxed) {
                    tracing::error!(%service, revision = digest, "its code cannot be loaded: {why}");
                }
                Err(why)
            }
        }
    }
}

impl Drop for CodeLoad {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
