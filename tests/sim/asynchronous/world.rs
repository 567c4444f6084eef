//! The world of one seed: hosts that live one after the other over one disk, and those who publish and start sagas.

use super::super::rng::SimRng;
use super::Mutant;
use super::disk::SimDisk;
use super::shop::{LAST_STEP, LATEST, POISON, Shop, service};
use super::verdict::{Broken, Invariant, check_events, check_sagas};
use host::contract::Names;
use host::coordinator::{Coordinator, SagaError, SagaOrder, SagaPlan, SagaSettings, SagaStatus, StepTargets};
use host::delivery::{Deliveries, DeliveryError, Subscription, SubscriptionSettings};
use host::events::{Backoff, NewEvent, PayloadType, Retention, Topic, TopicName};
use host::saga::{Binding, BindingPath, SagaDefinition, SagaStep, StepAction, StepCall};
use host::state::Store;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub const TOPIC: &str = "orders.placed";
/// The saga.
const SAGA: &str = "buy";
/// How long everything may take to end when all faults are over, by the paused clock.
const END: Duration = Duration::from_secs(600);
/// The most events and sagas that a page has.
const PAGE: usize = 1_000;

/// What runs came to.
#[derive(Debug, Default)]
pub struct Report {
    pub events: usize,
    pub completed: usize,
    pub compensated: usize,
    pub crashes: usize,
    /// Actions that were refused since their saga had turned.
    pub late: u64,
}

impl Report {
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.completed += other.completed;
        self.compensated += other.compensated;
        self.crashes += other.crashes;
        self.late += other.late;
    }
}

/// An event that was acknowledged.
#[derive(Debug)]
pub struct SeenEvent {
    pub number: u64,
    /// What is in its payload; `None`: no handler can read it.
    pub id: Option<u64>,
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Seen {
    pub acknowledged: Vec<SeenEvent>,
    /// The ids of sagas.
    pub begun: Vec<String>,
}

/// A host that runs.
struct Host {
    deliveries: Arc<Deliveries>,
    sagas: Arc<Coordinator<Shop>>,
    shop: Arc<Shop>,
}

struct World {
    disk: Arc<SimDisk>,
    rng: Arc<Mutex<SimRng>>,
    mutant: Option<Mutant>,
    seen: Arc<Mutex<Seen>>,
    late: Arc<AtomicU64>,
    /// The number of the next event or saga.
    next: AtomicU64,
}

/// Runs the world of `seed`.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Report, Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = World {
        disk: SimDisk::new(seed ^ 0xd15c, mutant),
        rng: Arc::new(Mutex::new(SimRng::new(seed))),
        mutant,
        seen: Arc::default(),
        late: Arc::default(),
        next: AtomicU64::new(1),
    };
    runtime.block_on(world.phases())
}

impl World {
    async fn phases(&self) -> Result<Report, Broken> {
        let mut report = Report::default();
        let lives = self.draw(3..=5);
        for _ in 0..lives {
            let host = self.boot().await;
            let clients = self.live(&host).await;
            if self.draw(0..=99) < 65 {
                self.disk.crash();
                report.crashes += 1;
            } else {
                host.deliveries.stop(Duration::from_millis(self.draw(0..=50))).await;
                host.sagas.stop(Duration::from_millis(self.draw(0..=50))).await;
            }
            drop(clients);
        }
        self.disk.failures.store(0, Relaxed);
        let host = self.boot().await;
        host.shop.trouble.store(0, Relaxed);
        self.end(&host).await?;
        sleep(LATEST).await;
        let letters = host.deliveries.dead_letters(TOPIC, "ledger", 0, PAGE).await.expect("a page");
        let dead = letters.iter().map(|letter| letter.number).collect();
        let ended = ended(&host.sagas).await;
        let seen = self.seen.lock().unwrap();
        check_events(&self.disk, &seen, &dead)?;
        check_sagas(&self.disk, &seen, &ended, &mut report)?;
        (report.events, report.late) = (seen.acknowledged.len(), self.late.load(Relaxed));
        Ok(report)
    }

    fn draw(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.rng.lock().unwrap().between(range)
    }

