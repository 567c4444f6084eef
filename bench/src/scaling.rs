//! How throughput changes with more services, routes, endpoints and processors.

use crate::atoll::{self, Atoll};
use crate::plot::{Line, Plot};
use crate::rounds::{Spread, alternate};
use crate::server_comparison::WARM_UP;
use crate::table::Table;
use crate::wrk::{CONNECTIONS, Load, in_turns};
use crate::{Finding, Plan, component_copies, processors, progress};
use anyhow::{Context, ensure};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The layout of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    services: usize,
    /// How many different components the services have; they are assigned to the services in rotation.
    components: usize,
    /// At least as many as services. The routes lead to the services in rotation.
    routes: usize,
    /// How many routes are called, one after the other.
    called: usize,
    replicas: usize,
    /// How many processors the host may use; 0 for all.
    processors: usize,
    reuse: bool,
}

/// The varied number: its name, its steps, and the layout for each step.
struct Dimension {
    name: &'static str,
    file: &'static str,
    /// What the axis counts.
    unit: &'static str,
    steps: &'static [usize],
    layout: fn(usize) -> Layout,
}

/// How long a first call may take, including the loading of code.
const FIRST_CALL: Duration = Duration::from_millis(5);

const ONE: Layout =
    Layout { services: 1, components: 1, routes: 1, called: 1, replicas: 1, processors: 0, reuse: false };

const SERVICES: &[usize] = &[1, 10, 100, 1000];

const DIMENSIONS: [Dimension; 6] = [
    Dimension {
        name: "services that are called one after the other",
        file: "scaling-services.svg",
        unit: "services",
        steps: SERVICES,
        layout: |count| Layout { called: count, ..distinct(count) },
    },
    Dimension {
        name: "services that share one component",
        file: "scaling-services-of-one-component.svg",
        unit: "services",
        steps: SERVICES,
        layout: |count| Layout { called: count, components: 1, ..distinct(count) },
    },
    Dimension {
        name: "services of which one is called",
        file: "scaling-services-at-rest.svg",
        unit: "services",
        steps: SERVICES,
        layout: distinct,
    },
    Dimension {
        name: "routes",
        file: "scaling-routes.svg",
        unit: "routes",
        steps: &[10, 100, 1000, 10_000],
        layout: |count| Layout { routes: count, called: count, ..ONE },
    },
    Dimension {
        name: "endpoints",
        file: "scaling-endpoints.svg",
        unit: "endpoints",
        steps: &[1, 4, 16, 64],
        layout: |count| Layout { replicas: count, ..ONE },
    },
    Dimension {
        name: "processors",
        file: "scaling-processors.svg",
        unit: "processors",
        steps: &[1, 2],
        layout: |count| Layout { processors: count, ..ONE },
    },
];

/// `count` services, each with a component and a route of its own.
fn distinct(count: usize) -> Layout {
    Layout { services: count, components: count, routes: count, ..ONE }
}

/// Fresh and reused instances are measured in every layout.
const LIVES: [(&str, bool); 2] = [("fresh", false), ("reuse", true)];

