//! What an operator sees of the host beside its services: lines of the log, trap reports, changes, and a stream of
//! them.
//!
//! All of it is read from `telemetry`, which remembers it for the whole process.

use super::handler::{AdminState, Name};
use super::observed_view::{ChangeView, HostWhyView, LineView, LinesView, TrapView, WhyView};
use super::operation_error::{OperationError, OperationErrorKind};
use super::operations::Operations;
use super::problem::AdminProblem;
use super::query::AdminQuery;
use crate::telemetry::{ChangeKind, HostChange, KeptLine, LineFilter, NumberedRing, RingPage, changes, lines, traps};
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{Stream, unfold};
use http::{HeaderMap, StatusCode, Uri};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Level;

/// How many lines or changes an answer has, unless the request says otherwise, and the most that it may ask for.
const USUAL: usize = 1_000;
const MOST: usize = 10_000;
/// A stream without news sends a comment after this time, so that a proxy does not take it for dead.
const QUIET: Duration = Duration::from_secs(15);
/// The time from one report of the rates to the next.
const RATES: Duration = Duration::from_secs(1);
/// The type of the event that has the rates.
const RATES_EVENT: &str = "rates";

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/logs", get(logs::<O>))
        .route("/v1/traps", get(all_traps::<O>))
        .route("/v1/changes", get(all_changes::<O>))
        .route("/v1/overview", get(overview::<O>))
        .route("/v1/stream", get(stream::<O>))
        .route("/v1/services/{name}/why", get(why::<O>))
        .route("/v1/why", get(why_all::<O>))
}

/// The lines that the query asks for, in order: all at once, or as a stream of events that goes on (`follow`).
async fn logs<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, AdminProblem> {
    let query = AdminQuery::of(&uri, &["service", "level", "since", "trace", "limit", "follow"])?;
    if !lines().is_on() {
        let detail = "the host keeps no lines of its log: set `keep` in [telemetry.logs] of the manifest, such as \
                      \"16MiB\"";
        return Err(AdminProblem::new(StatusCode::NOT_FOUND, "logs-not-kept", detail));
    }
    let level = |word: &str| word.parse::<Level>().map_err(|_| "one of trace, debug, info, warn, error".to_owned());
    let service = query.text("service");
    let filter = LineFilter {
        service: service.clone(),
        level: query.parsed("level", level)?,
        since: query.since("since")?,
        trace: query.text("trace"),
    };
    let limit = query.parsed("limit", limit)?.unwrap_or(USUAL);
    let is_meant = move |line: &KeptLine| filter.admits(line);
    if query.is_set("follow") {
        find(&*state.operations, service.as_deref(), || lines().newest(1, &is_meant).entries.is_empty())?;
        let reader = RingReader::begin(lines(), is_meant, resumed(&headers), limit);
        return Ok(Sse::new(reader.events(|number, line| to_event(number, "line", &LineView::of(number, line))))
            .into_response());
    }
    let page = lines().newest(limit, is_meant);
    find(&*state.operations, service.as_deref(), || page.entries.is_empty())?;
    let lines = page.entries.iter().map(|(number, line)| LineView::of(*number, line)).collect();
    Ok(Json(LinesView { lines }).into_response())
}

async fn all_traps<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    uri: Uri,
) -> Result<Json<Vec<TrapView>>, AdminProblem> {
    let service = AdminQuery::of(&uri, &["service"])?.text("service");
    state.operations.locate_traps().await;
    let reports = traps().reports(service.as_deref());
    find(&*state.operations, service.as_deref(), || reports.is_empty())?;
    Ok(Json(reports.into_iter().map(TrapView::from).collect()))
}

/// The changes that the query asks for, the newest first.
async fn all_changes<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    uri: Uri,
) -> Result<Json<Vec<ChangeView>>, AdminProblem> {
    let query = AdminQuery::of(&uri, &["service", "kind", "since", "limit"])?;
    let kind = |word: &str| {
        let named = ChangeKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        named.ok_or_else(|| format!("one of {}", ChangeKind::ALL.map(ChangeKind::as_str).join(", ")))
    };
    let (service, kind, since) = (query.text("service"), query.parsed("kind", kind)?, query.since("since")?);
    let is_meant = |change: &HostChange| {
        service.as_ref().is_none_or(|service| change.service == *service)
            && kind.is_none_or(|kind| change.kind == kind)
            && since.is_none_or(|since| change.time >= since)
    };
    let limit = query.parsed("limit", limit)?.unwrap_or(USUAL);
    let page = changes().newest(limit, is_meant);
    find(&*state.operations, service.as_deref(), || page.entries.is_empty())?;
    Ok(Json(page.entries.iter().rev().map(|(number, change)| ChangeView::of(*number, change)).collect()))
}

