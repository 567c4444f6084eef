//! The end of a run: all endpoints are well again. The invariants of the end are checked here.

use super::behaviour::Behaviour;
use super::caller::Plan;
use super::world::{World, now};
use host::balance::Policy;
use host::breaker::State;
use host::mesh::{BreakerOrder, BulkheadCounts};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than any call lasts, with its answer's body.
const ALL_OVER: Duration = Duration::from_secs(20);
/// The longest time in milliseconds until every circuit is closed and every ejected endpoint is back.
const RECOVERED: u64 = 240_000;
/// Milliseconds after which old latencies have faded (from the 10 s that failures count at most to 2 ms in 85 s), and
/// slow starts are over.
const SETTLED: u64 = 100_000;
/// Calls for each unit of weight, when shares are counted.
const EACH: u64 = 40;

impl World {
    pub async fn final_phase(self: &Arc<Self>, callers: &mut JoinSet<()>) -> Result<(), String> {
        for service in 0..self.names.len() {
            self.traffics[service].faults.clear();
            self.publish(service);
            for endpoint in self.siblings(service) {
                let mut ledger = self.ledger();
                let record = &mut ledger.endpoints[endpoint];
                record.behaviour = Behaviour::Well;
                record.stats.readiness.note(true, 1, 1);
                if record.stats.state(now()).breaker.forced.is_some() {
                    record.stats.order(BreakerOrder::Reset);
                    record.shut_until = None;
                }
            }
        }
        sleep(ALL_OVER).await;
        self.check_quiet(callers)?;
        self.check_recovery(callers).await?;
        for service in 0..self.names.len() {
            self.check_shares(callers, service).await?;
        }
        sleep(ALL_OVER).await;
        self.check_quiet(callers)?;
        self.check_accounts()
    }

    /// Checks the invariant "quiet".
    fn check_quiet(&self, callers: &mut JoinSet<()>) -> Result<(), String> {
        self.audit(callers)?;
        if !callers.is_empty() {
            return Err(format!("{} callers still wait for the end of their calls", callers.len()));
        }
        let (ledger, now) = (self.ledger(), now());
        for (service, record) in ledger.services.iter().enumerate() {
            let counts = self.traffics[service].bulkhead.counts();
            let size = self.siblings(service).len() * record.settings.bulkhead.concurrency;
            if counts != (BulkheadCounts { permits: size, taken: 0, waiting: 0 }) || record.active != 0 {
                return Err(format!(
                    "service {service} has no call under way, and {counts:?}, not {size} free permits"
                ));
            }
        }
        for (number, endpoint) in ledger.endpoints.iter().enumerate() {
            let in_flight = endpoint.stats.state(now).in_flight;
            if in_flight != 0 || !endpoint.probes.is_empty() {
                return Err(format!("no call is under way, and endpoint {number} counts {in_flight}"));
            }
        }
        if ledger.open.is_empty() { Ok(()) } else { Err("no call is under way, and the ledger has open calls".into()) }
    }

    /// Checks the invariant "recovery".
    async fn check_recovery(self: &Arc<Self>, callers: &mut JoinSet<()>) -> Result<(), String> {
        let began = self.since(now());
        let mut well_since = None;
        loop {
            for service in 0..self.names.len() {
                self.spawn_caller(callers, Plan::plain(service), Duration::from_secs(5));
            }
            // Fewer calls once all are well: the wait until all has settled is long.
            sleep(Duration::from_millis(if well_since.is_some() { 400 } else { 100 })).await;
            self.audit(callers)?;
            let at = self.since(now());
            let ill = {
                let (ledger, now) = (self.ledger(), now());
                let ill = |endpoint: &usize| {
                    let state = ledger.endpoints[*endpoint].stats.state(now);
                    (state.breaker.state != State::Closed || state.ejected).then_some((*endpoint, state))
                };
                (0..self.names.len()).flat_map(|service| self.siblings(service)).find_map(|endpoint| ill(&endpoint))
            };
            match ill {
                None if at - *well_since.get_or_insert(at) > SETTLED => return Ok(()),
                None => {}
                // Calls that an injected fault delayed may open a circuit once more.
                Some(_) if at - began < RECOVERED => well_since = None,
                Some(ill) => {
                    return Err(format!(
                        "all endpoints are well for {RECOVERED} ms, and this one has not recovered: {ill:?}"
                    ));
                }
            }
        }
    }

    /// Checks the invariant "shares".
    async fn check_shares(self: &Arc<Self>, callers: &mut JoinSet<()>, service: usize) -> Result<(), String> {
        let endpoints = self.siblings(service);
        let of = |endpoint: &usize| {
            let ledger = self.ledger();
            (ledger.endpoints[*endpoint].seen, f64::from(ledger.endpoints[*endpoint].weight))
        };
        let before: Vec<_> = endpoints.iter().map(of).collect();
        let weights: f64 = before.iter().map(|(_, weight)| weight).sum();
        let calls = EACH * before.iter().map(|(_, weight)| *weight as u64).sum::<u64>();
        for _ in 0..calls {
            self.spawn_caller(callers, Plan::plain(service), Duration::from_secs(5));
            while callers.join_next().await.is_some() {}
        }
        let policy = self.ledger().services[service].settings.balance.policy;
        for (endpoint, (seen, weight)) in endpoints.iter().zip(before) {
            let (got, part) = ((of(endpoint).0 - seen) as f64, weight / weights);
            let due = calls as f64 * part;
            let spread = (due * (1.0 - part)).sqrt();
            let fair = match policy {
                Policy::RoundRobin => (got - due).abs() <= 3.0,
                Policy::Random => (got - due).abs() <= 6.0 * spread + 1.0,
                // A slow call of a minute ago still counts a little: so this is a floor, and not a share.
                Policy::LeastRequest | Policy::PeakEwma => got >= due / 20.0,
            };
            if !fair {
                return Err(format!(
                    "endpoint {endpoint} of service {service} got {got} of {calls} calls, not {due:.0} ({policy})"
                ));
            }
        }
        Ok(())
    }

    /// Checks the invariant "accounts".
    fn check_accounts(&self) -> Result<(), String> {
        let (ledger, now) = (self.ledger(), now());
        let mut unseen = vec![0_i128; ledger.services.len()];
        for (number, endpoint) in ledger.endpoints.iter().enumerate() {
            let state = endpoint.stats.state(now);
            let service = &ledger.services[endpoint.service];
            let requests = i128::from(state.requests) - i128::from(endpoint.seen);
            let least = i128::from(state.failures) - i128::from(endpoint.failed + endpoint.failed_perhaps);
            let most = i128::from(state.failures) - i128::from(endpoint.failed);
            // No endpoint has seen tries that an injected fault failed, nor those that were given up while it delayed
            // them.
            let agree = if service.faulted {
                least <= requests && most >= 0 && requests >= 0
            } else {
                requests == 0 && least <= 0 && most >= 0
            };
            if !agree {
                return Err(format!(
                    "endpoint {number} counts {} requests and {} failures; it saw {} and {}, and perhaps {} more",
                    state.requests, state.failures, endpoint.seen, endpoint.failed, endpoint.failed_perhaps
                ));
            }
            unseen[endpoint.service] += requests - most;
        }
        for (service, unseen) in unseen.into_iter().enumerate() {
            let given_up = i128::from(ledger.services[service].cancelled + ledger.services[service].timed_out);
            if unseen > given_up {
                return Err(format!(
                    "service {service}: {unseen} requests neither arrived nor failed, {given_up} were given up"
                ));
            }
        }
        Ok(())
    }
}
