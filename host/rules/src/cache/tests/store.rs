//! The store: against a map without a bound, within its bound, and under a scan.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn key(at: usize) -> CacheKey {
    CacheKey::new(false, None, &format!("/{at}"), None)
}

fn digest() -> KeyDigest {
    KeyDigest::of((0, &CachePolicy::default()), &HeaderMap::new(), None, &[])
}

fn find(store: &AnswerStore, at: usize) -> Option<usize> {
    match store.find(&key(at), digest(), &HeaderMap::new(), Instant::now()) {
        StoreLookup::Found(kept) => Some(kept.content.len()),
        _ => None,
    }
}

fn put(store: &mut AnswerStore, at: usize, length: usize) -> bool {
    let begun = store.epoch();
    store.insert(&key(at), digest(), Arc::new(of_bytes(length)), begun)
}

/// Content elsewhere of so many bytes, which there is of until the last who has it drops it.
fn stored(length: usize, there: &Arc<AtomicUsize>) -> KeptAnswer {
    struct Place(usize, Arc<AtomicUsize>);
    impl Drop for Place {
        fn drop(&mut self) {
            self.1.fetch_sub(self.0, Relaxed);
        }
    }
    there.fetch_add(length, Relaxed);
    let place = Arc::new(Place(length, Arc::clone(there)));
    KeptAnswer { content: KeptContent::Stored(StoredContent { length, occupied: length, place }), ..of_bytes(0) }
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, usize),
    Store(usize, usize),
    Shrink(usize),
    Find(usize),
    Invalidate(usize),
    Purge(usize),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..40, 0_usize..3000).prop_map(|(at, length)| Step::Put(at, length)),
        8 => (0_usize..40, 0_usize..30_000).prop_map(|(at, length)| Step::Store(at, length)),
        1 => (0_usize..200_000).prop_map(Step::Shrink),
        8 => (0_usize..40).prop_map(Step::Find),
        2 => (0_usize..40).prop_map(Step::Invalidate),
        1 => (0_usize..40).prop_map(Step::Purge),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens, the store is within its bounds, and gives of each URI the latest answer or none. What has left
    /// it is gone elsewhere, too.
    #[test]
    fn a_store_is_a_map_that_forgets(
        steps in steps(),
        memory in 8_000_usize..100_000,
        elsewhere in 10_000_usize..200_000,
    ) {
        let (mut store, mut model) = (AnswerStore::new(memory, elsewhere), HashMap::new());
        let there = Arc::new(AtomicUsize::new(0));
        for step in steps {
            match step {
                Step::Put(at, length) => {
                    if put(&mut store, at, length) {
                        model.insert(at, length);
                    } else {
                        prop_assert!(of_bytes(length).weight() + 64 > memory / 10, "only what is too large is refused");
                    }
                }
                Step::Store(at, length) => {
                    let (kept, begun) = (stored(length, &there), store.epoch());
                    let weight = kept.weight() + 64;
                    if store.insert(&key(at), digest(), Arc::new(kept), begun) {
                        model.insert(at, length);
                    } else {
                        prop_assert!(length > elsewhere / 10 || weight > memory / 10, "only what is too large");
                    }
                }
                Step::Shrink(most) => {
                    prop_assert!(store.shrink_stored(most) && store.usage().stored_bytes <= most);
                }
                Step::Find(at) => {
                    let found = find(&store, at);
                    prop_assert!(found.is_none() || found == model.get(&at).copied());
                }
                Step::Invalidate(at) => {
                    store.invalidate(&key(at));
                    model.remove(&at);
                }
                Step::Purge(at) => {
                    store.purge(&Purge::Path(format!("/{at}")));
                    model.remove(&at);
                }
                Step::Clear => {
                    store.purge(&Purge::All);
                    model.clear();
                    prop_assert_eq!((store.usage().answers, store.usage().bytes), (0, 0));
                }
            }
            prop_assert!(store.usage().bytes <= memory && store.usage().stored_bytes <= elsewhere);
            prop_assert_eq!(store.usage().stored_bytes, there.load(Relaxed));
            prop_assert!(store.usage().answers <= model.len());
        }
    }
}

#[test]
fn a_store_with_room_forgets_nothing() {
    let mut store = AnswerStore::new(10 << 20, 0);
    (0..1000).for_each(|at| assert!(put(&mut store, at, 100)));
    assert!((0..1000).all(|at| find(&store, at) == Some(100)));
    assert_eq!((store.usage().answers, store.usage().evicted), (1000, 0));
}

