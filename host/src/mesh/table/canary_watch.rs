//! The watch over a canary: which calls go to it, and how it fares beside the stable revision.

use crate::base::{CallContext, ErrorKind, MemoryNote};
use crate::breaker::Verdict;
use crate::verdict::{CallMemory, CallOutcome, Coin, CoinKey, Judge, Toss};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Throws the coin for each call of a service with a canary, and takes its outcome to the judge.
///
/// Each call takes two locks for less than a microsecond, only while a canary is judged.
pub struct CanaryWatch {
    coin: Mutex<Coin>,
    judge: Mutex<Judge>,
    /// What sticks to one revision; `None`: each request for itself.
    sticky: Option<Arc<str>>,
    /// Of the canary, so that the keys that one canary gets are not those of the next one.
    salt: u64,
    /// Set when the rollout ends: no call goes to the canary from then on, and no outcome counts.
    ended: AtomicBool,
    /// Wakes whoever waits for a verdict.
    condemned: Arc<Notify>,
}

/// How the coin fell for a call under way.
#[derive(Clone)]
pub struct TossedCall {
    pub(crate) toss: Toss,
    pub(crate) watch: Arc<CanaryWatch>,
    /// A hash of how the service crashed.
    crash: Option<u64>,
    /// Where the memory of the try's instance is noted.
    memory: Option<Arc<MemoryNote>>,
}

impl CanaryWatch {
    /// A watch that gives the canary `share` percent of the calls. `sticky`: the name of the field whose value sticks
    /// to a revision (see [`CallContext::sticky`]); `salt`: a number of the canary; `condemned` is notified when the
    /// judge has found that the canary has to go.
    pub fn new(coin: Coin, judge: Judge, sticky: Option<Arc<str>>, salt: u64, condemned: Arc<Notify>) -> Self {
        let (coin, judge) = (Mutex::new(coin), Mutex::new(judge));
        Self { coin, judge, sticky, salt, ended: AtomicBool::new(false), condemned }
    }

    /// Throws the coin for a call; `None` once the rollout has ended.
    pub(crate) fn toss(self: &Arc<Self>, context: &CallContext) -> Option<Box<TossedCall>> {
        if self.ended.load(Relaxed) {
            return None;
        }
        let toss = self.coin().toss(self.key(context));
        Some(Box::new(TossedCall { toss, watch: Arc::clone(self), crash: None, memory: None }))
    }

    /// What the coin is thrown for. A request without the sticky field is thrown for by itself.
    fn key(&self, context: &CallContext) -> CoinKey {
        let hash = |text: &str| {
            // The same in each run of the host: who sticks to a revision does so through a restart.
            let mut hasher = DefaultHasher::new();
            (self.salt, text).hash(&mut hasher);
            hasher.finish()
        };
        let sticky = self.sticky.as_ref().and_then(|name| context.sticky(name));
        sticky.map_or_else(|| CoinKey::Request(hash(context.request_id.as_str())), |text| CoinKey::Sticky(hash(text)))
    }

    /// Begins a step in which the canary gets `share` percent.
    pub fn begin_step(&self, share: u8) {
        self.coin().set_share(share);
        self.judge().begin_step();
    }

    /// Sends no further call to the canary, and counts no further outcome.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// The judge, with all outcomes so far.
    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn coin(&self) -> MutexGuard<'_, Coin> {
        self.coin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the judge is told of a call's memory.
fn memory_of(note: &MemoryNote) -> Option<CallMemory> {
    let bytes = note.most()?;
    Some(note.age().map_or(CallMemory::Needed(bytes), |age| CallMemory::Grown { bytes, age }))
}

impl TossedCall {
    /// The same for one try, and where the memory of its instance is to be noted.
    pub(crate) fn for_try(&self) -> (Box<Self>, Arc<MemoryNote>) {
        let note = Arc::<MemoryNote>::default();
        (Box::new(Self { memory: Some(Arc::clone(&note)), ..self.clone() }), note)
    }

    /// The service crashed. How it did is told apart by the words of the error without its numbers: two revisions have
    /// their code at different places.
    pub(crate) fn crashed(&mut self, kind: ErrorKind, detail: &str) {
        if matches!(kind, ErrorKind::Trap | ErrorKind::Memory | ErrorKind::Instantiation) {
            let mut hasher = DefaultHasher::new();
            kind.hash(&mut hasher);
            detail.bytes().filter(|byte| !byte.is_ascii_digit()).for_each(|byte| byte.hash(&mut hasher));
            self.crash = Some(hasher.finish());
        }
    }

    /// Takes the outcome of a try to the judge. Further tries of the call have the same key, so they do not count
    /// again.
    pub(crate) fn conclude(self, verdict: Verdict, took: Duration) {
        let outcome = match verdict {
            Verdict::Success => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                CallOutcome::Answered { micros, memory: self.memory.as_deref().and_then(memory_of) }
            }
            Verdict::EndpointFault | Verdict::RequestFault => CallOutcome::Failed { trap: self.crash },
            Verdict::Throttled | Verdict::Neutral => CallOutcome::Neutral,
        };
        if self.watch.ended.load(Relaxed) {
            return;
        }
        let condemned = {
            let mut judge = self.watch.judge();
            judge.note(self.toss, outcome);
            matches!(outcome, CallOutcome::Failed { .. } | CallOutcome::Answered { .. }) && judge.verdict().is_some()
        };
        if condemned {
            // From the next call on everybody gets the stable revision, before the table is published anew.
            self.watch.end();
            self.watch.condemned.notify_one();
        }
    }
}
