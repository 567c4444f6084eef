//! The store's data: what one instance has, and what bounds it.

use super::call_notes::CallNotes;
use super::identity::InstanceIdentity;
use super::line_fields::LineFields;
use super::log::{GuestLog, OutputStream};
use super::memory::MemoryLimit;
use super::outbound::{AttributedCall, Outbound};
use crate::base::{Blame, CallContext, OpenSpan, SpanKind, TraceScope};
use crate::runtime::capacity::cpu_slice::CpuSlice;
use crate::runtime::error::InvokeError;
use crate::runtime::fault::InstanceFault;
use crate::runtime::outcall::OutcallHandle;
use crate::runtime::tape::taped_sources;
use crate::runtime::values::lifeline::{HasLifeline, Lifeline};
use crate::runtime::values::read_ahead::ReadAhead;
use crate::telemetry::{GuestCounters, GuestFailure, traps};
use std::convert::Infallible;
use std::time::Instant;
use tokio::sync::mpsc;
use tracing::Level;
use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};
use wasmtime_wasi_http::{WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Resources (streams, requests, buckets, …) that a guest may hold at a time. A request needs a dozen; Wasmtime's
/// default is a million.
const MOST_RESOURCES: usize = 10_000;
/// Size in memory of one set of headers, in bytes. The gateway's limit of 32 KiB on the wire fits well within it.
const FIELDS_BYTES: usize = 128 << 10;

/// The data of one instance's store.
pub(crate) struct Context {
    pub(crate) identity: InstanceIdentity,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) slice: CpuSlice,
    /// Every reader of a stream of this instance holds a clone, and so does the instance until its calls are answered.
    /// The instance lives until all of them are dropped. `None` if it does not wait for readers: it has no job with
    /// streams.
    pub(crate) reader_token: Option<mpsc::Sender<Infallible>>,
    fault: InstanceFault,
    /// Whether it was ever called for an event, or for a step of a saga.
    pub(crate) has_noted_commits: bool,
    /// Made when the guest first asks for its output, its environment, a clock or randomness: many requests need none
    /// of them.
    wasi: Option<Box<WasiCtx>>,
    /// The guest's standard error, once it was made.
    errors: Option<GuestLog>,
    /// What the guest logs by `wasi:logging`, once it has.
    logging: Option<GuestLog>,
    /// What it has handed over by `wasi:otel/metrics`, once it has.
    counters: Option<Box<GuestCounters>>,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl Context {
    /// The data of an instance that may use so much `memory` and makes its own calls through `outcall`. `first`: the
    /// call that it is made for. `fault`: where its failure will be recorded.
    pub(crate) fn new(
        identity: InstanceIdentity,
        memory: MemoryLimit,
        outcall: OutcallHandle,
        first: CallContext,
        fault: InstanceFault,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES);
        let has_noted_commits = first.event.is_some() || first.guard.is_some();
        let slice = CpuSlice::default();
        slice.meter().made_for(first.payer.as_ref());
        let outbound = Outbound::new(identity.clone(), outcall, first);
        Self {
            identity,
            table,
            memory: memory.measured_by(slice.clone()),
            slice,
            reader_token: None,
            fault,
            has_noted_commits,
            wasi: None,
            errors: None,
            logging: None,
            counters: None,
            http,
            outbound,
        }
    }

    /// The instance begins one more call. If it was idle, it begins the call as a new instance would.
    pub(crate) fn begin(&mut self, task: GuestTaskId, context: CallContext) {
        self.has_noted_commits |= context.event.is_some() || context.guard.is_some();
        let calls = &mut self.outbound.calls;
        if calls.is_idle() {
            self.memory.denied = false;
            // What was printed for the calls before says nothing of this one.
            self.errors.iter().chain(&self.logging).for_each(GuestLog::forget);
        }
        self.identity.request.replace(&context.request_id);
        self.slice.meter().begin_call(task, context.payer.as_ref());
        self.memory.begin_call(context.memory.as_deref());
        calls.begin(task, context);
        if calls.are_several() {
            // This call finds what others have left, and the others that run may find what it leaves.
            let watched = calls.running().filter_map(|call| CallNotes::of(call, &self.identity.grants));
            watched.for_each(|notes| notes.kept_memory());
        }
    }

    /// The body of an answer of WASI 0.3 that Wasmtime converted just now.
    pub(crate) fn answer_body(&mut self, body: WasiBody) -> ReadAhead {
        self.outbound.open_bodies.answer(body)
    }

    /// The guest does no more, and its store goes next: the bodies that it has not ended break off. Their readers would
    /// take the end of the store for the end of the body.
    pub(crate) fn settle_bodies(&mut self) {
        // A guest of WASI 0.3 may return and leave its trailers unwritten, and some do: then the end of the store
        // is the end of its bodies.
        if self.fault.get().is_some() {
            self.outbound.open_bodies.settle();
        }
        // Those of WASI 0.2 are in the table until the guest finishes them.
        for entry in self.table.iter_mut() {
            if let Some(body) = entry.downcast_mut::<HostOutgoingBody>() {
                let (nobodys, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
                std::mem::replace(body, nobodys).abort();
            }
        }
    }

    /// The guest logs `message` by itself, at this level.
    pub(crate) fn log(&mut self, level: Level, fields: &LineFields<'_>, message: &str) {
        let identity = &self.identity;
        let logging = self.logging.get_or_insert_with(|| GuestLog::new(OutputStream::Logging, identity.clone()));
        logging.say(level, fields, message);
    }

    /// What the instance has measured and handed over so far.
    pub(crate) fn counters(&mut self) -> &mut GuestCounters {
        self.counters.get_or_insert_default()
    }

    /// Logs that the instance failed, and remembers it with what the guest has printed to standard error.
    pub(crate) fn report_failure(&self, error: &InvokeError) {
        self.identity.log_failure(error);
        if error.kind.blame() != Blame::Service || self.identity.tape.is_played() {
            return;
        }
        let printed: Vec<_> = self.logging.iter().chain(&self.errors).map(GuestLog::last_output).collect();
        let InstanceIdentity { grants, revision, request, .. } = &self.identity;
        let place = error.place.as_deref();
        traps().record(&GuestFailure {
            service: grants.service.as_str(),
            revision: *revision,
            kind: error.kind,
            cause: place.map_or(&*error.detail, |place| &*place.cause),
            frames: place.map_or(&[], |place| &place.functions),
            offsets: place.map_or(&[], |place| &place.offsets),
            error_output: &printed.concat(),
            request_id: request.to_string(),
        });
    }

    /// Begins the span of something that the host does for the guest, below the call that it is done for. `None` if
    /// that is not traced, or if the instance serves several calls and it might be for any of them.
    pub(crate) fn open_span(&self, name: &'static str) -> Option<OpenSpan> {
        let calls = &self.outbound.calls;
        let call = if calls.is_idle() { calls.latest() } else { calls.only()? };
        call.trace.clone()?.innermost().open(SpanKind::Client, name, Instant::now())
    }

    /// What is noted of the call that came last; `None` if nobody watches it. An instance that serves several calls may
    /// be handed something for another one of them: that it serves several is noted itself.
    pub(crate) fn notes(&self) -> Option<CallNotes> {
        CallNotes::of(self.outbound.calls.latest(), &self.identity.grants)
    }

    /// One of the instance's calls has its answer.
    pub(crate) fn end(&mut self, task: GuestTaskId) {
        self.slice.meter().end_call(task);
        self.outbound.calls.end(task);
    }
}

/// What a guest may use of the system: no preopened folder, no arguments, no network. The builder grants only what is
/// asked of it.
fn wasi(identity: &InstanceIdentity, errors: &GuestLog, notes: Option<&CallNotes>) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(GuestLog::new(OutputStream::Out, identity.clone()));
    wasi.stderr(errors.clone());
    for (name, value) in identity.grants.env().variables() {
        wasi.env(name, value);
    }
    taped_sources::install(&mut wasi, notes.map(CallNotes::sources), &identity.tape);
    wasi.build()
}

