//! Open-loop load for short response times: requests are due at a fixed rate and begin within microseconds, whatever
//! happens to earlier ones.
//!
//! The runtime's timer has a resolution of a millisecond, which is more than what is measured. So a kernel timer
//! wakes the load when a request is due. The load is a process of its own with one thread, pinned to the last
//! processor, and reads no more of an answer than it must.

use crate::open_loop::Times;
use crate::processors;
use anyhow::{Context, ensure};
use clap::Args;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long the load runs before its requests count.
const WARM_UP: Duration = Duration::from_secs(1);

/// The longest answer that is read, in bytes.
const MOST: usize = 16 << 10;

/// How long the requests in flight at the end may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of the load's process.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// Run as the load of `latency`, for the server at this address.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    pacer: Option<String>,

    /// The path that it requests.
    #[arg(long, hide = true, default_value = "/")]
    pacer_path: String,

    /// Requests per second.
    #[arg(long, hide = true, default_value_t = 1)]
    pacer_rate: u32,

    /// How many seconds the load lasts.
    #[arg(long, hide = true, default_value_t = 1)]
    pacer_seconds: u64,

    /// Connections, used one after the other.
    #[arg(long, hide = true, default_value_t = 1)]
    pacer_connections: usize,
}

/// What is requested, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// `127.0.0.1:…`
    pub(crate) address: &'a str,
    pub(crate) path: &'a str,
    /// Requests per second.
    pub(crate) rate: u32,
    pub(crate) duration: Duration,
    /// Connections. Further requests wait for one, and their time runs.
    pub(crate) connections: usize,
}

/// The result of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From when a request was due until its answer was complete.
    pub(crate) times: Times,
    /// How late the load itself was at p99: its own delay, and part of the times.
    pub(crate) late: Duration,
}

impl Offer<'_> {
    /// Starts this program again as the load, and returns its result. Blocks this thread until the load ends.
    ///
    /// # Errors
    /// If a single answer is missing or has another status than 200.
    pub(crate) fn run(&self) -> anyhow::Result<Pace> {
        let mut command = with_real_time_priority();
        command
            .args(["taskset", "-c", &processors::last().to_string()])
            .arg(std::env::current_exe().context("where this program is")?);
        command.args(["--pacer", self.address, "--pacer-path", self.path, "--pacer-rate", &self.rate.to_string()]);
        command.args(["--pacer-seconds", &self.duration.as_secs().to_string()]);
        command.args(["--pacer-connections", &self.connections.to_string()]);
        let output = command.stdin(Stdio::null()).output().context("the load is pinned by taskset of util-linux")?;
        ensure!(output.status.success(), "the load: {}", String::from_utf8_lossy(&output.stderr));
        Pace::read(&String::from_utf8_lossy(&output.stdout))
    }
}

/// The command that starts the load with real-time priority, so that it runs before the servers on its processor as
/// soon as it wakes. Otherwise it would wait for milliseconds, and its own lateness would be most of what it
/// measures. Without the permission for that, the load runs normally, and the table shows how late it was.
fn with_real_time_priority() -> Command {
    let chrt = || {
        let mut command = Command::new("chrt");
        command.args(["--fifo", "1"]);
        command
    };
    let may = chrt().arg("true").stdin(Stdio::null()).stderr(Stdio::null()).status();
    if may.is_ok_and(|status| status.success()) { chrt() } else { Command::new("env") }
}

impl Pace {
    fn write(&self) -> String {
        let Times { p50, p99, p999, max } = self.times;
        [p50, p99, p999, max, self.late].map(|time| time.as_nanos().to_string()).join(" ")
    }

    fn read(text: &str) -> anyhow::Result<Self> {
        let times: Result<Vec<_>, _> =
            text.split_whitespace().map(|time| time.parse().map(Duration::from_nanos)).collect();
        let [p50, p99, p999, max, late] = times?[..] else {
            anyhow::bail!("the load's output is not five times: {text}")
        };
        Ok(Self { times: Times { p50, p99, p999, max }, late })
    }
}

impl Arguments {
    /// Whether this process is the load.
    pub(crate) fn is_load(&self) -> bool {
        self.pacer.is_some()
    }

    /// Runs the load, and passes the result to `announce`.
    ///
    /// # Errors
    /// If a single answer is missing or has another status than 200.
    pub(crate) fn load(self, announce: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = self.pacer.context("the address of a server")?;
        let offer = Offer {
            address: &address,
            path: &self.pacer_path,
            rate: self.pacer_rate,
            duration: Duration::from_secs(self.pacer_seconds),
            connections: self.pacer_connections,
        };
        announce(&runtime.block_on(run_load(&offer))?.write())?;
        Ok(())
    }
}

/// Requests that are due and not begun.
#[derive(Debug, Default)]
struct Due {
    queue: Mutex<VecDeque<Instant>>,
    more: Notify,
}

impl Due {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, due: Instant) {
        self.queue().push_back(due);
        self.more.notify_one();
    }

    async fn pop(&self) -> Instant {
        loop {
            let more = self.more.notified();
            if let Some(due) = self.queue().pop_front() {
                return due;
            }
            more.await;
        }
    }
}

