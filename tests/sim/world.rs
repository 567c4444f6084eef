//! The world of one seed: its services, and the phases of a run.

use super::behaviour::Behaviour;
use super::caller::{Plan, function};
use super::fake_target::FakeTarget;
use super::ledger::{EndpointRecord, Ledger, ServiceRecord};
use super::policies;
use host::base::{CallContext, RequestId, ServiceName};
use host::breaker;
use host::mesh::{Endpoint, EndpointGroup, Mesh, OutsideHosts, OutsideSettings, Service, Settings, Traffic};
use host::registry::Registry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub struct World {
    pub registry: Arc<Registry<Service<FakeTarget>>>,
    pub mesh: Mesh<FakeTarget>,
    pub names: Vec<ServiceName>,
    pub traffics: Vec<Arc<Traffic>>,
    pub breakers: Vec<breaker::Settings>,
    pub started: Instant,
    /// The endpoints of each service, as they are published; a withdrawn service keeps its endpoints.
    pub tables: Mutex<Vec<Vec<Arc<Endpoint<FakeTarget>>>>>,
    ledger: Mutex<Ledger>,
}

/// What a run came to; equal for two runs of one seed.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub trace: u64,
    pub calls: u64,
    pub tries: u64,
}

/// Now, by the paused clock.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Runs the world of `seed`.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed);
        match world.phases().await {
            Ok(()) => {
                let ledger = world.ledger();
                Ok(Report { trace: ledger.trace, calls: ledger.calls, tries: ledger.tries })
            }
            Err(wrong) => Err(format!("seed {seed}, at {} ms: {wrong}", world.since(now()))),
        }
    })
}

