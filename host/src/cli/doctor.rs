//! `atoll doctor`: whether this machine has what Atoll and the builds of the manifest need.

use super::output::Output;
use super::terminal;
use crate::app::{self, AdminSource};
use crate::base::counted;
use crate::config::{BuildConfig, ManifestErrors, quoted};
use crate::project::BuildStep;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::slice;
use std::time::Duration;
use tokio::runtime;

/// The open files that a busy gateway needs: its default bound on connections, twice.
const FILES: u64 = 65_536;
/// How long the admin of a running host may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// A tool that builds call.
struct BuildTool {
    /// Words in a `build` that need it.
    words: &'static [&'static str],
    /// A command that succeeds where it is there, and prints its version.
    command: &'static str,
    install: &'static str,
}

const TOOLS: [BuildTool; 3] = [
    BuildTool {
        words: &["cargo"],
        command: "cargo --version && ls \"$(rustc --print sysroot)\"/lib/rustlib/wasm32-wasip2 >/dev/null",
        install: "install Rust from https://rustup.rs, then `rustup target add wasm32-wasip2`",
    },
    BuildTool {
        words: &["npm", "node"],
        command: "npm --version",
        install: "install Node.js 20 or later, which brings npm",
    },
    BuildTool {
        words: &["python3", "pip"],
        command: "python3 --version && python3 -c 'import venv, ensurepip'",
        install: "install Python 3.10 or later with venv (Debian: `apt install python3-venv`)",
    },
];

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
struct Diagnosis {
    what: String,
    found: String,
    /// How to mend it; `None`: it is well.
    mend: Option<String>,
    /// Whether Atoll or a build of the manifest cannot work as it is.
    broken: bool,
}

impl Diagnosis {
    fn well(what: &str, found: impl Into<String>) -> Self {
        Self { what: what.to_owned(), found: found.into(), mend: None, broken: false }
    }

    fn to_mend(what: &str, found: impl Into<String>, mend: impl Into<String>, broken: bool) -> Self {
        Self { what: what.to_owned(), found: found.into(), mend: Some(mend.into()), broken }
    }
}

/// Looks at everything, prints it, and fails if something does not work.
pub(super) fn doctor(manifest: &Path, output: Output) -> anyhow::Result<()> {
    let builds = BuildStep::read(manifest).unwrap_or_default();
    let mut looked = vec![files(), address_space()];
    looked.extend(TOOLS.iter().map(|tool| tool.look(&builds)));
    looked.extend(there(manifest));
    looked.extend(nats(manifest));
    terminal::print(&output.document(looked.as_slice(), described)?)?;
    let broken = looked.iter().filter(|one| one.broken).count();
    anyhow::ensure!(broken == 0, "{broken} of {} do not work", looked.len());
    Ok(())
}

/// What was looked at, one in each line, and how to mend it.
fn described(looked: &[Diagnosis]) -> String {
    let mut text = String::new();
    for Diagnosis { what, found, mend, broken } in looked {
        let mark = if *broken {
            "WRONG"
        } else if mend.is_some() {
            "note"
        } else {
            "ok"
        };
        text.push_str(&format!("{mark:<6} {what}: {found}\n"));
        if let Some(mend) = mend {
            text.push_str(&format!("       help: {mend}\n"));
        }
    }
    text
}

fn files() -> Diagnosis {
    let limit = getrlimit(Resource::Nofile).maximum;
    match limit {
        Some(limit) if limit < FILES => {
            let mend = format!("raise the hard limit to {FILES}: `LimitNOFILE=` of systemd, `ulimit -Hn` of a shell");
            Diagnosis::to_mend("open files", format!("at most {limit}"), mend, false)
        }
        Some(limit) => Diagnosis::well("open files", format!("up to {limit}")),
        None => Diagnosis::well("open files", "no limit"),
    }
}

/// Each instance reserves address space, which costs no memory.
fn address_space() -> Diagnosis {
    match getrlimit(Resource::As).current {
        Some(limit) => {
            let found = format!("limited to {} MiB", limit >> 20);
            let mend = "take the limit away (`ulimit -v unlimited`), or set fewer `instances` in [runtime]";
            Diagnosis::to_mend("address space", found, mend, false)
        }
        None => Diagnosis::well("address space", "no limit"),
    }
}

