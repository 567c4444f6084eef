//! The platform as Atoll provides it to a component.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::random::random;

use crate::bindings::atoll::state::transactions::{self, Check, Error, Page, Versioned, Write};
use crate::bindings::wasi::config::store;
use crate::events::Event;
use crate::platform::Platform;

/// The host that this component runs in.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Platform for Host {
    fn current() -> Self {
        Self
    }

    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Error> {
        transactions::get_many(keys).await
    }

    async fn scan(&self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, Error> {
        transactions::scan(prefix, after, limit).await
    }

    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>, events: Vec<Event>) -> Result<u64, Error> {
        transactions::commit(checks, writes, events).await
    }

    fn setting(&self, key: &str) -> Result<Option<String>, String> {
        store::get(key).map_err(|error| match error {
            store::Error::Upstream(text) | store::Error::Io(text) => text,
        })
    }

    fn now(&self) -> u64 {
        let now = system_clock::now();
        // A clock before 1970 is wrong anyway, so it counts as 1970.
        u64::try_from(now.seconds).unwrap_or(0) * 1_000 + u64::from(now.nanoseconds / 1_000_000)
    }

    fn random(&self) -> u64 {
        random::get_random_u64()
    }

    async fn wait(&self, time: Duration) {
        monotonic_clock::wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
    }

    async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        let (mut future, mut end) = (pin!(future), pin!(self.wait(time)));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => end.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}
