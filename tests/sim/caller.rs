//! A caller: what it calls, how long it waits, when it goes away, and the invariants that it checks when its call has
//! ended.

use super::checks::GRAIN;
use super::fake_target::AnsweredBy;
use super::ledger::{CallRecord, Ledger, Next};
use super::stream::{End, PIECE, Stream};
use super::world::{World, now};
use host::base::{Blame, Body, CallContext, ErrorKind, empty_body, full_body};
use host::contract::{FunctionName, InterfaceName};
use host::mesh::Value;
use host::runtime::DetachedValues;
use http::{HeaderValue, Method, Request};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// A call on behalf of another one.
pub type NestedCall<'a> = Pin<Box<dyn Future<Output = Result<u16, ErrorKind>> + Send + 'a>>;

#[derive(Clone, Copy, Debug)]
pub enum Upload {
    None,
    Full,
    Streamed(u32, u64),
    /// The body breaks off.
    Broken,
    /// The body falls silent.
    Silent,
}

#[derive(Clone, Debug)]
pub enum PlanKind {
    Http {
        method: Method,
        key: bool,
        upload: Upload,
    },
    /// The function 0 is idempotent, the function 1 is not.
    Typed(u8),
}

/// What one caller wants.
#[derive(Debug)]
pub struct Plan {
    pub service: usize,
    pub kind: PlanKind,
    /// How long it waits for the head before it goes away; `None`: as long as it takes.
    pub leaves_after: Option<Duration>,
    /// How many pieces of the answer it reads before it goes away; `None`: all.
    pub reads: Option<u32>,
}

pub fn function(number: u8) -> FunctionName {
    let function = format!("f{number}");
    FunctionName { interface: InterfaceName::new("sim:sim/sim@1.0.0"), function }
}

impl Plan {
    pub fn draw(ledger: &mut Ledger, service: usize, may_leave: bool) -> Self {
        let rng = &mut ledger.rng;
        let method = rng.of(&["GET", "GET", "PUT", "POST", "POST", "DELETE"]);
        let upload = match rng.below(12) {
            0..=5 => Upload::None,
            6 | 7 => Upload::Full,
            8 | 9 => Upload::Streamed(rng.between(1..=6) as u32, rng.between(0..=15)),
            10 => Upload::Broken,
            _ => Upload::Silent,
        };
        let upload = if method == "GET" { Upload::None } else { upload };
        let kind = match rng.percent(30) {
            true => PlanKind::Typed(rng.below(2) as u8),
            false => PlanKind::Http { method: method.parse().unwrap(), key: rng.percent(25), upload },
        };
        let leaves_after = (may_leave && rng.percent(8)).then(|| rng.millis(0..=150));
        let reads = (may_leave && rng.percent(6)).then(|| rng.below(3) as u32);
        Self { service, kind, leaves_after, reads }
    }

    /// A `GET`, whose answer is read to the end.
    pub fn plain(service: usize) -> Self {
        let kind = PlanKind::Http { method: Method::GET, key: false, upload: Upload::None };
        Self { service, kind, leaves_after: None, reads: None }
    }

    fn is_safe(&self) -> bool {
        match &self.kind {
            PlanKind::Http { method, key, .. } => *key || method != Method::POST,
            PlanKind::Typed(function) => *function == 0,
        }
    }

    fn length(&self) -> Option<u64> {
        match self.kind {
            PlanKind::Http { upload: Upload::None, .. } => Some(0),
            PlanKind::Http { upload: Upload::Full, .. } => Some(PIECE),
            PlanKind::Http { upload: Upload::Streamed(pieces, _), .. } => Some(PIECE * u64::from(pieces)),
            _ => None,
        }
    }
}

fn body(upload: Upload) -> Body {
    let pause = Duration::from_millis(3);
    match upload {
        Upload::None => empty_body(),
        Upload::Full => full_body("full"),
        Upload::Streamed(pieces, pause) => {
            Stream::body(pieces, Duration::from_millis(pause), End::Whole, pause % 2 == 0, None)
        }
        Upload::Broken => Stream::body(2, pause, End::Break(ErrorKind::ClientGone), false, None),
        Upload::Silent => Stream::body(1, pause, End::Silent, false, None),
    }
}

/// A call under way. Dropped before its end, it counts as cancelled.
struct OpenCall<'a> {
    world: &'a World,
    call: u64,
    service: usize,
    ended: bool,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let mut ledger = self.world.ledger();
        ledger.open.remove(&self.call);
        if !self.ended {
            ledger.services[self.service].cancelled += 1;
        }
    }
}

