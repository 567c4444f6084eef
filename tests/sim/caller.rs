//! A caller: what it asks, how long it waits, when it goes away, and what it checks when its call has ended.

use super::checks::GRAIN;
use super::ledger::{CallBook, Ledger, Next};
use super::place::Tag;
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

/// A call that another one makes.
pub type Errand<'a> = Pin<Box<dyn Future<Output = Result<u16, ErrorKind>> + Send + 'a>>;

#[derive(Clone, Copy, Debug)]
pub enum Upload {
    None,
    Full,
    Streamed(u32, u64),
    /// It breaks off.
    Broken,
    /// It falls silent.
    Silent,
}

#[derive(Clone, Debug)]
pub enum Manner {
    Http {
        method: Method,
        key: bool,
        upload: Upload,
    },
    /// The function 0 is idempotent, 1 is not.
    Typed(u8),
}

/// What one caller wants.
#[derive(Debug)]
pub struct Plan {
    pub service: usize,
    pub manner: Manner,
    /// How long it waits for the head before it goes away.
    pub patience: Option<Duration>,
    /// How much of the answer it reads before it goes away.
    pub reads: Option<u32>,
}

pub fn function(number: u8) -> FunctionName {
    let function = format!("f{number}");
    FunctionName { interface: InterfaceName::new("sim:sim/sim@1.0.0"), function }
}

impl Plan {
    pub fn draw(ledger: &mut Ledger, service: usize, may_leave: bool) -> Self {
        let dice = &mut ledger.dice;
        let method = dice.of(&["GET", "GET", "PUT", "POST", "POST", "DELETE"]);
        let upload = match dice.below(12) {
            0..=5 => Upload::None,
            6 | 7 => Upload::Full,
            8 | 9 => Upload::Streamed(dice.between(1..=6) as u32, dice.between(0..=15)),
            10 => Upload::Broken,
            _ => Upload::Silent,
        };
        let upload = if method == "GET" { Upload::None } else { upload };
        let manner = match dice.percent(30) {
            true => Manner::Typed(dice.below(2) as u8),
            false => Manner::Http { method: method.parse().unwrap(), key: dice.percent(25), upload },
        };
        let patience = (may_leave && dice.percent(8)).then(|| dice.millis(0..=150));
        let reads = (may_leave && dice.percent(6)).then(|| dice.below(3) as u32);
        Self { service, manner, patience, reads }
    }

    /// A plain question, to the end.
    pub fn plain(service: usize) -> Self {
        let manner = Manner::Http { method: Method::GET, key: false, upload: Upload::None };
        Self { service, manner, patience: None, reads: None }
    }

    fn is_safe(&self) -> bool {
        match &self.manner {
            Manner::Http { method, key, .. } => *key || method != Method::POST,
            Manner::Typed(function) => *function == 0,
        }
    }

    fn length(&self) -> Option<u64> {
        match self.manner {
            Manner::Http { upload: Upload::None, .. } => Some(0),
            Manner::Http { upload: Upload::Full, .. } => Some(PIECE),
            Manner::Http { upload: Upload::Streamed(pieces, _), .. } => Some(PIECE * u64::from(pieces)),
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

/// A call under way; dropped before its end it was cancelled.
struct Under<'a> {
    world: &'a World,
    call: u64,
    service: usize,
    ended: bool,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut ledger = self.world.ledger();
        ledger.open.remove(&self.call);
        if !self.ended {
            ledger.services[self.service].cancelled += 1;
        }
    }
}

impl World {
    /// Makes a call as planned; a status, or what came in its place.
    pub async fn call(&self, plan: Plan, context: &CallContext) -> Result<u16, ErrorKind> {
        let mut under = self.begin(&plan, context);
        let (call, service) = (under.call, plan.service);
        let name = &self.names[service];
        match plan.manner {
            Manner::Http { method, key, upload } => {
                let mut request = Request::builder().method(method).uri("/x").header("x-call", HeaderValue::from(call));
                if key {
                    request = request.header("idempotency-key", HeaderValue::from(call));
                }
                let sent = self.mesh.call(name, request.body(body(upload)).unwrap(), context);
                let answer = self.wait(Box::pin(sent), plan.patience).await.ok_or(ErrorKind::ClientGone)?;
                self.head(call, answer.as_ref().err().map(|error| error.kind));
                let answer = answer.map_err(|error| error.kind);
                under.ended = true;
                let answer = answer?;
                under.ended = false;
                let status = answer.status().as_u16();
                let tag = *answer.extensions().get::<Tag>().unwrap();
                if self.read(answer.into_body(), tag, plan.reads).await {
                    under.ended = true;
                }
                Ok(status)
            }
            Manner::Typed(number) => {
                let function = function(number);
                let sent =
                    self.mesh.call_function(name, &function, DetachedValues::new(vec![Value::U64(call)]), context);
                let answer = self.wait(Box::pin(sent), plan.patience).await.ok_or(ErrorKind::ClientGone)?;
                self.head(call, answer.as_ref().err().map(|error| error.kind));
                under.ended = true;
                let answer = answer.map_err(|error| error.kind)?;
                let unavailable = matches!(answer.values(), [Value::Result(Err(Some(case)))] if **case == Value::Enum("unavailable".into()));
                Ok(if unavailable { 503 } else { 200 })
            }
        }
    }

