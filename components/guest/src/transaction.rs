//! Optimistic transactions: read, decide, commit, and begin again if another request was faster.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::events::Event;
use crate::failure::Failure;
use crate::platform::Platform;
use crate::transactions::{Check, Error, Put, Write};

/// How often a transaction is tried before the service answers that it is busy. With the pauses below, 64 writers of
/// one key (the last items of a product on sale) all succeed. A request that lost 24 times has waited about 0.7 s.
const TRIES: u32 = 24;
/// The longest pause between two tries. Pauses double from 1 ms up to this, and each is a random part of that, so
/// that requests which conflicted do not collide again.
const LONGEST_PAUSE_MS: u64 = 64;

/// One try of a transaction: what was read, and what is to be written if nothing of that has changed.
#[derive(Debug)]
pub struct Transaction<'p, P> {
    platform: &'p P,
    checks: Vec<Check>,
    writes: Vec<Write>,
    events: Vec<Event>,
}

impl<P: Platform> Transaction<'_, P> {
    /// Reads keys in one snapshot. The commit demands that none of them has changed since.
    pub async fn read<const N: usize>(&mut self, keys: [String; N]) -> Result<[Option<Vec<u8>>; N], Failure> {
        let values = self.read_many(keys.to_vec()).await?;
        values.try_into().map_err(|_| Failure::Internal("the store answered for other keys".to_owned()))
    }

    /// [`Transaction::read`] for a number of keys that is known only at run time.
    pub async fn read_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let found = self.platform.get_many(keys.clone()).await?;
        let versions = found.iter().map(|value| value.as_ref().map_or(0, |value| value.version));
        self.checks.extend(keys.into_iter().zip(versions).map(|(key, version)| Check { key, version }));
        Ok(found.into_iter().map(|value| value.map(|value| value.value)).collect())
    }

    /// Demands that `key` is absent when the transaction commits. The key is not read now.
    pub fn claim(&mut self, key: String) {
        self.checks.push(Check { key, version: 0 });
    }

    /// Writes `value` as JSON when the transaction commits.
    pub fn put(&mut self, key: String, value: &impl serde::Serialize) {
        self.writes.push(Write::Put(Put { key, value: encode(value) }));
    }

    /// Removes `key` when the transaction commits.
    pub fn delete(&mut self, key: String) {
        self.writes.push(Write::Delete(key));
    }

    /// Publishes `payload` on `topic` with the commit: either both happen or neither does. Of one `key`, each
    /// subscriber gets the events in their order. The manifest's `publish` must name the topic.
    pub fn publish(&mut self, topic: &str, key: Option<String>, payload: &impl serde::Serialize) {
        let payload = String::from_utf8(encode(payload)).expect("JSON is UTF-8");
        self.events.push(Event { topic: topic.to_owned(), key, payload });
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have string keys and no fallible serializer")
}

/// Decodes the record that was found at `key`.
pub fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|error| Failure::Internal(format!("{key} holds no such record: {error}")))
}

/// Runs `decide` and commits what it wrote. Runs it again if something that it read has changed in the meantime.
///
/// An error of `decide` ends the transaction, and nothing is written. A result without writes and events ends it too,
/// and is only as consistent as its reads: values that must fit together have to be read in one call.
pub async fn transact<P, T, E>(
    platform: &P,
    mut decide: impl AsyncFnMut(&mut Transaction<'_, P>) -> Result<T, E>,
) -> Result<T, E>
where
    P: Platform,
    E: From<Failure>,
{
    let mut lost = String::new();
    for number in 0..TRIES {
        if number > 0 {
            platform.wait(pause(number, platform.random())).await;
        }
        let mut transaction = Transaction { platform, checks: Vec::new(), writes: Vec::new(), events: Vec::new() };
        let answer = decide(&mut transaction).await?;
        let Transaction { checks, writes, events, .. } = transaction;
        if writes.is_empty() && events.is_empty() {
            return Ok(answer);
        }
        match platform.commit(checks, writes, events).await {
            Ok(_) => return Ok(answer),
            Err(Error::Conflict(key)) => lost = key,
            Err(error) => return Err(Failure::from(error).into()),
        }
    }
    Err(Failure::from(Error::Conflict(lost)).into())
}

/// The pause before the try with this number, which is at least 1.
fn pause(number: u32, random: u64) -> Duration {
    let longest = LONGEST_PAUSE_MS.min(1 << (number - 1).min(u64::BITS - 1));
    Duration::from_micros(random % (longest * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, block_on, interleave};

    async fn increment(memory: &Memory) -> Result<u64, Failure> {
        transact(memory, async |transaction| {
            let [value] = transaction.read(["n".to_owned()]).await?;
            let next = value.map_or(Ok(0), |value| decode::<u64>("n", &value))? + 1;
            transaction.put("n".to_owned(), &next);
            Ok(next)
        })
        .await
    }

    #[test]
    fn concurrent_increments_are_all_counted() {
        for seed in 0..200 {
            let memory = Memory::fresh();
            let mut answers = interleave(seed, (0..12).map(|_| increment(&memory)).collect());
            answers.sort_by_key(|answer| answer.clone().ok());
            assert_eq!(answers, (1..=12).map(Ok).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn a_transaction_that_always_conflicts_ends_as_unavailable() {
        let memory = Memory::fresh();
        memory.before_every_commit(|memory| memory.put("n", b"0"));
        let answer = block_on(increment(&memory));
        assert_eq!(answer, Err(Failure::Unavailable("n changes too often".to_owned())));
        assert!(memory.waited() > Duration::ZERO && memory.waited() < Duration::from_secs(2), "{:?}", memory.waited());
    }

    #[test]
    fn an_error_of_the_decision_writes_nothing() {
        let memory = Memory::fresh();
        let answer = block_on(transact(&memory, async |transaction| {
            transaction.put("n".to_owned(), &1);
            Err::<(), _>(Failure::Internal("refused".to_owned()))
        }));
        assert!(answer.is_err());
        assert_eq!(memory.keys(), Vec::<String>::new());
    }

    #[test]
    fn a_transaction_that_claims_an_existing_key_fails() {
        let memory = Memory::fresh();
        memory.put("taken", b"");
        let answer = block_on(transact(&memory, async |transaction| {
            transaction.claim("taken".to_owned());
            transaction.put("n".to_owned(), &1);
            Ok::<_, Failure>(())
        }));
        assert_eq!(answer, Err(Failure::Unavailable("taken changes too often".to_owned())));
    }

    #[test]
    fn an_event_is_published_with_its_commit_and_never_without() {
        let memory = Memory::fresh();
        let publish = async |refused: bool| {
            transact(&memory, async |transaction| {
                transaction.publish("orders.placed", Some("7".to_owned()), &serde_json::json!({"id": 7}));
                if refused { Err(Failure::Internal("refused".to_owned())) } else { Ok(()) }
            })
            .await
        };
        assert!(block_on(publish(true)).is_err());
        assert!(memory.published().is_empty());
        assert_eq!(block_on(publish(false)), Ok(()));
        let published = memory.published();
        let [event] = published.as_slice() else { panic!("{published:?}") };
        assert_eq!((event.topic.as_str(), event.payload.as_str()), ("orders.placed", r#"{"id":7}"#));
    }
}
