//! What becomes of commits while a server is killed, paused or cut off: what was acknowledged stays, what failed with
//! "nothing was applied" is absent, what is in doubt is there once or not at all, and afterwards all is well by itself.

use super::super::{name, put, puts};
use super::over_each_server;
use super::postgres_server::TIMEOUT;
use super::severing_proxy::{Cut, SeveringProxy};
use super::tested_server::TestedServer;
use crate::state::{Bucket, Change, StateError, Store, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

over_each_server! {
    a_server_that_is_killed_loses_nothing_that_was_acknowledged
    a_server_that_is_paused_is_away_and_is_there_again
    an_idle_store_notices_by_itself_that_its_server_has_gone_and_come_back
    a_connection_that_is_cut_at_the_commit_leaves_nobody_in_doubt_while_the_server_can_be_asked
}

/// What became of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    NotApplied,
    InDoubt,
}

/// Writers that each put a new key in every commit, and count it.
struct Writers {
    tasks: JoinSet<BTreeMap<String, Outcome>>,
    over: Arc<AtomicBool>,
    /// How many commits were acknowledged.
    done: Arc<AtomicUsize>,
}

impl Writers {
    fn start(store: &Store) -> Self {
        let (over, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for writer in 0..8 {
            let (bucket, over, done) = (store.bucket(&name("users")), Arc::clone(&over), Arc::clone(&done));
            tasks.spawn(async move {
                let mut outcomes = BTreeMap::new();
                for number in 0.. {
                    if over.load(SeqCst) {
                        break;
                    }
                    let key = format!("{writer}/{number}");
                    let outcome = match commit(&bucket, &key).await {
                        Ok(()) => Outcome::Acknowledged,
                        Err(StateError::Unavailable { .. } | StateError::Taken { .. }) => Outcome::NotApplied,
                        Err(StateError::Io { .. }) => Outcome::InDoubt,
                        Err(error) => panic!("{error}"),
                    };
                    done.fetch_add(usize::from(outcome == Outcome::Acknowledged), SeqCst);
                    if outcome != Outcome::Acknowledged {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    outcomes.insert(key, outcome);
                }
                outcomes
            });
        }
        Self { tasks, over, done }
    }

    /// Waits for so many further acknowledged commits.
    async fn more(&self, count: usize) {
        let (wanted, until) = (self.done.load(SeqCst) + count, Instant::now() + TIMEOUT);
        while self.done.load(SeqCst) < wanted {
            assert!(Instant::now() < until, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them, and holds what they were told against what is there. Returns how often each outcome was.
    async fn check(self, store: &Store) -> [usize; 3] {
        self.over.store(true, SeqCst);
        let told = self.tasks.join_all().await.into_iter().flatten();
        let (bucket, mut counts) = (store.bucket(&name("users")), [0; 3]);
        let mut there = 0;
        for (key, outcome) in told {
            counts[outcome as usize] += 1;
            let found = bucket.get(vec![key.clone().into_bytes()]).await.unwrap().remove(0);
            match outcome {
                Outcome::Acknowledged => assert!(found.is_some(), "{key} was acknowledged, and is lost"),
                Outcome::NotApplied => assert!(found.is_none(), "{key} was said not to be applied"),
                Outcome::InDoubt => {}
            }
            there += u64::from(found.is_some());
        }
        let sum = bucket.get(vec!["sum".into()]).await.unwrap().remove(0).unwrap().value;
        assert_eq!(String::from_utf8(sum).unwrap(), there.to_string(), "each was applied once");
        counts
    }
}

async fn commit(bucket: &Bucket, key: &str) -> Result<(), StateError> {
    let writes = vec![put(key, "1"), ("sum".into(), Change::Add(1))];
    bucket.commit(Transaction { checks: vec![(key.into(), 0)], writes, beside: Vec::new() }).await.map(drop)
}

pub(super) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !is_so().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn closed(store: Store) {
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
}

async fn a_server_that_is_killed_loses_nothing_that_was_acknowledged(mut server: TestedServer) {
    let store = Store::connect(&server.settings("kills")).await.unwrap();
    let writers = Writers::start(&store);
    for _ in 0..5 {
        writers.more(50).await;
        server.kill();
        server.start_again().await;
    }
    writers.more(50).await;
    let [acknowledged, not_applied, in_doubt] = writers.check(&store).await;
    println!("killed 5 times: {acknowledged} acknowledged, {not_applied} not applied, {in_doubt} in doubt");
    assert!(store.takes_writes());
    server.has_nothing_left_open().await;
    closed(store).await;
}

async fn a_server_that_is_paused_is_away_and_is_there_again(server: TestedServer) {
    let store = Store::connect(&server.settings("pauses")).await.unwrap();
    let writers = Writers::start(&store);
    writers.more(50).await;
    server.pause();
    eventually("the store notices", async || !store.takes_writes()).await;
    server.go_on();
    eventually("the store notices that it is back", async || store.takes_writes()).await;
    writers.more(50).await;
    let [acknowledged, not_applied, in_doubt] = writers.check(&store).await;
    println!("paused: {acknowledged} acknowledged, {not_applied} not applied, {in_doubt} in doubt");
    closed(store).await;
}

async fn an_idle_store_notices_by_itself_that_its_server_has_gone_and_come_back(mut server: TestedServer) {
    let store = Store::connect(&server.settings("idle")).await.unwrap();
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("a", "1")])).await.unwrap();
    server.stop();
    eventually("the store notices", async || !store.takes_writes()).await;
    let refused = bucket.commit(puts(&[("a", "2")])).await;
    assert!(matches!(refused, Err(StateError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(bucket.get(vec!["a".into()]).await, Err(StateError::Unavailable { .. })));
    server.start_again().await;
    eventually("the store notices that it is back", async || store.takes_writes()).await;
    let locks = server.owners("idle").await;
    assert_eq!(locks, 1, "it says that it takes writes once it has the lock again, without a commit");
    bucket.commit(puts(&[("a", "3")])).await.unwrap();
    assert_eq!(bucket.get(vec!["a".into()]).await.unwrap().remove(0).unwrap().value, b"3");
    closed(store).await;
}

async fn a_connection_that_is_cut_at_the_commit_leaves_nobody_in_doubt_while_the_server_can_be_asked(
    server: TestedServer,
) {
    let proxy = SeveringProxy::before(server.port(), server.commit_bytes()).await;
    let store = Store::connect(&server.settings_at(proxy.port(), "cuts")).await.unwrap();
    let bucket = store.bucket(&name("users"));
    commit(&bucket, "first").await.unwrap();
    proxy.cut_next(Cut::Question);
    let lost = commit(&bucket, "question").await;
    assert!(matches!(lost, Err(StateError::Unavailable { .. })), "the server never got it: {lost:?}");
    proxy.cut_next(Cut::Answer);
    assert_eq!(commit(&bucket, "answer").await, Ok(()), "the server has it, and was asked");
    proxy.cut_next(Cut::AnswerAndAllLater);
    let doubtful = commit(&bucket, "doubt").await;
    assert!(matches!(doubtful, Err(StateError::Io { .. })), "nobody can be asked: {doubtful:?}");
    proxy.open();
    eventually("the store is back", async || commit(&bucket, "last").await.is_ok()).await;
    let keys = ["first", "question", "answer", "doubt", "last"].map(|key| key.as_bytes().to_vec());
    let found = bucket.get(keys.to_vec()).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, true]);
    server.has_nothing_left_open().await;
    closed(store).await;
}