    /// A call that another one makes: of a type that does not contain its own.
    pub fn errand<'a>(&'a self, plan: Plan, context: &'a CallContext) -> Errand<'a> {
        Box::pin(self.call(plan, context))
    }

    fn begin(&self, plan: &Plan, context: &CallContext) -> Under<'_> {
        let began = now();
        let mut ledger = self.ledger();
        let call = ledger.calls;
        ledger.calls += 1;
        let service = &mut ledger.services[plan.service];
        service.arrivals.push_back(began);
        service.prune(began);
        let limit = context.deadline.min(began + service.settings.total);
        let book = CallBook {
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
        ledger.open.insert(call, book);
        Under { world: self, call, service: plan.service, ended: false }
    }

    /// Waits for the head; `None`: the caller has gone away, which must be nobody's fault.
    async fn wait<F: Future + Unpin>(&self, mut call: F, patience: Option<Duration>) -> Option<F::Output> {
        let Some(patience) = patience else { return Some(call.await) };
        let answer = timeout(patience, &mut call).await.ok();
        if answer.is_none() {
            self.neutral("a call that is given up", || drop(call));
        }
        answer
    }

    /// 8 and 10: the head, or an error, came in time; who is refused was seen by nobody.
    fn head(&self, call: u64, error: Option<ErrorKind>) {
        let now = now();
        let mut ledger = self.ledger();
        let at = self.since(now);
        ledger.mix(&[5, call, at, error.map_or(0, |kind| kind.as_str().len() as u64)]);
        let Some(book) = ledger.open.get(&call) else { return };
        let (limit, began, tries, full) = (book.limit, book.began, book.tries, book.full);
        if now > limit + GRAIN && now > began {
            ledger.broken(|| format!("call {call} ended at {at} ms, {:?} after its deadline: {error:?}", now - limit));
        }
        if let Some(kind) = error
            && kind.blame() == Blame::Refusal
            && tries > 0
            && !full
        {
            ledger.broken(|| format!("call {call} was refused ({kind}) at {at} ms, and {tries} places have seen it"));
        }
    }

    /// Reads the answer; whether it was read to its end.
    async fn read(&self, mut body: Body, tag: Tag, most: Option<u32>) -> bool {
        let mut left = most;
        loop {
            if left == Some(0) && !body.is_end_stream() {
                self.neutral("an answer that is given up", || drop(body));
                return false;
            }
            left = left.map(|left| left.saturating_sub(1));
            match body.frame().await {
                None => return true,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    if error.kind == ErrorKind::Timeout {
                        let site = &mut self.ledger().sites[tag.site];
                        site.failed += u64::from(tag.probe == Some(false));
                        site.failed_perhaps += u64::from(tag.probe.is_none());
                    }
                    return true;
                }
            }
        }
    }

    /// 5: what a caller does that goes away changes no circuit and no count.
    fn neutral(&self, what: &str, leave: impl FnOnce()) {
        let all = || -> Vec<_> {
            let (ledger, now) = (self.ledger(), now());
            let states = ledger.sites.iter().map(|site| site.stats.state(now));
            states.map(|state| (state.breaker, state.failures, state.requests, state.ejected)).collect()
        };
        let before = all();
        leave();
        let after = all();
        if let Some(site) = (0..before.len()).find(|site| before[*site] != after[*site]) {
            let (before, after, at) = (&before[site], &after[site], self.since(now()));
            self.ledger()
                .broken(|| format!("at {at} ms: {what} is not neutral at endpoint {site}: {before:?}, then {after:?}"));
        }
    }
}
