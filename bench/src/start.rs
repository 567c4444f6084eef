//! How long a start takes, and how much memory a host of idle services needs: the shop, 100 services and 2,000
//! services, each with its own component.
//!
//! The time runs from the start of the process to the line with the gateway's address, and to the first 200 of the
//! admin's `/readyz`. A start with a full cache ("warm") finds all code compiled. Resident memory is read before the
//! first call. Then one service is called for the first time, which loads its code.
//!
//! The claims: 100 services are ready within 300 ms; 2,000 within 5 s, in less than 100 MiB. They are about the
//! slowest and the largest of all rounds.

use crate::atoll::{self, Atoll};
use crate::native::Client;
use crate::rounds::Spread;
use crate::table::Table;
use crate::{Finding, Plan, component_copies, progress};
use anyhow::{Context, bail};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// The fixture of which all components are copies, each with a number at its end.
const FIXTURE: &str = "fixture-hello";
/// How long a listening host may take until it is ready, before the comparison gives up.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// One kind of start.
struct Case {
    what: &'static str,
    /// How many services; `None` for the shop.
    services: Option<u32>,
    warm: bool,
    claim: Claim,
}

/// What must hold of every round.
struct Claim {
    ready_within: Option<Duration>,
    /// In MiB.
    resident_below: Option<f64>,
}

const NOTHING: Claim = Claim { ready_within: None, resident_below: None };

const CASES: [Case; 4] = [
    Case {
        what: "the shop, warm",
        services: None,
        warm: true,
        claim: Claim { ready_within: None, resident_below: Some(60.0) },
    },
    Case { what: "100 services, cold", services: Some(100), warm: false, claim: NOTHING },
    Case {
        what: "100 services, warm",
        services: Some(100),
        warm: true,
        claim: Claim { ready_within: Some(Duration::from_millis(300)), resident_below: None },
    },
    Case {
        what: "2,000 services, warm",
        services: Some(2000),
        warm: true,
        claim: Claim { ready_within: Some(Duration::from_secs(5)), resident_below: Some(100.0) },
    },
];

/// The results of starts: milliseconds and MiB.
#[derive(Default)]
struct Measured {
    listening: Vec<f64>,
    ready: Vec<f64>,
    resident: Vec<f64>,
    first_call: Vec<f64>,
    next_call: Vec<f64>,
}

/// Measures all kinds of start alternately, and returns a table in markdown.
///
/// # Errors
/// If a host does not start, or a call fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let binary = atoll::build(plan)?;
    let homes: Vec<_> = CASES.iter().map(|case| case.home(plan)).collect::<anyhow::Result<_>>()?;
    let mut measured: Vec<_> = CASES.iter().map(|_| Measured::default()).collect();
    // The first round does not count, because it fills the caches.
    for round in 0..=plan.rounds {
        for ((case, home), measured) in CASES.iter().zip(&homes).zip(&mut measured) {
            if round == 0 {
                progress(&format!("start: filling the cache for {}", case.what));
            }
            let mut once = Measured::default();
            case.measure(&binary, home, plan.duration, &mut once).await.with_context(|| case.what)?;
            if round > 0 {
                measured.extend(once);
            }
        }
        progress(&format!("start: round {round} of {}", plan.rounds));
    }
    let mut table =
        Table::new(["start", "listening, ms", "ready, ms", "resident, MiB", "a first call, ms", "the next call, ms"]);
    let mut misses = Vec::new();
    for (case, measured) in CASES.iter().zip(&measured) {
        table.row([
            case.what.to_owned(),
            format!("{:.0}", Spread::of(&measured.listening)),
            format!("{:.0}", Spread::of(&measured.ready)),
            format!("{:.1}", Spread::of(&measured.resident)),
            format!("{:.2}", Spread::of(&measured.first_call)),
            format!("{:.2}", Spread::of(&measured.next_call)),
        ]);
        misses.extend(case.misses(measured));
    }
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("They do not hold: {}.", misses.join("; ")) };
    let text = format!(
        "The time from the start of the process until it listens, and until it is ready: median (least–most) of all \
         rounds. Each service has its own component ({kib} KiB: the fixture `hello` with a number at its end). Cold: \
         nothing is compiled yet. Warm: everything is compiled, and code is loaded at the first call. Resident memory \
         (`VmRSS`) is read after {seconds} s without a call. The first call of a service loads its code.\n\n{table}\n\
         The claims, which are about the slowest and the largest round: the idle shop needs less than 60 MiB; 100 \
         services are ready within 300 ms; 2,000 within 5 s, in less than 100 MiB. {verdict}\n",
        kib = fs::metadata(fixture(plan))?.len() / 1024,
        seconds = plan.duration.as_secs(),
    );
    Ok(Finding { text, misses })
}

