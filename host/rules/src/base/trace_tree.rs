//! The tree of spans of one request, while the request is under way.

use super::claimed_spans::ClaimedSpans;
use super::span::{SpanKind, SpanOwner, TraceSpan};
use super::span_attribute::{SpanText, SpanValue};
use super::span_extras::SpanExtras;
use super::trace_context::{BAGGAGE, SpanId, TraceId, TraceParent, TraceState};
use http::HeaderMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Room for the spans of most requests, so that their list grows once.
const USUAL: usize = 8;

/// The name of a span that a guest has begun and not ended: it says the name at the end.
const UNENDED: &str = "(not ended)";

/// What is known of a trace before its first span.
#[derive(Debug)]
pub struct TraceStart {
    /// Its id.
    pub id: TraceId,
    /// Whether the id is random.
    pub random: bool,
    /// What a trusted peer said: the first span continues that trace.
    pub parent: Option<TraceParent>,
    /// What a stranger said: the first span has a link to it.
    pub stranger: Option<TraceParent>,
    /// What other systems pass on.
    pub state: Option<TraceState>,
    /// Whether hosts that are called are told that this one records the trace.
    pub sampled: bool,
    /// The most spans.
    pub most: u32,
    /// Random bits, from which the ids of spans are made.
    pub seed: u64,
}

/// The spans of one request, which end one after the other. Their number is bounded.
pub struct TraceTree {
    start: TraceStart,
    began: Instant,
    /// Spans that have begun, and those that there was no room for.
    begun: AtomicU32,
    marks: AtomicU32,
    claimed: ClaimedSpans,
    /// `None` once the first span has ended: later spans have nobody who waits for them.
    spans: Mutex<Option<Vec<TraceSpan>>>,
}

/// What happened within a trace that makes it worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMark {
    /// A call failed through a fault of a service, even if it was tried again.
    Failed = 1,
    /// A guest trapped, or used up its memory.
    Trapped = 2,
    /// A call met an open circuit.
    CircuitOpen = 4,
}

/// A trace whose first span has ended.
pub struct EndedTree {
    /// Its spans, in the order in which they ended.
    pub spans: Vec<TraceSpan>,
    /// How many more there were.
    pub lost: u32,
}

impl TraceTree {
    /// A trace that begins at `began`.
    pub fn new(start: TraceStart, began: Instant) -> Self {
        let spans = Mutex::new(Some(Vec::with_capacity(USUAL)));
        let (begun, marks, claimed) = (AtomicU32::new(0), AtomicU32::new(0), ClaimedSpans::default());
        Self { start, began, begun, marks, claimed, spans }
    }

    /// What was known of it before its first span.
    pub fn start(&self) -> &TraceStart {
        &self.start
    }

    /// Notes what happened.
    pub fn mark(&self, mark: TraceMark) {
        self.marks.fetch_or(mark as u32, Relaxed);
    }

    /// Whether that has happened.
    pub fn has(&self, mark: TraceMark) -> bool {
        self.marks.load(Relaxed) & mark as u32 != 0
    }

    /// Begins the first span, of a request. All others are below it.
    pub fn root(self: &Arc<Self>, name: impl Into<SpanText>) -> OpenSpan {
        self.root_of(SpanKind::Server, name)
    }

    /// Begins the first span. All others are below it.
    pub fn root_of(self: &Arc<Self>, kind: SpanKind, name: impl Into<SpanText>) -> OpenSpan {
        let parent = self.start.parent.map(|parent| parent.span);
        self.begun.fetch_add(1, Relaxed);
        let span = self.span(self.id(0), parent, kind, name.into(), None, Duration::ZERO);
        OpenSpan { tree: Arc::clone(self), span: Some(Box::new(span)) }
    }

    /// Ends the trace, and returns its spans. A span that ends later is lost.
    pub fn end(&self) -> EndedTree {
        let mut spans = self.lock().take().unwrap_or_default();
        // What a guest has begun and not ended has others below it, perhaps.
        let unended = if spans.is_empty() { Vec::new() } else { self.claimed.unended() };
        for claimed in unended {
            let name = SpanText::Static(UNENDED);
            let (parent, kind) = (Some(claimed.parent), SpanKind::Internal);
            let span = self.span(claimed.id, parent, kind, name, claimed.owner, claimed.began);
            spans.push(TraceSpan { took: self.began.elapsed().saturating_sub(claimed.began), ..span });
        }
        EndedTree { lost: self.begun.load(Relaxed).saturating_sub(self.start.most), spans }
    }

