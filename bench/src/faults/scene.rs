//! The host of the faults: a neighbour, services that can be made to fail, and upstreams that fail.

use crate::Plan;
use crate::atoll::{self, Atoll};
use anyhow::{Context, ensure};
use std::fmt::Write as _;
use std::io::{PipeReader, Read, pipe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The most bytes in one file of the host: a small disk for the state. The compiled code of a component is smaller.
const DISK: u64 = 32 << 20;

/// The running host and what surrounds it.
pub(super) struct Scene {
    host: Atoll,
    /// `127.0.0.1:…`
    pub(super) gateway: String,
    pub(super) admin: String,
    /// While it is set, nobody reads the host's log.
    stalled: Arc<AtomicBool>,
    /// A component that does not fit the routes of `swapped`.
    pub(super) misfit: PathBuf,
    _folder: TempDir,
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
        let stalled = Arc::new(AtomicBool::new(false));
        let its_stalled = Arc::clone(&stalled);
        let reader = std::thread::spawn(move || read_log(log, &its_stalled));
        let host = match Atoll::start_limited(&binary, folder.path(), &manifest, DISK, stderr.into()) {
            Ok(host) => host,
            // The host has ended, and with it the log.
            Err(error) => return Err(error.context(reader.join().unwrap_or_default())),
        };
        let address = |url: &str| url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_owned());
        let gateway = address(&host.gateway).context("the gateway's address")?;
        let admin = address(&host.admin).context("the admin's address")?;
        Ok(Self { host, gateway, admin, stalled, misfit: component("products")?, _folder: folder })
    }

    /// Whether somebody reads the log.
    pub(super) fn stall_log(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// # Errors
    /// If the host has ended.
    pub(super) fn is_running(&mut self) -> anyhow::Result<()> {
        self.host.is_running()
    }
}

struct Components {
    hello: PathBuf,
    hostile: PathBuf,
    kv: PathBuf,
}

fn manifest(components: &Components, silent: &str, garbled: &str) -> anyhow::Result<String> {
    let Components { hello, hostile, kv } = components;
    // Nobody listens on port 1 of the loopback address.
    let mut text = String::from("[runtime]\ninstances = 64\n\n");
    let mut service = |name: &str, target: &str, limits: &str| {
        write!(
            text,
            "[service.{name}]\n{target}\nlimits = {{ {limits} }}\n\n\
             [[route]]\nprefix = \"/{name}\"\nservice = \"{name}\"\nstrip_prefix = \"/{name}\"\n\n"
        )
    };
    let is = |path: &Path| format!("component = {path:?}");
    let at = |address: &str| format!("urls = [\"http://{address}\"]");
    service("neighbour", &is(hello), "timeout = \"5s\"")?;
    for name in ["chatty", "traps", "hungry", "uploads", "swapped"] {
        service(name, &is(hostile), "timeout = \"5s\"")?;
    }
    service("slow", &is(hostile), "timeout = \"10s\"")?;
    service("looping", &is(hostile), "timeout = \"2s\"")?;
    service("writer", &format!("{}\nstate = true", is(kv)), "timeout = \"5s\"")?;
    service("dead", &at("127.0.0.1:1"), "timeout = \"1s\"")?;
    service("silent", &at(silent), "timeout = \"1s\"")?;
    service("garbled", &at(garbled), "timeout = \"1s\"")?;
    text.push_str(
        "[[route]]\nprefix = \"/hurried\"\nservice = \"slow\"\nstrip_prefix = \"/hurried\"\ntimeout = \"5ms\"\n",
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

/// Reads the log until its end, except while it is stalled. Returns its last piece.
fn read_log(mut log: PipeReader, stalled: &AtomicBool) -> String {
    let mut buffer = [0; 64 << 10];
    let mut last = 0;
    loop {
        while stalled.load(Ordering::Relaxed) {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, whose work is to do nothing")]
            std::thread::sleep(Duration::from_millis(10));
        }
        match log.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&buffer[..last]).into_owned(),
            Ok(count) => last = count,
        }
    }
}
