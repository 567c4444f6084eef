//! What stands at an endpoint instead of a component or an address.

use super::caller::Plan;
use super::checks::Arrival;
use super::ledger::{Active, Ledger, Next};
use super::mood::Act;
use super::stream::{End, PIECE, Stream};
use super::world::{World, now};
use host::base::{Blame, Body, CallContext, ErrorKind, full_body};
use host::contract::FunctionName;
use host::mesh::{CallKind, Invoke, TryError, Value};
use host::runtime::DetachedValues;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

pub struct Fake {
    pub world: Weak<World>,
    pub service: usize,
    pub site: usize,
    pub typed: bool,
}

/// Which endpoint has answered; it travels with the answer.
#[derive(Clone, Copy)]
pub struct Tag {
    pub site: usize,
    pub probe: Option<bool>,
}

/// A call that has arrived: what is to become of it.
struct Visit {
    world: Arc<World>,
    call: u64,
    number: u64,
    site: usize,
    act: Act,
    probe: Option<bool>,
    /// Until the call leaves with an answer whose body goes on.
    active: Option<Active>,
    delay: Duration,
    pieces: u32,
    pause: Duration,
    reads: bool,
    told: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let number = self.number;
        self.world.ledger().sites[self.site].probes.retain(|(visit, _)| *visit != number);
    }
}

impl Fake {
    fn arrive(&self, call: u64, way: CallKind, context: &CallContext) -> Visit {
        let world = self.world.upgrade().expect("the world outlives its calls");
        let now = now();
        let mut ledger = world.ledger();
        let number = ledger.tries;
        let arrival = Arrival { call, visit: number, site: self.site, way, deadline: context.deadline };
        let probe = ledger.arrive(&world, &arrival, now);
        let mood = ledger.sites[self.site].mood;
        let age = now.saturating_duration_since(world.started);
        let Ledger { dice, .. } = &mut *ledger;
        let act = mood.act(dice, age);
        let delay = match act {
            Act::Slow(millis) => Duration::from_millis(millis),
            Act::Crash | Act::Full => Duration::ZERO,
            _ => dice.millis(0..=12),
        };
        let (pieces, pause) = (dice.below(4) as u32, dice.millis(0..=6));
        let (reads, told) = (dice.percent(70), dice.percent(50));
        drop(ledger);
        let active = Some(Active { world: self.world.clone(), service: self.service, site: self.site, probe });
        Visit { world, call, number, site: self.site, act, probe, active, delay, pieces, pause, reads, told }
    }
}

impl Visit {
    /// Ends with an error, by the client's fault or not.
    fn fail<T>(&self, kind: ErrorKind, way: CallKind, context: &CallContext, clients: bool) -> Result<T, TryError> {
        let dependency_failed = context.dependency_failed();
        let service = kind.blame() == Blame::Service && !clients;
        let next = match (way, kind) {
            (CallKind::Typed, _) if service => Next::IfSafe,
            (CallKind::Http, ErrorKind::Connect) => Next::Any,
            (CallKind::Http, kind) if kind.is_endpoint_fault() && service && !dependency_failed => Next::IfSafe,
            _ => Next::Never,
        };
        let mut ledger = self.world.ledger();
        ledger.mix(&[2, self.call, kind.as_str().len() as u64]);
        ledger.ended(self.call, self.site, next, service && !(kind == ErrorKind::Trap && dependency_failed));
        if let Some(call) = ledger.open.get_mut(&self.call) {
            call.full |= kind.blame() == Blame::Refusal;
            call.end = Some(kind);
        }
        Err(TryError::new(kind, "simulated"))
    }

    /// Reads the request's body; an error is the client's.
    async fn read(&self, body: Body, until: Instant) -> Result<(), ErrorKind> {
        let mut body = body;
        let mut read = 0;
        loop {
            match timeout_at(until, body.frame()).await {
                Err(_) => {
                    // As a connection of its own does it, which learns a little later that nobody waits.
                    tokio::spawn(async move { drop(body) });
                    return Err(ErrorKind::Timeout);
                }
                Ok(Some(Err(_))) => return Err(ErrorKind::Reset),
                Ok(Some(Ok(frame))) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
                Ok(None) => break,
            }
        }
        let mut ledger = self.world.ledger();
        let length = ledger.open.get(&self.call).and_then(|call| call.length);
        if length.is_some_and(|length| length != read) {
            ledger.broken(|| format!("call {}: {read} bytes of its body came, not {length:?}", self.call));
        }
        Ok(())
    }

    /// Does the work, up to the answer.
    async fn work(&self, until: Instant, context: &CallContext) -> Result<(), ErrorKind> {
        if self.act == Act::Hang || Instant::now() + self.delay >= until {
            tokio::time::sleep_until(until).await;
            return Err(ErrorKind::Timeout);
        }
        sleep(self.delay).await;
        match self.act {
            Act::Reset => Err(ErrorKind::Reset),
            Act::Trap => Err(ErrorKind::Trap),
            Act::Full => Err(ErrorKind::Overloaded),
            // Its own deadline holds also while it reads what another one streams.
            Act::Nest => timeout_at(until, self.nest(context)).await.unwrap_or(Err(ErrorKind::Timeout)),
            _ => Ok(()),
        }
    }

