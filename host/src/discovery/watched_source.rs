//! A source that is asked again and again: what it named last, and how it fares.

use super::endpoint_source::{EndpointSource, FoundEndpoint, FoundEndpoints, LocatedEndpoints, SourceError};
use super::host_name::HostNameSource;
use super::source_address::SourceAddress;
use super::srv_records::SrvRecords;
use http::Uri;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The wait after the first failure, and the longest: a hundred hosts must not all come back in one second.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The least time between two answers: endpoints that flap must not publish the discovery table all the time.
const PACE: Duration = Duration::from_millis(250);

/// A source with its last good answer.
pub struct WatchedSource {
    /// `legacy-url-0`, for the log.
    id: String,
    /// The name, as the log calls it.
    host: String,
    turn: Mutex<SourceTurn>,
    /// How often it is asked, where it has to be asked.
    every: Duration,
    state: SyncMutex<SourceState>,
}

/// Who asks, and when.
struct SourceTurn {
    source: Box<dyn EndpointSource>,
    not_before: Instant,
    /// Failures since the last answer.
    failures: u32,
}

/// What is known of a source.
#[derive(Default)]
struct SourceState {
    good: Arc<LocatedEndpoints>,
    /// Whether it was asked once, to the end.
    asked: bool,
}

impl WatchedSource {
    /// The source of `address`, which is `base` with this weight; it is asked every so often, where it has to be asked.
    /// `None`: the address names one place for good.
    pub fn new(id: &str, address: SourceAddress, (base, weight): (&Uri, u16), every: Duration) -> Option<Self> {
        let host = match &address {
            SourceAddress::Srv(source) => source.name.clone(),
            SourceAddress::Literal(_) | SourceAddress::Name(_) => base.host().unwrap_or_default().to_owned(),
        };
        let source: Box<dyn EndpointSource> = match address {
            SourceAddress::Literal(_) => return None,
            SourceAddress::Name(port) => {
                Box::new(HostNameSource::new(FoundEndpoint { base: base.clone(), weight }, port, every))
            }
            SourceAddress::Srv(source) => Box::new(SrvRecords::new(source, weight, every)),
        };
        Some(Self {
            id: id.to_owned(),
            host,
            turn: Mutex::new(SourceTurn { source, not_before: Instant::now(), failures: 0 }),
            every,
            state: SyncMutex::default(),
        })
    }

    /// It knows what `before` knows: the same source, asked in another way.
    pub fn go_on_from(&self, before: &Self) {
        self.state().good = before.good();
    }

    /// Whether both are asked in the same way.
    pub fn is_asked_like(&self, other: &Self) -> bool {
        self.every == other.every
    }

    /// The name, as the log calls it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it named last. Nothing before its first answer.
    pub fn good(&self) -> Arc<LocatedEndpoints> {
        Arc::clone(&self.state().good)
    }

    /// Asks it, unless it has been asked before.
    pub async fn first(&self) {
        let asked = self.state().asked;
        if !asked {
            self.next().await;
        }
    }

    /// Waits until it is time to ask, and takes the answer. Afterwards [`WatchedSource::good`] has it, if it is one. An
    /// answer without endpoints changes nothing: what is not there cannot be told from what was lost.
    pub async fn next(&self) {
        let mut turn = self.turn.lock().await;
        sleep_until(turn.not_before).await;
        let wait = match turn.source.next().await {
            // It is there, and says when there is more: no reason to back off.
            Ok(found) => {
                turn.failures = 0;
                self.take(found).unwrap_or_else(|error| self.fail(&error));
                PACE
            }
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                self.fail(&error);
                backoff(turn.failures, self.every, rand::random_range(0.5..1.0))
            }
        };
        turn.not_before = Instant::now() + wait;
    }

    fn take(&self, found: FoundEndpoints) -> Result<(), SourceError> {
        let FoundEndpoints { mut located, unlocated } = found;
        let mut state = self.state();
        for (one, error) in unlocated {
            tracing::warn!(id = self.id, %error, "a host of a record was not resolved");
            for (at, _) in state.good.iter().filter(|(_, own)| own.base == one.base) {
                located.entry(*at).or_insert_with(|| one.clone());
            }
        }
        if located.is_empty() {
            return Err(SourceError::Lookup("none of its hosts has an address".to_owned()));
        }
        if *state.good != located {
            state.good = Arc::new(located);
        }
        state.asked = true;
        Ok(())
    }

    fn fail(&self, error: &SourceError) {
        let mut state = self.state();
        state.asked = true;
        let (id, host, known) = (&self.id, &self.host, state.good.len());
        tracing::warn!(id, host, %error, known, "a name was not resolved");
    }

    fn state(&self) -> MutexGuard<'_, SourceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after so many failures in a row: it doubles with each, and is no longer than the wait after an answer.
/// `jitter`: which part of it.
fn backoff(failures: u32, every: Duration, jitter: f64) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(longest).min(every).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_have_a_jitter() {
        let seconds = |failures, every| backoff(failures, Duration::from_secs(every), 1.0).as_secs();
        assert_eq!([1, 2, 3, 5, 6, 99].map(|failures| seconds(failures, 3600)), [1, 2, 4, 16, 30, 30]);
        assert_eq!(seconds(9, 10), 10, "a source that is asked every 10 s is asked so while it is away, too");
        assert_eq!(backoff(1, Duration::from_secs(9), 0.5), Duration::from_millis(500));
    }
}
