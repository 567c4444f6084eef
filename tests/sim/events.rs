//! What happens to services and endpoints while calls are under way.

use super::behaviour::Behaviour;
use super::world::{World, now};
use host::fault::{Fault, FaultOrigin, Share};
use host::mesh::BreakerOrder;
use std::sync::Arc;
use std::time::Duration;

/// The longest delay of an injected fault, in milliseconds.
const SLOWEST: u64 = 120;

impl World {
    /// Makes one event happen. How long until the next one, in milliseconds.
    pub fn event(self: &Arc<Self>) -> u64 {
        let (service, what) = {
            let rng = &mut self.ledger().rng;
            (rng.below(self.names.len()), rng.below(100))
        };
        // No service is withdrawn for long.
        if !self.ledger().services[service].published {
            self.publish(service);
        }
        match what {
            0..=39 => self.change_behaviour(service),
            40..=47 => self.swap(service),
            48..=53 => self.withdraw(service),
            54..=61 => self.resize(service),
            62..=75 => self.check(service),
            76..=87 => self.order(service),
            88..=95 => self.fault(service),
            _ => {}
        }
        let rng = &mut self.ledger().rng;
        let most = rng.of(&[50, 400, 1_500]);
        rng.between(20..=most)
    }

    /// A random endpoint of those that a service has now.
    fn any(&self, service: usize) -> usize {
        let all = self.siblings(service);
        let mut ledger = self.ledger();
        all[ledger.rng.below(all.len())]
    }

    fn change_behaviour(&self, service: usize) {
        let endpoint = self.any(service);
        let mut ledger = self.ledger();
        ledger.endpoints[endpoint].behaviour = Behaviour::draw(&mut ledger.rng);
    }

    /// A new revision: fresh endpoints, the same `Traffic`.
    fn swap(self: &Arc<Self>, service: usize) {
        let before = std::mem::take(&mut self.tables()[service]).len();
        (0..before).for_each(|_| self.add(service));
        self.publish(service);
    }

    /// Takes a service out of the table; its next event puts it back.
    fn withdraw(&self, service: usize) {
        self.registry.withdraw(&self.names[service]);
        self.ledger().services[service].published = false;
    }

    /// One endpoint more or less, as when a name is resolved again.
    fn resize(self: &Arc<Self>, service: usize) {
        let endpoints = self.siblings(service).len();
        let more = self.ledger().rng.percent(50);
        match (more, endpoints) {
            (true, 6..) | (false, 1) => return,
            (true, _) => self.add(service),
            (false, _) => {
                let gone = self.ledger().rng.below(endpoints);
                self.tables()[service].remove(gone);
            }
        }
        self.publish(service);
    }

    /// A health check with a random outcome.
    fn check(&self, service: usize) {
        let endpoint = self.any(service);
        let mut ledger = self.ledger();
        let passed = ledger.rng.percent(60);
        ledger.endpoints[endpoint].stats.readiness.note(passed, 1, 1);
    }

    fn order(&self, service: usize) {
        let endpoint = self.any(service);
        let mut ledger = self.ledger();
        let order = ledger.rng.of(&[BreakerOrder::Open, BreakerOrder::Close, BreakerOrder::Reset, BreakerOrder::Reset]);
        let record = &mut ledger.endpoints[endpoint];
        record.stats.order(order);
        record.probes.clear();
        record.shut_until = None;
    }

    fn fault(&self, service: usize) {
        let faults = &self.traffics[service].faults;
        let now = now();
        let mut ledger = self.ledger();
        if ledger.rng.percent(40) {
            faults.clear();
            return;
        }
        let share = |percent| Share::from_millionths(percent * 10_000).unwrap();
        let slow = ledger.rng.percent(40);
        let latency = if slow { ledger.rng.millis(1..=SLOWEST) } else { Duration::ZERO };
        let (error, trap) = (ledger.rng.between(0..=40) as u32, ledger.rng.between(1..=10) as u32);
        let fault = Fault::new(latency, share(error), share(trap)).unwrap();
        let lasts = ledger.rng.millis(100..=3_000);
        let id = ledger.rng.number() % 4;
        faults.add(id, fault, Some(now + lasts), FaultOrigin::Operator, now).unwrap();
        let record = &mut ledger.services[service];
        record.faulted = true;
        if slow {
            let until = now + lasts + record.settings.total;
            record.delayed = Some(record.delayed.map_or(until, |before| before.max(until)));
        }
    }
}