    /// Calls another service, one deeper, and makes of its answer what guests make of it.
    async fn nest(&self, context: &CallContext) -> Result<(), ErrorKind> {
        let (plan, forgives, traps) = {
            let mut ledger = self.world.ledger();
            let service = ledger.dice.below(self.world.names.len());
            let plan = Plan::draw(&mut ledger, service, false);
            (plan, ledger.dice.percent(40), ledger.dice.percent(30))
        };
        let deeper = context.deeper(now());
        let failed = match self.world.errand(plan, &deeper).await {
            Ok(status) => matches!(status, 502..=504),
            Err(_) => true,
        };
        if failed {
            deeper.mark_dependency_failed();
        }
        match (failed, forgives, traps) {
            (false, ..) | (_, true, _) => Ok(()),
            (_, _, true) => Err(ErrorKind::Trap),
            _ => Err(ErrorKind::Draining),
        }
    }

    fn answer(&mut self, context: &CallContext, clients: bool) -> Response<Body> {
        let (status, retry_after) = match self.act {
            Act::Status(status, retry_after) => (status, retry_after),
            _ if clients => (500, None),
            _ => (200, None),
        };
        let dependency_failed = context.dependency_failed();
        let upstream = matches!(status, 502..=504) && !dependency_failed;
        let nonsense = self.act == Act::Nonsense && !clients;
        let failed = nonsense || matches!(status, 500 | 501) || upstream;
        // A body that broke off explains every answer; but the mesh asks the status alone whether another place may do
        // better.
        let next = if upstream { Next::IfSafe } else { Next::Never };
        let mut ledger = self.world.ledger();
        ledger.mix(&[3, self.call, u64::from(status)]);
        ledger.ended(self.call, self.site, next, failed && !clients);
        drop(ledger);
        let end = match self.act {
            Act::Break if !clients => End::Break(ErrorKind::Reset),
            Act::Silent if !clients => End::Silent,
            _ => End::Whole,
        };
        let active = self.active.take();
        let body = Stream::body(self.pieces, self.pause, end, self.told, active);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Tag { site: self.site, probe: self.probe });
        if nonsense {
            response.headers_mut().insert("content-length", HeaderValue::from(PIECE));
            *response.body_mut() = full_body("no");
        }
        response
    }
}

impl Invoke for Fake {
    fn takes(&self, way: CallKind) -> bool {
        self.typed || way == CallKind::Http
    }

    async fn send(&self, request: Request<Body>, context: &CallContext) -> Result<Response<Body>, TryError> {
        let call = request.headers().get("x-call").and_then(|call| call.to_str().ok()?.parse().ok());
        let mut visit = self.arrive(call.unwrap(), CallKind::Http, context);
        let until = Instant::from_std(context.deadline);
        let body = request.into_body();
        if visit.act == Act::Crash {
            return visit.fail(ErrorKind::Connect, CallKind::Http, context, false);
        }
        let mut clients = false;
        if visit.reads {
            match visit.read(body, until).await {
                Ok(()) => {}
                // Half of all services answer something when a body breaks off.
                Err(ErrorKind::Reset) if visit.told => clients = true,
                Err(kind) => return visit.fail(kind, CallKind::Http, context, true),
            }
        } else {
            drop(body);
        }
        match visit.work(until, context).await {
            Err(_) if clients => visit.fail(ErrorKind::Reset, CallKind::Http, context, true),
            // What a component answers that was let down.
            Err(ErrorKind::Draining) => {
                visit.act = Act::Status(502, None);
                Ok(visit.answer(context, clients))
            }
            Err(kind) => visit.fail(kind, CallKind::Http, context, false),
            Ok(()) => Ok(visit.answer(context, clients)),
        }
    }

    async fn call(
        &self,
        _: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, TryError> {
        let [Value::U64(call)] = arguments.values() else { panic!("not the argument that was given") };
        let visit = self.arrive(*call, CallKind::Typed, context);
        if visit.act == Act::Crash {
            return visit.fail(ErrorKind::Instantiation, CallKind::Typed, context, false);
        }
        if let Err(kind) = visit.work(Instant::from_std(context.deadline), context).await {
            return visit.fail(kind, CallKind::Typed, context, false);
        }
        let case = match visit.act {
            Act::Nonsense | Act::Break => return visit.fail(ErrorKind::BadAnswer, CallKind::Typed, context, false),
            Act::Status(500 | 501, _) => Some("internal"),
            Act::Status(502..=504, _) => Some("unavailable"),
            Act::Status(..) | Act::Silent => Some("not-found"),
            _ => None,
        };
        let failed = match case {
            Some("internal") => true,
            Some("unavailable") => !context.dependency_failed(),
            _ => false,
        };
        let mut ledger = visit.world.ledger();
        ledger.mix(&[4, visit.call, case.map_or(0, str::len) as u64]);
        ledger.ended(visit.call, visit.site, Next::Never, failed);
        drop(ledger);
        let error = case.map(|case| Value::Result(Err(Some(Box::new(Value::Enum(case.into()))))));
        Ok(DetachedValues::new(vec![error.unwrap_or(Value::Bool(true))]))
    }
}
