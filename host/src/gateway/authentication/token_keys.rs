//! The keys of one issuer, kept fresh.

use crate::identity::KeySet;
use crate::telemetry::KeyFetchMetrics;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// The answer of an issuer, or why there is none.
pub type IssuerFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + 'a>>;

/// Where a JWK set comes from: a file, or an address.
pub trait KeySource: Send + Sync + 'static {
    /// The text of the set as it is now. It returns within seconds.
    fn fetch(&self) -> IssuerFuture<'_>;
}

/// How often keys are fetched.
#[derive(Debug, Clone, Copy)]
pub struct KeyPace {
    /// After this time they are fetched again.
    pub refresh: Duration,
    /// The least time between two fetches. Tokens with an unknown `kid` cost nothing, and anybody can send them.
    pub least: Duration,
}

/// The first wait after a fetch that failed while there are no keys at all. It doubles up to [`KeyPace::least`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The keys of one issuer. The last good set stays while its source is away.
pub struct TokenKeys {
    current: ArcSwapOption<NumberedKeys>,
    source: Option<FetchedKeys>,
}

struct FetchedKeys {
    /// It has the policy's name, for the log.
    metrics: Arc<KeyFetchMetrics>,
    source: Box<dyn KeySource>,
    pace: KeyPace,
    /// One fetch at a time: whoever waits for the lock finds what the fetch before has brought.
    last: Mutex<LastFetch>,
}

#[derive(Default)]
struct LastFetch {
    began: Option<Instant>,
    /// The text of the last good set.
    text: Bytes,
    /// Why the last fetch has brought none. It is logged once: a file is read each second.
    failed: Option<String>,
}

/// A set, with a number that changes with it.
pub(super) struct NumberedKeys {
    pub(super) number: u64,
    pub(super) set: KeySet,
}

impl TokenKeys {
    /// Keys that never change.
    pub fn fixed(set: KeySet) -> Self {
        Self { current: ArcSwapOption::from_pointee(NumberedKeys { number: 0, set }), source: None }
    }

    /// The keys that `source` has, for the policy `name`. There are none until [`TokenKeys::keep_fresh`] runs.
    pub fn fetched(name: &str, source: impl KeySource, pace: KeyPace) -> Self {
        let (metrics, source, last) = (Arc::new(KeyFetchMetrics::new(name)), Box::new(source), Mutex::default());
        Self { current: ArcSwapOption::empty(), source: Some(FetchedKeys { metrics, source, pace, last }) }
    }

    /// Fetches the keys now, and again and again. It returns only if they are fixed.
    pub async fn keep_fresh(&self) {
        let Some(fetched) = &self.source else { return };
        let KeyPace { refresh, least } = fetched.pace;
        let mut retry = FIRST_RETRY.min(least);
        loop {
            let mut last = fetched.last.lock().await;
            let good = self.fetch(fetched, &mut last).await;
            drop(last);
            let pause = match (good, self.current.load().is_some()) {
                (true, _) => refresh,
                (false, true) => least,
                (false, false) => retry,
            };
            retry = (retry * 2).min(least);
            sleep(pause).await;
        }
    }

    /// How the fetches do; `None`: the keys are fixed.
    pub fn metrics(&self) -> Option<&Arc<KeyFetchMetrics>> {
        self.source.as_ref().map(|fetched| &fetched.metrics)
    }

    /// The number of the keys; `None`: there are none yet.
    pub(super) fn number(&self) -> Option<u64> {
        self.current.load().as_ref().map(|keys| keys.number)
    }

    /// The keys. If there are none yet, the end of the fetch that may be under way is awaited.
    pub(super) async fn current(&self) -> Option<Arc<NumberedKeys>> {
        if let Some(keys) = self.current.load_full() {
            return Some(keys);
        }
        drop(self.source.as_ref()?.last.lock().await);
        self.current.load_full()
    }

    /// Keys of another number than `seen`: those that somebody has fetched meanwhile, or those of a fetch that begins
    /// now; `None` if there are none, or if the last fetch was a moment ago.
    pub(super) async fn newer_than(self: &Arc<Self>, seen: u64) -> Option<Arc<NumberedKeys>> {
        self.source.as_ref()?;
        let keys = Arc::clone(self);
        // In a task of its own: a client that goes away would end the fetch for all who wait, and none could begin
        // another one for 30 s.
        let fetch = tokio::spawn(async move {
            let Some(fetched) = &keys.source else { return };
            let mut last = fetched.last.lock().await;
            let is_newer = keys.current.load().as_ref().is_some_and(|keys| keys.number != seen);
            let is_due = last.began.is_none_or(|began| began.elapsed() >= fetched.pace.least);
            if !is_newer && is_due {
                keys.fetch(fetched, &mut last).await;
            }
        });
        fetch.await.ok()?;
        self.current.load_full().filter(|keys| keys.number != seen)
    }

    /// Fetches the set. Returns whether there is a good one; one that cannot be read changes nothing.
    async fn fetch(&self, fetched: &FetchedKeys, last: &mut LastFetch) -> bool {
        let good = self.fetch_set(fetched, last).await;
        fetched.metrics.fetched(good);
        good
    }

    async fn fetch_set(&self, fetched: &FetchedKeys, last: &mut LastFetch) -> bool {
        last.began = Some(Instant::now());
        let (name, source) = (fetched.metrics.policy(), &fetched.source);
        let text = match source.fetch().await {
            Ok(text) if text == last.text => {
                if last.failed.take().is_some() {
                    tracing::info!(policy = name, "the keys of an issuer are there again");
                }
                return true;
            }
            Ok(text) => text,
            Err(reason) => {
                if last.failed.as_ref() != Some(&reason) {
                    tracing::warn!(policy = name, reason, "the keys of an issuer were not fetched");
                    last.failed = Some(reason);
                }
                return false;
            }
        };
        match KeySet::of_jwks(&text) {
            Ok(set) => {
                let number = self.current.load().as_ref().map_or(0, |keys| keys.number) + 1;
                self.current.store(Some(Arc::new(NumberedKeys { number, set })));
                (last.text, last.failed) = (text, None);
                tracing::info!(policy = name, "the keys of an issuer were fetched");
                true
            }
            Err(error) => {
                let reason = error.to_string();
                if last.failed.as_ref() != Some(&reason) {
                    tracing::warn!(policy = name, reason, "the keys of an issuer cannot be read");
                    last.failed = Some(reason);
                }
                false
            }
        }
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}
