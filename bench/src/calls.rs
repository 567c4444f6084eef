//! What a call costs: from service to service inside the host, by a typed call and by HTTP, and over a loopback
//! connection.
//!
//! One caller makes one call after the other. Calls between services are timed in the guest that makes them, the
//! fixture `relay`, so the guest's own cost of a call is included. The fixture `types` answers them.

use crate::atoll::{self, Atoll};
use crate::native::{self, Client};
use crate::rounds::Rounds;
use crate::table::Table;
use crate::{Plan, progress};
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// Calls between two readings of the clock. By default an instance serves as many calls, so each batch includes its
/// share of new instances.
const BATCH: u32 = 1000;

/// How long a side runs before its calls count.
const WARM_UP: Duration = Duration::from_millis(300);

/// One kind of call.
struct Side {
    what: &'static str,
    caller: Caller,
}

enum Caller {
    /// A native client that calls the native server.
    Native,
    /// The same client, which requests this path of the gateway.
    Gateway(&'static str),
    /// A guest. The answer to this path, with a number after it, says how many nanoseconds that many calls took.
    Guest(&'static str),
}

/// The others are compared with the first.
const SIDES: [Side; 6] = [
    Side { what: "loopback HTTP to a native server", caller: Caller::Native },
    Side { what: "typed call with a `u32`, warm instance", caller: Caller::Guest("/warm/u32") },
    Side { what: "typed call with a record, warm instance", caller: Caller::Guest("/warm/record") },
    Side { what: "typed call with a `u32`, fresh instance", caller: Caller::Guest("/fresh/u32") },
    Side { what: "HTTP inside the host, fresh instance", caller: Caller::Guest("/http/types") },
    Side { what: "loopback HTTP to the service at the gateway, fresh instance", caller: Caller::Gateway("/types") },
];

/// Measures all sides alternately, and returns a table in markdown.
///
/// # Errors
/// If a server does not start, or a single call fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<String> {
    let binary = atoll::build(plan)?;
    let manifest = manifest(&plan.workspace.join("components/dist"), &plan.scratch.join("cache"))?;
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let atoll = Atoll::start(&binary, folder.path(), &manifest)?;
    let gateway = atoll.gateway.strip_prefix("http://").context("the gateway's address")?;
    let (_native, native) = native::start()?;

    progress("calls");
    let measured = Rounds::alternate(plan.rounds, SIDES.len(), async |side| {
        let side = &SIDES[side];
        let address = if matches!(side.caller, Caller::Native) { &native } else { gateway };
        let client = Client::connect(address).await?;
        side.measure(client, plan.duration).await.with_context(|| side.what)
    });
    let measured = measured.await?;
    let mut table = Table::new(["call", "µs a call", "times cheaper than the first"]);
    for (side, Side { what, .. }) in SIDES.iter().enumerate() {
        table.row([
            (*what).to_owned(),
            format!("{:.1}", measured.side(side)),
            format!("{:.2}", measured.ratio(0, side)),
        ]);
    }
    Ok(format!(
        "Microseconds from a call to its answer, one call after the other: median (least–most) of all rounds. The \
         ratio is taken within each round. Every answer is a few bytes. Everything runs on one machine. Calls inside \
         the host go from guest to guest, and the calling guest times them. A warm instance serves {BATCH} calls \
         before a new one replaces it. The native server and the host are separate processes. Their client is native \
         and keeps its connection.\n\n{table}"
    ))
}

impl Side {
    /// Microseconds for each call.
    async fn measure(&self, mut client: Client, duration: Duration) -> anyhow::Result<f64> {
        let start = Instant::now();
        while start.elapsed() < WARM_UP {
            self.batch(&mut client).await?;
        }
        let (mut spent, mut batches) = (Duration::ZERO, 0);
        while spent < duration {
            spent += self.batch(&mut client).await?;
            batches += 1;
        }
        Ok(spent.as_secs_f64() * 1e6 / f64::from(batches * BATCH))
    }

    /// How long one batch takes.
    async fn batch(&self, client: &mut Client) -> anyhow::Result<Duration> {
        let path = match self.caller {
            Caller::Native => "/",
            Caller::Gateway(path) => path,
            Caller::Guest(path) => {
                let nanoseconds = client.get(&format!("{path}/{BATCH}")).await?;
                return Ok(Duration::from_nanos(std::str::from_utf8(&nanoseconds)?.parse()?));
            }
        };
        let start = Instant::now();
        for _ in 0..BATCH {
            client.get(path).await?;
        }
        Ok(start.elapsed())
    }
}

/// Each fixture twice: with kept instances, and with a new instance for each call.
fn manifest(components: &Path, cache: &Path) -> anyhow::Result<String> {
    let (relay, types) = (components.join("fixture-relay.wasm"), components.join("fixture-types.wasm"));
    for component in [&relay, &types] {
        ensure!(component.exists(), "{} is missing: ./just build-components", component.display());
    }
    Ok(format!(
        r#"[runtime]
cache = {cache:?}

[service.types]
component = {types:?}
isolation = "reuse"

[service.relay]
component = {relay:?}
calls = ["types"]
isolation = "reuse"

[service.fresh-types]
component = {types:?}
isolation = "request"

[service.fresh-relay]
component = {relay:?}
calls = ["fresh-types"]
isolation = "reuse"

[[route]]
method = "GET"
path = "/warm/u32/{{count}}"
call = "relay/bench#bench"

[[route]]
method = "GET"
path = "/warm/record/{{count}}"
call = "relay/bench#bench-record"

[[route]]
method = "GET"
path = "/fresh/u32/{{count}}"
call = "fresh-relay/bench#bench"

[[route]]
method = "GET"
path = "/http/{{service}}/{{count}}"
call = "relay/bench#bench-http"

[[route]]
prefix = "/types"
service = "types"
"#
    ))
}
