//! What is watched ends before the first change of it can be read: against a naive model, at the moments of a batch,
//! and under writers and readers at once.

use super::{concurrency::store_on, name, puts, sim_disk::SimDisk};
use crate::base::{ReadStanding, ServiceName};
use crate::state::key_watches::{KeyWatches, Watched};
use crate::state::{Change, Key, Settings, StateError, Store, Transaction};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Poll;

fn key(text: &str) -> Key {
    text.into()
}

fn watched_store(disk: &SimDisk) -> Store {
    let store = store_on(disk, &Settings::default());
    store.switch_watches_on();
    store
}

fn write(change: (Key, Change)) -> Transaction {
    Transaction { writes: vec![change], ..Transaction::default() }
}

/// What one watch of the model watches.
#[derive(Debug, Clone)]
enum ModelWatch {
    Keys(Vec<Key>),
    Listing { prefix: Key, after: Option<Key>, to: Option<Key> },
}

impl ModelWatch {
    fn sees(&self, changed: &BTreeSet<Key>) -> bool {
        changed.iter().any(|key| match self {
            Self::Keys(keys) => keys.contains(key),
            Self::Listing { prefix, after, to } => {
                key.starts_with(prefix)
                    && after.as_ref().is_none_or(|after| key > after)
                    && to.as_ref().is_none_or(|to| key <= to)
            }
        })
    }

    fn watched(&self) -> Watched<'_> {
        match self {
            Self::Keys(keys) => Watched::Keys(keys),
            Self::Listing { prefix, after, to } => {
                Watched::Listing { prefix, after: after.as_deref(), to: to.as_deref() }
            }
        }
    }
}

/// A step of the property test. Buckets are 0 and 1.
#[derive(Debug, Clone)]
enum Step {
    Watch(u8, ModelWatch),
    Drop(usize),
    Begin(Vec<(u8, Vec<(Key, bool)>)>),
    End,
    Erase(u8),
    EndAll,
}

