//! Optimistic transactions: read, decide, commit, and begin again if another request was faster.

use std::cell::RefCell;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::transactions::{Check, Error, Put, Write};
use crate::{Event, Platform, Publisher};

/// How often a transaction is tried before the service answers that it is busy. With the pauses below, 64 writers of
/// one key (the last items of a product on sale) all succeed. A request that lost 24 times has waited about 0.7 s.
const TRIES: u32 = 24;
/// The longest pause between two tries. Pauses double from 1 ms up to this, and each is a random part of that, so
/// that requests which conflicted do not collide again.
const LONGEST_PAUSE_MS: u64 = 64;

/// Why the state gave no answer: the part of the contracts' `error` that is the same for every service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// An argument is invalid.
    Invalid {
        /// A JSON pointer to the argument.
        pointer: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The store cannot answer now, or too many requests write the same keys. Trying again may help.
    Unavailable(String),
    /// The stored data is not what this service stores, or it exceeds the host's limits. This is an error of the
    /// service.
    Internal(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Conflict(key) => Self::Unavailable(format!("{key} changes too often")),
            Error::TooLarge(text) => Self::Internal(format!("the store refuses it: {text}")),
        }
    }
}

/// One try of a transaction: what was read, and what is to be written if nothing of that has changed.
#[derive(Debug)]
pub struct Transaction<'p, P> {
    platform: &'p P,
    checks: Vec<Check>,
    writes: Vec<Write>,
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
        let value = serde_json::to_vec(value).expect("records have string keys and no fallible serializer");
        self.writes.push(Write::Put(Put { key, value }));
    }

    /// Removes `key` when the transaction commits.
    pub fn delete(&mut self, key: String) {
        self.writes.push(Write::Delete(key));
    }
}

/// Decodes the record that was found at `key`.
pub fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|error| Failure::Internal(format!("{key} holds no such record: {error}")))
}

/// Runs `decide` and commits what it wrote. Runs it again if something that it read has changed in the meantime.
///
/// An error of `decide` ends the transaction, and nothing is written. A result without writes ends it too, and is
/// only as consistent as its reads: values that must fit together have to be read in one call.
pub async fn transact<P, T, E>(
    platform: &P,
    decide: impl AsyncFnMut(&mut Transaction<'_, P>) -> Result<T, E>,
) -> Result<T, E>
where
    P: Platform,
    E: From<Failure>,
{
    attempt(platform, decide, async |checks, writes| platform.commit(checks, writes).await).await
}

/// The events that a transaction publishes when it commits.
#[derive(Debug, Default)]
pub struct Outbox(Vec<Event>);

impl Outbox {
    /// Publishes `payload` as JSON on `topic`, behind all earlier events of `key`.
    pub fn publish(&mut self, topic: &str, key: String, payload: &impl serde::Serialize) {
        let payload = serde_json::to_string(payload).expect("payloads have string keys and no fallible serializer");
        self.0.push(Event { topic: topic.to_owned(), key: Some(key), payload });
    }
}

/// Like [`transact`], and publishes what `decide` put into the outbox, in the same commit: both are on disk, or neither
/// is.
pub async fn transact_and_publish<P, T, E>(
    platform: &P,
    mut decide: impl AsyncFnMut(&mut Transaction<'_, P>, &mut Outbox) -> Result<T, E>,
) -> Result<T, E>
where
    P: Publisher,
    E: From<Failure>,
{
    let outbox = RefCell::new(Outbox::default());
    let decide = async |transaction: &mut Transaction<'_, P>| {
        // What an earlier try has put into it was not published.
        let mut events = Outbox::default();
        let answer = decide(transaction, &mut events).await;
        outbox.replace(events);
        answer
    };
    let commit = async |checks, writes| platform.commit_and_publish(checks, writes, outbox.take().0).await;
    attempt(platform, decide, commit).await
}

async fn attempt<P, T, E>(
    platform: &P,
    mut decide: impl AsyncFnMut(&mut Transaction<'_, P>) -> Result<T, E>,
    commit: impl AsyncFn(Vec<Check>, Vec<Write>) -> Result<u64, Error>,
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
        let mut transaction = Transaction { platform, checks: Vec::new(), writes: Vec::new() };
        let answer = decide(&mut transaction).await?;
        if transaction.writes.is_empty() {
            return Ok(answer);
        }
        match commit(transaction.checks, transaction.writes).await {
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
    fn events_are_published_with_the_writes_once_and_not_without_them() {
        let memory = Memory::fresh();
        let publish = async |fails: bool| {
            transact_and_publish(&memory, async |transaction, outbox| {
                let [value] = transaction.read(["n".to_owned()]).await?;
                let next = value.map_or(Ok(0), |value| decode::<u64>("n", &value))? + 1;
                transaction.put("n".to_owned(), &next);
                outbox.publish("counted", "n".to_owned(), &next);
                if fails { Err(Failure::Internal("refused".to_owned())) } else { Ok(next) }
            })
            .await
        };
        let mut answers = interleave(7, (0..6).map(|_| publish(false)).collect());
        answers.sort_by_key(|answer| answer.clone().ok());
        assert_eq!(answers, (1..=6).map(Ok).collect::<Vec<_>>());
        assert!(block_on(publish(true)).is_err());
        let payloads: Vec<_> = memory.events().into_iter().map(|event| event.payload).collect();
        assert_eq!(payloads, ["1", "2", "3", "4", "5", "6"]);
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
}
