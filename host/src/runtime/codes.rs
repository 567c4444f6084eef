//! The code that is in memory, which all services of one component share.

use crate::base::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wasmtime::component::Component as Code;

/// The code in memory, by the digest of its component: as long as anybody holds it, nobody maps it a second time. So the processor's caches
/// hold it once, and a slot of the pool that one service has left warm is warm for all of the same component.
#[derive(Default)]
pub(super) struct Codes(Mutex<HashMap<Digest, Weak<Code>>>);

impl Codes {
    /// The code of that component, if it is in memory.
    pub(super) fn get(&self, digest: Digest) -> Option<Arc<Code>> {
        self.lock().get(&digest)?.upgrade()
    }

    /// Makes `code` known as that of the component; answers the one to use, which is another if somebody was faster.
    pub(super) fn share(&self, digest: Digest, code: Code) -> Arc<Code> {
        let mut codes = self.lock();
        if let Some(first) = codes.get(&digest).and_then(Weak::upgrade) {
            return first;
        }
        codes.retain(|_, code| code.strong_count() > 0);
        let code = Arc::new(code);
        codes.insert(digest, Arc::downgrade(&code));
        code
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Weak<Code>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Engine;

    const DIGEST: Digest = Digest([7; 32]);

    #[test]
    fn code_is_shared_while_anybody_holds_it() {
        let (codes, engine) = (Codes::default(), Engine::default());
        let code = || Code::new(&engine, b"\0asm\x0d\0\x01\0").unwrap();
        assert!(codes.get(DIGEST).is_none());
        let first = codes.share(DIGEST, code());
        let second = codes.share(DIGEST, code());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &codes.get(DIGEST).unwrap()));
        drop((first, second));
        assert!(codes.get(DIGEST).is_none(), "nobody holds it");
        codes.share(Digest([8; 32]), code());
        assert_eq!(codes.lock().len(), 1, "what is gone is forgotten");
    }
}