fn keys() -> impl Strategy<Value = Key> {
    prop::collection::vec(prop::sample::select(b"ab/".to_vec()), 1..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let listing = (prop::collection::vec(prop::sample::select(b"ab/".to_vec()), 0..3), keys(), keys(), 0..4_u8);
    let listing = listing.prop_map(|(prefix, after, to, which)| ModelWatch::Listing {
        prefix,
        after: (which & 1 > 0).then_some(after),
        to: (which & 2 > 0).then_some(to),
    });
    let watch = prop_oneof![prop::collection::vec(keys(), 1..3).prop_map(ModelWatch::Keys), listing];
    let writes = prop::collection::vec((keys(), prop::bool::weighted(0.2)), 0..4);
    let step = prop_oneof![
        8 => (0..2_u8, watch).prop_map(|(bucket, watch)| Step::Watch(bucket, watch)),
        2 => (0..64_usize).prop_map(Step::Drop),
        3 => prop::collection::vec((0..2_u8, writes), 1..3).prop_map(Step::Begin),
        3 => Just(Step::End),
        1 => (0..2_u8).prop_map(Step::Erase),
        1 => Just(Step::EndAll),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a batch is known to change before it is written: an append gets its key from the writer, below its counter.
fn changed(writes: &[(Key, bool)], watch: &ModelWatch) -> bool {
    let exact: BTreeSet<Key> = writes.iter().map(|(key, _)| key.clone()).collect();
    let below = writes.iter().filter(|(_, append)| *append).map(|(key, _)| [key.as_slice(), b"/"].concat());
    watch.sees(&exact)
        || below.into_iter().any(|below| match watch {
            ModelWatch::Keys(keys) => keys.iter().any(|key| key.starts_with(&below)),
            ModelWatch::Listing { prefix, .. } => prefix.starts_with(&below) || below.starts_with(prefix),
        })
}

proptest! {
    #[test]
    fn a_watch_ends_exactly_when_the_model_says(steps in steps()) {
        let watches = Arc::new(KeyWatches::default());
        watches.switch_on();
        let buckets = [name("users"), name("user")];
        let mut open: Vec<(u8, ModelWatch, ReadStanding, bool)> = Vec::new();
        let mut writing: Vec<(u8, Vec<(Key, bool)>)> = Vec::new();
        let mut erased: Option<u8> = None;
        for step in steps {
            match step {
                Step::Watch(bucket, watch) => {
                    let standing = ReadStanding::default();
                    let found = watches.watch(&buckets[usize::from(bucket)], watch.watched(), &standing);
                    if let Some(found) = found {
                        standing.hold(found, 1, 0);
                    }
                    let ended = erased == Some(bucket)
                        || writing.iter().any(|(own, writes)| *own == bucket && changed(writes, &watch));
                    open.push((bucket, watch, standing, ended));
                }
                Step::Drop(at) => {
                    if !open.is_empty() {
                        open.swap_remove(at % open.len());
                    }
                }
                Step::Begin(batch) if writing.is_empty() && erased.is_none() => {
                    let change = |append: bool| if append { Change::Append(Vec::new()) } else { Change::Delete };
                    let transactions: Vec<(ServiceName, Transaction)> = batch
                        .iter()
                        .map(|(bucket, writes)| {
                            let writes = writes.iter().map(|(key, append)| (key.clone(), change(*append))).collect();
                            (buckets[usize::from(*bucket)].clone(), Transaction { writes, ..Transaction::default() })
                        })
                        .collect();
                    watches.begin_batch(&transactions);
                    for (bucket, watch, _, ended) in &mut open {
                        *ended |= batch.iter().any(|(own, writes)| own == bucket && changed(writes, watch));
                    }
                    writing = batch;
                }
                Step::Erase(bucket) if writing.is_empty() && erased.is_none() => {
                    watches.begin_erasure(&buckets[usize::from(bucket)]);
                    open.iter_mut().filter(|(own, ..)| *own == bucket).for_each(|(.., ended)| *ended = true);
                    erased = Some(bucket);
                }
                Step::Begin(_) | Step::Erase(_) => {}
                Step::End => {
                    watches.end_batch();
                    (writing, erased) = (Vec::new(), None);
                }
                Step::EndAll => {
                    watches.end_all();
                    open.iter_mut().for_each(|(.., ended)| *ended = true);
                    (writing, erased) = (Vec::new(), None);
                }
            }
            for (_, watch, standing, ended) in &open {
                prop_assert_eq!(standing.stands(), !ended, "{:?}", watch);
            }
        }
        drop(open);
        prop_assert_eq!(watches.len(), 0, "what nobody holds is not watched");
    }
}

/// The four moments at which a watch may come: before a batch, while it is written, after it, and for another key.
#[tokio::test]
async fn a_watch_of_what_is_being_written_never_stands() {
    let disk = SimDisk::default();
    let store = watched_store(&disk);
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("user/a", "1"), ("user/b", "1")])).await.unwrap();
    let stand = |keys: &[&str]| {
        let standing = ReadStanding::default();
        bucket.watch_keys(&keys.iter().map(|text| key(text)).collect::<Vec<_>>(), &standing);
        standing
    };
    let (before, other, absent) = (stand(&["user/a"]), stand(&["user/b"]), stand(&["user/c"]));
    let listed = ReadStanding::default();
    let _listing = bucket.watch_listing(b"user/", (None, None), &listed);
    disk.shut_gate();
    let mut commit = pin!(bucket.commit(puts(&[("user/a", "2"), ("user/c", "1")])));
    assert!(poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending())).await);
    disk.wait_for_sync();
    assert!(!before.stands(), "the change is not acknowledged, and what rests on the value is gone");
    assert!(!absent.stands(), "an absent key is watched as well");
    assert!(!listed.stands(), "and so is the place of a new key in a listing");
    assert!(other.stands());
    let (while_written, other_then) = (stand(&["user/a"]), stand(&["user/b"]));
    assert!(!while_written.stands(), "its read may find the value before or the one after");
    assert!(other_then.stands());
    disk.open_gate();
    commit.await.unwrap();
    let after = stand(&["user/a"]);
    assert!(after.stands() && other.stands() && other_then.stands());
    bucket.commit(write((key("user/a"), Change::Add(1)))).await.unwrap();
    assert!(!after.stands(), "an addition");
    let kept = stand(&["user/b"]);
    let refused = bucket.commit(Transaction { checks: vec![(key("user/b"), 7)], ..puts(&[("user/b", "2")]) }).await;
    assert!(matches!(refused, Err(StateError::Conflict { .. })));
    assert!(!kept.stands(), "whether a commit is refused is known too late");
}

