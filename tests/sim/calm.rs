//! The end of a run: everything is well again. Nothing may be left over, each circuit must close, each endpoint get its
//! share, and the accounts must agree.

use super::caller::Plan;
use super::mood::Mood;
use super::world::{World, now};
use host::balance::Policy;
use host::breaker::State;
use host::mesh::{BreakerOrder, BulkheadCounts};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than any call lasts, with its answer.
const ALL_OVER: Duration = Duration::from_secs(20);
/// In so long every circuit closes and every outlier is back.
const RECOVERED: u64 = 240_000;
/// Then latencies have faded (from the 10 s that failures count at most to 2 ms in 85 s), and slow starts are over.
const SETTLED: u64 = 100_000;
/// Calls for each unit of weight, when shares are counted.
const EACH: u64 = 40;

impl World {
    pub async fn calm(self: &Arc<Self>, callers: &mut JoinSet<()>) -> Result<(), String> {
        for service in 0..self.names.len() {
            self.traffics[service].faults.clear();
            self.publish(service);
            for site in self.siblings(service) {
                let mut ledger = self.ledger();
                let book = &mut ledger.sites[site];
                book.mood = Mood::Well;
                book.stats.readiness.note(true, 1, 1);
                if book.stats.state(now()).breaker.forced.is_some() {
                    book.stats.order(BreakerOrder::Reset);
                    book.shut_until = None;
                }
            }
        }
        sleep(ALL_OVER).await;
        self.quiet(callers)?;
        self.recover(callers).await?;
        for service in 0..self.names.len() {
            self.shares(callers, service).await?;
        }
        sleep(ALL_OVER).await;
        self.quiet(callers)?;
        self.accounts()
    }

    /// 4: nothing is under way, and so nothing is taken.
    fn quiet(&self, callers: &mut JoinSet<()>) -> Result<(), String> {
        self.audit(callers)?;
        if !callers.is_empty() {
            return Err(format!("{} callers still wait for an end", callers.len()));
        }
        let (ledger, now) = (self.ledger(), now());
        for (service, book) in ledger.services.iter().enumerate() {
            let counts = self.traffics[service].bulkhead.counts();
            let size = self.siblings(service).len() * book.settings.bulkhead.concurrency;
            if counts != (BulkheadCounts { permits: size, taken: 0, waiting: 0 }) || book.active != 0 {
                return Err(format!(
                    "all is quiet, and the bulkhead of service {service} has {counts:?}, not {size} free"
                ));
            }
        }
        for (number, site) in ledger.sites.iter().enumerate() {
            let in_flight = site.stats.state(now).in_flight;
            if in_flight != 0 || !site.probes.is_empty() {
                return Err(format!("all is quiet, and endpoint {number} has {in_flight} calls under way"));
            }
        }
        if ledger.open.is_empty() { Ok(()) } else { Err("all is quiet, and calls are open".into()) }
    }

    /// 6: with some traffic every circuit closes, and every outlier comes back.
    async fn recover(self: &Arc<Self>, callers: &mut JoinSet<()>) -> Result<(), String> {
        let began = self.since(now());
        let mut well_since = None;
        loop {
            for service in 0..self.names.len() {
                self.visitor(callers, Plan::plain(service), Duration::from_secs(5));
            }
            // Little is asked of those that are well.
            sleep(Duration::from_millis(if well_since.is_some() { 400 } else { 100 })).await;
            self.audit(callers)?;
            let at = self.since(now());
            let ill = {
                let (ledger, now) = (self.ledger(), now());
                let ill = |site: &usize| {
                    let state = ledger.sites[*site].stats.state(now);
                    (state.breaker.state != State::Closed || state.ejected).then_some((*site, state))
                };
                (0..self.names.len()).flat_map(|service| self.siblings(service)).find_map(|site| ill(&site))
            };
            match ill {
                None if at - *well_since.get_or_insert(at) > SETTLED => return Ok(()),
                None => {}
                // Slow calls may open one again: what was slow was slow on purpose.
                Some(_) if at - began < RECOVERED => well_since = None,
                Some(ill) => return Err(format!("all is well for {RECOVERED} ms, and still not {ill:?}")),
            }
        }
    }

    /// 6: no endpoint starves.
    async fn shares(self: &Arc<Self>, callers: &mut JoinSet<()>, service: usize) -> Result<(), String> {
        let sites = self.siblings(service);
        let of = |site: &usize| {
            let ledger = self.ledger();
            (ledger.sites[*site].seen, f64::from(ledger.sites[*site].weight))
        };
        let before: Vec<_> = sites.iter().map(of).collect();
        let weights: f64 = before.iter().map(|(_, weight)| weight).sum();
        let calls = EACH * before.iter().map(|(_, weight)| *weight as u64).sum::<u64>();
        for _ in 0..calls {
            self.visitor(callers, Plan::plain(service), Duration::from_secs(5));
            while callers.join_next().await.is_some() {}
        }
        let policy = self.ledger().services[service].settings.balance.policy;
        for (site, (seen, weight)) in sites.iter().zip(before) {
            let (got, part) = ((of(site).0 - seen) as f64, weight / weights);
            let due = calls as f64 * part;
            let spread = (due * (1.0 - part)).sqrt();
            let fair = match policy {
                Policy::RoundRobin => (got - due).abs() <= 3.0,
                Policy::Random => (got - due).abs() <= 6.0 * spread + 1.0,
                // What was slow a minute ago still counts a little: a floor, not a share.
                Policy::LeastRequest | Policy::PeakEwma => got >= due / 20.0,
            };
            if !fair {
                return Err(format!(
                    "endpoint {site} of service {service} got {got} of {calls} calls, {due:.0} are its share ({policy})"
                ));
            }
        }
        Ok(())
    }

    /// 7: each outcome is counted once.
    fn accounts(&self) -> Result<(), String> {
        let (ledger, now) = (self.ledger(), now());
        let mut unseen = vec![0_i128; ledger.services.len()];
        for (number, site) in ledger.sites.iter().enumerate() {
            let state = site.stats.state(now);
            let service = &ledger.services[site.service];
            let requests = i128::from(state.requests) - i128::from(site.seen);
            let least = i128::from(state.failures) - i128::from(site.failed + site.failed_perhaps);
            let most = i128::from(state.failures) - i128::from(site.failed);
            // Those that fail on purpose no place has seen, and those that are given up while they are slowed down.
            let agree = if service.faulted {
                least <= requests && most >= 0 && requests >= 0
            } else {
                requests == 0 && least <= 0 && most >= 0
            };
            if !agree {
                return Err(format!(
                    "endpoint {number} counts {} requests and {} failures; it saw {} and {}, and perhaps {} more",
                    state.requests, state.failures, site.seen, site.failed, site.failed_perhaps
                ));
            }
            unseen[site.service] += requests - most;
        }
        for (service, unseen) in unseen.into_iter().enumerate() {
            let cancelled = i128::from(ledger.services[service].cancelled);
            if unseen > cancelled {
                return Err(format!("service {service}: {unseen} requests came to nothing, {cancelled} were given up"));
            }
        }
        Ok(())
    }
}
