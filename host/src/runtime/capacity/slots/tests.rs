//! Calls that wait for slots, as tasks.

use super::*;
use crate::runtime::capacity::depth_class::CLASSES;
use futures_util::FutureExt;
use futures_util::future::join_all;

fn service(slots: &Slots, name: &str) -> Arc<ServiceSlots> {
    slots.service(&ServiceName::new(name).unwrap(), 1, 1)
}

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_calls_as_long_as_there_are_classes_never_deadlocks() {
    for total in [8, 9, 13, 40] {
        let slots = Slots::new(total);
        let services: Vec<_> = ["a", "b", "c"].map(|name| service(&slots, name)).into();
        let pressure = Arc::new(PoolPressure::default());
        let chains = (0..60).map(|chain: usize| {
            let (services, pressure) = (services.clone(), Arc::clone(&pressure));
            tokio::spawn(async move {
                let mut held = Vec::new();
                for depth in 0..CLASSES {
                    let service = &services[(chain + depth * depth) % services.len()];
                    held.push(service.take_until(DepthClass::of(depth), 1, soon(60_000), &pressure).await.unwrap());
                    tokio::task::yield_now().await;
                }
            })
        });
        // The paused clock moves only when no task can run: then the first deadline would end a wait.
        for ended in join_all(chains.collect::<Vec<_>>()).await {
            ended.expect("they wait for each other");
        }
        slots.all_free().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_leaves_the_queue() {
    let slots = Slots::new(8);
    let (flood, other) = (service(&slots, "flood"), service(&slots, "other"));
    let pressure = PoolPressure::default();
    let held: Vec<_> = std::iter::from_fn(|| flood.try_take(DepthClass::LAST, 1)).collect();
    assert_eq!(flood.share().held, 7, "one slot of the reserve is for the other service");
    let began = Instant::now();
    let mut late = Box::pin(flood.take_until(DepthClass::LAST, 1, soon(100), &pressure));
    assert!(late.as_mut().now_or_never().is_none());
    tokio::time::advance(Duration::from_millis(40)).await;
    let share = PoolShare { held: 7, waiting: 1, longest_wait: Duration::from_millis(40) };
    assert_eq!(flood.share(), share);
    assert!(pressure.has_waiting_calls());
    let own = other.take_until(DepthClass::of(0), 1, soon(100), &pressure).now_or_never();
    assert!(own.is_some_and(|own| own.is_ok_and(|own| own.is_reserved())), "the other service does not wait");
    assert!(late.await.is_err());
    assert_eq!(began.elapsed(), Duration::from_millis(100));
    assert_eq!(flood.share(), PoolShare { waiting: 0, longest_wait: Duration::ZERO, ..share });
    assert!(!pressure.has_waiting_calls());
    drop(held);
    slots.all_free().await;
}

#[tokio::test(start_paused = true)]
async fn slots_that_reach_a_call_that_has_just_gone_go_to_the_next_one() {
    let slots = Slots::new(6);
    let only = service(&slots, "only");
    let pressure = PoolPressure::default();
    let mut held: Vec<_> = std::iter::from_fn(|| only.try_take(DepthClass::LAST, 1)).collect();
    assert_eq!(held.len(), 6);
    let mut first = Box::pin(only.take_until(DepthClass::LAST, 1, soon(1_000), &pressure));
    let mut second = Box::pin(only.take_until(DepthClass::LAST, 1, soon(1_000), &pressure));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    held.pop();
    drop(first); // its slot has arrived, and nobody takes it
    assert!(second.now_or_never().is_some_and(|slots| slots.is_ok()));
    drop(held);
    slots.all_free().await;
}

#[test]
fn a_service_has_one_account_through_its_revisions() {
    let slots = Slots::new(16);
    let (before, after) = (service(&slots, "users"), service(&slots, "users"));
    let held = before.try_take(DepthClass::of(0), 1).unwrap();
    assert_eq!(after.share().held, 1);
    drop(before);
    drop(held);
    assert_eq!(after.share().held, 0);
    drop(after);
    assert_eq!(service(&slots, "users").share(), PoolShare::default());
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_grows_serves_a_call_that_waits() {
    let slots = Slots::new(16);
    let (flood, other) = (service(&slots, "flood"), service(&slots, "other"));
    let pressure = PoolPressure::default();
    // The part of the first class, and the flood's own slot of the reserve. There are free slots for deeper calls.
    let held: Vec<_> = std::iter::from_fn(|| flood.try_take(DepthClass::of(0), 1)).collect();
    let mut wide = Box::pin(other.take_until(DepthClass::of(0), 2, soon(1_000), &pressure));
    assert!(wide.as_mut().now_or_never().is_none(), "one slot of the reserve is left");
    let same = slots.service(&ServiceName::new("other").unwrap(), 1, 2);
    assert!(wide.now_or_never().is_some_and(|slots| slots.is_ok_and(|slots| slots.is_reserved())));
    drop((same, held));
    slots.all_free().await;
}
