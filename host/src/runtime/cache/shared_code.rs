//! The code in memory, which all services of one component share.

use crate::base::Digest;
use crate::runtime::lock::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use wasmtime::component::Component as Code;

/// The code in memory, by the digest of its component. As long as one service holds a component's code, no other
/// service maps it a second time. So the processor's caches hold it once, and a slot of the pool that one service has
/// left warm is warm for all services of the same component. Instances, links and grants are each service's own.
#[derive(Default)]
pub(crate) struct SharedCode(Mutex<HashMap<Digest, Arc<SharedEntry>>>);

/// The code of one component if it is in memory. The lock is held during a load, so that other threads wait for it and
/// load nothing.
type SharedEntry = Mutex<Weak<Code>>;

impl SharedCode {
    /// The code of the component `digest`. If it is not in memory, `load` brings it there. Blocks while another thread
    /// loads the same code.
    ///
    /// # Errors
    /// The error of `load`. The next call loads again.
    pub(crate) fn get_or_load<E>(
        &self,
        digest: Digest,
        load: impl FnOnce() -> Result<Code, E>,
    ) -> Result<Arc<Code>, E> {
        let entry = self.entry(digest);
        let mut known = lock(&entry);
        if let Some(code) = known.upgrade() {
            return Ok(code);
        }
        let code = Arc::new(load()?);
        *known = Arc::downgrade(&code);
        Ok(code)
    }

    /// The entry of the component `digest`. Before it adds a new entry, it removes those without code.
    fn entry(&self, digest: Digest) -> Arc<SharedEntry> {
        let mut entries = lock(&self.0);
        if let Some(entry) = entries.get(&digest) {
            return Arc::clone(entry);
        }
        // A thread that holds a clone of an entry is about to load its code.
        entries.retain(|_, entry| Arc::strong_count(entry) > 1 || lock(entry).strong_count() > 0);
        Arc::clone(entries.entry(digest).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use wasmtime::Engine;

    const DIGEST: Digest = Digest([7; 32]);
    /// The smallest component there is: only the preamble.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn code_is_loaded_once_while_a_service_holds_it() {
        let (shared, engine, loads) = (SharedCode::default(), Engine::default(), AtomicUsize::new(0));
        let get = |digest| {
            shared.get_or_load(digest, || {
                loads.fetch_add(1, SeqCst);
                Code::new(&engine, EMPTY)
            })
        };
        let codes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| get(DIGEST).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(codes.iter().all(|code| Arc::ptr_eq(code, &codes[0])));
        assert_eq!(loads.load(SeqCst), 1, "threads that come during the load wait for it");
        drop(codes);
        get(DIGEST).unwrap();
        assert_eq!(loads.load(SeqCst), 2, "no thread held the code, so it was gone");
        get(Digest([8; 32])).unwrap();
        assert_eq!(lock(&shared.0).len(), 1, "the entry of the code that is gone is removed");
    }

    #[test]
    fn a_load_that_failed_is_tried_again_by_the_next_call() {
        let (shared, engine) = (SharedCode::default(), Engine::default());
        assert_eq!(shared.get_or_load(DIGEST, || Err("lost")).unwrap_err(), "lost");
        assert!(shared.get_or_load(DIGEST, || Code::new(&engine, EMPTY)).is_ok());
    }
}
