//! A plain HTTP server in a process of its own, which can be told to turn slow, and can be killed.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What it answers to everything, its health check too.
const ANSWER: &str = r#"{"sku":"TEA-1","name":"Tea","price":{"amount":450,"currency":"EUR"},"stock":3}"#;

/// How long it takes to answer while it is well: asleep, so that no processor is what the proxies are measured by.
pub(crate) const WELL: Duration = Duration::from_millis(2);

/// The server's process; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    child: Child,
    /// Where it listens: `127.0.0.1:…`.
    pub(crate) address: String,
}

impl Upstream {
    /// Starts this very program once more, to [`serve`], and waits until it says where it listens.
    ///
    /// # Errors
    /// If it ends before that.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(program);
        let mut child = command.arg("--upstream").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("standard output is piped")?;
        // From here on, whatever goes wrong ends the child.
        let mut upstream = Self { child, address: String::new() };
        let read = BufReader::new(output).read_line(&mut upstream.address)?;
        ensure!(read > 0, "the upstream did not start");
        upstream.address.truncate(upstream.address.trim_end().len());
        Ok(upstream)
    }

    /// From now on every answer takes this long.
    ///
    /// # Errors
    /// If the process has ended.
    pub(crate) fn take(&mut self, delay: Duration) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("standard input is piped")?;
        writeln!(input, "{}", delay.as_micros())?;
        Ok(())
    }

    /// Kills the process: its connections are reset, and its port refuses.
    pub(crate) fn kill(&mut self) {
        // Either fails only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process: tells `say` where it listens, and answers everything. Each line of its standard input says how many microseconds an
/// answer takes from then on; at the end of the input it ends, so that it never outlives who started it.
///
/// # Errors
/// If it cannot listen, or not say so.
pub(crate) async fn serve(say: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
    let delay = Arc::new(AtomicU64::new(u64::try_from(WELL.as_micros())?));
    let (end, ended) = oneshot::channel::<()>();
    let told = Arc::clone(&delay);
    std::thread::spawn(move || {
        let _end = end;
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Ok(micros) = line.trim().parse() {
                told.store(micros, Ordering::Relaxed);
            }
        }
    });
    tokio::select! {
        failed = answer(say, move || Duration::from_micros(delay.load(Ordering::Relaxed))) => failed,
        _ = ended => Ok(()),
    }
}

/// Tells `say` where it listens, and answers every request after `delay`, until it is dropped.
///
/// # Errors
/// If it cannot listen, or not say so.
pub(crate) async fn answer(
    say: impl FnOnce(&str) -> std::io::Result<()>,
    delay: impl Fn() -> Duration + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&listener.local_addr()?.to_string())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let delay = delay.clone();
        tokio::spawn(async move {
            let answer = service_fn(|_| {
                let asleep = tokio::time::sleep(delay());
                async {
                    asleep.await;
                    let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
                    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    Ok::<_, Infallible>(answer)
                }
            });
            // A client that goes is no fault of the server.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