/// Refuses a name of which there is no service, where nothing would be shown: a typing error would look as if all were
/// well. What is remembered of a service that an apply has taken away is shown.
pub(super) fn find<O: Operations>(
    operations: &O,
    service: Option<&str>,
    is_empty: impl FnOnce() -> bool,
) -> Result<(), AdminProblem> {
    let Some(name) = service else { return Ok(()) };
    // A service that is left out has no entry, and `why` knows it.
    let is_known = || operations.service(name).is_some() || operations.why(name).is_some();
    if !is_empty() || is_known() { Ok(()) } else { Err(AdminProblem::no_service(name)) }
}

async fn overview<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Response {
    Json(state.operations.overview()).into_response()
}

async fn why<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<WhyView>, AdminProblem> {
    state.operations.locate_traps().await;
    state.operations.why(&name).map(Json).ok_or_else(|| AdminProblem::no_service(&name))
}

async fn why_all<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<HostWhyView>, AdminProblem> {
    state.operations.locate_traps().await;
    // It follows the calls of all that is ill, which takes longest in an outage: beside the threads that serve.
    let why = spawn_blocking(move || state.operations.why_all()).await;
    why.map(Json).map_err(|error| AdminProblem::from(OperationError::caused_by(OperationErrorKind::Internal, error)))
}

/// All changes as they happen, and the rates of all services once a second: however much happens, a page gets at most
/// one report a second. A client that comes back with `Last-Event-ID` gets the changes that it has missed.
async fn stream<O: Operations>(State(state): State<Arc<AdminState<O>>>, headers: HeaderMap) -> Response {
    // Without an id: only what comes. The number of a host before this one is beyond the end, and is taken for the end.
    let reader = RingReader::begin(changes(), |_: &HostChange| true, resumed(&headers), 0);
    let events = unfold((reader, Instant::now()), move |(mut reader, due)| {
        let operations = Arc::clone(&state.operations);
        async move {
            let event = tokio::select! {
                biased;
                () = sleep_until(due) => {
                    let rates = Event::default().event(RATES_EVENT).json_data(operations.overview());
                    return Some((Ok(rates.unwrap_or_default()), (reader, due.max(Instant::now()) + RATES)));
                }
                (number, change) = reader.next() => to_event(number, "change", &ChangeView::of(number, &change)),
            };
            Some((Ok::<_, Infallible>(event), (reader, due)))
        }
    });
    Sse::new(events).into_response()
}

/// Where the client stopped to read, if it says so.
fn resumed(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("a number of 1 to {MOST}"))
}

fn to_event(number: u64, kind: &str, view: &impl serde::Serialize) -> Event {
    Event::default().id(number.to_string()).event(kind).json_data(view).unwrap_or_default()
}

/// Reads a ring on and on.
struct RingReader<T: 'static, F> {
    ring: &'static NumberedRing<T>,
    is_meant: F,
    ready: VecDeque<(u64, Arc<T>)>,
    next: u64,
}

impl<T: Send + Sync, F: Fn(&T) -> bool + Send> RingReader<T, F> {
    /// A reader that goes on after the entry `after`; without it, it begins with the newest `recent` entries.
    fn begin(ring: &'static NumberedRing<T>, is_meant: F, after: Option<u64>, recent: usize) -> Self {
        let RingPage { entries, next, .. } = match after {
            Some(after) => ring.page(after.saturating_add(1)),
            None => ring.newest(recent, &is_meant),
        };
        let meant = entries.into_iter().filter(|(_, entry)| is_meant(entry));
        let ready = meant.collect();
        Self { ring, is_meant, ready, next }
    }

    async fn next(&mut self) -> (u64, Arc<T>) {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return entry;
            }
            self.ring.beyond(self.next).await;
            let RingPage { entries, next, .. } = self.ring.page(self.next);
            self.next = next;
            self.ready.extend(entries.into_iter().filter(|(_, entry)| (self.is_meant)(entry)));
        }
    }

    /// All entries as events, with a comment when there is nothing to say for a while.
    fn events(self, event: fn(u64, &T) -> Event) -> impl Stream<Item = Result<Event, Infallible>> + Send
    where
        F: 'static,
    {
        unfold(self, move |mut reader| async move {
            let next = timeout(QUIET, reader.next()).await;
            let event =
                next.map_or_else(|_| Event::default().comment("quiet"), |(number, entry)| event(number, &entry));
            Some((Ok(event), reader))
        })
    }
}