/// The call on whose behalf the guest in `store` calls the host now, as [`own_call`] finds it. Its place in the trace
/// is the innermost span that the guest has opened itself.
pub(crate) fn caller(store: &mut StoreContextMut<'_, Context>) -> CallContext {
    let mut call = own_call(store);
    call.trace = call.trace.map(TraceScope::innermost);
    call
}

/// The call that the guest in `store` works on now, with the host's span of it. If the instance serves several calls,
/// the right one is found by the guest's tasks: it is the youngest task on the stack that serves a call.
///
/// The deadline and the depth may be those of another call of the instance, if no task on the stack serves one: what
/// the guest does after its answers. The identity, the event and the trace never are: then there are none.
pub(crate) fn own_call(store: &mut StoreContextMut<'_, Context>) -> CallContext {
    let calls = &store.data().outbound.calls;
    // Not `latest` if one runs: the call that came last may have been answered before this one.
    let likely = if calls.is_idle() { Some(calls.latest()) } else { calls.only() };
    match likely {
        // A guess is good enough if there is no identity, no trace, no event and no guard to give to the wrong one.
        Some(likely) if !calls.are_several() || likely.is_unattributed() => likely.clone(),
        _ => caller_on_stack(store),
    }
}

/// The same, found by the guest's tasks alone.
fn caller_on_stack(store: &mut StoreContextMut<'_, Context>) -> CallContext {
    let stack: Vec<GuestTaskId> = store.async_call_stack().map(Iterator::collect).unwrap_or_default();
    let calls = &store.data().outbound.calls;
    match stack.into_iter().find_map(|task| calls.of(task)) {
        Some(context) => context.clone(),
        None => calls.latest().clone().unattributed(),
    }
}

/// The next request that the guest sends by HTTP is made on behalf of the call that [`caller`] finds now, as far as the
/// identity and the trace go. Call it directly before the request is sent.
pub(crate) fn attribute_request(store: &mut StoreContextMut<'_, Context>) {
    let CallContext { identity, trace, guard, .. } = caller(store);
    store.data_mut().outbound.attribute(AttributedCall { identity, trace, guard });
}

impl HasLifeline for Context {
    fn lifeline(&self) -> Lifeline {
        Lifeline::new(self.fault.clone(), self.reader_token.clone())
    }

    fn fault(&self) -> InstanceFault {
        self.fault.clone()
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi: made, errors, identity, outbound, .. } = self;
        let ctx = made.get_or_insert_with(|| {
            let errors = errors.insert(GuestLog::new(OutputStream::Err, identity.clone()));
            let notes = CallNotes::of(outbound.calls.latest(), &identity.grants);
            Box::new(wasi(identity, errors, notes.as_ref()))
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for Context {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
