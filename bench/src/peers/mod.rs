//! The programs that are compared over HTTP: one file for each. All start a server that gives the same answers.
//!
//! The answers are in the fixture `bench` (`work.rs`), for components and native programs alike. The settings of
//! programs that are not ours are in `bench/peers/`, and `bench/peers/install.sh` installs them.

mod atoll;
pub(crate) mod axum;
pub(crate) mod bare;
mod flask;
mod nginx;
mod wasmtime_serve;
#[path = "../../../components/fixtures/bench/src/work.rs"]
pub(crate) mod work;
mod workerd;

use crate::Plan;
use crate::atoll::Atoll;
use crate::process::{Process, Usage};
use anyhow::{Context, ensure};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many requests one instance serves where instances are reused.
pub(crate) const REQUESTS: usize = 1000;

/// A program with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A native server.
    Axum,
    /// hyper with `ProxyHandler`, and the engine as Atoll sets it up.
    Bare(Guest),
    /// Atoll, with the component that speaks HTTP.
    Atoll(Guest),
    /// Atoll, with a typed route to the component.
    Typed(Life),
    /// `wasmtime serve` with its defaults, for components of this kind.
    ServeDefault(Wasi),
    /// `wasmtime serve` with a tuned pool.
    ServeTuned(Guest),
    /// The JavaScript runtime of Cloudflare's workers.
    Workerd,
    /// A gateway and a service in Python.
    Flask,
    /// nginx as a plain proxy in front of the native server.
    Nginx,
}

/// A component, and how its instances are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) wasi: Wasi,
    pub(crate) life: Life,
}

/// Which component: the same work for either version of WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wasi {
    P2,
    P3,
}

/// How long an instance lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// For one request.
    Request,
    /// For [`REQUESTS`] requests, this many of them at a time.
    Reuse(usize),
}

/// The paths of what the sides start.
#[derive(Debug)]
pub(crate) struct PeerSetup {
    /// The host's binary.
    host: PathBuf,
    /// The root of the checkout.
    workspace: PathBuf,
    /// For caches and manifests.
    scratch: PathBuf,
}

/// A running side. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// `127.0.0.1:…`
    pub(crate) address: String,
    held: Vec<Held>,
}

#[derive(Debug)]
enum Held {
    Atoll(Atoll),
    Process(Process),
}

impl PeerSetup {
    /// Builds the host, and installs missing peers.
    ///
    /// # Errors
    /// If the host does not build, or a component is missing.
    pub(crate) fn prepare(plan: &Plan) -> anyhow::Result<Self> {
        let setup =
            Self { host: crate::atoll::build(plan)?, workspace: plan.workspace.clone(), scratch: plan.scratch.clone() };
        for wasi in [Wasi::P2, Wasi::P3] {
            let component = setup.component(wasi);
            ensure!(component.exists(), "{} is missing: ./just build-components", component.display());
        }
        // The script prints what it could not install, and the tables show it as well.
        Command::new(setup.settings("install.sh")).status().context("bench/peers/install.sh")?;
        Ok(setup)
    }

    fn component(&self, wasi: Wasi) -> PathBuf {
        let name = match wasi {
            Wasi::P2 => "fixture-bench-p2.wasm",
            Wasi::P3 => "fixture-bench.wasm",
        };
        self.workspace.join("components/dist").join(name)
    }

    /// A file of `bench/peers/`.
    pub(crate) fn settings(&self, name: &str) -> PathBuf {
        self.workspace.join("bench/peers").join(name)
    }

    /// The versions of the programs that are not ours, for the tables. Programs that are not installed are absent.
    pub(crate) fn versions(&self) -> String {
        let version_line = |program: &Path| {
            let output = Command::new(program).arg("--version").output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
        };
        let noted = |name: &str| fs::read_to_string(self.tool(name)).ok();
        let pinned = noted("flask/installed.txt").map(|lines| lines.trim().replace("==", " ").replace('\n', ", "));
        let all = [
            version_line(&wasmtime_serve::program(self)),
            noted("workerd/installed.txt").map(|version| format!("workerd {}", version.trim())),
            pinned,
            nginx::version().map(|version| format!("nginx {version}")),
        ];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// A file of `.tools/`.
    fn tool(&self, name: &str) -> PathBuf {
        self.workspace.join(".tools").join(name)
    }
}

impl Side {
    /// Whether its program is installed.
    pub(crate) fn is_installed(self, setup: &PeerSetup) -> bool {
        match self {
            Self::Axum | Self::Bare(_) | Self::Atoll(_) | Self::Typed(_) => true,
            Self::ServeDefault(_) | Self::ServeTuned(_) => wasmtime_serve::program(setup).exists(),
            Self::Workerd => workerd::program(setup).exists(),
            Self::Flask => flask::program(setup).exists(),
            Self::Nginx => nginx::version().is_some(),
        }
    }

    /// Starts the side in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// If it does not listen; the error has its output.
    pub(crate) async fn start(self, setup: &PeerSetup, folder: &Path) -> anyhow::Result<Running> {
        match self {
            Self::Axum => axum::start(),
            Self::Bare(guest) => bare::start(setup, guest),
            Self::Atoll(guest) => atoll::start(setup, folder, guest),
            Self::Typed(life) => atoll::start_typed(setup, folder, life),
            Self::ServeDefault(wasi) => wasmtime_serve::start(setup, folder, wasi, None).await,
            Self::ServeTuned(guest) => wasmtime_serve::start(setup, folder, guest.wasi, Some(guest.life)).await,
            Self::Workerd => workerd::start(setup, folder).await,
            Self::Flask => flask::start(setup, folder).await,
            Self::Nginx => nginx::start(setup, folder).await,
        }
        .with_context(|| self.to_string())
    }
}

impl Running {
    fn of(address: String, process: Process) -> Self {
        Self { address, held: vec![Held::Process(process)] }
    }

    /// What all its processes have used since they began.
    pub(crate) fn usage(&self) -> Usage {
        let roots = self.held.iter().map(|held| match held {
            Held::Atoll(atoll) => atoll.process(),
            Held::Process(process) => process.id(),
        });
        Usage::of(&roots.collect::<Vec<_>>())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Axum => f.write_str("axum, native"),
            Self::Bare(guest) => write!(f, "bare `ProxyHandler`, {guest}"),
            Self::Atoll(guest) => write!(f, "**Atoll**, {guest}"),
            Self::Typed(life) => write!(f, "**Atoll**, typed route, {life}"),
            Self::ServeDefault(wasi) => write!(f, "`wasmtime serve`, defaults, {wasi}"),
            Self::ServeTuned(guest) => write!(f, "`wasmtime serve`, tuned, {guest}"),
            Self::Workerd => f.write_str("workerd"),
            Self::Flask => f.write_str("Flask gateway and service, gunicorn"),
            Self::Nginx => f.write_str("nginx in front of axum"),
        }
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.wasi, self.life)
    }
}

impl fmt::Display for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P2 => "0.2",
            Self::P3 => "0.3",
        })
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("fresh"),
            Self::Reuse(1) => f.write_str("reuse"),
            Self::Reuse(concurrent) => write!(f, "reuse × {concurrent}"),
        }
    }
}
