//! Writes by several clients at once: commits that share a sync, against one sync for each write.
//!
//! Measured at two points: the host's room `state` directly, and `POST /api/users` through the real binary. Both
//! sides run the same code and differ only in `max_batch`.

use crate::atoll::{self, Atoll};
use crate::load::{Client, throughput};
use crate::rounds::Rounds;
use crate::table::Table;
use crate::{Plan, progress};
use anyhow::{Context, ensure};
use bytes::Bytes;
use host::base::ServiceName;
use host::state::{Bucket, Change, Settings, Store, Transaction};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::path::Path;

/// Clients at a time.
const CLIENTS: [usize; 3] = [1, 8, 64];

/// The sides, by how many commits may share a sync: the manifest's default, and one.
const MAX_BATCH: [usize; 2] = [256, 1];

/// Measures at both points, and returns two tables in markdown.
///
/// # Errors
/// If the host does not start, or a single write fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<String> {
    let binary = atoll::build(plan)?;
    let component = plan.workspace.join("components/dist/users.wasm");
    ensure!(component.exists(), "{} is missing: ./just build-components", component.display());

    let mut direct = table();
    let mut through = table();
    for clients in CLIENTS {
        progress(&format!("writes by {clients}: room state"));
        let measured =
            Rounds::alternate(plan.rounds, MAX_BATCH.len(), async |side| commits(plan, clients, MAX_BATCH[side]).await);
        add_row(&mut direct, clients, &measured.await?);
        progress(&format!("writes by {clients}: POST /api/users"));
        let measured = Rounds::alternate(plan.rounds, MAX_BATCH.len(), async |side| {
            posts(plan, &binary, &component, clients, MAX_BATCH[side]).await
        });
        add_row(&mut through, clients, &measured.await?);
    }
    Ok(format!(
        "Writes per second. Each client waits for its answer, which comes when the write is on disk: median \
         (least–most) of all rounds. Grouped: up to {} commits share a sync. Alone: `max_batch = 1`, one sync for \
         each write. The ratio is taken within each round.\n\n\
         At the room `state`, where each write is a transaction of two checks and two puts:\n\n{direct}\n\
         Through the binary, `POST /api/users`, with the clients on the same machine:\n\n{through}",
        MAX_BATCH[0],
    ))
}

fn table() -> Table {
    Table::new(["clients", "grouped, writes/s", "alone, writes/s", "grouped : alone"])
}

fn add_row(table: &mut Table, clients: usize, measured: &Rounds) {
    table.row([
        clients.to_string(),
        format!("{:.0}", measured.side(0)),
        format!("{:.0}", measured.side(1)),
        format!("{:.2}", measured.ratio(0, 1)),
    ]);
}

/// Commits per second at the room, in a database of its own.
async fn commits(plan: &Plan, clients: usize, max_batch: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let settings = Settings { path: folder.path().join("state.redb"), max_batch, ..Settings::default() };
    let store = Store::open(&settings)?;
    let bucket = store.bucket(&ServiceName::new("users")?);
    let writers = (0..clients).map(|client| Writer { bucket: bucket.clone(), client, written: 0 }).collect();
    let rate = throughput(writers, plan.duration).await;
    store.close();
    rate
}

/// A client of the room. It writes what the users service writes for a new user: the record and the email, both new.
struct Writer {
    bucket: Bucket,
    client: usize,
    written: u64,
}

impl Client for Writer {
    async fn act(&mut self) -> anyhow::Result<()> {
        let id = format!("{}-{}", self.client, self.written);
        self.written += 1;
        let (user, email) = (format!("user/{id}").into_bytes(), format!("email/{id}@example.org").into_bytes());
        let record = format!(r#"{{"name":"User {id}","email":"{id}@example.org"}}"#).into_bytes();
        self.bucket
            .commit(Transaction {
                beside: Vec::new(),
                checks: vec![(user.clone(), 0), (email.clone(), 0)],
                writes: vec![(user, Change::Put(record)), (email, Change::Put(id.into_bytes()))],
            })
            .await?;
        Ok(())
    }
}

/// Created users per second, at a host of its own. All hosts share the compiled code, so only the first start
/// compiles.
async fn posts(plan: &Plan, binary: &Path, component: &Path, clients: usize, max_batch: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let manifest = manifest(component, &plan.scratch.join("cache"), max_batch);
    let host = Atoll::start(binary, folder.path(), &manifest)?;
    let url: Uri = format!("{}/api/users", host.gateway).parse().context("the gateway's address")?;
    let posters = (0..clients).map(|client| Poster::new(url.clone(), client)).collect();
    throughput(posters, plan.duration).await
}

/// The users service as in the example shop's manifest.
fn manifest(component: &Path, cache: &Path, max_batch: usize) -> String {
    format!(
        r#"[state]
path = "state.redb"
max_batch = {max_batch}

[runtime]
cache = {cache:?}

[service.users]
component = {component:?}
replicas = 2
state = true
config = {{ page_size = "50" }}
limits = {{ memory = "64MiB", timeout = "5s", concurrency = 256, body = "2MiB" }}

[[route]]
prefix = "/api/users"
strip_prefix = "/api"
service = "users"
"#
    )
}

/// A client of the gateway with one kept connection.
struct Poster {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    client: usize,
    posted: u64,
}

impl Poster {
    fn new(url: Uri, client: usize) -> Self {
        let mut connector = HttpConnector::new();
        // With Nagle's algorithm, the kernel's delayed acknowledgement would be measured instead of the host.
        connector.set_nodelay(true);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, url, client, posted: 0 }
    }
}

impl Client for Poster {
    async fn act(&mut self) -> anyhow::Result<()> {
        let id = format!("{}-{}", self.client, self.posted);
        self.posted += 1;
        let user = format!(r#"{{"name":"User {id}","email":"{id}@example.org"}}"#);
        let request = Request::post(self.url.clone()).header("content-type", "application/json");
        let answer = self.http.request(request.body(Full::from(user))?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        ensure!(head.status == StatusCode::CREATED, "{}: {}", head.status, String::from_utf8_lossy(&body));
        Ok(())
    }
}
