//! The slots of the engine's pool, shared among the services: the [`SlotLedger`] behind one lock, and calls that wait.

use super::depth_class::DepthClass;
use super::pressure::PoolPressure;
use super::slot_ledger::{HeldSlots, SlotLedger, SlotTicket};
use crate::base::ServiceName;
use crate::runtime::lock::lock;
use crate::telemetry::PoolMetrics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// The slots of the pool.
pub struct Slots {
    shared: Arc<SharedSlots>,
    /// What each service has, as long as somebody holds it: a service keeps its account through swaps.
    services: Mutex<BTreeMap<ServiceName, Weak<ServiceSlots>>>,
}

struct SharedSlots {
    /// Held for some tens of nanoseconds when slots are taken and when they are given back.
    ledger: Mutex<SlotLedger<QueuedCall>>,
    /// Whether somebody has ever waited until no slot is held: otherwise nobody has to be told.
    watched: AtomicBool,
    /// Notified when no slot is held any more.
    idle: Notify,
}

/// A call in the ledger's queues.
struct QueuedCall {
    service: Arc<ServiceSlots>,
    since: Instant,
    /// Takes the slots to the call.
    turn: oneshot::Sender<SlotPermit>,
}

/// The account of one service: what it holds of the pool, and which of its calls wait.
pub struct ServiceSlots {
    shared: Arc<SharedSlots>,
    /// Its id in the ledger.
    id: usize,
    metrics: Arc<PoolMetrics>,
}

/// What one service has of the pool at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolShare {
    /// Slots that its instances hold, idle instances too.
    pub held: usize,
    /// Its calls that wait for slots.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
}

/// Slots that a call has taken. The drop gives them back.
pub struct SlotPermit {
    service: Arc<ServiceSlots>,
    slots: HeldSlots,
}

impl Slots {
    /// A pool of `total` slots, of which no service has a share yet.
    pub fn new(total: usize) -> Self {
        let ledger = Mutex::new(SlotLedger::new(total));
        let shared = SharedSlots { ledger, watched: AtomicBool::new(false), idle: Notify::new() };
        Self { shared: Arc::new(shared), services: Mutex::default() }
    }

    /// The most slots that one instance may take, at whatever depth it is called.
    pub(crate) fn most(&self) -> usize {
        self.shared.ledger().most()
    }

    /// The account of a service, whose weight is `weight` and whose instances take `instance` slots each. A service has
    /// one account for all of its replicas and revisions; the weight of the first one stays.
    pub fn service(&self, name: &ServiceName, weight: u16, instance: u32) -> Arc<ServiceSlots> {
        let instance = instance as usize;
        let mut services = lock(&self.services);
        if let Some(service) = services.get(name).and_then(Weak::upgrade) {
            service.shared.ledger().widen(service.id, instance);
            drop(services);
            // The reserve may have grown by what a waiting call needs.
            service.shared.serve_waiting();
            return service;
        }
        let shared = Arc::clone(&self.shared);
        let id = shared.ledger().join(weight.into(), instance);
        let service = Arc::new(ServiceSlots { shared, id, metrics: Arc::default() });
        services.insert(name.clone(), Arc::downgrade(&service));
        drop(services);
        self.shared.serve_waiting();
        service
    }

    /// Waits until every slot is free.
    pub(crate) async fn all_free(&self) {
        // Before the ledger is read, as the next line: a slot that comes back in between notifies this wait.
        self.shared.watched.store(true, Relaxed);
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.ledger().is_idle() {
                return;
            }
            idle.await;
        }
    }
}

impl SharedSlots {
    fn ledger(&self) -> MutexGuard<'_, SlotLedger<QueuedCall>> {
        lock(&self.ledger)
    }

    /// Gives slots to the calls whose turn it is. Do not hold the lock of the ledger.
    fn serve_waiting(&self) {
        loop {
            let next = self.ledger().next();
            let Some((slots, QueuedCall { service, turn, .. })) = next else { return };
            // The call may have gone away at this moment. Then the permit comes back and is dropped here, which takes
            // the lock and gives the slots to the next call.
            let _ = turn.send(SlotPermit { service, slots });
        }
    }
}

