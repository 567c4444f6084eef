//! The load of `wrk`: one thread, and 32 connections unless a comparison says otherwise. Each connection sends its next
//! request as soon as it has an answer.
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
    /// The median of the response times, in microseconds.
    pub(crate) median: f64,
}

impl Load {
    /// Sends requests for this many whole seconds. Blocks this thread until the end.
    ///
    /// # Errors
    /// If `wrk` cannot be started, or any request failed: failures must not count as throughput.
    pub(crate) fn run(&self, duration: Duration) -> anyhow::Result<WrkResult> {
        self.run_over(CONNECTIONS, duration)
    }

    /// As [`Load::run`], over this many connections.
    ///
    /// # Errors
    /// As [`Load::run`].
    pub(crate) fn run_over(&self, connections: usize, duration: Duration) -> anyhow::Result<WrkResult> {
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            &processors::last().to_string(),
            "wrk",
            "--threads",
            "1",
            "--connections",
            &connections.to_string(),
            "--latency",
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
        let median = text.lines().find_map(|line| line.trim().strip_prefix("50%"));
        let median = median.and_then(micros).with_context(|| format!("the output of wrk has no median: {text}"))?;
        Ok(Self { rate: rate.trim().parse()?, requests: requests.trim().parse()?, median })
    }
}

/// The microseconds of a time as `wrk` writes it: `623.00us`, `1.20ms`, `2.00s`.
fn micros(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
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
        Latency Distribution\n     50%    2.52ms\n     99%    4.10ms\n  \
        25316 requests in 2.00s, 3.48MB read\n\
        Requests/sec:  12655.41\nTransfer/sec:      1.74MB\n";

    #[test]
    fn rate_and_requests_are_read_from_the_output_of_wrk() {
        let expected = WrkResult { rate: 12655.41, requests: 25316.0, median: 2520.0 };
        assert_eq!(WrkResult::read(TEXT).unwrap(), expected);
        assert!(WrkResult::read("unable to connect").is_err());
        assert_eq!(["623.00us", " 2.00s", "1.00m", "3 h"].map(micros), [Some(623.0), Some(2e6), Some(60e6), None]);
    }

    #[test]
    fn failed_requests_make_the_result_an_error() {
        for fault in ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"] {
            assert!(WrkResult::read(&format!("{TEXT}{fault}")).is_err(), "{fault}");
        }
    }
}
