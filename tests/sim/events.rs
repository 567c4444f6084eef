//! What happens to the world while calls are under way.

use super::mood::Mood;
use super::world::{World, now};
use host::fault::{Fault, FaultOrigin, Share};
use host::mesh::BreakerOrder;
use std::sync::Arc;
use std::time::Duration;

/// The slowest that a fault on purpose makes a call.
const SLOWEST: u64 = 120;

impl World {
    /// One more event. When the next one is due, in milliseconds.
    pub fn event(self: &Arc<Self>) -> u64 {
        let (service, what) = {
            let dice = &mut self.ledger().dice;
            (dice.below(self.names.len()), dice.below(100))
        };
        // Nobody is away for long.
        if !self.ledger().services[service].published {
            self.publish(service);
        }
        match what {
            0..=39 => self.change_mood(service),
            40..=47 => self.swap(service),
            48..=53 => self.withdraw(service),
            54..=61 => self.resize(service),
            62..=75 => self.check(service),
            76..=87 => self.order(service),
            88..=95 => self.fault(service),
            _ => {}
        }
        let dice = &mut self.ledger().dice;
        let most = dice.of(&[50, 400, 1_500]);
        dice.between(20..=most)
    }

    /// One of the endpoints that a service has now.
    fn any(&self, service: usize) -> usize {
        let all = self.siblings(service);
        let mut ledger = self.ledger();
        all[ledger.dice.below(all.len())]
    }

    fn change_mood(&self, service: usize) {
        let site = self.any(service);
        let mut ledger = self.ledger();
        ledger.sites[site].mood = Mood::draw(&mut ledger.dice);
    }

    /// A new revision: fresh endpoints, the same traffic.
    fn swap(self: &Arc<Self>, service: usize) {
        let before = std::mem::take(&mut self.tables()[service]).len();
        (0..before).for_each(|_| self.add(service));
        self.publish(service);
    }

    /// Takes a service out of the table; the next event of its own puts it back.
    fn withdraw(&self, service: usize) {
        self.registry.withdraw(&self.names[service]);
        self.ledger().services[service].published = false;
    }

    /// One endpoint more or less, as names are resolved again.
    fn resize(self: &Arc<Self>, service: usize) {
        let endpoints = self.siblings(service).len();
        let more = self.ledger().dice.percent(50);
        match (more, endpoints) {
            (true, 6..) | (false, 1) => return,
            (true, _) => self.add(service),
            (false, _) => {
                let gone = self.ledger().dice.below(endpoints);
                self.tables()[service].remove(gone);
            }
        }
        self.publish(service);
    }

    /// An active check that turns out so or so.
    fn check(&self, service: usize) {
        let site = self.any(service);
        let mut ledger = self.ledger();
        let passed = ledger.dice.percent(60);
        ledger.sites[site].stats.readiness.note(passed, 1, 1);
    }

    fn order(&self, service: usize) {
        let site = self.any(service);
        let mut ledger = self.ledger();
        let order =
            ledger.dice.of(&[BreakerOrder::Open, BreakerOrder::Close, BreakerOrder::Reset, BreakerOrder::Reset]);
        let book = &mut ledger.sites[site];
        book.stats.order(order);
        book.probes.clear();
        book.shut_until = None;
    }

    fn fault(&self, service: usize) {
        let faults = &self.traffics[service].faults;
        let now = now();
        let mut ledger = self.ledger();
        if ledger.dice.percent(40) {
            faults.clear();
            return;
        }
        let share = |percent| Share::from_millionths(percent * 10_000).unwrap();
        let slow = ledger.dice.percent(40);
        let latency = if slow { ledger.dice.millis(1..=SLOWEST) } else { Duration::ZERO };
        let (error, trap) = (ledger.dice.between(0..=40) as u32, ledger.dice.between(1..=10) as u32);
        let fault = Fault::new(latency, share(error), share(trap)).unwrap();
        let lasts = ledger.dice.millis(100..=3_000);
        let id = ledger.dice.number() % 4;
        faults.add(id, fault, Some(now + lasts), FaultOrigin::Operator, now).unwrap();
        let book = &mut ledger.services[service];
        book.faulted = true;
        if slow {
            let until = now + lasts + book.settings.total;
            book.delayed = Some(book.delayed.map_or(until, |before| before.max(until)));
        }
    }
}
