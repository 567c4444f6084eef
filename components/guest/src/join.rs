//! Runs two futures at the same time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs both futures concurrently, and returns both results.
pub async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(|context| {
        // A completed future must not be polled again.
        if one.is_none()
            && let Poll::Ready(value) = first.as_mut().poll(context)
        {
            one = Some(value);
        }
        if other.is_none()
            && let Poll::Ready(value) = second.as_mut().poll(context)
        {
            other = Some(value);
        }
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (first, second) => {
                (one, other) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::memory::{block_on, yield_now};

    #[test]
    fn both_futures_run_concurrently() {
        let (steps, most) = (Cell::new(0), Cell::new(0));
        let count = async |turns: u32| {
            steps.set(steps.get() + 1);
            most.set(most.get().max(steps.get()));
            for _ in 0..turns {
                yield_now().await;
            }
            steps.set(steps.get() - 1);
            turns
        };
        for turns in [(0, 0), (0, 3), (3, 0), (2, 2)] {
            assert_eq!(block_on(both(count(turns.0), count(turns.1))), turns);
        }
        assert_eq!((steps.get(), most.get()), (0, 2));
    }
}
