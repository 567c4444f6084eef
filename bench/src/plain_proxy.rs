//! Atoll, nginx, HAProxy and Caddy as plain proxies in front of the same upstreams, which answer with files of several
//! sizes.
//!
//! The claims are those of a team that puts Atoll where a plain proxy stood.

use crate::process::{self, Process, free_address};
use crate::proxy::{self, Program, Proxy, WORKERS};
use crate::rounds::{Spread, alternate};
use crate::server_comparison::WARM_UP;
use crate::table::Table;
use crate::wrk::Load;
use crate::{Finding, Plan, atoll, progress};
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

/// The first is Atoll, and the claims compare it with the others.
const SIDES: [Program; 4] = [Program::Atoll, Program::Nginx, Program::Haproxy, Program::Caddy];

/// The sizes of the bodies in bytes, each with its name, which is that of its file.
const BODIES: [(usize, &str); 4] = [(0, "0"), (1 << 10, "1KiB"), (100 << 10, "100KiB"), (10 << 20, "10MiB")];

/// How many connections the load has.
const CONNECTIONS: [usize; 3] = [1, 32, 256];

/// How many upstreams there are.
const UPSTREAMS: [usize; 3] = [1, 2, 4];

/// What is measured in one row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Setting {
    upstreams: usize,
    body: &'static str,
    connections: usize,
    legs: UpstreamLegs,
}

/// Whether the upstreams keep their connections.
#[derive(Debug, Clone, Copy, PartialEq)]
enum UpstreamLegs {
    Kept,
    /// An upstream closes each connection after its answer, so that each request needs another one.
    Fresh,
}

/// What is measured of one side in one round.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Requests per second.
    rate: f64,
    /// The median of the response times, in microseconds.
    median: f64,
    /// Microseconds of processor time for each request.
    cpu: f64,
    /// Percent of the machine's processor time that the upstreams and unrelated processes used.
    others: f64,
}

/// The rounds of each side.
type Row = Vec<Vec<Measured>>;

/// A claim about one row: what of Atoll is compared with what of the other, and how.
struct Claim {
    setting: Setting,
    other: usize,
    of: fn(&Measured) -> f64,
    what: &'static str,
    least: Option<f64>,
    most: Option<f64>,
}

/// Measures all sides alternately, in each setting.
///
/// # Errors
/// If a proxy, the upstreams or the load do not run, or a request fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let ([nginx, haproxy], caddy) = (proxy::install()?, proxy::install_caddy()?);
    let host = atoll::build(plan)?;
    let mut rows = Vec::new();
    let kept = UPSTREAMS.map(|upstreams| (upstreams, UpstreamLegs::Kept));
    for (upstreams, legs) in kept.into_iter().chain([(1, UpstreamLegs::Fresh)]) {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let (_upstream, addresses) = start_upstreams(folder.path(), upstreams, legs).await?;
        let mut proxies = Vec::new();
        for (number, side) in SIDES.into_iter().enumerate() {
            let folder = folder.path().join(number.to_string());
            fs::create_dir(&folder)?;
            proxies.push(side.start_plain(&host, &folder, &addresses).await?);
        }
        // What a connection costs more does not depend on what follows: one small body will do.
        let bodies = BODIES.iter().filter(|(_, body)| legs == UpstreamLegs::Kept || *body == "1KiB");
        for (_, body) in bodies {
            for connections in CONNECTIONS {
                let setting = Setting { upstreams, body, connections, legs };
                rows.push((setting, setting.measure(plan, &proxies).await?));
            }
        }
    }
    let (judged, misses) = judge(&rows);
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("Not all hold: {}.", misses.join("; ")) };
    let others: Vec<f64> = rows.iter().flat_map(|(_, row)| row.iter().flatten().map(|it| it.others)).collect();
    let text = format!(
        "Atoll, nginx {nginx}, HAProxy {haproxy} and Caddy {caddy} as plain proxies, in front of one upstream or of \
         several that take turns: an nginx with one worker that sends files. Each proxy has {WORKERS} workers, no log, \
         no retries, no health checks and connections that are kept on both sides (in `bench/proxies`); in the rows \
         with “fresh” the upstream closes each connection after its answer. All run all the time, and one at a time \
         gets the load: `wrk` with one thread, pinned to one processor. Ratios are taken \
         within each round. Each figure is the median (least–most) of all rounds. The upstreams and unrelated \
         processes used {:.1} % of the processors.\n\n{}\n\
         Response time and processor time of each:\n\n{}\n\
         The claims. {verdict}\n\n{judged}",
        Spread::of(&others),
        rates(&rows),
        costs(&rows),
    );
    Ok(Finding { text, misses })
}

