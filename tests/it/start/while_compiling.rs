//! A host serves what is compiled while it compiles the rest.

use super::{HELLO, OTHER, numbered};
use crate::it::atoll::{Home, Http, TIMEOUT, eventually, hello_revision};
use crate::it::in_process_mesh::plan;
use host::base::{CallContext, ErrorKind, RequestId, ServiceName, empty_body};
use host::mesh::{CallError, Mesh};
use host::registry::Registry;
use host::rollout::{GrantSettings, Rollout, ServiceSpec};
use host::runtime::{Runtime, Settings};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Rooms up to the mesh with services whose components are examined and not compiled.
struct StartingRooms {
    folder: TempDir,
    rollout: Rollout,
    mesh: Mesh,
    registry: Arc<Registry<host::mesh::Service>>,
}

impl StartingRooms {
    /// Services of the fixture `hello`, each in a revision of its own, with those that each may call.
    fn new(services: &[(&str, &[u8; 16], &[&str])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { cache: folder.path().join("cache"), ..Settings::default() };
        let runtime = Arc::new(Runtime::new(&settings, 64, 16 << 20).unwrap());
        let registry = Arc::<Registry<_>>::default();
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        let components: Vec<_> = services
            .iter()
            .map(|(name, revision, _)| {
                let path = folder.path().join(format!("{name}.wasm"));
                fs::rename(hello_revision(revision, folder.path()), &path).unwrap();
                runtime.examine(&path).unwrap()
            })
            .collect();
        let specs = services.iter().map(|(name, _, calls)| {
            let calls = calls.iter().map(|callee| ServiceName::new(callee).unwrap()).collect();
            let plan = plan(name);
            ServiceSpec { grants: GrantSettings { calls, ..plan.grants }, ..plan }
        });
        let launches = specs.zip(&components).map(|(spec, component)| (spec, Some((component, [].as_slice()))));
        rollout.launch_all(launches, None).unwrap();
        let mesh = Mesh::new(Arc::clone(&registry), host::mesh::Settings::default());
        Self { folder, rollout, mesh, registry }
    }

    fn file(&self, service: &str) -> PathBuf {
        self.folder.path().join(format!("{service}.wasm"))
    }

    async fn call(&self, service: &str) -> Result<u16, CallError> {
        let request = http::Request::get("/").header("host", "shop.test").body(empty_body()).unwrap();
        let context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(60));
        let answer = self.mesh.call(&ServiceName::new(service).unwrap(), request, &context).await?;
        Ok(answer.status().as_u16())
    }

    fn starting(&self) -> Vec<String> {
        self.rollout.starting().iter().map(ToString::to_string).collect()
    }