/// Sends requests at the rate of the offer. Requests of the warm-up are sent and not counted.
async fn run_load(offer: &Offer<'_>) -> anyhow::Result<Pace> {
    let due = Arc::new(Due::default());
    let (sender, mut answers) = tokio::sync::mpsc::channel(1 << 10);
    let mut connections = JoinSet::new();
    for _ in 0..offer.connections {
        let mut connection = Connection::open(offer).await?;
        let (due, sender) = (Arc::clone(&due), sender.clone());
        connections.spawn(async move {
            loop {
                let at = due.pop().await;
                let answer = connection.exchange().await.map(|()| (at, at.elapsed()));
                if sender.send(answer).await.is_err() {
                    return;
                }
            }
        });
    }
    let start = Instant::now() + Duration::from_millis(10);
    let begin = start + WARM_UP;
    let count = (WARM_UP + offer.duration).as_micros() * u128::from(offer.rate) / 1_000_000;
    let count = u64::try_from(count)?;
    let pace = async {
        let (clock, mut late) = (Clock::new()?, Vec::new());
        for number in 0..count {
            let at = start + Duration::from_nanos(number * 1_000_000_000 / u64::from(offer.rate));
            clock.until(at).await?;
            if at >= begin {
                late.push(at.elapsed());
            }
            due.push(at);
            // Without this, a load that is late would not read any answer until it has caught up.
            tokio::task::yield_now().await;
        }
        anyhow::Ok(late)
    };
    let collect = async {
        let mut times = Vec::new();
        for _ in 0..count {
            let (at, took) = answers.recv().await.context("the connections are there")??;
            if at >= begin {
                times.push(took);
            }
        }
        anyhow::Ok(times)
    };
    let all = tokio::time::timeout(WARM_UP + offer.duration + DRAIN_TIMEOUT, async { tokio::try_join!(pace, collect) });
    let (late, times) = all.await.context("answers are missing")??;
    let times = Times::of(times).context("no request was sent")?;
    Ok(Pace { times, late: Times::of(late).context("no request was sent")?.p99 })
}

/// A kernel timer with a resolution of nanoseconds.
struct Clock(AsyncFd<OwnedFd>);

impl Clock {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe code; of an `OwnedFd`, which is always the same descriptor, this is sound"
    )]
    fn new() -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    /// Returns at `at`, or at once if that time has passed.
    async fn until(&self, at: Instant) -> anyhow::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let rest = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: i64::from(left.subsec_nanos()) };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: rest };
            rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut ready = self.0.readable().await?;
            // The number of expirations does not matter. If the timer has not expired yet, the loop tries again.
            let _ = rustix::io::read(self.0.get_ref(), &mut [0; 8]);
            ready.clear_ready();
        }
    }
}

/// A kept connection.
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(offer: &Offer<'_>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(offer.address).await.with_context(|| offer.address.to_owned())?;
        stream.set_nodelay(true)?;
        let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", offer.path, offer.address).into_bytes();
        Ok(Self { stream, request, answer: Vec::with_capacity(MOST) })
    }

    /// Sends the request, and reads the whole answer.
    async fn exchange(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            ensure!(read > 0 && self.answer.len() < MOST, "an answer broke off");
            if let Some(length) = length_of(&self.answer)? {
                ensure!(self.answer.len() <= length, "an answer is longer than it says");
                if self.answer.len() == length {
                    return Ok(());
                }
            }
        }
    }
}

/// The length of the whole answer in bytes. `None` if its head is not complete yet.
fn length_of(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head])?;
    ensure!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.with_context(|| format!("no length: {text}"))?.1.trim().parse()?;
    Ok(Some(head + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native;
    use tokio::sync::oneshot;

    #[test]
    fn the_length_of_an_answer_is_known_once_its_head_is_complete() {
        assert_eq!(length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").unwrap(), None);
        let answer = b"HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(length_of(answer).unwrap(), Some(answer.len()));
        assert!(length_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(length_of(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}").is_err());
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let ns = Duration::from_nanos;
        let pace = Pace { times: Times { p50: ns(1), p99: ns(2), p999: ns(3), max: ns(4) }, late: ns(5) };
        assert_eq!(Pace::read(&pace.write()).unwrap(), pace);
        assert!(Pace::read("1 2 3").is_err());
    }

    #[tokio::test]
    async fn the_kernel_timer_is_never_early() {
        let clock = Clock::new().unwrap();
        for micros in [0, 1, 50, 700, 3000] {
            let at = Instant::now() + Duration::from_micros(micros);
            clock.until(at).await.unwrap();
            assert!(Instant::now() >= at);
        }
    }

    #[tokio::test]
    async fn every_request_of_an_offer_is_sent_and_answered() {
        let (sender, address) = oneshot::channel();
        let server =
            tokio::spawn(native::serve(|address| sender.send(address.to_owned()).map_err(std::io::Error::other)));
        let address = address.await.unwrap();
        let offer =
            Offer { address: &address, path: "/", rate: 200, duration: Duration::from_millis(200), connections: 4 };
        let pace = run_load(&offer).await.unwrap();
        assert!(pace.times.p50 > Duration::ZERO && pace.times.p50 <= pace.times.max, "{pace:?}");
        server.abort();
    }
}