    fn open(
        self: &Arc<Self>,
        parent: SpanId,
        owner: Option<Arc<SpanOwner>>,
        (kind, name): (SpanKind, SpanText),
        began: Instant,
    ) -> Option<OpenSpan> {
        let number = self.begun.fetch_add(1, Relaxed);
        if number >= self.start.most {
            return None;
        }
        let began = began.saturating_duration_since(self.began);
        let span = self.span(self.id(number), Some(parent), kind, name, owner, began);
        Some(OpenSpan { tree: Arc::clone(self), span: Some(Box::new(span)) })
    }

    fn span(
        &self,
        id: SpanId,
        parent: Option<SpanId>,
        kind: SpanKind,
        name: SpanText,
        owner: Option<Arc<SpanOwner>>,
        began: Duration,
    ) -> TraceSpan {
        let (took, error, link, attributes, extras) = (Duration::ZERO, None, None, Vec::new(), None);
        TraceSpan { id, parent, kind, name, owner, began, took, error, link, attributes, extras }
    }

    /// The id of the span with this number, by the finaliser of SplitMix64, which maps no two numbers to one.
    fn id(&self, number: u32) -> SpanId {
        let mut bits = self.start.seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        SpanId::from_random(bits ^ bits >> 31)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<TraceSpan>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceTree").field(&self.start.id).finish()
    }
}

/// A place in a trace: the span on whose behalf something is done, and whose work that is.
#[derive(Debug, Clone)]
pub struct TraceScope {
    tree: Arc<TraceTree>,
    span: SpanId,
    owner: Option<Arc<SpanOwner>>,
}

impl TraceScope {
    /// The trace.
    pub fn tree(&self) -> &Arc<TraceTree> {
        &self.tree
    }

    /// Begins a span below this place. `None` if the trace has too many.
    pub fn open(&self, kind: SpanKind, name: impl Into<SpanText>, began: Instant) -> Option<OpenSpan> {
        self.tree.open(self.span, self.owner.clone(), (kind, name.into()), began)
    }

    /// The guest that works here begins a span of its own, with an id that it has chosen. Whether it may: the id must
    /// be new, and a call and a trace have room for so many.
    pub fn claim(&self, id: SpanId, now: Instant) -> bool {
        let tree = &self.tree;
        // An id of the host's, also one that comes later: who knows one of them can compute the others.
        if (0..tree.start.most).any(|number| tree.id(number) == id)
            || tree.start.parent.is_some_and(|own| own.span == id)
        {
            return false;
        }
        // Numbers are taken by what begins alone, or refused ones would use up the trace. None is given back: another
        // span may have got the next one.
        let number = || tree.begun.fetch_add(1, Relaxed) < tree.start.most;
        tree.claimed.claim((id, self.span), self.owner.clone(), now.saturating_duration_since(tree.began), number)
    }

    /// The guest that works here ends a span of its own, and says that it is below `parent`. The span, whose end the
    /// caller sets; `None`: it has begun no such span here. If `parent` is no earlier span of the call, it is below the
    /// one in which it began.
    pub fn release(&self, id: SpanId, parent: Option<SpanId>, (kind, name): (SpanKind, SpanText)) -> Option<OpenSpan> {
        let claimed = self.tree.claimed.release((id, self.span), parent)?;
        let span = self.tree.span(id, Some(claimed.parent), kind, name, claimed.owner, claimed.began);
        Some(OpenSpan { tree: Arc::clone(&self.tree), span: Some(Box::new(span)) })
    }

    /// The place in the innermost span that the guest has begun here by itself; this one, if there is none.
    #[must_use]
    pub fn innermost(self) -> Self {
        Self { span: self.tree.claimed.innermost(self.span), ..self }
    }

    /// When something was that happened so long ago: since the beginning of the trace.
    pub fn since_began(&self, now: Instant, ago: Duration) -> Duration {
        now.saturating_duration_since(self.tree.began).saturating_sub(ago)
    }

    /// The same place, where the work is another one's from here on.
    #[must_use]
    pub fn owned_by(&self, owner: &Arc<SpanOwner>) -> Self {
        Self { owner: Some(Arc::clone(owner)), ..self.clone() }
    }

