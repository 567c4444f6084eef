//! The memory of the example shop when idle, under full load, and idle again after it; and the size of the binary.

use crate::atoll::{self, Atoll};
use crate::native::Client;
use crate::process::Usage;
use crate::rounds::Spread;
use crate::server_comparison::WARM_UP;
use crate::table::Table;
use crate::wrk::{CONNECTIONS, Load};
use crate::{Finding, Plan, progress};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, StatusCode};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// The claim's bounds, in MiB.
const IDLE: f64 = 60.0;
const RESTED: f64 = 200.0;
const BINARY: f64 = 40.0;

/// How long a newly started host is left alone before its memory is read. Threads that have compiled components give
/// their memory back when they end, and they wait for more work for 10 s.
const SETTLE: Duration = Duration::from_secs(15);

/// How many items of each kind are created before the load, which reads them.
const ITEMS: usize = 50;

/// One round, in MiB.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Idle, after a start that compiled the components.
    compiled: f64,
    /// Idle, after a start with the code from the cache.
    cached: f64,
    /// The most since that start, load included.
    loaded: f64,
    /// Idle again.
    rested: f64,
    /// Requests per second of the load.
    rate: f64,
}

/// Measures one host in each round.
///
/// # Errors
/// If the host does not start, or a single answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let host = atoll::build(plan)?;
    let binary = fs::metadata(&host)?.len() as f64 / f64::from(1 << 20);
    let manifest = manifest(&plan.workspace)?;
    let mut rounds = Vec::new();
    for round in 1..=plan.rounds {
        progress(&format!("memory: round {round} of {}", plan.rounds));
        rounds.push(measure(plan, &host, &manifest).await?);
    }
    let of = |value: fn(&Round) -> f64| Spread::of(&rounds.iter().map(value).collect::<Vec<_>>());
    let lines = [
        ("the binary", Spread::of(&[binary]), Some(BINARY)),
        ("idle, components compiled at this start", of(|round| round.compiled), Some(IDLE)),
        ("idle, compiled code from the cache", of(|round| round.cached), Some(IDLE)),
        ("the most under load", of(|round| round.loaded), None),
        ("idle again", of(|round| round.rested), Some(RESTED)),
    ];
    let mut table = Table::new(["", "MiB", "less than"]);
    let mut misses = Vec::new();
    for (what, measured, bound) in lines {
        table.row([what.to_owned(), format!("{measured:.1}"), bound.map_or("–".to_owned(), |bound| bound.to_string())]);
        if let Some(bound) = bound.filter(|bound| measured.max >= *bound) {
            misses.push(format!("{what}: {measured:.1} MiB, not less than {bound}"));
        }
    }
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("Not all hold: {}.", misses.join("; ")) };
    let seconds = plan.duration.as_secs();
    Ok(Finding {
        text: format!(
            "The example shop (`atoll.toml`): users, products and orders, two replicas each. *Idle* is {} s after it \
             listens. The load reads lists and single items of {ITEMS} users, {ITEMS} products and {ITEMS} orders one \
             after the other for {seconds} s, with `wrk` and {CONNECTIONS} connections ({:.0} requests/s). Then the \
             host is idle for {seconds} s. The table shows resident memory.\n\n{table}\n\
             The claims are the bounds. {verdict}\n",
            SETTLE.as_secs(),
            of(|round| round.rate),
        ),
        misses,
    })
}

/// The shop's manifest with absolute paths.
fn manifest(workspace: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(workspace.join("atoll.toml"))?;
    let from_here = |folder: &str| format!("\"{}/", workspace.join(folder).display());
    Ok(text.replace("\"components/", &from_here("components")).replace("\"wit/", &from_here("wit")))
}

async fn measure(plan: &Plan, host: &Path, manifest: &str) -> anyhow::Result<Round> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let start = || Atoll::start_with(host, folder.path(), manifest, &[crate::atoll::QUIET]);
    let compiling = start()?;
    sleep(SETTLE).await;
    let compiled = Usage::of(&[compiling.process()]).resident;
    drop(compiling);

    let atoll = start()?;
    let now = || Usage::of(&[atoll.process()]);
    sleep(SETTLE).await;
    let cached = now().resident;
    let address = atoll.gateway.strip_prefix("http://").context("the gateway's address")?;
    let paths = stock(address).await?;
    let script = folder.path().join("mixed.lua");
    fs::write(&script, crate::wrk::in_turns(&paths))?;
    let load = Load { url: atoll.gateway.clone(), script: Some(script) };
    load.run(WARM_UP)?;
    let rate = load.run(plan.duration)?.rate;
    let loaded = now().most;
    sleep(plan.duration).await;
    Ok(Round { compiled, cached, loaded, rested: now().resident, rate })
}

/// Creates users, products and orders. Returns the paths to read.
async fn stock(address: &str) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(address).await?;
    let mut paths: Vec<_> = ["/api/users", "/api/products", "/api/orders"].map(str::to_owned).to_vec();
    for number in 0..ITEMS {
        let user = format!(r#"{{"name":"Ada","email":"ada{number}@example.org"}}"#);
        let user = create(&mut client, "/api/users", user).await?;
        let product =
            format!(r#"{{"sku":"tea-{number}","name":"Tea","price":{{"amount":450,"currency":"EUR"}},"stock":1000}}"#);
        let product = create(&mut client, "/api/products", product).await?;
        let id = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let order = format!(r#"{{"user":"{}","lines":[{{"product":"{}","quantity":1}}]}}"#, id(&user), id(&product));
        let order = create(&mut client, "/api/orders", order).await?;
        paths.extend([user, product, order]);
    }
    Ok(paths)
}

/// Creates one item, and returns its path.
async fn create(client: &mut Client, path: &str, body: String) -> anyhow::Result<String> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json").header("idempotency-key", &body);
    let answer = client.send(request, Bytes::from(body)).await?;
    ensure!(answer.status() == StatusCode::CREATED, "{path}: {}: {:?}", answer.status(), answer.body());
    let location = answer.headers().get(LOCATION).context("the answer has a location")?;
    Ok(location.to_str()?.to_owned())
}