    /// Ends the start. Returns the services that are left out, each with the reason.
    async fn finish(&self) -> HashMap<String, String> {
        let gone = Mutex::new(HashMap::new());
        let left_out = |name: &ServiceName, reason| drop(gone.lock().unwrap().insert(name.to_string(), reason));
        self.rollout.finish_start(left_out).await;
        gone.into_inner().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_service_that_starts_is_refused_and_blames_nobody() {
    let rooms = StartingRooms::new(&[("first", HELLO, &["second"]), ("second", OTHER, &[])]);
    assert_eq!(rooms.starting(), ["first", "second"]);
    for _ in 0..20 {
        let refused = rooms.call("first").await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::Starting, Some(Duration::from_secs(2))));
    }
    let state = || rooms.registry.snapshot().get("first").unwrap().group.endpoints[0].stats.state(Instant::now());
    let before = state();
    assert_eq!((before.ready, before.starting, before.requests, before.failures), (false, true, 0, 0));
    assert_eq!(before.breaker.state, host::breaker::State::Closed);
    assert_eq!(rooms.finish().await, HashMap::new());
    assert_eq!((rooms.starting().len(), state().ready, state().starting), (0, true, false));
    assert_eq!((rooms.call("first").await.unwrap(), rooms.call("second").await.unwrap()), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_component_cannot_be_compiled_is_left_out_and_the_others_serve() {
    let rooms = StartingRooms::new(&[("first", HELLO, &["second"]), ("second", OTHER, &[])]);
    fs::write(rooms.file("second"), "another file").unwrap();
    let left_out = rooms.finish().await;
    assert_eq!(left_out.keys().collect::<Vec<_>>(), ["second"]);
    assert!(left_out["second"].contains("cannot be compiled") && left_out["second"].contains("second.wasm is another"));
    assert_eq!(rooms.call("second").await.unwrap_err().kind, ErrorKind::NoEndpoint);
    assert_eq!(rooms.call("first").await.unwrap(), 200, "it may call the other, and imports nothing from it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_ends_the_start_of_its_service() {
    let rooms = StartingRooms::new(&[("first", HELLO, &[])]);
    let other = fs::read(hello_revision(OTHER, rooms.folder.path())).unwrap();
    rooms.rollout.swap("first", other.into()).await.unwrap();
    assert_eq!(rooms.starting(), Vec::<String>::new());
    assert_eq!(rooms.call("first").await.unwrap(), 200);
    // The compilation of the old component fails, which is no matter to the new one.
    fs::remove_file(rooms.file("first")).unwrap();
    assert_eq!(rooms.finish().await, HashMap::new());
    assert_eq!(rooms.call("first").await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_serves_the_warm_service_while_it_compiles_the_cold_ones_and_says_so() {
    const COLD: u32 = 40;
    let mut manifest = "[runtime]\ncache = \"cache\"\n[service.warm]\ncomponent = \"warm.wasm\"\n".to_owned();
    let route = |manifest: &mut String, name: &str| {
        let _ = write!(manifest, "[[route]]\nprefix = \"/{name}\"\nservice = \"{name}\"\n");
    };
    route(&mut manifest, "warm");
    let home = Home::new(&manifest);
    fs::rename(hello_revision(HELLO, home.folder.path()), home.folder.path().join("warm.wasm")).unwrap();
    home.start().await.stop().await;
    // The last one is compiled after all others.
    for number in 0..COLD {
        let name = format!("cold-{number:02}");
        let _ = write!(manifest, "[service.{name}]\ncomponent = \"{name}.wasm\"\n");
        route(&mut manifest, &name);
        fs::write(home.folder.path().join(format!("{name}.wasm")), numbered("fixture-hello", number)).unwrap();
    }
    home.write(&manifest);

    let mut child = home.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = async || tokio::time::timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
    let starting = line().await;
    let address = |after: &str| {
        let (_, rest) = starting.split_once(after).unwrap_or_else(|| panic!("{starting}"));
        rest.split([',', ';']).next().unwrap().to_owned()
    };
    let (gateway, admin, http) = (address("gateway on "), address("admin on "), Http::default());
    assert!(starting.contains("compiling for cold-00, ") && starting.ends_with("cold-39"), "{starting}");
    let last = http.get(&format!("{gateway}/cold-39")).await;
    assert_eq!((last.status.as_u16(), last.header("retry-after")), (503, "2"), "{last:?}");
    assert_eq!(last.problem()["type"], "urn:atoll:problem:starting");
    assert_eq!(http.get(&format!("{gateway}/warm")).await.status, 200);
    assert_eq!(http.get(&format!("{admin}/healthz")).await.status, 200);
    let ready = http.get(&format!("{admin}/readyz")).await;
    assert_eq!(ready.status, 503);
    let detail = ready.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("cold-39") && !detail.contains("warm"), "{detail}");
    let endpoint = http.get(&format!("{admin}/v1/services/cold-39")).await.json()["endpoints"][0].clone();
    assert_eq!((&endpoint["ready"], &endpoint["starting"]), (&false.into(), &true.into()));
    let ps = home.command(&["ps"]).env("ATOLL_ADMIN", &admin).output().await.unwrap();
    let ps = String::from_utf8(ps.stdout).unwrap();
    let row = |name: &str| ps.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{ps}"));
    assert!(row("cold-39").ends_with("starting") && row("warm").ends_with("ready"), "{ps}");

    assert_eq!(line().await, format!("gateway listening on {gateway}"));
    assert_eq!(line().await, format!("admin listening on {admin}"));
    assert_eq!(http.get(&format!("{gateway}/cold-39")).await.status, 200, "the line means that all are ready");
    eventually("the host is ready", async || (http.get(&format!("{admin}/readyz")).await.status == 200).then_some(()))
        .await;
    child.start_kill().unwrap();
}
