//! The load of `wrk`: one thread and 32 connections, each of which asks again as soon as it is answered.
//!
//! It is pinned to the last processor; the servers may use all of them, the load's too, but where a comparison says otherwise.

use crate::processors;
use anyhow::{Context, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connections.
pub(crate) const CONNECTIONS: usize = 32;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// `http://127.0.0.1:…/…`
    pub(crate) url: String,
    /// A script that makes the request, where it is not a plain GET.
    pub(crate) script: Option<PathBuf>,
}

/// What one load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Requests that were answered, a second.
    pub(crate) rate: f64,
    /// Requests that were answered in all.
    pub(crate) requests: f64,
}

impl Load {
    /// Asks for so many whole seconds. Blocks this thread for as long.
    ///
    /// # Errors
    /// If `wrk` cannot be started, or any request failed: a rate of failures is no throughput.
    pub(crate) fn run(&self, duration: Duration) -> anyhow::Result<Score> {
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
        Score::read(&text)
    }
}

impl Score {
    /// Reads what `wrk` prints.
    fn read(text: &str) -> anyhow::Result<Self> {
        let faults = ["Socket errors:", "Non-2xx or 3xx responses:"];
        if let Some(fault) = text.lines().find(|line| faults.iter().any(|fault| line.contains(fault))) {
            bail!("requests failed: {}", fault.trim());
        }
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        let requests = text.lines().find_map(|line| line.split_once(" requests in "));
        let (rate, (requests, _)) = rate.zip(requests).with_context(|| format!("wrk says no rate: {text}"))?;
        Ok(Self { rate: rate.trim().parse()?, requests: requests.trim().parse()? })
    }
}

/// A script that asks for these paths in turns.
pub(crate) fn in_turns(paths: &[String]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| format!("  wrk.format(\"GET\", {path:?}),\n")).collect();
    // Requests are made once, so that the load does not spend its time on them. `init` comes when the server's address is known.
    format!(
        "local requests\nlocal next = 0\n\nfunction init()\n  requests = {{\n{}  }}\nend\n\n\
         function request()\n  next = next % #requests + 1\n  return requests[next]\nend\n",
        paths.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 2s test @ http://127.0.0.1:1/json\n  1 threads and 32 connections\n  25316 requests in 2.00s, 3.48MB read\n\
        Requests/sec:  12655.41\nTransfer/sec:      1.74MB\n";

    #[test]
    fn a_score_is_read() {
        assert_eq!(Score::read(TEXT).unwrap(), Score { rate: 12655.41, requests: 25316.0 });
        assert!(Score::read("unable to connect").is_err());
    }

    #[test]
    fn failures_are_no_score() {
        for fault in ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"] {
            assert!(Score::read(&format!("{TEXT}{fault}")).is_err(), "{fault}");
        }
    }
}
