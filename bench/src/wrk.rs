//! The load of `wrk`: one thread and 32 connections. Each connection sends its next request as soon as it has an
//! answer.
//!
//! `wrk` is pinned to the last processor. The servers may use all processors, including that one, unless a comparison
//! says otherwise.

use crate::processors;
use anyhow::{Context, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connections.
pub(crate) const CONNECTIONS: usize = 32;

/// What is requested.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// `http://127.0.0.1:…/…`
    pub(crate) url: String,
    /// A script that makes the requests, unless they are plain GETs.
    pub(crate) script: Option<PathBuf>,
}

/// The result of one load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WrkResult {
    /// Answered requests per second.
    pub(crate) rate: f64,
    /// Answered requests in all.
    pub(crate) requests: f64,
}

impl Load {
    /// Sends requests for this many whole seconds. Blocks this thread until the end.
    ///
    /// # Errors
    /// If `wrk` cannot be started, or any request failed: failures must not count as throughput.
    pub(crate) fn run(&self, duration: Duration) -> anyhow::Result<WrkResult> {
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            &processors::last().to_string(),
            "wrk",
            "--threads",
            "1",
            "--connections",
            &CONNECTIONS.to_string(),
        ]);
        command.args(["--duration", &format!("{}s", duration.as_secs().max(1)), "--timeout", "10s"]);
        if let Some(script) = &self.script {
            command.arg("--script").arg(script);
        }
        let output = command.arg(&self.url).stdin(Stdio::null()).output();
        let output = output.context("the load is the package wrk, pinned by taskset of util-linux")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
        WrkResult::read(&text)
    }
}

impl WrkResult {
    /// Reads what `wrk` prints.
    fn read(text: &str) -> anyhow::Result<Self> {
        let faults = ["Socket errors:", "Non-2xx or 3xx responses:"];
        if let Some(fault) = text.lines().find(|line| faults.iter().any(|fault| line.contains(fault))) {
            bail!("requests failed: {}", fault.trim());
        }
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        let requests = text.lines().find_map(|line| line.split_once(" requests in "));
        let (rate, (requests, _)) =
            rate.zip(requests).with_context(|| format!("the output of wrk has no rate: {text}"))?;
        Ok(Self { rate: rate.trim().parse()?, requests: requests.trim().parse()? })
    }
}

/// A script that requests these paths one after the other.
pub(crate) fn in_turns(paths: &[String]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| format!("  wrk.format(\"GET\", {path:?}),\n")).collect();
    // The requests are made once, so that the load does not spend its time on them. `init` is called when the
    // server's address is known.
    format!(
        "local requests\nlocal next = 0\n\nfunction init()\n  requests = {{\n{}  }}\nend\n\n\
         function request()\n  next = next % #requests + 1\n  return requests[next]\nend\n",
        paths.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 2s test @ http://127.0.0.1:1/json\n  1 threads and 32 connections\n  \
        25316 requests in 2.00s, 3.48MB read\n\
        Requests/sec:  12655.41\nTransfer/sec:      1.74MB\n";

    #[test]
    fn rate_and_requests_are_read_from_the_output_of_wrk() {
        assert_eq!(WrkResult::read(TEXT).unwrap(), WrkResult { rate: 12655.41, requests: 25316.0 });
        assert!(WrkResult::read("unable to connect").is_err());
    }

    #[test]
    fn failed_requests_make_the_result_an_error() {
        for fault in ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"] {
            assert!(WrkResult::read(&format!("{TEXT}{fault}")).is_err(), "{fault}");
        }
    }
}
