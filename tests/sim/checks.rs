//! What must hold when a call arrives at a place, and in between.

use super::ledger::{Ledger, Next};
use super::world::World;
use host::breaker::{Forced, State};
use host::mesh::{BulkheadCounts, CallKind, EndpointState};
use std::time::{Duration, Instant};

/// The grain of tokio's timers: a deadline within a millisecond is met at its end.
pub const GRAIN: Duration = Duration::from_millis(1);

/// A call that arrives.
pub struct Arrival {
    pub call: u64,
    pub visit: u64,
    pub site: usize,
    pub way: CallKind,
    pub deadline: Instant,
}

impl Ledger {
    /// Checks a call that arrives at a place, and notes it. Whether it is a probe, where that can be told.
    pub fn arrive(&mut self, world: &World, arrival: &Arrival, now: Instant) -> Option<bool> {
        let Arrival { call, visit, site, .. } = *arrival;
        self.tries += 1;
        let at = world.since(now);
        self.mix(&[1, call, site as u64, at]);
        let service = self.sites[site].service;
        let state = self.sites[site].stats.state(now);
        let delayed = self.services[service].is_delayed(now);
        let id = || format!("at {at} ms: call {call} at endpoint {site} of service {service}");
        self.circuit(site, &state, delayed, now, &id);
        self.table(arrival, &id);
        self.deadline(arrival, service, delayed, now, &id);
        self.repetition(world, arrival, &state, now, &id);
        self.room(world, service, site, &state, &id);
        let probe = self.probe(site, visit, &state, delayed, now, &id);
        let book = &mut self.sites[site];
        book.seen += 1;
        self.services[service].active += 1;
        if let Some(call) = self.open.get_mut(&call) {
            call.tries += 1;
            call.last = Some(site);
            call.next = Next::Never;
        }
        probe
    }

    /// 1: no call through an open circuit, nor to an endpoint that is not ready.
    fn circuit(&mut self, site: usize, state: &EndpointState, delayed: bool, now: Instant, id: &impl Fn() -> String) {
        self.observe(site, state, now);
        if delayed {
            return;
        }
        if state.breaker.state == State::Open {
            self.broken(|| format!("{}: through an open circuit ({:?})", id(), state.breaker));
        }
        if !state.ready {
            self.broken(|| format!("{}: it is not ready", id()));
        }
    }

    /// 2: at most the permitted probes, each with its lease.
    fn probe(
        &mut self,
        site: usize,
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
        let book = &mut self.sites[site];
        let settings = book.breaker.probes;
        book.probes.retain(|(_, since)| now.saturating_duration_since(*since) < settings.lease);
        book.probes.push((visit, now));
        let under_way = book.probes.len();
        if under_way > settings.at_a_time.max(1) as usize {
            self.broken(|| format!("{}: {under_way} probes under way, {} may be", id(), settings.at_a_time));
        }
        Some(true)
    }

    /// 9: after a swap no call that began later comes to an old endpoint, nor a further try.
    fn table(&mut self, arrival: &Arrival, id: &impl Fn() -> String) {
        let Some(first_later) = self.sites[arrival.site].retired else { return };
        let Some(call) = self.open.get(&arrival.call) else { return };
        let service = &self.services[call.service];
        // A further try looks again, unless nothing is there any more.
        if arrival.call >= first_later || call.tries > 0 && service.published && service.delayed.is_none() {
            let tries = call.tries;
            self.broken(|| format!("{}: an old endpoint, gone before call {first_later}; {tries} tries before", id()));
        }
    }

    /// 8: a try's own deadline, and that of the call.
    fn deadline(&mut self, arrival: &Arrival, service: usize, delayed: bool, now: Instant, id: &impl Fn() -> String) {
        let Some(call) = self.open.get(&arrival.call) else {
            return self.broken(|| format!("{}: a call that nobody waits for", id()));
        };
        let limit = if delayed { call.limit } else { call.limit.min(now + self.services[service].settings.timeout) };
        if arrival.deadline > limit {
            let late = arrival.deadline - limit;
            self.broken(|| format!("{}: its try may last {late:?} longer than it should", id()));
        }
        if now > limit + GRAIN {
            self.broken(|| format!("{}: it began {:?} after its deadline", id(), now - limit));
        }
    }