#[tokio::test]
async fn an_erasure_a_failed_batch_and_a_store_without_watches_end_what_is_watched() {
    let disk = SimDisk::default();
    let unwatched = store_on(&disk, &Settings::default());
    let standing = ReadStanding::default();
    unwatched.bucket(&name("users")).watch_keys(&[key("a")], &standing);
    assert!(!standing.stands(), "nobody would tell");
    unwatched.erase(&name("users")).await.unwrap();
    unwatched.switch_watches_on();
    let switched_on = ReadStanding::default();
    unwatched.bucket(&name("users")).watch_keys(&[key("a")], &switched_on);
    assert!(switched_on.stands(), "what was erased before does not matter");
    drop(unwatched);

    let disk = SimDisk::default();
    let store = watched_store(&disk);
    let (users, user) = (store.bucket(&name("users")), store.bucket(&name("user")));
    users.commit(puts(&[("a", "1")])).await.unwrap();
    let (own, others) = (ReadStanding::default(), ReadStanding::default());
    users.watch_keys(&[key("a")], &own);
    user.watch_keys(&[key("a")], &others);
    store.erase(&name("users")).await.unwrap();
    assert!(!own.stands() && others.stands());
    let again = ReadStanding::default();
    users.watch_keys(&[key("a")], &again);
    assert!(again.stands(), "the erasure is over");
    disk.cut_power_after(0);
    users.commit(puts(&[("b", "1")])).await.unwrap_err();
    assert!(!again.stands() && !others.stands(), "nobody knows what the database says after a failure");
}

/// Whoever has the acknowledgement of a write never finds the standing of an older read: 4 writers, 8 readers. The same
/// with the read itself: what stands after it is what the database says.
#[test]
fn no_standing_outlives_the_acknowledgement_of_a_change() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let disk = SimDisk::default();
        let store = watched_store(&disk);
        let acknowledged: Arc<[AtomicU64; 4]> = Arc::default();
        let writers = (0..4_usize).map(|at| {
            let (bucket, acknowledged) = (store.bucket(&name("users")), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 1..=200_u64 {
                    bucket.commit(puts(&[(&format!("k/{at}"), &number.to_string())])).await.unwrap();
                    acknowledged[at].store(number, SeqCst);
                }
            })
        });
        let readers = (0..8_usize).map(|at| {
            let (bucket, acknowledged) = (store.bucket(&name("users")), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let (at, mut stood) = (at % 4, 0_u32);
                while acknowledged[at].load(SeqCst) < 200 {
                    let standing = ReadStanding::default();
                    let keys = [key(&format!("k/{at}"))];
                    bucket.watch_keys(&keys, &standing);
                    let found = bucket.get(keys.to_vec()).await.unwrap().remove(0);
                    let found = found.map_or(0, |found| String::from_utf8(found.value).unwrap().parse().unwrap());
                    for _ in 0..20 {
                        let least = acknowledged[at].load(SeqCst);
                        if !standing.stands() {
                            break;
                        }
                        assert!(found >= least, "{found} still stands after {least} was acknowledged");
                        stood += 1;
                        tokio::task::yield_now().await;
                    }
                }
                stood
            })
        });
        let tasks: (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());
        for writer in tasks.0 {
            writer.await.unwrap();
        }
        let mut stood = 0;
        for reader in tasks.1 {
            stood += reader.await.unwrap();
        }
        assert!(stood > 0, "some reads have stood for a while");
    });
}