    /// A host over the disk. A start that the disk fails is tried again.
    async fn boot(&self) -> Host {
        loop {
            let shop = Arc::new(Shop {
                store: Store::new(self.disk.boot()),
                rng: Arc::clone(&self.rng),
                trouble: AtomicU64::new([0, 5, 15, 30][usize::try_from(self.draw(0..=3)).unwrap()]),
                mutant: self.mutant,
                sagas: OnceLock::new(),
                late: Arc::clone(&self.late),
            });
            match start(&shop).await {
                Ok(host) => return host,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Publishes and starts sagas for a while. What still waits for its answer is returned.
    async fn live(&self, host: &Host) -> JoinSet<()> {
        self.disk.failures.store([0, 1, 4][usize::try_from(self.draw(0..=2)).unwrap()], Relaxed);
        let until = Instant::now() + Duration::from_millis(self.draw(50..=500));
        let mut clients = JoinSet::new();
        while Instant::now() < until {
            match self.draw(0..=99) {
                0..=69 => self.publish(host, &mut clients),
                70..=89 => self.begin(host, &mut clients),
                _ => self.turn(host, &mut clients),
            }
            let pause = self.draw(0..=25);
            sleep(Duration::from_millis(pause)).await;
        }
        clients
    }

    fn publish(&self, host: &Host, clients: &mut JoinSet<()>) {
        let id = self.next.fetch_add(1, Relaxed);
        let poisonous = self.draw(0..=99) < 3;
        let payload = if poisonous { POISON.to_owned() } else { id.to_string() };
        let key = (self.draw(0..=4) > 0).then(|| format!("k{}", id % 3));
        let (deliveries, seen) = (Arc::clone(&host.deliveries), Arc::clone(&self.seen));
        clients.spawn(async move {
            if let Ok(number) = deliveries.publish(TOPIC, NewEvent { key, payload }).await {
                let id = (!poisonous).then_some(id);
                seen.lock().unwrap().acknowledged.push(SeenEvent { number, id });
            }
        });
    }

    fn begin(&self, host: &Host, clients: &mut JoinSet<()>) {
        let id = format!("own-{}", self.next.fetch_add(1, Relaxed));
        let (sagas, seen) = (Arc::clone(&host.sagas), Arc::clone(&self.seen));
        clients.spawn(async move {
            if let Ok(begun) = sagas.begin(SAGA, Some(id), b"{}", Names::Snake).await {
                seen.lock().unwrap().begun.push(begun.id);
            }
        });
    }

    /// An operator turns a saga, or lets a parked one go on. That may come too late, which is told.
    fn turn(&self, host: &Host, clients: &mut JoinSet<()>) {
        let live = host.sagas.list(false, PAGE);
        if live.is_empty() {
            return;
        }
        let at = usize::try_from(self.draw(0..=live.len() as u64 - 1)).unwrap();
        let (sagas, id) = (Arc::clone(&host.sagas), live[at].id.clone());
        let order = if live[at].state == "parked" { SagaOrder::Retry } else { SagaOrder::Compensate };
        clients.spawn(async move {
            let _ = sagas.order(&id, order).await;
        });
    }

    /// Waits until everything has ended. All faults are over.
    async fn end(&self, host: &Host) -> Result<(), Broken> {
        let until = Instant::now() + END;
        loop {
            let lag: u64 = host.deliveries.report()[0].subscriptions.iter().map(|one| one.lag).sum();
            let live = host.sagas.list(false, PAGE);
            if lag == 0 && live.is_empty() {
                return Ok(());
            }
            for parked in live.iter().filter(|one| one.state == "parked") {
                // It may go on by itself meanwhile.
                let _ = host.sagas.order(&parked.id, SagaOrder::Retry).await;
            }
            if Instant::now() > until {
                let invariant = if lag > 0 { Invariant::Delivered } else { Invariant::NoSagaLost };
                return Err(Broken { invariant, text: format!("it never ends: a lag of {lag}, and {live:?}") });
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// All sagas that have ended.
async fn ended(sagas: &Coordinator<Shop>) -> BTreeMap<String, SagaStatus> {
    let mut all: BTreeMap<String, SagaStatus> = BTreeMap::new();
    loop {
        let after = all.last_key_value().map(|(id, _)| id.clone());
        let page = sagas.list_ended(after.as_deref(), PAGE).await.expect("a page");
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|status| (status.id.clone(), status)));
    }
}

/// Why a host has not started. A failed test prints it.
#[derive(Debug)]
enum FailedStart {
    Deliveries(#[expect(dead_code, reason = "printed by a failed test")] DeliveryError),
    Sagas(#[expect(dead_code, reason = "printed by a failed test")] SagaError),
}

async fn start(shop: &Arc<Shop>) -> Result<Host, FailedStart> {
    let name = TopicName::new(TOPIC).unwrap();
    let retention = Retention { age: Duration::from_secs(604_800), size: 1 << 30 };
    let topic = Arc::new(Topic::new(name, PayloadType::Any, retention));
    let backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(200) };
    let ledger = Subscription {
        service: service("ledger"),
        topic: Arc::clone(&topic),
        at: 0,
        function: "count".into(),
        settings: SubscriptionSettings { concurrency: 4, tries: 25, backoff, ..SubscriptionSettings::default() },
        slow: Arc::default(),
        work: Arc::default(),
    };
    let of_saga = Subscription::of_saga(SAGA, Arc::clone(&topic), true);
    let subscriptions = vec![ledger, of_saga];
    let deliveries = Deliveries::start(&shop.store, vec![topic], subscriptions, &[], (Arc::clone(shop), None));
    let deliveries = deliveries.await.map_err(FailedStart::Deliveries)?;
    let settings = SagaSettings { backoff, ..SagaSettings::default() };
    let sagas = Coordinator::start(&shop.store, (vec![plan()], Vec::new()), settings, Arc::clone(shop));
    let sagas = Arc::new(sagas.await.map_err(FailedStart::Sagas)?);
    shop.sagas.set(Arc::downgrade(&sagas)).expect("a shop is of one host");
    Ok(Host { deliveries: Arc::new(deliveries), sagas, shop: Arc::clone(shop) })
}

fn plan() -> SagaPlan {
    let call = || StepCall {
        service: service("stock"),
        function: "f".into(),
        with: vec![("key".into(), Binding::Path(BindingPath::parse("$saga.key").unwrap()))],
    };
    let step = |name: &str, undo: bool, pivot: bool| SagaStep {
        name: name.into(),
        action: StepAction::Call(call()),
        undo: undo.then(call),
        pivot,
        timeout: Some(Duration::from_millis(40)),
        tries: 2,
    };
    let steps = vec![step("reserve", true, false), step("charge", true, true), step(LAST_STEP, false, false)];
    let targets = vec![StepTargets { action: Some(0), undo: Some(0) }; steps.len()];
    let deadline = Duration::from_secs(86_400);
    let definition = Arc::new(SagaDefinition { name: SAGA.into(), input: None, deadline, lock: None, steps });
    SagaPlan { definition, input: None, targets, waits: BTreeMap::new(), is_current: true }
}