/// Starts the upstreams, which are one process with as many addresses.
async fn start_upstreams(folder: &Path, count: usize, legs: UpstreamLegs) -> anyhow::Result<(Process, Vec<String>)> {
    let files = folder.join("files");
    fs::create_dir(&files)?;
    for (size, name) in BODIES {
        fs::write(files.join(name), vec![b'x'; size])?;
    }
    let addresses = (0..count).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
    let listens: Vec<_> = addresses.iter().map(|address| format!("listen {address}; ")).collect();
    let settings = include_str!("../proxies/plain-upstream.conf").replace("@LISTENS@", listens.concat().trim_end());
    let settings = settings.replace("@KEEP@", if legs == UpstreamLegs::Kept { "75s" } else { "0" });
    let file = folder.join("upstream.conf");
    fs::write(&file, settings)?;
    let mut command = proxy::command("nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&file);
    Ok((Process::listening(command, folder, &addresses[0]).await?, addresses))
}

impl Setting {
    async fn measure(self, plan: &Plan, proxies: &[Proxy]) -> anyhow::Result<Row> {
        let Self { body, connections, .. } = self;
        alternate(plan.rounds, proxies.len(), async |round, side| {
            if side == 0 {
                let rounds = plan.rounds;
                progress(&format!("proxy: {self}: round {round} of {rounds}"));
            }
            let proxy = &proxies[side];
            let load = Load { url: format!("http://{}/{body}", proxy.address), script: None };
            if round == 0 {
                load.run_over(connections, WARM_UP)?;
            }
            let start = Instant::now();
            let (before, all, loads) = (proxy.usage(), process::of_all(), process::of_ended_children());
            let result = load.run_over(connections, plan.duration)?;
            let (after, all, loads) = (proxy.usage(), process::of_all() - all, process::of_ended_children() - loads);
            let cpu = after.cpu - before.cpu;
            let room = start.elapsed().as_secs_f64() * available_parallelism()?.get() as f64;
            let others = (all - cpu - loads).max(0.0) * 100.0 / room;
            Ok(Measured { rate: result.rate, median: result.median, cpu: cpu * 1e6 / result.requests, others })
        })
        .await
    }
}

fn spread(row: &Row, side: usize, of: fn(&Measured) -> f64) -> Spread {
    Spread::of(&row[side].iter().map(of).collect::<Vec<_>>())
}

/// Atoll's value by the other's, within each round.
fn ratio(row: &Row, other: usize, of: fn(&Measured) -> f64) -> Spread {
    Spread::of(&row[0].iter().zip(&row[other]).map(|(ours, theirs)| of(ours) / of(theirs)).collect::<Vec<_>>())
}

fn rates(rows: &[(Setting, Row)]) -> Table {
    let mut table = Table::new([
        "upstreams, body, connections",
        "Atoll, requests/s",
        "of nginx",
        "of HAProxy",
        "of Caddy",
        "processor, of nginx",
    ]);
    for (setting, row) in rows {
        table.row([
            setting.to_string(),
            spread(row, 0, |it| it.rate).to_string(),
            format!("{:.2}", ratio(row, 1, |it| it.rate)),
            format!("{:.2}", ratio(row, 2, |it| it.rate)),
            format!("{:.2}", ratio(row, 3, |it| it.rate)),
            format!("{:.2}", ratio(row, 1, |it| it.cpu)),
        ]);
    }
    table
}

fn costs(rows: &[(Setting, Row)]) -> Table {
    let mut table = Table::new([
        "upstreams, body, connections",
        "Atoll, p50 µs",
        "nginx, p50 µs",
        "HAProxy, p50 µs",
        "Caddy, p50 µs",
        "Atoll, processor µs",
        "nginx, processor µs",
        "HAProxy, processor µs",
        "Caddy, processor µs",
    ]);
    for (setting, row) in rows {
        let median = |side| format!("{:.0}", spread(row, side, |it| it.median));
        let cpu = |side| format!("{:.1}", spread(row, side, |it| it.cpu));
        let ([m0, m1, m2, m3], [c0, c1, c2, c3]) = ([0, 1, 2, 3].map(median), [0, 1, 2, 3].map(cpu));
        table.row([setting.to_string(), m0, m1, m2, m3, c0, c1, c2, c3]);
    }
    table
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let legs = if self.legs == UpstreamLegs::Fresh { " (fresh)" } else { "" };
        write!(f, "{}{legs}, {}, {}", self.upstreams, self.body, self.connections)
    }
}

