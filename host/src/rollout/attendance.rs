//! Whose turn it is to be attended: each service has its own, so none waits for the move of another.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Has each of those in `wanting` make its moves, one after the other: `next_move` returns how long the one after it
/// can wait; `None`: until it is wanted again. After a `wake` nobody waits longer. It ends when it is dropped.
pub(super) async fn attend_each<N: Ord + Clone, M: Future<Output = Option<Duration>>>(
    wake: &Notify,
    wanting: impl Fn() -> Vec<N>,
    next_move: impl Fn(N) -> M,
) {
    let mut moves = FuturesUnordered::new();
    // Until when each of them waits; `None`: its move is under way.
    let mut rest = BTreeMap::<N, Option<Instant>>::new();
    // Those whose move was under way at the last wake.
    let mut woken = BTreeSet::new();
    loop {
        let now = Instant::now();
        rest.retain(|_, until| until.is_none_or(|until| until > now));
        for name in wanting() {
            if let Entry::Vacant(place) = rest.entry(name.clone()) {
                place.insert(None);
                let next = next_move(name.clone());
                moves.push(async move { (name, next.await) });
            }
        }
        let next = rest.values().flatten().min().copied();
        tokio::select! {
            Some((name, wait)) = moves.next() => {
                rest.remove(&name);
                let wait = wait.filter(|_| !woken.remove(&name));
                rest.extend(wait.map(|wait| (name, Some(Instant::now() + wait))));
            }
            () = wake.notified() => {
                rest.retain(|_, until| until.is_none());
                woken = rest.keys().cloned().collect();
            }
            () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::Mutex;
    use tokio::time::{sleep, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_move_that_takes_long_holds_no_other_service_up() {
        let (wake, moved) = (Notify::new(), Mutex::new(Vec::new()));
        let next_move = |name| {
            moved.lock().unwrap().push(name);
            async move {
                if name == "slow" {
                    pending::<()>().await;
                }
                Some(Duration::from_secs(1))
            }
        };
        let attended = attend_each(&wake, || vec!["bad", "slow"], next_move);
        timeout(Duration::from_millis(9_500), attended).await.unwrap_err();
        let moved = moved.lock().unwrap();
        let count = |name| moved.iter().filter(|own| **own == name).count();
        assert_eq!((count("slow"), count("bad")), (1, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_in_the_middle_of_a_move_is_not_lost() {
        let (wake, moved) = (Notify::new(), Mutex::new(0));
        let next_move = |()| {
            *moved.lock().unwrap() += 1;
            async {
                sleep(Duration::from_secs(5)).await;
                Some(Duration::from_secs(3600))
            }
        };
        let attended = attend_each(&wake, || vec![()], next_move);
        let woken = async {
            sleep(Duration::from_secs(2)).await;
            wake.notify_one();
            sleep(Duration::from_secs(60)).await;
        };
        tokio::select! {
            () = attended => {}
            () = woken => {}
        }
        assert_eq!(*moved.lock().unwrap(), 2, "one more after the wake, and then it waits");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_wanted_no_more_is_forgotten() {
        let (wake, moved, wanted) = (Notify::new(), Mutex::new(0), Mutex::new(vec![()]));
        let next_move = |()| {
            *moved.lock().unwrap() += 1;
            wanted.lock().unwrap().clear();
            async { Some(Duration::from_secs(1)) }
        };
        let attended = attend_each(&wake, || wanted.lock().unwrap().clone(), next_move);
        timeout(Duration::from_secs(60), attended).await.unwrap_err();
        assert_eq!(*moved.lock().unwrap(), 1);
    }
}