fn fixture(plan: &Plan) -> PathBuf {
    plan.workspace.join(format!("components/dist/{FIXTURE}.wasm"))
}

impl Case {
    /// A folder with the components. The cache will be there too.
    fn home(&self, plan: &Plan) -> anyhow::Result<TempDir> {
        let home = tempfile::Builder::new().prefix("start-").tempdir_in(&plan.scratch)?;
        component_copies::write(&fixture(plan), home.path(), self.services.unwrap_or(0) as usize)?;
        let manifest = match self.services {
            Some(services) => manifest(services),
            None => shop(&plan.workspace)?,
        };
        fs::write(home.path().join("manifest"), manifest)?;
        Ok(home)
    }

    /// The path of the first call.
    fn path(&self) -> &'static str {
        if self.services.is_some() { "/first" } else { "/api/products" }
    }

    /// One start and its end.
    async fn measure(&self, binary: &Path, home: &TempDir, rest: Duration, into: &mut Measured) -> anyhow::Result<()> {
        let manifest = fs::read_to_string(home.path().join("manifest"))?;
        if !self.warm && home.path().join("cache").exists() {
            fs::remove_dir_all(home.path().join("cache"))?;
        }
        let started = Instant::now();
        let atoll = Atoll::start(binary, home.path(), &manifest)?;
        let listening = Instant::now();
        into.listening.push(ms(listening - started));
        let admin = atoll.admin.strip_prefix("http://").context("the admin's address")?;
        while !is_ready(admin).await {
            if listening.elapsed() > READY_TIMEOUT {
                bail!("the host is not ready after {READY_TIMEOUT:?}");
            }
        }
        into.ready.push(ms(started.elapsed()));
        sleep(rest).await;
        into.resident.push(resident(atoll.process())?);
        let mut client =
            Client::connect(atoll.gateway.strip_prefix("http://").context("the gateway's address")?).await?;
        for calls in [&mut into.first_call, &mut into.next_call] {
            let started = Instant::now();
            client.get(self.path()).await?;
            calls.push(ms(started.elapsed()));
        }
        Ok(())
    }

    /// Where the claim does not hold, and by how much.
    fn misses(&self, measured: &Measured) -> Vec<String> {
        let (slowest, largest) = (Spread::of(&measured.ready).max, Spread::of(&measured.resident).max);
        let late = self.claim.ready_within.filter(|within| slowest > ms(*within));
        let late = late.map(|within| format!("{} were ready after {slowest:.0} ms, not {:.0}", self.what, ms(within)));
        let large = self.claim.resident_below.filter(|below| largest >= *below);
        let large = large.map(|below| format!("{}: {largest:.1} MiB are resident, not less than {below}", self.what));
        late.into_iter().chain(large).collect()
    }
}

impl Measured {
    fn extend(&mut self, other: Self) {
        self.listening.extend(other.listening);
        self.ready.extend(other.ready);
        self.resident.extend(other.resident);
        self.first_call.extend(other.first_call);
        self.next_call.extend(other.next_call);
    }
}

async fn is_ready(admin: &str) -> bool {
    match Client::connect(admin).await {
        Ok(mut client) => client.get("/readyz").await.is_ok(),
        Err(_) => false,
    }
}

/// A manifest of so many services. The first has a route.
fn manifest(services: u32) -> String {
    let mut text = "[runtime]\ncache = \"cache\"\n\n[[route]]\nprefix = \"/first\"\nservice = \"s0\"\n".to_owned();
    for number in 0..services {
        let _ = write!(text, "\n[service.s{number}]\ncomponent = \"{number}.wasm\"\n"); // a String takes everything
    }
    text
}

/// The shop's manifest with absolute paths, and with its own state and cache.
fn shop(workspace: &Path) -> anyhow::Result<String> {
    let manifest = fs::read_to_string(workspace.join("atoll.toml"))?;
    let absolute = |folder: &str| format!("= \"{}", workspace.join(folder).display());
    Ok(manifest.replace("= \"components/dist/", &absolute("components/dist/")).replace("= \"wit/", &absolute("wit/")))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory of a process in MiB.
fn resident(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS is in every status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_judged_by_the_slowest_and_the_largest_round() {
        let case = &CASES[3];
        let measured = |ready: f64, resident: f64| Measured {
            ready: vec![1.0, ready, 2.0],
            resident: vec![10.0, resident, 20.0],
            ..Measured::default()
        };
        assert_eq!(case.misses(&measured(5000.0, 99.9)).len(), 0);
        assert_eq!(case.misses(&measured(5001.0, 99.9)).len(), 1);
        assert_eq!(case.misses(&measured(5001.0, 100.0)).len(), 2);
    }
}
