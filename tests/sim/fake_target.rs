//! What an endpoint calls here, instead of a component or an address.

use super::behaviour::Act;
use super::caller::Plan;
use super::checks::Arrival;
use super::ledger::{ActiveCall, Ledger, Next};
use super::stream::{End, PIECE, Stream};
use super::world::{World, now};
use host::base::{Blame, Body, CallContext, DeadlineOwner, ErrorKind, full_body};
use host::contract::FunctionName;
use host::mesh::{CallKind, Invoke, TryError, Value};
use host::runtime::DetachedValues;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

pub struct FakeTarget {
    pub world: Weak<World>,
    pub service: usize,
    pub endpoint: usize,
    pub typed: bool,
}

/// Which endpoint has answered. It travels with the answer.
#[derive(Clone, Copy)]
pub struct AnsweredBy {
    pub endpoint: usize,
    pub probe: Option<bool>,
}

/// A try that has arrived, and what the endpoint does with it.
struct Visit {
    world: Arc<World>,
    call: u64,
    number: u64,
    endpoint: usize,
    act: Act,
    probe: Option<bool>,
    /// `None` once the answer's body holds it.
    active: Option<ActiveCall>,
    cut: Option<Cut>,
    delay: Duration,
    pieces: u32,
    pause: Duration,
    reads: bool,
    /// Whether the reader of the answer learns with the last piece that it is the last; and, from the same draw,
    /// whether the endpoint answers a request whose body breaks off.
    coin: bool,
}

/// A try whose caller has left it clearly less time than the service may take.
#[derive(Clone, Copy)]
struct Cut {
    came: std::time::Instant,
    left: Duration,
    /// An injected fault may have delayed the try. Then it had more time than it has left, and was perhaps not cut.
    delayed: bool,
}

impl Cut {
    /// Whether a failure counts for which the caller is to blame if it `is_late`; `None` if that is not known.
    fn counts(cut: Option<Self>, is_late: impl FnOnce(&Self) -> bool) -> Option<bool> {
        match cut {
            None => Some(true),
            Some(Self { delayed: true, .. }) => None,
            Some(cut) => Some(!is_late(&cut)),
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let number = self.number;
        self.world.ledger().endpoints[self.endpoint].probes.retain(|(visit, _)| *visit != number);
    }
}

impl FakeTarget {
    fn arrive(&self, call: u64, kind: CallKind, context: &CallContext) -> Visit {
        let world = self.world.upgrade().expect("the world outlives its calls");
        let now = now();
        let mut ledger = world.ledger();
        let number = ledger.tries;
        let arrival = Arrival { call, visit: number, endpoint: self.endpoint, kind, deadline: context.deadline };
        let probe = ledger.arrive(&world, &arrival, now);
        let service = &ledger.services[self.service];
        let (own, left) = (service.settings.timeout.min(service.settings.total), context.deadline - now);
        let is_cut = context.deadline_owner != DeadlineOwner::Timeout && left < own - own / 10;
        let cut = is_cut.then(|| Cut { came: now, left, delayed: service.is_delayed(now) });
        let behaviour = ledger.endpoints[self.endpoint].behaviour;
        let age = now.saturating_duration_since(world.started);
        let Ledger { rng, .. } = &mut *ledger;
        let act = behaviour.act(rng, age);
        let delay = match act {
            Act::Slow(millis) => Duration::from_millis(millis),
            Act::Crash | Act::Full => Duration::ZERO,
            _ => rng.millis(0..=12),
        };
        let (pieces, pause) = (rng.below(4) as u32, rng.millis(0..=6));
        let (reads, coin) = (rng.percent(70), rng.percent(50));
        drop(ledger);
        let active =
            Some(ActiveCall { world: self.world.clone(), service: self.service, endpoint: self.endpoint, probe });
        Visit {
            world,
            call,
            number,
            endpoint: self.endpoint,
            act,
            probe,
            active,
            cut,
            delay,
            pieces,
            pause,
            reads,
            coin,
        }
    }
}

impl Visit {
    /// Ends with a failure. `clients`: it is the client's fault.
    fn fail<T>(
        &self,
        kind: ErrorKind,
        call_kind: CallKind,
        context: &CallContext,
        clients: bool,
    ) -> Result<T, TryError> {
        let dependency_failed = context.dependency_failed();
        let service = kind.blame() == Blame::Service && !clients;
        let next = match (call_kind, kind) {
            (CallKind::Typed, _) if service => Next::IfSafe,
            (CallKind::Http, ErrorKind::Connect) => Next::Any,
            (CallKind::Http, kind) if kind.is_endpoint_fault() && service && !dependency_failed => Next::IfSafe,
            _ => Next::Never,
        };
        let mut ledger = self.world.ledger();
        ledger.mix(&[2, self.call, kind.as_str().len() as u64]);
        let failed = service && !(kind == ErrorKind::Trap && dependency_failed);
        let counts = if kind == ErrorKind::Timeout { Cut::counts(self.cut, |_| true) } else { Some(true) };
        ledger.ended(self.call, self.endpoint, next, if failed { counts } else { Some(false) });
        if let Some(call) = ledger.open.get_mut(&self.call) {
            call.full |= kind.blame() == Blame::Refusal;
            call.end = Some(kind);
        }
        Err(TryError::new(kind, "simulated"))
    }

