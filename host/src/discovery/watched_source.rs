//! A source that is asked again and again: what it named last, and how it fares.

use super::endpoint_source::{FoundEndpoints, LocatedEndpoints};
use super::settings::SourceSettings;
use super::source_address::SourceAddress;
use super::source_error::SourceError;
use super::source_kind::{AskedSource, asked};
use http::Uri;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The wait after the first failure, and the longest: a hundred hosts must not all come back in one second.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The least time between two answers: endpoints that flap must not publish the discovery table all the time.
const PACE: Duration = Duration::from_millis(250);
/// The longest such time, for a source that answers at once and names what it has named: the index of an absent service
/// of Consul is that of the whole catalog, and grows with each change of any other.
const SLOWEST_PACE: Duration = Duration::from_secs(2);

/// A source with its last good answer.
pub struct WatchedSource {
    /// `legacy-url-0`, for the log.
    id: String,
    /// As the manifest has it: `consul://10.0.0.2:8500/users`.
    address: String,
    /// The name, as the log calls it.
    host: String,
    /// What the log says of a failure.
    trouble: &'static str,
    settings: SourceSettings,
    turn: Mutex<SourceTurn>,
    state: SyncMutex<SourceState>,
}

/// Who asks, and when.
struct SourceTurn {
    source: AskedSource,
    not_before: Instant,
    /// Failures since the last answer.
    failures: u32,
    /// Answers in a row that came at once and named nothing new.
    repeats: u32,
}

/// What is known of a source.
#[derive(Default, Clone)]
struct SourceState {
    good: Arc<LocatedEndpoints>,
    /// When the last good answer came.
    answered: Option<Instant>,
    /// Whether it was asked once, to the end.
    asked: bool,
    unhealthy: usize,
    unusable: usize,
    failures: u64,
    /// Why the last answer is not good.
    error: Option<String>,
}

/// How a source fares, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// As the manifest has it: `consul://10.0.0.2:8500/users`.
    pub address: String,
    /// How many endpoints it has named last.
    pub endpoints: usize,
    /// How many of them in each zone, if it names zones.
    pub zones: BTreeMap<String, usize>,
    /// How many more it has named that are not healthy.
    pub unhealthy: usize,
    /// How many more it has named that are no addresses, or beyond the most.
    pub unusable: usize,
    /// How long ago it said so; `None`: it has never answered.
    pub age: Option<Duration>,
    /// How many times it has not answered, or named nothing.
    pub failures: u64,
    /// Why the last answer is not good, if it is not.
    pub error: Option<String>,
}

impl WatchedSource {
    /// The source of `base`, whose endpoints have this weight. `None`: the address names one place for good, or is
    /// wrong, which `config` has reported.
    pub fn new(id: &str, (base, weight): (&Uri, u16), settings: &SourceSettings) -> Option<Self> {
        let address = SourceAddress::of(base).ok()?;
        let host = match &address {
            SourceAddress::Srv(source) => source.name.clone(),
            SourceAddress::Registry(registry) => registry.name.clone(),
            SourceAddress::Literal(_) | SourceAddress::Name(_) => base.host().unwrap_or_default().to_owned(),
        };
        let trouble = match &address {
            SourceAddress::Registry(_) => "a registry was not read",
            _ => "a name was not resolved",
        };
        let source = asked(address, (base, weight), settings)?;
        Some(Self {
            id: id.to_owned(),
            address: base.to_string(),
            host,
            trouble,
            settings: settings.clone(),
            turn: Mutex::new(SourceTurn { source, not_before: Instant::now(), failures: 0, repeats: 0 }),
            state: SyncMutex::default(),
        })
    }

    /// It knows what `before` knows: the same source, asked in another way.
    pub fn go_on_from(&self, before: &Self) {
        let before = before.state().clone();
        *self.state() = SourceState { asked: false, ..before };
    }

    /// Whether both are asked in the same way.
    pub fn is_asked_like(&self, other: &Self) -> bool {
        self.settings.is_like(&other.settings)
    }

    /// The name, as the log calls it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it named last. Nothing before its first answer.
    pub fn good(&self) -> Arc<LocatedEndpoints> {
        Arc::clone(&self.state().good)
    }

