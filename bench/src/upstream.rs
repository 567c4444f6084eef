//! A plain HTTP server in a process of its own. It can be made slow, and can be killed.

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

/// The answer to every request, health checks included.
const ANSWER: &str = r#"{"sku":"TEA-1","name":"Tea","price":{"amount":450,"currency":"EUR"},"stock":3}"#;

/// How long an answer takes while the server is healthy. The server sleeps, so that the proxies and not its processor
/// are measured.
pub(crate) const WELL: Duration = Duration::from_millis(2);

/// The server's process. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    child: Child,
    /// The address on which it listens: `127.0.0.1:…`.
    pub(crate) address: String,
}

impl Upstream {
    /// Starts this program again to run [`serve`], and waits for its address.
    ///
    /// # Errors
    /// If it ends before it listens.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(program);
        let mut child = command.arg("--upstream").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("standard output is piped")?;
        // From here on, an error ends the child too.
        let mut upstream = Self { child, address: String::new() };
        let read = BufReader::new(output).read_line(&mut upstream.address)?;
        ensure!(read > 0, "the upstream did not start");
        upstream.address.truncate(upstream.address.trim_end().len());
        Ok(upstream)
    }

    /// Makes every further answer take this long.
    ///
    /// # Errors
    /// If the process has ended.
    pub(crate) fn take(&mut self, delay: Duration) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("standard input is piped")?;
        writeln!(input, "{}", delay.as_micros())?;
        Ok(())
    }

    /// Kills the process. Its connections are reset, and its port refuses.
    pub(crate) fn kill(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the server: passes its address to `announce`, and answers every request. Each line of its standard input
/// gives the microseconds that an answer takes from then on. At the end of its input the process ends, so it never
/// outlives its starter.
///
/// # Errors
/// If it cannot listen or cannot report its address.
pub(crate) async fn serve(announce: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
    let delay = Arc::new(AtomicU64::new(u64::try_from(WELL.as_micros())?));
    let (end, ended) = oneshot::channel::<()>();
    let delay_to_set = Arc::clone(&delay);
    std::thread::spawn(move || {
        let _end = end;
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Ok(micros) = line.trim().parse() {
                delay_to_set.store(micros, Ordering::Relaxed);
            }
        }
    });
    tokio::select! {
        failed = answer(announce, move || Duration::from_micros(delay.load(Ordering::Relaxed))) => failed,
        _ = ended => Ok(()),
    }
}

/// Passes its address to `announce`, and answers every request after `delay`, until it is dropped.
///
/// # Errors
/// If it cannot listen or cannot report its address.
pub(crate) async fn answer(
    announce: impl FnOnce(&str) -> std::io::Result<()>,
    delay: impl Fn() -> Duration + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string())?;
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
            // A client that disconnects is not an error of the server.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