    /// Reads the request's body, and checks the invariant "body". An error is the client's fault.
    async fn read(&self, body: Body, until: Instant) -> Result<(), ErrorKind> {
        let mut body = body;
        let mut read = 0;
        loop {
            match timeout_at(until, body.frame()).await {
                Err(_) => {
                    // Dropped a little later, as by the task of a connection, which learns late that nobody waits.
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
            ledger.broken(|| format!("call {}: {read} bytes of its body arrived, not {length:?}", self.call));
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
            // Its own deadline holds also while it reads a streamed answer of another service.
            Act::Nest => timeout_at(until, self.nest(context)).await.unwrap_or(Err(ErrorKind::Timeout)),
            _ => Ok(()),
        }
    }

    /// Calls another service, one deeper, and treats its answer as guests do.
    async fn nest(&self, context: &CallContext) -> Result<(), ErrorKind> {
        let (plan, forgives, traps) = {
            let mut ledger = self.world.ledger();
            let service = ledger.rng.below(self.world.names.len());
            let plan = Plan::draw(&mut ledger, service, false);
            (plan, ledger.rng.percent(40), ledger.rng.percent(30))
        };
        let deeper = context.deeper(now());
        let failed = match self.world.nested_call(plan, &deeper).await {
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
        // A request's body that broke off explains every status. Yet the mesh reads only the status when it decides
        // about another try.
        let next = if upstream { Next::IfSafe } else { Next::Never };
        let mut ledger = self.world.ledger();
        ledger.mix(&[3, self.call, u64::from(status)]);
        let late = |cut: &Cut| now() - cut.came + Duration::from_millis(1) >= cut.left - cut.left / 10;
        let counts = if status == 504 { Cut::counts(self.cut, late) } else { Some(true) };
        ledger.ended(self.call, self.endpoint, next, if failed && !clients { counts } else { Some(false) });
        drop(ledger);
        let end = match self.act {
            Act::Break if !clients => End::Break(ErrorKind::Reset),
            Act::Silent if !clients => End::Silent,
            _ => End::Whole,
        };
        let active = self.active.take();
        let body = Stream::body(self.pieces, self.pause, end, self.coin, active);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(AnsweredBy { endpoint: self.endpoint, probe: self.probe });
        if nonsense {
            response.headers_mut().insert("content-length", HeaderValue::from(PIECE));
            *response.body_mut() = full_body("no");
        }
        response
    }
}

impl Invoke for FakeTarget {
    fn takes(&self, kind: CallKind) -> bool {
        self.typed || kind == CallKind::Http
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
                // Half of all services answer something when a request's body breaks off.
                Err(ErrorKind::Reset) if visit.coin => clients = true,
                Err(kind) => return visit.fail(kind, CallKind::Http, context, true),
            }
        } else {
            drop(body);
        }
        match visit.work(until, context).await {
            Err(_) if clients => visit.fail(ErrorKind::Reset, CallKind::Http, context, true),
            // The answer of a component whose own call has failed.
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
        let [Value::U64(call)] = arguments.values() else { panic!("this is not the argument that the caller sent") };
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
        ledger.ended(visit.call, visit.endpoint, Next::Never, Some(failed));
        drop(ledger);
        let error = case.map(|case| Value::Result(Err(Some(Box::new(Value::Enum(case.into()))))));
        Ok(DetachedValues::new(vec![error.unwrap_or(Value::Bool(true))]))
    }
}