    /// How it fares.
    pub fn report(&self) -> SourceReport {
        let SourceState { good, answered, unhealthy, unusable, failures, error, .. } = self.state().clone();
        let mut zones = BTreeMap::new();
        for zone in good.values().filter_map(|one| one.zone.as_deref()) {
            *zones.entry(zone.to_owned()).or_default() += 1;
        }
        SourceReport {
            address: self.address.clone(),
            endpoints: good.len(),
            zones,
            unhealthy,
            unusable,
            age: answered.map(|at| at.elapsed()),
            failures,
            error,
        }
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
        let before = (Instant::now(), self.good());
        let wait = match turn.source.next().await {
            // It is there, and says when there is more: no reason to back off.
            Ok(found) => {
                turn.failures = 0;
                self.take(found).unwrap_or_else(|error| self.fail(&error));
                let is_repeated = before.0.elapsed() < SLOWEST_PACE && Arc::ptr_eq(&before.1, &self.good());
                turn.repeats = if is_repeated { turn.repeats.saturating_add(1) } else { 0 };
                pace(turn.repeats)
            }
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                self.fail(&error);
                backoff(turn.failures, self.settings.every, rand::random_range(0.5..1.0))
            }
        };
        turn.not_before = Instant::now() + wait;
    }

    fn take(&self, found: FoundEndpoints) -> Result<(), SourceError> {
        let FoundEndpoints { mut located, unlocated, unhealthy, unusable, hint } = found;
        let mut state = self.state();
        (state.unhealthy, state.unusable) = (unhealthy, unusable);
        let has_unlocated = !unlocated.is_empty();
        for (one, error) in unlocated {
            tracing::warn!(id = self.id, %error, "a host of a record was not resolved");
            for (at, _) in state.good.iter().filter(|(_, own)| own.base == one.base) {
                located.entry(*at).or_insert_with(|| one.clone());
            }
        }
        if located.is_empty() {
            return Err(match (has_unlocated, unhealthy + unusable) {
                (true, _) => SourceError::Lookup("none of its hosts has an address".to_owned()),
                (false, 0) => SourceError::Empty(hint),
                (false, _) if unusable == 0 => SourceError::Empty(format!(": {unhealthy} are not healthy")),
                (false, _) => SourceError::Empty(format!(": {unhealthy} are not healthy, {unusable} no addresses")),
            });
        }
        if *state.good != located {
            state.good = Arc::new(located);
        }
        (state.asked, state.answered, state.error) = (true, Some(Instant::now()), None);
        Ok(())
    }

    fn fail(&self, error: &SourceError) {
        let mut state = self.state();
        let text = error.to_string();
        let known = state.good.len();
        (state.asked, state.failures) = (true, state.failures + 1);
        // A source that says the same again and again has one line, until it says something else.
        if state.error.as_ref() != Some(&text) {
            let (id, host) = (&self.id, &self.host);
            tracing::warn!(id, host, error = text, known, "{}", self.trouble);
        }
        state.error = Some(text);
    }

    fn state(&self) -> MutexGuard<'_, SourceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after so many answers in a row that came at once and named nothing new.
fn pace(repeats: u32) -> Duration {
    PACE.saturating_mul(2_u32.saturating_pow(repeats)).min(SLOWEST_PACE)
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
    fn a_source_that_repeats_itself_is_asked_less_often() {
        assert_eq!([0, 1, 2, 3, 4, 99].map(|repeats| pace(repeats).as_millis()), [250, 500, 1000, 2000, 2000, 2000]);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_have_a_jitter() {
        let seconds = |failures, every| backoff(failures, Duration::from_secs(every), 1.0).as_secs();
        assert_eq!([1, 2, 3, 5, 6, 99].map(|failures| seconds(failures, 3600)), [1, 2, 4, 16, 30, 30]);
        assert_eq!(seconds(9, 10), 10, "a source that is asked every 10 s is asked so while it is away, too");
        assert_eq!(backoff(1, Duration::from_secs(9), 0.5), Duration::from_millis(500));
    }
}
