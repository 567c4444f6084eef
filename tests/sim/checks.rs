//! The invariants that are checked when a call arrives at an endpoint, and by the audit.

use super::ledger::{Ledger, Next};
use super::world::World;
use host::breaker::{Forced, State};
use host::mesh::{BulkheadCounts, CallKind, EndpointState};
use std::time::{Duration, Instant};

/// The resolution of tokio's timers: a timer within a millisecond fires at the millisecond's end.
pub const GRAIN: Duration = Duration::from_millis(1);

/// A try that arrives at an endpoint.
pub struct Arrival {
    pub call: u64,
    /// The number of the try, over all calls.
    pub visit: u64,
    pub endpoint: usize,
    pub kind: CallKind,
    pub deadline: Instant,
}

impl Ledger {
    /// Checks a try that arrives at an endpoint, and records it. Whether it is a probe; `None` if that cannot be known.
    pub fn arrive(&mut self, world: &World, arrival: &Arrival, now: Instant) -> Option<bool> {
        let Arrival { call, visit, endpoint, .. } = *arrival;
        self.tries += 1;
        let at = world.since(now);
        self.mix(&[1, call, endpoint as u64, at]);
        let service = self.endpoints[endpoint].service;
        let state = self.endpoints[endpoint].stats.state(now);
        let delayed = self.services[service].is_delayed(now);
        let id = || format!("at {at} ms: call {call} at endpoint {endpoint} of service {service}");
        self.check_circuit(endpoint, &state, delayed, now, &id);
        self.check_table(arrival, &id);
        self.check_deadline(arrival, service, delayed, now, &id);
        self.check_repetition(world, arrival, &state, now, &id);
        self.check_bounds(world, service, endpoint, &state, &id);
        let probe = self.check_probes(endpoint, visit, &state, delayed, now, &id);
        let record = &mut self.endpoints[endpoint];
        record.seen += 1;
        self.services[service].active += 1;
        if let Some(call) = self.open.get_mut(&call) {
            call.tries += 1;
            call.last = Some(endpoint);
            call.next = Next::Never;
        }
        probe
    }

    /// Checks the invariant "circuit".
    fn check_circuit(
        &mut self,
        endpoint: usize,
        state: &EndpointState,
        delayed: bool,
        now: Instant,
        id: &impl Fn() -> String,
    ) {
        self.observe(endpoint, state, now);
        if delayed {
            return;
        }
        if state.breaker.state == State::Open {
            self.broken(|| format!("{}: it passed an open circuit ({:?})", id(), state.breaker));
        }
        if !state.ready {
            self.broken(|| format!("{}: the endpoint is not ready", id()));
        }
    }

    /// Checks the invariant "probes".
    fn check_probes(
        &mut self,
        endpoint: usize,
        visit: u64,
        state: &EndpointState,
        delayed: bool,
        now: Instant,
        id: &impl Fn() -> String,
    ) -> Option<bool> {
        if delayed {
            return None;
        }
        if state.breaker.state != State::HalfOpen {
            return Some(false);
        }
        let record = &mut self.endpoints[endpoint];
        let settings = record.breaker.probes;
        record.probes.retain(|(_, since)| now.saturating_duration_since(*since) < settings.lease);
        record.probes.push((visit, now));
        let under_way = record.probes.len();
        if under_way > settings.at_a_time.max(1) as usize {
            self.broken(|| format!("{}: {under_way} probes under way, {} may be", id(), settings.at_a_time));
        }
        Some(true)
    }

    /// Checks the invariant "table".
    fn check_table(&mut self, arrival: &Arrival, id: &impl Fn() -> String) {
        let Some(first_later) = self.endpoints[arrival.endpoint].retired else { return };
        let Some(call) = self.open.get(&arrival.call) else { return };
        let service = &self.services[call.service];
        // A further try reads the table again. It stays with the old endpoints only if the service has left the table.
        if arrival.call >= first_later || call.tries > 0 && service.published && service.delayed.is_none() {
            let tries = call.tries;
            self.broken(|| {
                format!(
                    "{}: this endpoint left the table before call {first_later}; the call had {tries} tries before",
                    id()
                )
            });
        }
    }

    /// Checks the invariant "deadline" for a try.
    fn check_deadline(
        &mut self,
        arrival: &Arrival,
        service: usize,
        delayed: bool,
        now: Instant,
        id: &impl Fn() -> String,
    ) {
        let Some(call) = self.open.get(&arrival.call) else {
            return self.broken(|| format!("{}: nobody waits for this call", id()));
        };
        let limit = if delayed { call.limit } else { call.limit.min(now + self.services[service].settings.timeout) };
        if arrival.deadline > limit {
            let late = arrival.deadline - limit;
            self.broken(|| format!("{}: the deadline of its try is {late:?} too late", id()));
        }
        if now > limit + GRAIN {
            self.broken(|| format!("{}: its try began {:?} after the deadline", id(), now - limit));
        }
    }

