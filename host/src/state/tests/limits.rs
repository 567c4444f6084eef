//! The bounds hold, and requests just inside of them succeed.

use super::{name, open_on, sim_disk::SimDisk};
use crate::state::{Bucket, Change, Embedded, Settings, StateError, Store, Transaction, limit};
use std::sync::Arc;

fn bucket() -> Bucket {
    let embedded = Embedded::start(open_on(&SimDisk::default()).unwrap(), &Settings::default()).unwrap();
    Store::new(Arc::new(embedded)).bucket(&name("users"))
}

fn write(key: Vec<u8>, bytes: usize) -> Transaction {
    Transaction { beside: Vec::new(), checks: Vec::new(), writes: vec![(key, Change::Put(vec![7; bytes]))] }
}

fn is_too_large<T>(answer: Result<T, StateError>) -> bool {
    matches!(answer, Err(StateError::TooLarge { .. }))
}

#[tokio::test]
async fn keys_and_values_are_bounded() {
    let bucket = bucket();
    bucket.commit(write(vec![1; limit::KEY], limit::VALUE)).await.unwrap();
    let found = bucket.get(vec![vec![1; limit::KEY]]).await.unwrap().remove(0).unwrap();
    assert_eq!(found.value.len(), limit::VALUE);
    assert!(is_too_large(bucket.commit(write(vec![1; limit::KEY + 1], 1)).await));
    assert!(is_too_large(bucket.commit(write(vec![1], limit::VALUE + 1)).await));
    assert_eq!(bucket.commit(write(Vec::new(), 1)).await, Err(StateError::EmptyKey));
    let checks = Transaction { beside: Vec::new(), checks: vec![(Vec::new(), 0)], writes: Vec::new() };
    assert_eq!(bucket.commit(checks).await, Err(StateError::EmptyKey));
    assert_eq!(bucket.get(vec![Vec::new()]).await, Err(StateError::EmptyKey));
    assert!(is_too_large(bucket.get(vec![vec![1; limit::KEY + 1]]).await));
    assert!(is_too_large(bucket.scan(vec![1; limit::KEY + 1], None, 1).await));
    assert!(is_too_large(bucket.keys(Vec::new(), Some(vec![1; limit::KEY + 1]), 1).await));
}

#[tokio::test]
async fn transactions_are_bounded() {
    let bucket = bucket();
    let many = |count: usize| Transaction {
        beside: Vec::new(),
        checks: (0..count).map(|n| (n.to_string().into(), 0)).collect(),
        writes: (0..count).map(|n| (n.to_string().into(), Change::Put(Vec::new()))).collect(),
    };
    assert!(is_too_large(bucket.commit(many(limit::KEYS + 1)).await));
    assert_eq!(bucket.commit(many(limit::KEYS)).await.unwrap().version, 1);
    let full = |count: u8| Transaction {
        beside: Vec::new(),
        checks: Vec::new(),
        writes: (0..count).map(|n| (vec![n], Change::Put(vec![0; limit::VALUE - 1]))).collect(),
    };
    assert!(is_too_large(bucket.commit(full(5)).await));
    bucket.commit(full(4)).await.unwrap();
}

#[tokio::test]
async fn reads_are_bounded() {
    let bucket = bucket();
    for n in 0..5 {
        bucket.commit(write(vec![n], limit::VALUE)).await.unwrap();
    }
    assert!(is_too_large(bucket.get(vec![vec![9]; limit::KEYS + 1]).await));
    assert_eq!(bucket.get(vec![vec![9]; limit::KEYS]).await.unwrap(), vec![None; limit::KEYS]);
    assert!(is_too_large(bucket.get((0..5).map(|n| vec![n]).collect()).await));
    assert!(bucket.get((0..4).map(|n| vec![n]).collect()).await.is_ok());

    // A value that is larger than a page gets a page of its own.
    let page = bucket.scan(Vec::new(), None, 1000).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, Some(vec![0])));
    let page = bucket.scan(Vec::new(), Some(vec![3]), 1000).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(bucket.keys(Vec::new(), None, 1000).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn a_page_has_at_least_one_and_at_most_a_thousand_items() {
    let bucket = bucket();
    let keys = |from: usize| (from..from + 600).map(|n| (format!("{n:06}").into(), Change::Put(Vec::new()))).collect();
    for from in [0, 600] {
        bucket.commit(Transaction { beside: Vec::new(), checks: Vec::new(), writes: keys(from) }).await.unwrap();
    }
    assert_eq!(bucket.scan(Vec::new(), None, 0).await.unwrap().items.len(), 1);
    let page = bucket.keys(Vec::new(), None, usize::MAX).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1000, Some("000999".into())));
    let rest = bucket.keys(Vec::new(), Some("000999".into()), usize::MAX).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (200, None));
    // A cursor before the prefix starts at the prefix; a cursor behind the prefix finds nothing.
    assert_eq!(bucket.keys("0011".into(), Some("0".into()), 9).await.unwrap().items[0], b"001100");
    assert!(bucket.keys("0011".into(), Some("1".into()), 9).await.unwrap().items.is_empty());
}
