//! The tree of spans of one request, while the request is under way.

use super::span::{SpanKind, SpanOwner, SpanText, SpanValue, TraceSpan};
use super::trace_context::{BAGGAGE, SpanId, TraceId, TraceParent, TraceState};
use http::HeaderMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Room for the spans of most requests, so that their list grows once.
const USUAL: usize = 8;

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
        Self { start, began, begun: AtomicU32::new(0), marks: AtomicU32::new(0), spans }
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
        let spans = self.lock().take().unwrap_or_default();
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
        let (took, error, link, attributes) = (Duration::ZERO, None, None, Vec::new());
        TraceSpan { id, parent, kind, name, owner, began, took, error, link, attributes }
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
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::collections::HashSet;

    fn tree(most: u32, began: Instant) -> Arc<TraceTree> {
        let start = TraceStart {
            id: TraceId::from_random(7),
            random: true,
            parent: None,
            stranger: None,
            state: None,
            sampled: true,
            most,
            seed: 42,
        };
        Arc::new(TraceTree::new(start, began))
    }

    #[test]
    fn a_tree_has_parents_times_links_and_owners() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let tree = tree(8, began);
        let root = tree.root("GET");
        let owner = Arc::new(SpanOwner { service: "users".into(), revision: "abc".into() });
        let mut first = root.scope().open(SpanKind::Client, "try", at(1)).unwrap();
        first.fail("timeout");
        first.fail("later");
        let first_id = first.id();
        first.end_at(at(3));
        let mut second = root.scope().open(SpanKind::Client, "try", at(4)).unwrap();
        second.link(first_id);
        let guest = second.scope().owned_by(&owner).open(SpanKind::Server, "guest", at(5)).unwrap();
        let (root_id, second_id) = (root.id(), second.id());
        guest.end_at(at(8));
        second.end_at(at(9));
        root.end_at(at(10));
        let EndedTree { spans, lost } = tree.end();
        let seen: Vec<_> = spans
            .iter()
            .map(|span| {
                let owner = span.owner.as_ref().map(|owner| owner.service.as_str());
                (&*span.name, span.parent, span.began.as_millis(), span.took.as_millis(), owner)
            })
            .collect();
        let expected = [
            ("try", Some(root_id), 1, 2, None),
            ("guest", Some(second_id), 5, 3, Some("users")),
            ("try", Some(root_id), 4, 5, None),
            ("GET", None, 0, 10, None),
        ];
        assert_eq!((seen.as_slice(), lost), (expected.as_slice(), 0));
        assert_eq!(spans[0].error.as_deref(), Some("timeout"));
        assert_eq!((spans[0].link, spans[2].link), (None, Some(first_id)));
    }

    #[test]
    fn a_tree_takes_so_many_spans_and_counts_the_others() {
        let tree = tree(3, Instant::now());
        let root = tree.root("GET");
        let opened: Vec<_> =
            (0..10).filter_map(|_| root.scope().open(SpanKind::Internal, "x", Instant::now())).collect();
        assert_eq!(opened.len(), 2);
        drop((opened, root));
        let EndedTree { spans, lost } = tree.end();
        assert_eq!((spans.len(), lost), (3, 8));
        let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(tree.end().spans.len(), 0, "it ends once");
    }

    #[test]
    fn a_span_that_ends_after_its_trace_is_lost() {
        let tree = tree(3, Instant::now());
        let root = tree.root("GET");
        let late = root.scope().open(SpanKind::Internal, "late", Instant::now());
        drop(root);
        assert_eq!(tree.end().spans.len(), 1);
        drop(late);
        assert_eq!(tree.end().spans.len(), 0);
    }

    #[test]
    fn a_host_outside_learns_the_parent_and_nothing_else() {
        let tree = tree(3, Instant::now());
        let root = tree.root("GET");
        let mut headers = HeaderMap::new();
        for name in [TraceParent::HEADER, TraceState::HEADER, BAGGAGE] {
            headers.append(&name, HeaderValue::from_static("forged"));
            headers.append(&name, HeaderValue::from_static("twice"));
        }
        let mut inside = headers.clone();
        root.scope().write_headers(&mut inside);
        root.scope().write_outside_headers(&mut headers);
        let parent = TraceParent { trace: tree.start().id, span: root.id(), sampled: true };
        assert_eq!(TraceParent::of(&headers), Some(parent));
        assert_eq!(headers.len(), 1);
        assert_eq!(TraceParent::of(&inside), Some(parent));
        assert!(!inside.contains_key(TraceState::HEADER), "a stranger's state is not passed on");
        assert_eq!(headers[TraceParent::HEADER].to_str().unwrap(), format!("00-{}-{}-03", parent.trace, parent.span));
    }

    #[test]
    fn marks_add_up() {
        let tree = tree(3, Instant::now());
        tree.mark(TraceMark::CircuitOpen);
        tree.mark(TraceMark::Failed);
        assert!(tree.has(TraceMark::CircuitOpen) && tree.has(TraceMark::Failed) && !tree.has(TraceMark::Trapped));
    }
}