    /// Checks the invariant "repetition": the tries of a call, the budget, the outcome before, and the endpoint before.
    fn check_repetition(
        &mut self,
        world: &World,
        arrival: &Arrival,
        state: &EndpointState,
        now: Instant,
        id: &impl Fn() -> String,
    ) {
        let Some(call) = self.open.get(&arrival.call) else { return };
        let (tries, next, safe, last, service) = (call.tries, call.next, call.safe, call.last, call.service);
        let end = call.end;
        if tries == 0 {
            return;
        }
        let record = &mut self.services[service];
        let retry = record.settings.retry;
        // A try that arrives now was taken from the budget up to one backoff ago. The window is 9 to 10 s long: the
        // current second, and nine.
        let shift =
            retry.backoff_most + if record.delayed.is_some() { record.settings.timeout } else { Duration::ZERO };
        record.further.push_back(now);
        record.prune(now);
        let within = |at: &&Instant, span: Duration| now.saturating_duration_since(**at) < span;
        let further =
            record.further.iter().rev().take_while(|at| within(at, Duration::from_secs(9).saturating_sub(shift)));
        let further = further.count() as u64;
        let arrivals =
            record.arrivals.iter().rev().take_while(|at| within(at, Duration::from_secs(10) + shift + GRAIN));
        let arrivals = arrivals.count() as u64;
        if further * 100 > arrivals * u64::from(retry.budget) + 1_000 * u64::from(retry.budget_floor) {
            self.broken(|| format!("{}: {further} further tries for {arrivals} calls, with {retry:?}", id()));
        }
        if tries > retry.tries {
            self.broken(|| format!("{}: this is try number {}, with {retry:?}", id(), tries + 1));
        }
        if !matches!((next, safe), (Next::Any, _) | (Next::IfSafe, true)) {
            self.broken(|| {
                format!("{}: sent again (safe: {safe}, {:?}) after {end:?}, which permits {next:?}", id(), arrival.kind)
            });
        }
        if last == Some(arrival.endpoint) && !self.services[service].faulted && state.breaker.state == State::Closed {
            let other = world.siblings(service).into_iter().find(|other| {
                let stats = &self.endpoints[*other].stats;
                let state = stats.state(now);
                *other != arrival.endpoint
                    && state.ready
                    && state.breaker.state == State::Closed
                    && state.in_flight < world.traffics[service].bulkhead.settings().concurrency
                    && (arrival.kind == CallKind::Http || world.is_typed(*other))
            });
            if let Some(other) = other {
                let other = (other, self.endpoints[other].stats.state(now));
                self.broken(|| format!("{}: tried again at the same endpoint, although {other:?} took calls", id()));
            }
        }
    }

    /// Checks the invariant "bounds".
    fn check_bounds(
        &mut self,
        world: &World,
        service: usize,
        endpoint: usize,
        state: &EndpointState,
        id: &impl Fn() -> String,
    ) {
        let bulkhead = &world.traffics[service].bulkhead;
        if state.in_flight > bulkhead.settings().concurrency {
            self.broken(|| format!("{}: {} calls at endpoint {endpoint}", id(), state.in_flight));
        }
        self.check_bulkhead(world, service, 1);
    }

    /// Checks the bulkhead's part of the invariant "bounds". `more`: calls that have a permit and are at no endpoint
    /// yet.
    pub fn check_bulkhead(&mut self, world: &World, service: usize, more: usize) {
        let bulkhead = &world.traffics[service].bulkhead;
        let BulkheadCounts { permits, taken, waiting } = bulkhead.counts();
        let record = &mut self.services[service];
        // Calls under way outlive a shrinking. Until they have ended, their number never grows again.
        record.bound = permits.max(taken.min(record.bound));
        let (bound, active) = (record.bound, record.active + more);
        if taken > bound || waiting > bulkhead.settings().waiting {
            self.broken(|| {
                format!("service {service}: {taken} permits of {bound} are taken, and {waiting} calls wait")
            });
        }
        if active > taken {
            self.broken(|| format!("service {service}: {active} calls are under way with {taken} permits"));
        }
    }

    /// Follows one circuit, and checks the invariant "open time".
    pub fn observe(&mut self, endpoint: usize, state: &EndpointState, now: Instant) {
        let record = &mut self.endpoints[endpoint];
        if state.breaker.state != State::HalfOpen {
            record.probes.clear();
        }
        if state.breaker.forced == Some(Forced::Open) {
            return;
        }
        if state.breaker.state == State::Open {
            let earliest = record.last_unopen + record.breaker.open.least;
            record.shut_until.get_or_insert(earliest);
            return;
        }
        record.last_unopen = now;
        if let Some(until) = record.shut_until.take()
            && now < until
        {
            self.broken(|| {
                format!("endpoint {endpoint}: its circuit left the open state {:?} before its least time", until - now)
            });
        }
    }
}