    /// Tells a service that is called by HTTP its place in the trace, in place of what the fields said before.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        self.write_parent(headers);
        match &self.tree.start.state {
            Some(state) => drop(headers.insert(TraceState::HEADER, state.header())),
            None => drop(headers.remove(TraceState::HEADER)),
        }
    }

    /// Tells a host outside its place in the trace, and nothing else: what other systems pass on, and baggage, are
    /// nobody's business there.
    pub fn write_outside_headers(&self, headers: &mut HeaderMap) {
        self.write_parent(headers);
        headers.remove(TraceState::HEADER);
        headers.remove(BAGGAGE);
    }

    /// This place, as one that is told of it names it.
    pub fn parent(&self) -> TraceParent {
        let TraceStart { id, sampled, .. } = self.tree.start;
        TraceParent { trace: id, span: self.span, sampled }
    }

    fn write_parent(&self, headers: &mut HeaderMap) {
        headers.insert(TraceParent::HEADER, self.parent().header(self.tree.start.random));
    }
}

/// A span that has begun. It ends when it is dropped.
pub struct OpenSpan {
    tree: Arc<TraceTree>,
    /// `None` only while it is dropped. Boxed: what may have a span is moved about, and most hosts trace nothing.
    span: Option<Box<TraceSpan>>,
}

impl OpenSpan {
    /// Its id.
    pub fn id(&self) -> SpanId {
        self.span().id
    }

    /// The place below it.
    pub fn scope(&self) -> TraceScope {
        TraceScope { tree: Arc::clone(&self.tree), span: self.id(), owner: self.span().owner.clone() }
    }

    /// The trace.
    pub fn tree(&self) -> &Arc<TraceTree> {
        &self.tree
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, name: impl Into<SpanText>, value: impl Into<SpanValue>) {
        self.span_mut().attributes.push((name.into(), value.into()));
    }

    /// Makes room for so many attributes.
    pub fn reserve(&mut self, attributes: usize) {
        self.span_mut().attributes.reserve_exact(attributes);
    }

    /// It is another one's work than that of its parent.
    pub fn owned_by(&mut self, owner: &Arc<SpanOwner>) {
        self.span_mut().owner = Some(Arc::clone(owner));
    }

    /// Names it anew, when more is known.
    pub fn rename(&mut self, name: impl Into<SpanText>) {
        self.span_mut().name = name.into();
    }

    /// It failed, by an error of this kind. The first kind stays.
    pub fn fail(&mut self, error: impl Into<SpanText>) {
        self.span_mut().error.get_or_insert(error.into());
    }

    /// It has failed.
    pub fn is_failed(&self) -> bool {
        self.span().error.is_some()
    }

    /// `cause`, another span of the trace, is its cause.
    pub fn link(&mut self, cause: SpanId) {
        self.span_mut().link = Some(cause);
    }

    /// Adds what a guest says of a span of its own. What the trace has no room for is left out, with the attributes:
    /// then this is `false`.
    pub fn describe(&mut self, extras: SpanExtras) -> bool {
        let span = self.span_mut();
        span.extras = Some(Box::new(extras));
        let bytes = span.bytes();
        if self.tree.claimed.take_room(bytes) {
            return true;
        }
        let span = self.span_mut();
        (span.extras, span.attributes) = (None, Vec::new());
        false
    }

    /// It began at `began`, and not before.
    pub fn begin_again(&mut self, began: Instant) {
        let began = began.saturating_duration_since(self.tree.began);
        self.span_mut().began = began;
    }

    /// It ends at `ended`.
    pub fn end_at(mut self, ended: Instant) {
        self.close(ended);
    }

    /// It ends so long after the beginning of the trace.
    pub fn end_after(mut self, took: Duration) {
        let ended = self.tree.began + took;
        self.close(ended);
    }

    fn close(&mut self, ended: Instant) {
        let Some(mut span) = self.span.take() else { return };
        span.took = ended.saturating_duration_since(self.tree.began).saturating_sub(span.began);
        if let Some(spans) = &mut *self.tree.lock() {
            spans.push(*span);
        }
    }

    fn span(&self) -> &TraceSpan {
        self.span.as_ref().expect("it is taken only when the span ends")
    }

    fn span_mut(&mut self) -> &mut TraceSpan {
        self.span.as_mut().expect("it is taken only when the span ends")
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.span.is_some() {
            self.close(Instant::now());
        }
    }
}

impl From<&'static str> for SpanValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<SpanText> for SpanValue {
    fn from(text: SpanText) -> Self {
        Self::Text(text)
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Arc<str>> for SpanValue {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for SpanValue {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for SpanValue {
    fn from(number: f64) -> Self {
        Self::Decimal(number)
    }
}

impl From<bool> for SpanValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

#[cfg(test)]
mod tests;