fn claims() -> [Claim; 5] {
    let small = Setting { upstreams: 1, body: "1KiB", connections: 32, legs: UpstreamLegs::Kept };
    let claim = |setting, other, of, what, least, most| Claim { setting, other, of, what, least, most };
    let rate: fn(&Measured) -> f64 = |it| it.rate;
    [
        claim(small, 1, rate, "requests/s of Atoll : nginx", Some(0.8), None),
        claim(small, 2, rate, "requests/s of Atoll : HAProxy", Some(0.9), None),
        claim(small, 1, |it| it.cpu, "processor of Atoll : nginx", None, Some(1.3)),
        claim(Setting { connections: 1, ..small }, 2, |it| it.median, "p50 of Atoll : HAProxy", None, Some(1.0)),
        claim(Setting { body: "10MiB", ..small }, 1, rate, "requests/s of Atoll : nginx", Some(0.9), None),
    ]
}

/// A row for each claim, and the claims that do not hold.
fn judge(rows: &[(Setting, Row)]) -> (Table, Vec<String>) {
    let mut table = Table::new(["claim; upstreams, body, connections", "ratio", "at least", "at most", "holds"]);
    let mut misses = Vec::new();
    for Claim { setting, other, of, what, least, most } in claims() {
        let Some((_, row)) = rows.iter().find(|(measured, _)| *measured == setting) else { continue };
        let ratio = ratio(row, other, of);
        let holds = least.is_none_or(|least| ratio.median >= least) && most.is_none_or(|most| ratio.median <= most);
        if !holds {
            misses.push(format!("{what} is {ratio:.2} at {setting}"));
        }
        let bound = |bound: Option<f64>| bound.map_or_else(|| "–".to_owned(), |bound| format!("{bound:.2}"));
        let holds = if holds { "yes" } else { "**no**" };
        table.row([format!("{what}; {setting}"), format!("{ratio:.2}"), bound(least), bound(most), holds.to_owned()]);
    }
    (table, misses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_judged_by_the_median_of_the_ratios_within_the_rounds() {
        let side = |rates: [f64; 3]| {
            rates.iter().map(|rate| Measured { rate: *rate, median: 1.0, cpu: 1e3 / rate, others: 0.0 }).collect()
        };
        let small = Setting { upstreams: 1, body: "1KiB", connections: 32, legs: UpstreamLegs::Kept };
        let others = [100.0; 3];
        let rows = [(small, vec![side([80.0, 90.0, 10.0]), side(others), side(others), side(others)])];
        let (table, misses) = judge(&rows);
        assert_eq!(misses, ["requests/s of Atoll : HAProxy is 0.80 (0.10–0.90) at 1, 1KiB, 32"], "{table}");
    }
}