impl World {
    /// Makes a call as planned. Its status, or the kind of its failure.
    pub async fn call(&self, plan: Plan, context: &CallContext) -> Result<u16, ErrorKind> {
        let mut open = self.begin(&plan, context);
        let (call, service) = (open.call, plan.service);
        let name = &self.names[service];
        match plan.kind {
            PlanKind::Http { method, key, upload } => {
                let mut request = Request::builder().method(method).uri("/x").header("x-call", HeaderValue::from(call));
                if key {
                    request = request.header("idempotency-key", HeaderValue::from(call));
                }
                let sent = self.mesh.call(name, request.body(body(upload)).unwrap(), context);
                let answer = self.wait(Box::pin(sent), plan.leaves_after).await.ok_or(ErrorKind::ClientGone)?;
                self.check_head(call, answer.as_ref().err().map(|error| error.kind));
                let answer = answer.map_err(|error| error.kind);
                open.ended = true;
                let answer = answer?;
                open.ended = false;
                let status = answer.status().as_u16();
                let tag = *answer.extensions().get::<AnsweredBy>().unwrap();
                if self.read(answer.into_body(), tag, plan.reads).await {
                    open.ended = true;
                }
                Ok(status)
            }
            PlanKind::Typed(number) => {
                let function = function(number);
                let sent =
                    self.mesh.call_function(name, &function, DetachedValues::new(vec![Value::U64(call)]), context);
                let answer = self.wait(Box::pin(sent), plan.leaves_after).await.ok_or(ErrorKind::ClientGone)?;
                self.check_head(call, answer.as_ref().err().map(|error| error.kind));
                open.ended = true;
                let answer = answer.map_err(|error| error.kind)?;
                let case = Value::Enum("unavailable".into());
                let unavailable = matches!(answer.values(), [Value::Result(Err(Some(error)))] if **error == case);
                Ok(if unavailable { 503 } else { 200 })
            }
        }
    }

    /// A call on behalf of another one. Boxed: the type of a future cannot contain itself.
    pub fn nested_call<'a>(&'a self, plan: Plan, context: &'a CallContext) -> NestedCall<'a> {
        Box::pin(self.call(plan, context))
    }

    fn begin(&self, plan: &Plan, context: &CallContext) -> OpenCall<'_> {
        let began = now();
        let mut ledger = self.ledger();
        let call = ledger.calls;
        ledger.calls += 1;
        let service = &mut ledger.services[plan.service];
        service.arrivals.push_back(began);
        service.prune(began);
        let limit = context.deadline.min(began + service.settings.total);
        let record = CallRecord {
            service: plan.service,
            safe: plan.is_safe(),
            began,
            limit,
            tries: 0,
            next: Next::Never,
            last: None,
            end: None,
            full: false,
            length: plan.length(),
        };
        ledger.open.insert(call, record);
        OpenCall { world: self, call, service: plan.service, ended: false }
    }

    /// Waits for the head; `None` if the caller has gone away.
    async fn wait<F: Future + Unpin>(&self, mut call: F, leaves_after: Option<Duration>) -> Option<F::Output> {
        let Some(leaves_after) = leaves_after else { return Some(call.await) };
        let answer = timeout(leaves_after, &mut call).await.ok();
        if answer.is_none() {
            self.check_neutral("a call that its caller gives up", || drop(call));
        }
        answer
    }

    /// Checks the invariants "deadline" and "refusal" for a call whose head, or failure, has come.
    fn check_head(&self, call: u64, error: Option<ErrorKind>) {
        let now = now();
        let mut ledger = self.ledger();
        let at = self.since(now);
        ledger.mix(&[5, call, at, error.map_or(0, |kind| kind.as_str().len() as u64)]);
        let Some(record) = ledger.open.get(&call) else { return };
        let (limit, began, tries, full) = (record.limit, record.began, record.tries, record.full);
        let service = record.service;
        ledger.services[service].timed_out += u64::from(error == Some(ErrorKind::Timeout));
        if now > limit + GRAIN && now > began {
            ledger.broken(|| format!("call {call} ended at {at} ms, {:?} after its deadline: {error:?}", now - limit));
        }
        if let Some(kind) = error
            && kind.blame() == Blame::Refusal
            && tries > 0
            && !full
        {
            ledger
                .broken(|| format!("call {call} was refused ({kind}) at {at} ms, and {tries} endpoints have seen it"));
        }
    }

    /// Reads the answer; whether it was read to its end.
    async fn read(&self, mut body: Body, tag: AnsweredBy, most: Option<u32>) -> bool {
        let mut left = most;
        loop {
            if left == Some(0) && !body.is_end_stream() {
                self.check_neutral("an answer that its caller gives up", || drop(body));
                return false;
            }
            left = left.map(|left| left.saturating_sub(1));
            match body.frame().await {
                None => return true,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    if error.kind == ErrorKind::Timeout {
                        let endpoint = &mut self.ledger().endpoints[tag.endpoint];
                        endpoint.failed += u64::from(tag.probe == Some(false));
                        endpoint.failed_perhaps += u64::from(tag.probe.is_none());
                    }
                    return true;
                }
            }
        }
    }

    /// Checks the invariant "neutrality" while a caller goes away.
    fn check_neutral(&self, what: &str, leave: impl FnOnce()) {
        let all = || -> Vec<_> {
            let (ledger, now) = (self.ledger(), now());
            let states = ledger.endpoints.iter().map(|endpoint| endpoint.stats.state(now));
            states.map(|state| (state.breaker, state.failures, state.requests, state.ejected)).collect()
        };
        let before = all();
        leave();
        let after = all();
        if let Some(endpoint) = (0..before.len()).find(|endpoint| before[*endpoint] != after[*endpoint]) {
            let (before, after, at) = (&before[endpoint], &after[endpoint], self.since(now()));
            self.ledger().broken(|| {
                format!("at {at} ms: {what} is not neutral at endpoint {endpoint}: {before:?}, then {after:?}")
            });
        }
    }
}