#[test]
fn a_scan_moves_out_nothing_that_is_in_use() {
    let mut store = AnswerStore::new(1 << 20, 0);
    (0..100).for_each(|at| assert!(put(&mut store, at, 1000)));
    (0..2).for_each(|_| assert!((0..100).all(|at| find(&store, at).is_some())));
    // Ten times as much as there is room for, each asked for once, while the others stay in use.
    for at in 1000..6000 {
        put(&mut store, at, 1000);
        find(&store, at % 100);
    }
    let left = (0..100).filter(|at| find(&store, *at).is_some()).count();
    assert_eq!(left, 100);
    assert!(store.usage().evicted > 4000);
}

#[test]
fn large_answers_move_out_no_small_ones_and_their_headers_have_half_of_the_memory() {
    let (mut store, there) = (AnswerStore::new(100_000, 10 << 30), Arc::new(AtomicUsize::new(0)));
    (0..50).for_each(|at| assert!(put(&mut store, at, 100)));
    let begun = store.epoch();
    for at in 100..1000 {
        assert!(store.insert(&key(at), digest(), Arc::new(stored(1 << 20, &there)), begun));
    }
    assert!((0..50).all(|at| find(&store, at) == Some(100)));
    let StoreUse { bytes, stored: left, stored_bytes, evicted, .. } = store.usage();
    assert!(bytes <= 100_000 && (30..90).contains(&left) && evicted == 900 - left as u64, "{:?}", store.usage());
    assert_eq!((stored_bytes, there.load(Relaxed)), (left << 20, left << 20));
    // From memory to elsewhere and back.
    assert!(store.insert(&key(1), digest(), Arc::new(stored(7, &there)), begun));
    assert_eq!(find(&store, 1), Some(7));
    assert!(put(&mut store, 1, 3));
    assert_eq!((find(&store, 1), there.load(Relaxed)), (Some(3), store.usage().stored_bytes));
}

#[test]
fn a_change_leaves_no_answer_behind_that_was_fetched_before_it() {
    let mut store = AnswerStore::new(1 << 20, 0);
    let begun = store.epoch();
    store.invalidate(&key(1));
    assert!(!store.insert(&key(1), digest(), Arc::new(of_bytes(1)), begun), "it may be older than the change");
    assert!(store.insert(&key(2), digest(), Arc::new(of_bytes(1)), begun), "another URI");
    assert!(put(&mut store, 1, 1), "a later fetch");
    let begun = store.epoch();
    // More changes than are remembered: then every fetch of before counts as changed.
    (10..3000).for_each(|at| assert_eq!(store.invalidate(&key(at)), 0));
    assert!(!store.insert(&key(5), digest(), Arc::new(of_bytes(1)), begun));
    let begun = store.epoch();
    store.purge(&Purge::Tag("a".into()));
    assert!(!store.insert(&key(6), digest(), Arc::new(of_bytes(1)), begun));
}

#[test]
fn a_uri_that_is_kept_and_changed_in_turn_does_not_grow() {
    let mut store = AnswerStore::new(1 << 20, 0);
    for _ in 0..100_000 {
        assert!(put(&mut store, 1, 10));
        store.invalidate(&key(1));
    }
    assert_eq!(store.usage().answers, 0);
    assert!(store.places() < 5000, "{}", store.places());
}

#[test]
fn one_uri_has_a_bounded_number_of_variants_of_which_the_latest_stay() {
    let mut store = AnswerStore::new(10 << 20, 0);
    let of = |value: usize| headers(&[("foo", &value.to_string())]);
    for value in 0..100 {
        let selection = Selection::of(&headers(&[("vary", "foo")]), &of(value)).expect("it selects");
        let kept = KeptAnswer { selection, ..of_bytes(value) };
        assert!(store.insert(&key(1), digest(), Arc::new(kept), 0));
    }
    let found = |value| match store.find(&key(1), digest(), &of(value), Instant::now()) {
        StoreLookup::Found(kept) => Some(kept.content.len()),
        StoreLookup::OtherVariants(Some(_)) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!((found(99), found(68), found(67), store.usage().answers), (Some(99), Some(68), None, 32));
}

#[test]
fn a_mark_that_answers_are_not_kept_ends_by_time_or_by_an_answer() {
    let mut store = AnswerStore::new(1 << 20, 0);
    let now = Instant::now();
    store.pass(&key(1), digest(), now + Duration::from_secs(10));
    let look =
        |store: &AnswerStore, later| store.find(&key(1), digest(), &HeaderMap::new(), now + Duration::from_secs(later));
    assert!(matches!(look(&store, 9), StoreLookup::Pass) && matches!(look(&store, 10), StoreLookup::Nothing));
    assert!(put(&mut store, 1, 5));
    assert!(matches!(look(&store, 9), StoreLookup::Found(_)));
    assert_eq!(store.usage().answers, 1);
}
