//! The host that is measured, and the kinds of requests that it gets.

use crate::client;
use anyhow::{Context, ensure};
use host::telemetry::{self, LogFormat};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use tempfile::TempDir;

/// One kind of request.
pub(crate) struct Scenario {
    /// The name of the file with its profile.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) request: &'static [u8],
    pub(crate) status: &'static str,
}

macro_rules! get {
    ($path:literal) => {
        concat!("GET ", $path, " HTTP/1.1\r\nhost: atoll.test\r\naccept: */*\r\n\r\n").as_bytes()
    };
}

/// All kinds of requests, ordered from the shortest path through the host to the longest.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "nowhere", what: "gateway alone: 404, no route", request: get!("/nowhere"), status: "404" },
    Scenario { name: "plain", what: "a plain address behind the mesh", request: get!("/plain"), status: "200" },
    Scenario { name: "fresh03", what: "HTTP, fresh instance, WASI 0.3", request: get!("/fresh03"), status: "200" },
    Scenario { name: "fresh02", what: "HTTP, fresh instance, WASI 0.2", request: get!("/fresh02"), status: "200" },
    Scenario { name: "warm03", what: "HTTP, `reuse`, WASI 0.3", request: get!("/warm03"), status: "200" },
    Scenario { name: "warm02", what: "HTTP, `reuse`, WASI 0.2", request: get!("/warm02"), status: "200" },
    Scenario {
        name: "typed-fresh",
        what: "typed route, fresh instance, `u32`",
        request: get!("/typed/fresh/7"),
        status: "200",
    },
    Scenario {
        name: "typed-warm",
        what: "typed route, warm instance, `u32`",
        request: get!("/typed/warm/7"),
        status: "200",
    },
    Scenario {
        name: "typed-list",
        what: "typed route, warm instance, list of 3 records",
        request: POINTS,
        status: "200",
    },
    Scenario {
        name: "chain",
        what: "typed route to a guest that calls a guest (warm, warm)",
        request: get!("/chain/7"),
        status: "200",
    },
];

const POINTS: &[u8] =
    b"POST /typed/points HTTP/1.1\r\nhost: atoll.test\r\ncontent-type: application/json\r\ncontent-length: 51\r\n\r\n\
    [{\"x\": 1, \"y\": 2},{\"x\": 3, \"y\": 4},{\"x\": 5, \"y\":6}]";

/// A running host. It ends with the process of the benchmark.
pub(crate) struct RunningHost {
    gateway: SocketAddr,
    _folder: TempDir,
}

impl RunningHost {
    /// Starts the host, with all services of [`SCENARIOS`].
    ///
    /// # Errors
    /// A component is missing, or the host does not start.
    pub(crate) fn open() -> anyhow::Result<Self> {
        telemetry::init(Some(LogFormat::Json))?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("atoll.toml");
        std::fs::write(&path, manifest(folder.path(), client::serve_plainly()?)?)?;
        let (announced, lines) = mpsc::sync_channel(8);
        thread::spawn(move || {
            let announce = move |line: &str| drop(announced.send(line.to_owned()));
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
            if let Err(error) = runtime.block_on(host::app::run(&path, false, announce)) {
                println!("the host ended: {error:?}");
            }
        });
        let gateway = loop {
            let line = lines.recv().context("the host did not start")?;
            if let Some(address) = line.strip_prefix("gateway listening on http://") {
                break address.parse()?;
            }
        };
        Ok(Self { gateway, _folder: folder })
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        self.gateway
    }
}

fn manifest(folder: &Path, plain: SocketAddr) -> anyhow::Result<String> {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/dist");
    let mut text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n[runtime]\ncache = {:?}\n\n\
         [service.plain]\nurls = [\"http://{plain}\"]\n\n[[route]]\nprefix = \"/plain\"\nservice = \"plain\"\n",
        folder.join("cache")
    );
    let mut service = |name: &str, component: &str, lines: &str| {
        let file = components.join(format!("{component}.wasm"));
        ensure!(file.exists(), "{} is missing: ./just build-components", file.display());
        text += &format!("\n[service.{name}]\ncomponent = {file:?}\n{lines}\n");
        Ok(())
    };
    let reuse = "isolation = \"reuse\"\nreuse = { max_requests = 1000000, idle_timeout = \"1h\" }";
    service("fresh03", "fixture-hello", "")?;
    service("fresh02", "fixture-legacy02", "")?;
    service("warm03", "fixture-hello", reuse)?;
    service("warm02", "fixture-legacy02", reuse)?;
    service("types", "fixture-types", reuse)?;
    service("fresh-types", "fixture-types", "")?;
    service("relay", "fixture-relay", &format!("calls = [\"types\"]\n{reuse}"))?;
    for name in ["fresh03", "fresh02", "warm03", "warm02"] {
        text += &format!("\n[[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n");
    }
    for (method, path, function) in [
        ("GET", "/typed/fresh/{value}", "fresh-types/echo#echo-u32"),
        ("GET", "/typed/warm/{value}", "types/echo#echo-u32"),
        ("POST", "/typed/points", "types/echo#echo-points"),
        ("GET", "/chain/{value}", "relay/relay#echo-u32"),
    ] {
        text += &format!("\n[[route]]\nmethod = \"{method}\"\npath = \"{path}\"\ncall = \"{function}\"\n");
    }
    Ok(text)
}