/// What the command of a build needs and this machine does not have, with the line that installs it.
pub(super) fn missing_tools(build: &BuildStep) -> Vec<String> {
    let called = TOOLS.iter().filter(|tool| tool.is_called_by(build));
    let looked = called.map(|tool| tool.look(slice::from_ref(build)));
    let missing = looked.filter(|diagnosis| diagnosis.broken);
    missing.filter_map(|diagnosis| Some(format!("{} is missing: {}", diagnosis.what, diagnosis.mend?))).collect()
}

impl BuildTool {
    fn is_called_by(&self, build: &BuildStep) -> bool {
        let mut words = build.command().split(|other: char| !other.is_alphanumeric());
        words.any(|word| self.words.contains(&word))
    }

    fn look(&self, builds: &[BuildStep]) -> Diagnosis {
        let what = self.words[0];
        let needed = builds.iter().find(|step| self.is_called_by(step));
        let shell = Command::new("sh").args(["-c", self.command]).stdin(Stdio::null()).output();
        let version = shell.ok().filter(|done| done.status.success());
        match (version, needed) {
            (Some(done), _) => {
                let printed = String::from_utf8_lossy(&done.stdout).into_owned();
                Diagnosis::well(what, printed.lines().next().unwrap_or_default())
            }
            (None, Some(step)) => Diagnosis::to_mend(
                what,
                format!("missing, and `build` of {} needs it", step.service),
                self.install,
                true,
            ),
            (None, None) => Diagnosis::to_mend(what, "missing or incomplete; no build needs it", self.install, false),
        }
    }
}

/// The NATS of the cluster, if the manifest has one.
fn nats(manifest: &Path) -> Option<Diagnosis> {
    let servers = app::cluster_servers(manifest)?;
    let takes = |server: &&String| {
        let addresses = server.to_socket_addrs().ok().into_iter().flatten();
        addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
    };
    let (reached, all) = (servers.iter().filter(takes).count(), servers.len());
    let (what, found) = ("the NATS of [cluster]", format!("{reached} of {all} servers take connections"));
    Some(if reached == all {
        Diagnosis::well(what, found)
    } else {
        let mend = "start them, or correct `nats`; without any of them this node is alone";
        Diagnosis::to_mend(what, found, mend, false)
    })
}

/// The manifest, and the host that runs by it.
fn there(manifest: &Path) -> Vec<Diagnosis> {
    let name = manifest.display().to_string();
    if !manifest.exists() {
        let mend = "`atoll new NAME` makes a service, and prints its sections for the manifest";
        return vec![Diagnosis::to_mend(&name, "is not there", mend, false)];
    }
    let checked = runtime::Builder::new_multi_thread().enable_all().build();
    let checked = checked.map_err(Into::into).and_then(|runtime| runtime.block_on(app::check(manifest)));
    let mut looked = vec![match checked {
        Ok(summary) => Diagnosis::well(&name, format!("right, {}", counted(summary.services, "service", "services"))),
        Err(error) => {
            let missing = BuildStep::missing(manifest);
            let missing: Vec<_> = missing.iter().map(|service| service.as_str()).collect();
            // A component that is missing is one finding, and what cannot be known without it is none.
            let told = error.downcast_ref::<ManifestErrors>().map_or(0, |errors| errors.findings().len());
            if missing.is_empty() || told != missing.len() {
                Diagnosis::to_mend(&name, "is wrong", format!("`atoll check {}` says what", quoted(&name)), true)
            } else {
                let found = format!("not built yet: {}", missing.join(", "));
                let mend = format!("`{}` makes what is missing", BuildConfig::verb(&missing, &name));
                Diagnosis::to_mend(&name, found, mend, false)
            }
        }
    }];
    if let Some(known) = app::known_admin(manifest).filter(|known| matches!(known.source, AdminSource::Running(_))) {
        let what = format!("the host of {name}");
        looked.push(match TcpStream::connect_timeout(&known.address, PATIENCE) {
            Ok(_) => Diagnosis::well(&what, format!("runs, its admin at {}", known.address)),
            Err(error) => Diagnosis::to_mend(
                &what,
                format!("does not answer at {}: {error}", known.address),
                "look into its log",
                true,
            ),
        });
    }
    looked
}
