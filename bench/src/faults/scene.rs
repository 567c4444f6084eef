//! The host of the faults: a neighbour, services that can be made to fail, and upstreams that fail.

use super::log_reader::LogReader;
use super::tally::Tally;
use super::{RATE, UNTIMED_RATE};
use crate::Plan;
use crate::atoll::{self, Atoll};
use crate::native::Client;
use crate::process::without_debug_variables;
use anyhow::{Context, ensure};
use http::{Request, StatusCode};
use std::fmt::Write as _;
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

/// The most bytes in one file of the host: a small disk for the state. The compiled code of a component is smaller.
const DISK: u64 = 16 << 20;
/// The service that is swapped.
pub(super) const MISFIT: &str = "swapped";
/// All services, each with a route of its own name.
pub(super) const SERVICES: [&str; 14] = [
    "neighbour",
    "chatty",
    "traps",
    "hungry",
    "uploads",
    MISFIT,
    "slow",
    "hasty",
    "looping",
    "writer",
    "reader",
    "dead",
    "silent",
    "garbled",
];

/// The running host and what surrounds it.
pub(super) struct Scene {
    host: Atoll,
    binary: PathBuf,
    /// `127.0.0.1:…`
    pub(super) gateway: String,
    pub(super) admin: String,
    pub(super) log: Arc<LogReader>,
    /// A component that does not fit the routes of `swapped`, and one that does.
    pub(super) misfit: PathBuf,
    pub(super) fitting: PathBuf,
    /// How often `swapped` was changed.
    pub(super) changes: Changes,
    /// Requests per second to the neighbour.
    pub(super) rate: u32,
    /// What all clients have seen since the host has started.
    pub(super) seen: Tally,
    folder: TempDir,
}

/// What an operator was told of swaps: refused ones, those done, and rollbacks.
#[derive(Debug, Default)]
pub(super) struct Changes([AtomicU64; 3]);

impl Changes {
    pub(super) fn add(&self, refused: u64, swapped: u64, rolled_back: u64) {
        for (sum, count) in self.0.iter().zip([refused, swapped, rolled_back]) {
            sum.fetch_add(count, Relaxed);
        }
    }

    /// Refusals, swaps, rollbacks.
    pub(super) fn counts(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.0[at].load(Relaxed))
    }
}

impl Scene {
    /// # Errors
    /// If a component is missing or the host does not start.
    pub(super) async fn set(plan: &Plan) -> anyhow::Result<Self> {
        let binary = atoll::build(plan)?;
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let (silent, garbled) = (silent_upstream().await?, garbled_upstream().await?);
        let component = |name: &str| {
            let path = plan.workspace.join(format!("components/dist/{name}.wasm"));
            ensure!(path.exists(), "{} is missing: ./just build-components", path.display());
            Ok(path)
        };
        let components = Components {
            hello: component("fixture-hello")?,
            hostile: component("fixture-hostile")?,
            kv: component("fixture-kv")?,
        };
        let manifest = manifest(&components, &silent, &garbled)?;
        let (log, stderr) = pipe()?;
        let (log, reader) = LogReader::start(log);
        let host = match Atoll::start_limited(&binary, folder.path(), &manifest, DISK, stderr.into()) {
            Ok(host) => host,
            // The host has ended, and with it the log.
            Err(error) => return Err(error.context(reader.join().unwrap_or_default())),
        };
        let address = |url: &str| url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_owned());
        let gateway = address(&host.gateway).context("the gateway's address")?;
        let admin = address(&host.admin).context("the admin's address")?;
        let mut seen = Tally::default();
        let request = Request::put("/reader/bucket/default/kept");
        let answer = Client::connect(&gateway).await?.send(request, "a value".into()).await?;
        ensure!(answer.status() == StatusCode::NO_CONTENT, "the value to read is not written: {}", answer.status());
        seen.answered("reader", answer.status().as_u16(), answer.body());
        let (misfit, fitting, changes) = (component("products")?, components.hello, Changes::default());
        let rate = if plan.timed { RATE } else { UNTIMED_RATE };
        Ok(Self { host, binary, gateway, admin, log, misfit, fitting, changes, rate, seen, folder })
    }

    /// # Errors
    /// If the host has ended.
    pub(super) fn is_running(&mut self) -> anyhow::Result<()> {
        self.host.is_running()
    }

    /// What a verb of the command line prints.
    ///
    /// # Errors
    /// If it does not start, or fails.
    pub(super) async fn run(&self, verb: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        without_debug_variables(&mut command).args(verb).env("ATOLL_ADMIN", format!("http://{}", self.admin));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        let output = spawn_blocking(move || command.output()).await??;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "atoll {}: {errors}", verb.join(" "));
        Ok(text.into_owned())
    }
}

struct Components {
    hello: PathBuf,
    hostile: PathBuf,
    kv: PathBuf,
}

fn manifest(components: &Components, silent: &str, garbled: &str) -> anyhow::Result<String> {
    let Components { hello, hostile, kv } = components;
    // A queue that a stalled reader fills within a second. The defaults of the rest are what is measured.
    let mut text = String::from("[runtime]\ninstances = 64\n\n[log]\nqueue = \"128KiB\"\n\n");
    text.push_str("[gateway]\nrate_grace = \"1s\"\n\n");
    let is = |path: &Path| format!("component = {path:?}");
    let at = |address: &str| format!("urls = [\"http://{address}\"]");
    for name in SERVICES {
        let target = match name {
            "neighbour" => is(hello),
            "writer" | "reader" => format!("{}\nstate = true", is(kv)),
            // Nobody listens on port 1 of the loopback address.
            "dead" => at("127.0.0.1:1"),
            "silent" => at(silent),
            "garbled" => at(garbled),
            _ => is(hostile),
        };
        let more = match name {
            "slow" => "limits = { timeout = \"10s\" }",
            // So that loops run for all of the time: else the circuit opens after the first of them.
            "looping" => "limits = { timeout = \"2s\" }\nretry = { tries = 0 }\nbreaker = { failure_threshold = 1000 }",
            "dead" | "silent" | "garbled" => "limits = { timeout = \"1s\" }",
            _ => "limits = { timeout = \"5s\" }",
        };
        write!(
            text,
            "[service.{name}]\n{target}\n{more}\n\n\
             [[route]]\nprefix = \"/{name}\"\nservice = \"{name}\"\nstrip_prefix = \"/{name}\"\n\n"
        )?;
    }
    text.push_str(
        "[[route]]\nprefix = \"/hurried\"\nservice = \"hasty\"\nstrip_prefix = \"/hurried\"\ntimeout = \"5ms\"\n",
    );
    Ok(text)
}

/// Takes connections and requests, and never answers. Ends with the program.
async fn silent_upstream() -> anyhow::Result<String> {
    upstream(async |mut socket| {
        let mut buffer = [0; 4096];
        while !matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)) {}
    })
    .await
}

/// Answers with what is no HTTP. Ends with the program.
async fn garbled_upstream() -> anyhow::Result<String> {
    upstream(async |mut socket| {
        let mut buffer = [0; 4096];
        let _ = socket.read(&mut buffer).await;
        let _ = socket.write_all(b"220 ready for mail\r\n").await;
    })
    .await
}

async fn upstream<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> anyhow::Result<String>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    Ok(address)
}