impl World {
    fn new(seed: u64) -> Arc<Self> {
        let mut ledger = Ledger::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0xa70);
        let registry = Arc::new(Registry::default());
        let services = 1 + ledger.rng.below(4);
        let names: Vec<_> = (0..services).map(|number| ServiceName::new(&format!("s{number}")).unwrap()).collect();
        let (mut traffics, mut breakers) = (Vec::new(), Vec::new());
        for _ in &names {
            let settings = policies::traffic(&mut ledger.rng);
            breakers.push(policies::breaker(&mut ledger.rng, settings.timeout));
            traffics.push(Arc::new(Traffic::new(settings.clone())));
            ledger.services.push(ServiceRecord::new(settings));
        }
        let settings = Settings { depth: ledger.rng.between(2..=8) as usize, seed: Some(seed) };
        let mesh = Mesh::new(Arc::clone(&registry), settings);
        let tables = Mutex::new(vec![Vec::new(); services]);
        let ledger = Mutex::new(ledger);
        let world = Arc::new(Self { registry, mesh, names, traffics, breakers, started: now(), tables, ledger });
        for service in 0..services {
            let endpoints = 1 + world.ledger().rng.below(6);
            (0..endpoints).for_each(|_| world.add(service));
            world.publish(service);
        }
        world
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tables(&self) -> MutexGuard<'_, Vec<Vec<Arc<Endpoint<FakeTarget>>>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start of the run.
    pub fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap()
    }

    /// The numbers of the endpoints that a service has now.
    pub fn siblings(&self, service: usize) -> Vec<usize> {
        self.tables()[service].iter().map(|endpoint| endpoint.target.endpoint).collect()
    }

    pub fn is_typed(&self, number: usize) -> bool {
        self.tables().iter().flatten().any(|endpoint| endpoint.target.endpoint == number && endpoint.target.typed)
    }

    /// Adds a new endpoint to a service. `publish` puts it into the table.
    pub fn add(self: &Arc<Self>, service: usize) {
        let now = now();
        let mut ledger = self.ledger();
        let number = ledger.endpoints.len();
        let rng = &mut ledger.rng;
        let (weight, seed) = (rng.of(&[1, 1, 1, 2, 5]), rng.number());
        let behaviour = if rng.percent(50) { Behaviour::Lively } else { Behaviour::draw(rng) };
        let fake = FakeTarget { world: Arc::downgrade(self), service, endpoint: number, typed: rng.percent(80) };
        let breaker = self.breakers[service];
        let endpoint = Endpoint::new(format!("s{service}-{number}"), fake, breaker, weight, now, seed);
        ledger.endpoints.push(EndpointRecord {
            service,
            stats: Arc::clone(&endpoint.stats),
            breaker,
            weight,
            behaviour,
            retired: None,
            seen: 0,
            failed: 0,
            failed_perhaps: 0,
            probes: Vec::new(),
            last_unopen: now,
            shut_until: None,
        });
        drop(ledger);
        self.tables()[service].push(Arc::new(endpoint));
    }

    /// Publishes a service with the endpoints that it has now. Endpoints that it no longer has must get no further
    /// calls.
    pub fn publish(&self, service: usize) {
        let endpoints = self.tables()[service].clone();
        let mut ledger = self.ledger();
        let next = ledger.calls;
        for (number, record) in ledger.endpoints.iter_mut().enumerate() {
            let here = endpoints.iter().any(|endpoint| endpoint.target.endpoint == number);
            if record.service == service && !here {
                record.retired.get_or_insert(next);
            }
        }
        ledger.services[service].published = true;
        drop(ledger);
        let traffic = Arc::clone(&self.traffics[service]);
        let size = endpoints.len();
        let name = self.names[service].clone();
        let idempotent = vec![function(0)];
        let outside = Arc::new(OutsideHosts::new(name.clone(), OutsideSettings::default()));
        let group = Arc::new(EndpointGroup::new(name, endpoints, traffic));
        let entry = Service {
            group,
            outside,
            revision: None,
            idempotent,
            routed: Arc::default(),
            requires: Arc::default(),
            canary: None,
            before: None,
        };
        self.registry.publish(&self.names[service], entry);
        self.traffics[service].bulkhead.resize(size);
    }

    /// Starts a caller from outside.
    pub fn spawn_caller(self: &Arc<Self>, callers: &mut JoinSet<()>, plan: Plan, timeout: Duration) {
        let world = Arc::clone(self);
        callers.spawn(async move {
            let context = CallContext::new(RequestId::from_random(0), now(), timeout);
            let _ = world.call(plan, &context).await;
        });
    }

    /// The whole run: first events and callers at the same time, then the final phase.
    async fn phases(self: &Arc<Self>) -> Result<(), String> {
        let mut callers = JoinSet::new();
        let (end, rate) = {
            let rng = &mut self.ledger().rng;
            (rng.between(8_000..=30_000), rng.of(&[1, 3, 8, 20]))
        };
        let mut next_event = 0;
        let mut next_audit = 0;
        while self.since(now()) < end {
            let at = self.since(now());
            if at >= next_event {
                next_event = at + self.event();
            }
            if at >= next_audit {
                next_audit = at + 20;
                self.audit(&mut callers)?;
            }
            let several = {
                let rng = &mut self.ledger().rng;
                if rng.percent(4) { rng.between(5..=40) } else { 1 }
            };
            for _ in 0..several {
                let (plan, timeout) = {
                    let mut ledger = self.ledger();
                    let service = ledger.rng.below(self.names.len());
                    let short = ledger.rng.percent(15);
                    let timeout = if short { ledger.rng.millis(1..=60) } else { Duration::from_secs(5) };
                    (Plan::draw(&mut ledger, service, true), timeout)
                };
                self.spawn_caller(&mut callers, plan, timeout);
            }
            let pause = self.ledger().rng.millis(1..=2 * rate);
            sleep(pause).await;
        }
        self.final_phase(&mut callers).await
    }

    /// Checks the invariants that must hold at any time.
    pub fn audit(&self, callers: &mut JoinSet<()>) -> Result<(), String> {
        while let Some(ended) = callers.try_join_next() {
            ended.map_err(|error| format!("the task of a caller failed: {error}"))?;
        }
        let now = now();
        let mut ledger = self.ledger();
        for endpoint in 0..ledger.endpoints.len() {
            let state = ledger.endpoints[endpoint].stats.state(now);
            ledger.observe(endpoint, &state, now);
        }
        for service in 0..self.names.len() {
            ledger.check_bulkhead(self, service, 0);
        }
        ledger.broken.clone().map_or(Ok(()), Err)
    }
}
