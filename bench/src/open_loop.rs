//! Open-loop load: requests are due at a fixed rate, whatever happens to earlier ones.
//!
//! A client that waits for an answer before it sends the next request sends less to a server that stalls, and never
//! sees the worst of it (coordinated omission). Here a request's time counts from the moment when it was due, so
//! waiting for a free connection is included.

use crate::native::Client;
use anyhow::Context;
use http::StatusCode;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Connections that are opened before the load begins, or fewer if fewer are allowed, so that opening them is not
/// measured.
const READY: usize = 64;

/// Enough for all requests that a server leaves waiting for a third of a second, at 1,600 requests per second.
pub(crate) const CONNECTIONS: usize = 512;

/// How long a client waits for an answer: longer than every deadline of the measured servers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How late the load itself may be at p99. If it is later, the machine was busy with something else, and the times
/// say little.
pub(crate) const LATEST: Duration = Duration::from_millis(5);

/// What is requested, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// `127.0.0.1:…`
    pub(crate) address: &'a str,
    pub(crate) path: &'a str,
    /// The most connections at a time. Further requests wait for one, and their time runs.
    pub(crate) connections: usize,
    /// Requests per second.
    pub(crate) rate: u32,
    /// When the first request is due.
    pub(crate) start: Instant,
    /// For how long requests are due.
    pub(crate) duration: Duration,
}

/// The result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When the request was due, since the start of the load.
    pub(crate) due: Duration,
    /// How late the load began the request: the load's own delay, and part of `took`.
    pub(crate) late: Duration,
    /// From when the request was due until its answer was read completely, or until it failed.
    pub(crate) took: Duration,
    /// `None` if the connection broke or no answer came in time.
    pub(crate) status: Option<StatusCode>,
}

impl Sample {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == Some(StatusCode::OK)
    }
}

/// Sends requests at the rate of the offer. Returns the result of each request, in no order.
///
/// # Errors
/// If nothing listens there before the load begins.
pub(crate) async fn offer(offer: Offer<'_>) -> anyhow::Result<Vec<Sample>> {
    let connections = Arc::new(Connections::open(&offer).await?);
    let count = offer.count();
    let (mut samples, mut in_flight) = (Vec::with_capacity(count), JoinSet::new());
    for number in 0..count {
        let due = offer.due(number);
        // The runtime's timer has a resolution of a millisecond, so a request that is due within one is begun at its
        // end.
        sleep_until(offer.start + due).await;
        let (connections, at) = (Arc::clone(&connections), offer.start + due);
        in_flight.spawn(async move {
            let late = at.elapsed();
            let status = timeout(ANSWER_TIMEOUT, connections.get()).await.ok().and_then(Result::ok);
            Sample { due, late, took: at.elapsed(), status }
        });
        while let Some(sample) = in_flight.try_join_next() {
            samples.push(sample.context("a request panicked")?);
        }
    }
    while let Some(sample) = in_flight.join_next().await {
        samples.push(sample.context("a request panicked")?);
    }
    Ok(samples)
}

impl Offer<'_> {
    fn count(&self) -> usize {
        usize::try_from(self.duration.as_micros() * u128::from(self.rate) / 1_000_000).unwrap_or(usize::MAX)
    }

    fn due(&self, number: usize) -> Duration {
        Duration::from_nanos(number as u64 * 1_000_000_000 / u64::from(self.rate))
    }
}

/// Connections to one server, used one after the other, so that the server always has the same number of clients.
struct Connections {
    address: String,
    path: String,
    idle: Mutex<VecDeque<Client>>,
    room: Semaphore,
}

impl Connections {
    async fn open(offer: &Offer<'_>) -> anyhow::Result<Self> {
        let mut idle = VecDeque::with_capacity(offer.connections);
        for _ in 0..READY.min(offer.connections) {
            idle.push_back(Client::connect(offer.address).await?);
        }
        Ok(Self {
            address: offer.address.to_owned(),
            path: offer.path.to_owned(),
            idle: Mutex::new(idle),
            room: Semaphore::new(offer.connections),
        })
    }

    /// Sends one request, on a free connection or a new one, and reads the whole answer.
    async fn get(&self) -> anyhow::Result<StatusCode> {
        let _room = self.room.acquire().await?;
        let mut client = match self.take() {
            Some(client) => client,
            None => Client::connect(&self.address).await?,
        };
        let (status, _) = client.get_any_status(&self.path).await?;
        self.idle().push_back(client);
        Ok(status)
    }

    /// A free connection that the server has not closed.
    fn take(&self) -> Option<Client> {
        let mut idle = self.idle();
        loop {
            let client = idle.pop_front()?;
            if !client.is_closed() {
                return Some(client);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Client>> {
        self.idle.lock().expect("nothing panics while it holds the list")
    }
}

/// Response times: quantiles by the nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) max: Duration,
}

impl Times {
    /// `None` if there are no times.
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        let max = *times.last()?;
        let at = |permille: usize| times[(times.len() * permille).div_ceil(1000) - 1];
        Some(Self { p50: at(500), p99: at(990), p999: at(999), max })
    }
}

/// Milliseconds, for tables.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    #[test]
    fn quantiles_are_taken_by_the_nearest_rank() {
        assert_eq!(Times::of([]), None);
        let ms = Duration::from_millis;
        assert_eq!(Times::of([ms(7)]), Some(Times { p50: ms(7), p99: ms(7), p999: ms(7), max: ms(7) }));
        let times = Times::of((1..=2000).rev().map(ms));
        assert_eq!(times, Some(Times { p50: ms(1000), p99: ms(1980), p999: ms(1998), max: ms(2000) }));
    }

    /// Ten requests in 100 ms.
    fn brief(address: &str, connections: usize) -> Offer<'_> {
        let duration = Duration::from_millis(100);
        Offer { address, path: "/", connections, rate: 100, start: Instant::now(), duration }
    }

    /// Starts a server that answers after `delay`. Returns its task and its address.
    async fn server(delay: Duration) -> (JoinHandle<anyhow::Result<()>>, String) {
        let (sender, address) = oneshot::channel();
        let announce = |address: &str| sender.send(address.to_owned()).map_err(std::io::Error::other);
        let server = tokio::spawn(upstream::answer(announce, move || delay));
        (server, address.await.unwrap())
    }

    #[test]
    fn requests_are_due_at_equal_intervals() {
        let offer = Offer { rate: 400, duration: Duration::from_millis(1500), ..brief("", 1) };
        assert_eq!(offer.count(), 600);
        assert_eq!(offer.due(0), Duration::ZERO);
        assert_eq!(offer.due(599), Duration::from_micros(599 * 2500));
    }

    #[tokio::test]
    async fn the_wait_for_a_free_connection_is_part_of_a_requests_time() {
        let delay = Duration::from_millis(50);
        let (server, address) = server(delay).await;
        let mut samples = offer(brief(&address, 1)).await.unwrap();
        samples.sort_by_key(|sample| sample.due);
        assert_eq!(samples.len(), 10);
        // One connection serves one request after the other, and no timer is early.
        for (number, sample) in (1..).zip(&samples) {
            assert!(sample.is_ok() && sample.took >= delay * number - sample.due, "{number}: {sample:?}");
            assert!(sample.late < sample.took, "{number}: {sample:?}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_request_to_a_server_that_has_ended_is_an_error() {
        let (server, address) = server(Duration::ZERO).await;
        let connections = Connections::open(&brief(&address, 1)).await.unwrap();
        assert_eq!(connections.get().await.unwrap(), StatusCode::OK);
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        connections.idle().clear();
        assert!(connections.get().await.is_err());
    }
}