impl ServiceSlots {
    /// Takes `count` slots for a call of `class` if they are free now and no call waits.
    pub fn try_take(self: &Arc<Self>, class: DepthClass, count: u32) -> Option<SlotPermit> {
        let slots = self.shared.ledger().try_take(self.id, class, count as usize)?;
        Some(SlotPermit { service: Arc::clone(self), slots })
    }

    /// Takes `count` slots for a call of `class`, and waits for them until `until` if it is not its turn now. While the
    /// call waits, idle instances are given up for it (see [`PoolPressure`]).
    ///
    /// # Errors
    /// It was not its turn until then.
    pub(crate) async fn take_until(
        self: &Arc<Self>,
        class: DepthClass,
        count: u32,
        until: Instant,
        pressure: &PoolPressure,
    ) -> Result<SlotPermit, Elapsed> {
        let began = Instant::now();
        let (turn, mut slots) = oneshot::channel();
        let call = QueuedCall { service: Arc::clone(self), since: began, turn };
        let ticket = self.shared.ledger().wait(self.id, class, count as usize, call);
        let _seat = SlotWait { shared: &self.shared, ticket };
        self.shared.serve_waiting();
        if let Ok(slots) = slots.try_recv() {
            return Ok(slots);
        }
        let _waiting = pressure.wait_for(class, count);
        let _recorded = WaitRecord { metrics: &self.metrics, began };
        let slots = timeout_at(until, slots).await;
        slots.map(|slots| slots.expect("the ledger keeps the other end until it sends the slots"))
    }

    /// What the service has now.
    pub(crate) fn share(&self) -> PoolShare {
        let ledger = self.shared.ledger();
        let holding = ledger.holding(self.id);
        let longest_wait = holding.longest.map_or(Duration::ZERO, |call| call.since.elapsed());
        PoolShare { held: holding.held, waiting: holding.waiting, longest_wait }
    }

    /// How long its calls have waited for slots.
    pub(crate) fn metrics(&self) -> &Arc<PoolMetrics> {
        &self.metrics
    }
}

/// Records the wait of one call when it is dropped: also if the caller has given the call up.
struct WaitRecord<'a> {
    metrics: &'a PoolMetrics,
    began: Instant,
}

impl Drop for WaitRecord<'_> {
    fn drop(&mut self) {
        self.metrics.waited(self.began.elapsed());
    }
}

impl Drop for ServiceSlots {
    fn drop(&mut self) {
        self.shared.ledger().leave(self.id);
        // The reserve may have shrunk, and the parts grown.
        self.shared.serve_waiting();
    }
}

/// A call's place in the queue. Dropped, the call waits no more.
struct SlotWait<'a> {
    shared: &'a SharedSlots,
    ticket: SlotTicket,
}

impl Drop for SlotWait<'_> {
    fn drop(&mut self) {
        let call = self.shared.ledger().give_up(self.ticket);
        if call.is_some() {
            // It may have stood before a call that fits.
            self.shared.serve_waiting();
        }
    }
}

impl SlotPermit {
    /// Whether the slots are of the reserve: no other service could use them if they were free.
    pub(crate) fn is_reserved(&self) -> bool {
        self.slots.reserved
    }
}

impl Drop for SlotPermit {
    fn drop(&mut self) {
        let SharedSlots { watched, idle, .. } = &*self.service.shared;
        let mut ledger = self.service.shared.ledger();
        ledger.give_back(self.slots);
        let (waiting, is_idle) = (ledger.has_waiting(), ledger.is_idle());
        drop(ledger);
        if waiting {
            self.service.shared.serve_waiting();
        }
        if is_idle && watched.load(Relaxed) {
            idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
