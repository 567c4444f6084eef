//! What metrics and traces cost: the processor time of the host for a request to a trivial component and for a typed
//! call between services, without traces, with one of a hundred, and with all of them kept.
//!
//! The metrics are always on: there is no host without them. The processor time is that of the host alone, and is
//! compared within each round, so that a machine with other work changes it less than a rate.

use crate::atoll::{self, Atoll};
use crate::native::Client;
use crate::process::Usage;
use crate::rounds::Rounds;
use crate::table::Table;
use crate::{Finding, Plan, progress};
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::Instant;

/// How many typed calls one request makes: few enough for all of their spans to be kept.
const CALLS: u32 = 20;

/// The most that one of a hundred and all of them may cost: the ratio to the host without traces.
const MOST: [f64; 3] = [1.0, 1.03, 1.15];

/// How requests are traced: the words of the table, and the lines of the manifest.
const SETTINGS: [(&str, &str); 3] =
    [("no traces", ""), ("1 % kept", "[telemetry]\nsample = 0.01\n"), ("all kept", "[telemetry]\nsample = 1.0\n")];

/// The work: its words, the path of a request, and how many units of work a request is.
const WORK: [(&str, &str, u32); 2] =
    [("request to a trivial component", "/trivial", 1), ("typed call of a `u32`, warm instance", "/warm/u32/", CALLS)];

/// Measures all settings alternately for each kind of work.
///
/// # Errors
/// If a host does not start, or a single request fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let binary = atoll::build(plan)?;
    let components = plan.workspace.join("components/dist");
    let mut hosts = Vec::new();
    for (_, lines) in SETTINGS {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let manifest = format!("{lines}{}", manifest(&components, &plan.scratch.join("cache"))?);
        hosts.push((Atoll::start(&binary, folder.path(), &manifest)?, folder));
    }
    progress("tracing");
    let mut table = Table::new(["work", "traces", "µs of processor time", "ratio to no traces"]);
    let mut misses = Vec::new();
    for (what, path, units) in WORK {
        let path = if units > 1 { format!("{path}{units}") } else { path.to_owned() };
        let measured = Rounds::alternate(plan.rounds, SETTINGS.len(), async |side| {
            measure(&hosts[side].0, &path, units, plan).await.with_context(|| SETTINGS[side].0)
        });
        let measured = measured.await?;
        for (side, (traces, _)) in SETTINGS.iter().enumerate() {
            let ratio = measured.ratio(side, 0);
            table.row([
                what.to_owned(),
                (*traces).to_owned(),
                format!("{:.1}", measured.side(side)),
                format!("{ratio:.3}"),
            ]);
            if ratio.median > MOST[side] {
                misses.push(format!("{what}, {traces}: {:.3} times the processor time", ratio.median));
            }
        }
    }
    Ok(Finding {
        text: format!(
            "Microseconds of the host's processor time for one unit of work: median (least–most) of all rounds. The \
             ratio is taken within each round. One client sends one request after the other; a request of the second \
             kind makes {CALLS} typed calls. Metrics are on in all hosts.\n\n{table}"
        ),
        misses,
    })
}

/// Microseconds of processor time for each unit of work.
async fn measure(host: &Atoll, path: &str, units: u32, plan: &Plan) -> anyhow::Result<f64> {
    let mut client = Client::connect(host.gateway.strip_prefix("http://").context("the gateway's address")?).await?;
    for _ in 0..100 {
        client.get(path).await?;
    }
    let (start, before) = (Instant::now(), Usage::of(&[host.process()]).cpu);
    let mut requests = 0_u32;
    while start.elapsed() < plan.duration {
        client.get(path).await?;
        requests += 1;
    }
    let spent = Usage::of(&[host.process()]).cpu - before;
    Ok(spent * 1e6 / f64::from(requests * units))
}

fn manifest(components: &Path, cache: &Path) -> anyhow::Result<String> {
    let [trivial, relay, types] =
        ["hello", "relay", "types"].map(|name| components.join(format!("fixture-{name}.wasm")));
    for component in [&trivial, &relay, &types] {
        ensure!(component.exists(), "{} is missing: ./just build-components", component.display());
    }
    Ok(format!(
        r#"
[runtime]
cache = {cache:?}

[service.trivial]
component = {trivial:?}

[service.types]
component = {types:?}
isolation = "reuse"

[service.relay]
component = {relay:?}
calls = ["types"]
isolation = "reuse"

[[route]]
prefix = "/trivial"
service = "trivial"

[[route]]
method = "GET"
path = "/warm/u32/{{count}}"
call = "relay/bench#bench"
"#
    ))
}
