//! The world of one seed, and its course from the storm to the quiet.

use super::caller::{Plan, function};
use super::ledger::{Ledger, ServiceBook, SiteBook};
use super::mood::Mood;
use super::place::Fake;
use super::scenery;
use host::base::{CallContext, RequestId, ServiceName};
use host::breaker;
use host::mesh::{Endpoint, EndpointGroup, Mesh, OutsideHosts, OutsideSettings, Service, Settings, Traffic};
use host::registry::Registry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub struct World {
    pub registry: Arc<Registry<Service<Fake>>>,
    pub mesh: Mesh<Fake>,
    pub names: Vec<ServiceName>,
    pub traffics: Vec<Arc<Traffic>>,
    pub breakers: Vec<breaker::Settings>,
    pub started: Instant,
    /// The endpoints of each service, as they are published; a withdrawn one keeps its own.
    pub tables: Mutex<Vec<Vec<Arc<Endpoint<Fake>>>>>,
    ledger: Mutex<Ledger>,
}

/// What a run came to.
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
/// The first thing that did not hold.
pub fn run(seed: u64) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed);
        match world.course().await {
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
        let services = 1 + ledger.dice.below(4);
        let names: Vec<_> = (0..services).map(|number| ServiceName::new(&format!("s{number}")).unwrap()).collect();
        let (mut traffics, mut breakers) = (Vec::new(), Vec::new());
        for _ in &names {
            let settings = scenery::traffic(&mut ledger.dice);
            breakers.push(scenery::breaker(&mut ledger.dice, settings.timeout));
            traffics.push(Arc::new(Traffic::new(settings.clone())));
            ledger.services.push(ServiceBook::new(settings));
        }
        let settings = Settings { depth: ledger.dice.between(2..=8) as usize, seed: Some(seed) };
        let mesh = Mesh::new(Arc::clone(&registry), settings);
        let tables = Mutex::new(vec![Vec::new(); services]);
        let ledger = Mutex::new(ledger);
        let world = Arc::new(Self { registry, mesh, names, traffics, breakers, started: now(), tables, ledger });
        for service in 0..services {
            let endpoints = 1 + world.ledger().dice.below(6);
            (0..endpoints).for_each(|_| world.add(service));
            world.publish(service);
        }
        world
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tables(&self) -> MutexGuard<'_, Vec<Vec<Arc<Endpoint<Fake>>>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning.
    pub fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap()
    }

    /// The endpoints of a service now.
    pub fn siblings(&self, service: usize) -> Vec<usize> {
        self.tables()[service].iter().map(|endpoint| endpoint.target.site).collect()
    }

    pub fn is_typed(&self, site: usize) -> bool {
        self.tables().iter().flatten().any(|endpoint| endpoint.target.site == site && endpoint.target.typed)
    }

    /// A new endpoint for a service, which is not published yet.
    pub fn add(self: &Arc<Self>, service: usize) {
        let now = now();
        let mut ledger = self.ledger();
        let site = ledger.sites.len();
        let dice = &mut ledger.dice;
        let (weight, seed) = (dice.of(&[1, 1, 1, 2, 5]), dice.number());
        let mood = if dice.percent(50) { Mood::Lively } else { Mood::draw(dice) };
        let fake = Fake { world: Arc::downgrade(self), service, site, typed: dice.percent(80) };
        let breaker = self.breakers[service];
        let endpoint = Endpoint::new(format!("s{service}-{site}"), fake, breaker, weight, now, seed);
        ledger.sites.push(SiteBook {
            service,
            stats: Arc::clone(&endpoint.stats),
            breaker,
            weight,
            mood,
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

    /// Publishes a service with the endpoints that it has now; those that are gone get no further calls.
    pub fn publish(&self, service: usize) {
        let endpoints = self.tables()[service].clone();
        let mut ledger = self.ledger();
        let next = ledger.calls;
        for (number, site) in ledger.sites.iter_mut().enumerate() {
            let here = endpoints.iter().any(|endpoint| endpoint.target.site == number);
            if site.service == service && !here {
                site.retired.get_or_insert(next);
            }
        }
        ledger.services[service].published = true;
        drop(ledger);
        let traffic = Arc::clone(&self.traffics[service]);
        let size = endpoints.len();
        let name = self.names[service].clone();
        let idempotent = vec![function(0)];
        let outside = Arc::new(OutsideHosts::new(name.clone(), OutsideSettings::default()));
        let group = Arc::new(EndpointGroup { name, endpoints, traffic });
        let entry = Service { group, outside, revision: None, idempotent };
        self.registry.publish(&self.names[service], entry);
        self.traffics[service].bulkhead.resize(size);
    }

    /// A caller from outside.
    pub fn visitor(self: &Arc<Self>, callers: &mut JoinSet<()>, plan: Plan, timeout: Duration) {
        let world = Arc::clone(self);
        callers.spawn(async move {
            let context = CallContext::new(RequestId::from_random(0), now(), timeout);
            let _ = world.call(plan, &context).await;
        });
    }

    /// Everything: the storm, with events and callers; the calm.
    async fn course(self: &Arc<Self>) -> Result<(), String> {
        let mut callers = JoinSet::new();
        let (end, rate) = {
            let dice = &mut self.ledger().dice;
            (dice.between(8_000..=30_000), dice.of(&[1, 3, 8, 20]))
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
                let dice = &mut self.ledger().dice;
                if dice.percent(4) { dice.between(5..=40) } else { 1 }
            };
            for _ in 0..several {
                let (plan, timeout) = {
                    let mut ledger = self.ledger();
                    let service = ledger.dice.below(self.names.len());
                    let short = ledger.dice.percent(15);
                    let timeout = if short { ledger.dice.millis(1..=60) } else { Duration::from_secs(5) };
                    (Plan::draw(&mut ledger, service, true), timeout)
                };
                self.visitor(&mut callers, plan, timeout);
            }
            let pause = self.ledger().dice.millis(1..=2 * rate);
            sleep(pause).await;
        }
        self.calm(&mut callers).await
    }

    /// Checks what must hold at any time.
    pub fn audit(&self, callers: &mut JoinSet<()>) -> Result<(), String> {
        while let Some(ended) = callers.try_join_next() {
            ended.map_err(|error| format!("a caller's task: {error}"))?;
        }
        let now = now();
        let mut ledger = self.ledger();
        for site in 0..ledger.sites.len() {
            let state = ledger.sites[site].stats.state(now);
            ledger.observe(site, &state, now);
        }
        for service in 0..self.names.len() {
            ledger.bulkhead(self, service, 0);
        }
        ledger.broken.clone().map_or(Ok(()), Err)
    }
}