/// Measures all layouts alternately. If the tables are written, also draws a plot of each dimension into
/// `docs/plots/`.
///
/// # Errors
/// If the host does not start, or a single answer is no success.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let host = atoll::build(plan)?;
    let processors = processors::count();
    let layouts: Vec<Layout> = DIMENSIONS
        .iter()
        .flat_map(|dimension| dimension.steps.iter().map(|step| (dimension.layout)(*step)))
        .filter(|layout| layout.processors <= processors)
        .flat_map(|layout| LIVES.map(|(_, reuse)| Layout { reuse, ..layout }))
        .collect();
    let rates = alternate(plan.rounds, layouts.len(), async |round, number| {
        progress(&format!("scaling: round {round} of {}: {:?}", plan.rounds, layouts[number]));
        measure(plan, &host, layouts[number]).with_context(|| format!("{:?}", layouts[number]))
    });
    let rates = rates.await?;
    let rate_of = |layout: Layout| Some(Spread::of(&rates[layouts.iter().position(|other| *other == layout)?]));
    let mut tables = String::new();
    for dimension in &DIMENSIONS {
        let lines = LIVES.map(|(name, reuse)| {
            let points = dimension.steps.iter().map(|step| {
                let layout = Layout { reuse, ..(dimension.layout)(*step) };
                rate_of(layout).map(|rate| (*step as f64, rate))
            });
            Line { name, points: points.flatten().collect() }
        });
        let mut table = Table::new([dimension.unit, "requests/s, fresh", "requests/s, reuse"]);
        for ((step, fresh), (_, reuse)) in lines[0].points.iter().zip(&lines[1].points) {
            table.row([step.to_string(), fresh.to_string(), reuse.to_string()]);
        }
        let plot = Plot { title: &format!("By {}", dimension.name), across: dimension.unit, lines: lines.into() };
        if plan.write {
            let folder = plan.workspace.join("docs/plots");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(dimension.file), plot.svg())?;
        }
        let _ = writeln!(tables, "![Requests a second by {}](plots/{})\n\n{table}", dimension.name, dimension.file);
    }
    Ok(Finding::of(format!(
        "`GET /json` of `http` above, with one number varied and all others at one: services (each with its own route \
         and instances, and its own component: copies with a number at their end), routes to one service (each an \
         exact path), endpoints of one service, and processors that the host may use. The requests go to all services \
         and routes one after the other, or only to the first. The load is `wrk` with {CONNECTIONS} connections, \
         pinned to the last processor. A host on one processor has the first processor for itself; a host on all \
         processors shares the last with the load. Reuse: 1000 requests for each instance, one at a time. Each figure \
         is the median (least–most) of all rounds.\n\n{tables}"
    )))
}

/// Requests per second.
fn measure(plan: &Plan, host: &Path, layout: Layout) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let fixture = plan.workspace.join("components/dist/fixture-bench.wasm");
    component_copies::write(&fixture, folder.path(), layout.components)?;
    let manifest = manifest(&plan.scratch.join("cache"), layout)?;
    let threads = if layout.processors == 0 { processors::count() } else { layout.processors }.to_string();
    let environment = [atoll::QUIET, ("TOKIO_WORKER_THREADS", &*threads)];
    let atoll = Atoll::start_with(host, folder.path(), &manifest, &environment)?;
    if layout.processors > 0 {
        confine(atoll.process(), layout.processors)?;
    }
    let script = folder.path().join("paths.lua");
    fs::write(&script, in_turns(&(0..layout.called).map(|number| format!("/r{number}")).collect::<Vec<_>>()))?;
    let load = Load { url: atoll.gateway.clone(), script: Some(script) };
    // The first call of each service loads its code.
    load.run(WARM_UP + FIRST_CALL * u32::try_from(layout.called.min(layout.services))?)?;
    Ok(load.run(plan.duration)?.rate)
}

/// Lets all threads of the process run only on the first `processors` processors.
fn confine(process: u32, processors: usize) -> anyhow::Result<()> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &processors::first(processors), &process.to_string()]);
    let done = command.stdout(Stdio::null()).status().context("taskset is of util-linux")?;
    ensure!(done.success(), "taskset: {done}");
    Ok(())
}

fn manifest(cache: &Path, layout: Layout) -> anyhow::Result<String> {
    let isolation = if layout.reuse { "reuse" } else { "request" };
    let mut manifest = format!("[runtime]\ncache = {cache:?}\n");
    for number in 0..layout.services {
        write!(
            manifest,
            "\n[service.s{number}]\ncomponent = \"{}.wasm\"\nreplicas = {}\nisolation = \"{isolation}\"\n",
            number % layout.components,
            layout.replicas
        )?;
    }
    for number in 0..layout.routes {
        let service = number % layout.services;
        write!(manifest, "\n[[route]]\npath = \"/r{number}\"\nrewrite = \"/json\"\nservice = \"s{service}\"\n")?;
    }
    Ok(manifest)
}