    /// 3: tries a call, those that may be made again, and the budget.
    fn repetition(
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
        let book = &mut self.services[service];
        let retry = book.settings.retry;
        // What is noted here was taken from the budget up to a backoff ago. The window is 9 to 10 s long: the second
        // under way, and nine.
        let shift = retry.backoff_most + if book.delayed.is_some() { book.settings.timeout } else { Duration::ZERO };
        book.further.push_back(now);
        book.prune(now);
        let within = |at: &&Instant, span: Duration| now.saturating_duration_since(**at) < span;
        let further =
            book.further.iter().rev().take_while(|at| within(at, Duration::from_secs(9).saturating_sub(shift)));
        let further = further.count() as u64;
        let arrivals = book.arrivals.iter().rev().take_while(|at| within(at, Duration::from_secs(10) + shift + GRAIN));
        let arrivals = arrivals.count() as u64;
        if further * 100 > arrivals * u64::from(retry.budget) + 1_000 * u64::from(retry.budget_floor) {
            self.broken(|| format!("{}: {further} further tries for {arrivals} calls, {retry:?}", id()));
        }
        if tries > retry.tries {
            self.broken(|| format!("{}: try number {}, {retry:?}", id(), tries + 1));
        }
        if !matches!((next, safe), (Next::Any, _) | (Next::IfSafe, true)) {
            self.broken(|| {
                format!(
                    "{}: made again (safe: {safe}), by {:?}, after {end:?} that permits {next:?}",
                    id(),
                    arrival.way
                )
            });
        }
        if last == Some(arrival.site) && !self.services[service].faulted && state.breaker.state == State::Closed {
            let other = world.siblings(service).into_iter().find(|other| {
                let stats = &self.sites[*other].stats;
                let state = stats.state(now);
                *other != arrival.site
                    && state.ready
                    && state.breaker.state == State::Closed
                    && state.in_flight < world.traffics[service].bulkhead.settings().concurrency
                    && (arrival.way == CallKind::Http || world.is_typed(*other))
            });
            if let Some(other) = other {
                let other = (other, self.sites[other].stats.state(now));
                self.broken(|| format!("{}: tried again where it failed, and {other:?} was there", id()));
            }
        }
    }

    /// 4: bounds of what is under way.
    fn room(&mut self, world: &World, service: usize, site: usize, state: &EndpointState, id: &impl Fn() -> String) {
        let bulkhead = &world.traffics[service].bulkhead;
        if state.in_flight > bulkhead.settings().concurrency {
            self.broken(|| format!("{}: {} calls at endpoint {site}", id(), state.in_flight));
        }
        self.bulkhead(world, service, 1);
    }

    /// The bulkhead of a service; `more` calls have a slot and are not at a place yet.
    pub fn bulkhead(&mut self, world: &World, service: usize, more: usize) {
        let bulkhead = &world.traffics[service].bulkhead;
        let BulkheadCounts { permits, taken, waiting } = bulkhead.counts();
        let book = &mut self.services[service];
        // Calls under way outlive a shrinking; until they have ended, there are never more again.
        book.bound = permits.max(taken.min(book.bound));
        let (bound, active) = (book.bound, book.active + more);
        if taken > bound || waiting > bulkhead.settings().waiting {
            self.broken(|| format!("service {service}: {taken} slots of {bound} taken, {waiting} wait"));
        }
        if active > taken {
            self.broken(|| format!("service {service}: {active} calls under way, and {taken} slots taken"));
        }
    }

    /// Follows one circuit: one that has opened stays so for its time.
    pub fn observe(&mut self, site: usize, state: &EndpointState, now: Instant) {
        let book = &mut self.sites[site];
        if state.breaker.state != State::HalfOpen {
            book.probes.clear();
        }
        if state.breaker.forced == Some(Forced::Open) {
            return;
        }
        if state.breaker.state == State::Open {
            let earliest = book.last_unopen + book.breaker.open.least;
            book.shut_until.get_or_insert(earliest);
            return;
        }
        book.last_unopen = now;
        if let Some(until) = book.shut_until.take()
            && now < until
        {
            self.broken(|| format!("endpoint {site}: its circuit was open for {:?} less than its least", until - now));
        }
    }
}
