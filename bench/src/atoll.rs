//! Starts the real binary with its own manifest and its own state.

use crate::process::without_debug_variables;
use crate::{Plan, progress};
use anyhow::{Context, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The variable that turns off the host's access log, because no other side writes one.
pub(crate) const QUIET: (&str, &str) = ("ATOLL_LOG", "access=off,warn");

/// A running host. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Atoll {
    child: Child,
    /// Kept open: a host that cannot print to its standard output is not how the host normally runs.
    _output: BufReader<ChildStdout>,
    /// The address of the gateway: `http://127.0.0.1:…`.
    pub(crate) gateway: String,
    /// The address of the admin.
    pub(crate) admin: String,
}

/// The binary to measure: that of `--host`. Without that option it is built, with all optimisations, beside this
/// program.
///
/// # Errors
/// If it does not build. Cargo has printed why.
pub(crate) fn build(plan: &Plan) -> anyhow::Result<PathBuf> {
    if let Some(host) = &plan.host {
        // The host is started in other folders, so its path must be absolute.
        return host.canonicalize().with_context(|| host.display().to_string());
    }
    progress("building the host");
    let target = plan.binaries.parent().context("the binaries lie in a profile's folder of the target folder")?;
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "host", "--bin", "atoll", "--target-dir"])
        .arg(target)
        .current_dir(&plan.workspace)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the host does not build");
    Ok(plan.binaries.join("atoll"))
}

impl Atoll {
    /// Starts `binary` with `manifest` in `folder`, and waits until it prints its addresses. Both edges listen on a
    /// port that the system picks. The log, in JSON as in production, goes to a file in the folder. Blocks until the
    /// host listens.
    ///
    /// # Errors
    /// If the host ends before it listens; the error has its log.
    pub(crate) fn start(binary: &Path, folder: &Path, manifest: &str) -> anyhow::Result<Self> {
        Self::start_with(binary, folder, manifest, &[])
    }

    /// As [`Atoll::start`], with more variables in the host's environment.
    ///
    /// # Errors
    /// As [`Atoll::start`].
    pub(crate) fn start_with(
        binary: &Path,
        folder: &Path,
        manifest: &str,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let log = folder.join("atoll.log");
        let mut command = Command::new(binary);
        command.envs(environment.iter().copied());
        Self::run(&mut command, folder, manifest, File::create(&log)?.into())
            .map_err(|error| error.context(format!("its log:\n{}", fs::read_to_string(&log).unwrap_or_default())))
    }

    /// As [`Atoll::start`], but the log goes to `log`, and no file of the host grows beyond `file_size` bytes: writing
    /// more fails, as on a disk that is full.
    ///
    /// # Errors
    /// As [`Atoll::start`], without the log.
    pub(crate) fn start_limited(
        binary: &Path,
        folder: &Path,
        manifest: &str,
        file_size: u64,
        log: Stdio,
    ) -> anyhow::Result<Self> {
        // A process that ignores the signal gets an error instead of its end. `ulimit` counts blocks of 512 bytes.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", file_size / 512);
        Self::run(Command::new("sh").args(["-c", &script]).arg(binary), folder, manifest, log)
    }

    /// Runs `command` with the arguments and variables that every host gets.
    fn run(command: &mut Command, folder: &Path, manifest: &str, log: Stdio) -> anyhow::Result<Self> {
        fs::write(folder.join("atoll.toml"), manifest)?;
        let mut child = without_debug_variables(command)
            .args(["run", "atoll.toml", "--log-format", "json"])
            .current_dir(folder)
            .env_remove("ATOLL_ADMIN_TOKEN")
            .env_remove("ATOLL_STATE_PATH")
            .env_remove("ATOLL_LOG")
            .env("ATOLL_GATEWAY_LISTEN", "127.0.0.1:0")
            .env("ATOLL_ADMIN_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the host cannot be started")?;
        let mut output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        match read_addresses(&mut output) {
            Ok((gateway, admin)) => Ok(Self { child, _output: output, gateway, admin }),
            Err(error) => {
                stop(&mut child);
                Err(error.context("the host did not start"))
            }
        }
    }
}

impl Atoll {
    /// The process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// If the host has ended.
    pub(crate) fn is_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the host has ended: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Atoll {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Kills the host without a drain: the measurement is over, and the state is thrown away.
fn stop(child: &mut Child) {
    // Both fail only for a process that has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads the two lines with the addresses. Returns the address of the gateway and that of the admin.
fn read_addresses(output: &mut impl BufRead) -> anyhow::Result<(String, String)> {
    let (mut gateway, mut admin) = (None, None);
    for line in output.lines() {
        let line = line?;
        match line.split_once(" listening on ") {
            Some(("gateway", address)) => gateway = Some(address.to_owned()),
            Some(("admin", address)) => admin = Some(address.to_owned()),
            _ => {}
        }
        if let (Some(gateway), Some(admin)) = (&gateway, &admin) {
            return Ok((gateway.clone(), admin.clone()));
        }
    }
    bail!("its output ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_once_both_edges_listen() {
        let mut whole =
            "hello\nadmin listening on http://127.0.0.1:2\ngateway listening on http://127.0.0.1:1\nmore".as_bytes();
        let addresses = ("http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned());
        assert_eq!(read_addresses(&mut whole).unwrap(), addresses);
        assert_eq!(whole, b"more");
        assert!(read_addresses(&mut "gateway listening on http://127.0.0.1:1\n".as_bytes()).is_err());
    }
}
