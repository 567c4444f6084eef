//! A compared program: a process with its descendants, their usage, and their end.

use anyhow::{Context, bail, ensure};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(20);

/// How long a program may take to end after SIGTERM. Then it is killed.
const END: Duration = Duration::from_secs(3);

/// Ticks of `/proc/PID/stat` in a second: `USER_HZ`, which is 100 on every machine that Linux runs on today.
const TICKS: f64 = 100.0;

/// A running process. It and its descendants end when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// The process's standard output, kept open because the process may write more.
    _output: Option<BufReader<ChildStdout>>,
}

/// What a process and its descendants have used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Usage {
    /// Processor time since they began, in seconds.
    pub(crate) cpu: f64,
    /// The most resident memory, in MiB: the sum of each process's own maximum.
    pub(crate) most: f64,
    /// Resident memory now, in MiB.
    pub(crate) resident: f64,
}

impl Process {
    /// Starts `command` and waits until `address` accepts connections. Its output goes to a file in `folder`.
    ///
    /// # Errors
    /// If it does not start or does not listen in time; the error has its output.
    pub(crate) async fn listening(mut command: Command, folder: &Path, address: &str) -> anyhow::Result<Self> {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let (out, err) = (File::create(&log)?, File::options().append(true).open(&log)?);
        let child = without_debug_variables(&mut command)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| name.clone())?;
        let mut process = Self { child, _output: None };
        match process.listens(address).await {
            Ok(()) => Ok(process),
            Err(error) => Err(error.context(format!("{name}: {}", fs::read_to_string(&log).unwrap_or_default()))),
        }
    }

    async fn listens(&mut self, address: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended before it listened: {status}");
            }
            ensure!(Instant::now() < deadline, "it does not listen on {address} after {START:?}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Starts this program again as a server, with `arguments`, and returns the address that it prints.
    ///
    /// # Errors
    /// If it ends before it listens.
    pub(crate) fn of_this_program(arguments: &[&str]) -> anyhow::Result<(Self, String)> {
        let program = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(program);
        let mut child = without_debug_variables(&mut command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut address = String::new();
        let read = output.read_line(&mut address);
        // From here on, an error ends the child too.
        let process = Self { child, _output: Some(output) };
        ensure!(read? > 0, "this program does not start with {}", arguments.join(" "));
        Ok((process, address.trim_end().to_owned()))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: after SIGKILL, the workers of nginx and gunicorn would outlive their master.
        let deadline = std::time::Instant::now() + END;
        signal("-TERM", &[self.id()]);
        while std::time::Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "a destructor cannot await")]
            std::thread::sleep(Duration::from_millis(5));
        }
        signal("-KILL", &family(&[self.id()]));
        let _ = self.child.wait();
    }
}

/// Removes variables that a developer may have set. With `RUST_BACKTRACE`, every error of Wasmtime captures the
/// stack, also errors that are made and discarded for each request, and a server reaches half the rate. Programs
/// built without that feature would not suffer.
pub(crate) fn without_debug_variables(command: &mut Command) -> &mut Command {
    ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG"].iter().fold(command, |command, name| command.env_remove(name))
}

/// Sends a signal. It fails for processes that have ended already, which does not matter.
fn signal(name: &str, processes: &[u32]) {
    let _ = Command::new("kill").arg(name).args(processes.iter().map(u32::to_string)).stderr(Stdio::null()).status();
}

/// An address that was free a moment ago, for programs that cannot report the port that they were given.
///
/// # Errors
/// If no port is free.
pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

impl Usage {
    /// What these processes and all their descendants have used.
    pub(crate) fn of(roots: &[u32]) -> Self {
        family(roots).into_iter().fold(Self::default(), |sum, process| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            let (stat, status) = (read("stat"), read("status"));
            let mib = |name| kib_in(&status, name).unwrap_or_default() / 1024.0;
            Self {
                cpu: sum.cpu + ticks_in(&stat).unwrap_or_default() / TICKS,
                most: sum.most + mib("VmHWM:"),
                resident: sum.resident + mib("VmRSS:"),
            }
        })
    }
}

/// Processor time of all processes of the machine since it started, in seconds.
pub(crate) fn of_all() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user, nice and system. The numbers after them belong to no process.
    line.split_whitespace().take(3).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Processor time of this process's children that have ended and been waited for, in seconds: the time of a finished
/// load.
pub(crate) fn of_ended_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    fields(&stat).and_then(|times| sum_of_two(times.skip(16 - 3))).unwrap_or_default() / TICKS
}

/// These processes and all their descendants.
fn family(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent_in(&stat) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut family = roots.to_vec();
    let mut next = 0;
    while let Some(process) = family.get(next) {
        family.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    family
}

/// The fields of `/proc/PID/stat` after the name, which may contain spaces and brackets. The first of them is field 3
/// of proc(5).
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(") ")?.1.split(' '))
}

fn parent_in(stat: &str) -> Option<u32> {
    fields(stat)?.nth(4 - 3)?.parse().ok()
}

/// Time in user mode and in the kernel, of all threads including ended ones.
fn ticks_in(stat: &str) -> Option<f64> {
    sum_of_two(fields(stat)?.skip(14 - 3))
}

fn sum_of_two<'a>(mut numbers: impl Iterator<Item = &'a str>) -> Option<f64> {
    let (first, second): (f64, f64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(first + second)
}

/// The value of a line of `/proc/PID/status` in kB.
fn kib_in(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "17 (a (b) c) S 5 17 17 0 -1 4194304 100 0 0 0 250 50 7 7 20 0 4 0 100 1 1";

    #[test]
    fn usage_is_read_from_the_files_of_proc() {
        assert_eq!(parent_in(STAT), Some(5));
        assert_eq!(ticks_in(STAT), Some(300.0));
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(kib_in(status, "VmHWM:"), Some(2048.0));
        assert_eq!(kib_in(status, "VmRSS:"), Some(1024.0));
        assert_eq!(kib_in("", "VmRSS:"), None);
    }

    #[test]
    fn the_processor_time_of_a_busy_process_grows() {
        let before = Usage::of(&[std::process::id()]).cpu;
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(50) {}
        let spent = Usage::of(&[std::process::id()]).cpu - before;
        assert!(spent > 0.0, "{spent}");
    }

    #[test]
    fn usage_includes_the_descendants_of_a_process() {
        let mut child = Command::new("sh").args(["-c", "read line"]).stdin(Stdio::piped()).spawn().unwrap();
        let me = std::process::id();
        assert!(family(&[me]).contains(&child.id()), "{:?}", family(&[me]));
        assert!(Usage::of(&[me]).resident > Usage::of(&[child.id()]).resident);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(of_all() > 0.0 && of_ended_children() < of_all());
    }
}
