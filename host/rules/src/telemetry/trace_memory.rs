//! The traces that are kept in memory, up to a number of bytes.

use super::kept_trace::{KeepRule, KeptTrace};
use crate::base::TraceId;
use std::collections::VecDeque;
use std::sync::Arc;

/// The parts of the memory, each for traces of one kind, and their shares in quarters.
const QUARTERS: [usize; 3] = [2, 1, 1];

/// What an operator looks for among the kept traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceQuery {
    /// Only traces with work of this service.
    pub service: Option<String>,
    /// Only traces that took at least so many milliseconds.
    pub min_ms: u64,
    /// Only traces in which something went wrong, or only others.
    pub error: Option<bool>,
    /// The most traces, the newest first.
    pub limit: usize,
}

/// The kept traces. When they are full, the oldest trace goes of that kind which is most above its share: a flood of
/// failures leaves the slow requests and the sample where they are.
pub(super) struct TraceMemory {
    most: usize,
    parts: [KeptTraces; QUARTERS.len()],
    /// The number of the next trace: the parts are read in the order of these.
    next: u64,
}

#[derive(Default)]
struct KeptTraces {
    /// The oldest first, each with its number.
    traces: VecDeque<(u64, Arc<KeptTrace>)>,
    bytes: usize,
}

impl TraceMemory {
    /// An empty memory of `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, parts: Default::default(), next: 0 }
    }

    /// Keeps a trace. A trace that is larger than the whole memory is not kept.
    pub(super) fn add(&mut self, trace: Arc<KeptTrace>) {
        let bytes = trace.bytes();
        if bytes > self.most {
            return;
        }
        let part = match trace.rule {
            rule if rule.is_error() => 0,
            KeepRule::Slow => 1,
            _ => 2,
        };
        let part = &mut self.parts[part];
        part.traces.push_back((self.next, trace));
        part.bytes += bytes;
        self.next += 1;
        while self.bytes() > self.most {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let share = self.most / 4;
        let above = |(part, quarters): (&KeptTraces, usize)| {
            i128::try_from(part.bytes).unwrap_or(i128::MAX) - i128::try_from(share * quarters).unwrap_or(i128::MAX)
        };
        let fullest = self.parts.iter().zip(QUARTERS).enumerate().max_by_key(|(_, part)| above(*part));
        let part = fullest.map_or(0, |(at, _)| at);
        if let Some((_, oldest)) = self.parts[part].traces.pop_front() {
            self.parts[part].bytes -= oldest.bytes();
        }
    }

    /// What the traces take.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.traces.len()).sum()
    }

    /// The traces that fit the query, the newest first.
    pub(super) fn find(&self, query: &TraceQuery) -> Vec<Arc<KeptTrace>> {
        let fits = |trace: &KeptTrace| {
            trace.took.as_millis() >= u128::from(query.min_ms)
                && query.error.is_none_or(|error| error == trace.rule.is_error())
                && query.service.as_ref().is_none_or(|service| trace.has_service(service))
        };
        let all = self.parts.iter().flat_map(|part| &part.traces);
        let mut found: Vec<_> = all.filter(|(_, trace)| fits(trace)).collect();
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        found.into_iter().take(query.limit).map(|(_, trace)| Arc::clone(trace)).collect()
    }

    /// The trace with this id, or else that of the request with this id.
    pub(super) fn get(&self, id: &str) -> Option<Arc<KeptTrace>> {
        let all = || self.parts.iter().flat_map(|part| part.traces.iter().rev()).map(|(_, trace)| trace);
        let of_trace = TraceId::parse(id).and_then(|id| all().find(|trace| trace.id == id));
        of_trace.or_else(|| all().find(|trace| trace.request_id.as_str() == id)).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RequestId, SpanId, SpanKind, SpanOwner, TraceSpan};
    use std::time::{Duration, SystemTime};

    fn trace(number: u32, rule: KeepRule, service: &str) -> Arc<KeptTrace> {
        let span = TraceSpan {
            id: SpanId::from_random(1),
            parent: None,
            kind: SpanKind::Server,
            name: "GET".into(),
            owner: Some(Arc::new(SpanOwner { service: service.into(), revision: String::new() })),
            began: Duration::ZERO,
            took: Duration::from_millis(1),
            error: None,
            link: None,
            attributes: Vec::new(),
            extras: None,
        };
        Arc::new(KeptTrace {
            id: TraceId::from_random(u128::from(number) + 1),
            random: true,
            request_id: RequestId::accept(&format!("r-{number}")).unwrap(),
            began: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(number.into()),
            route: "/".into(),
            status: 200,
            rule,
            weight: 1.0,
            state: None,
            stranger: None,
            spans: vec![span],
            lost: 0,
        })
    }

    fn kept(memory: &TraceMemory) -> Vec<u128> {
        let all = TraceQuery { limit: usize::MAX, ..TraceQuery::default() };
        memory.find(&all).iter().map(|trace| trace.took.as_millis()).collect()
    }

    #[test]
    fn the_memory_is_bounded_and_a_flood_of_failures_leaves_the_others() {
        let one = trace(0, KeepRule::Slow, "a").bytes();
        let mut memory = TraceMemory::new(8 * one);
        for number in 0..4 {
            memory.add(trace(number, KeepRule::Sampled, "a"));
            memory.add(trace(100 + number, KeepRule::Slow, "a"));
        }
        assert_eq!(memory.len(), 8, "what failures do not need, the others use");
        for number in 200..1000 {
            memory.add(trace(number, KeepRule::Failed, "a"));
            assert!(memory.bytes() <= 8 * one);
        }
        assert_eq!(kept(&memory), [999, 998, 997, 996, 103, 3, 102, 2]);
        for number in 0..1000 {
            memory.add(trace(number, KeepRule::Sampled, "a"));
        }
        assert_eq!(kept(&memory), [999, 998, 999, 998, 997, 996, 103, 102]);
    }

    /// docs/observability.md says what a trace costs: some 300 bytes a span, 1.5 KiB for a request through one service.
    #[test]
    fn a_trace_takes_as_many_bytes_as_the_page_says() {
        let one = trace(0, KeepRule::Failed, "a");
        let attribute = |name: &'static str| (name.into(), crate::base::SpanValue::Text("GET".into()));
        let four = vec![attribute("http.request.method"), attribute("a"), attribute("b"), attribute("c")];
        // The gateway's, the try, the guest's and one use of the store.
        let spans = vec![TraceSpan { attributes: four, ..one.spans[0].clone() }; 4];
        let span = spans[0].bytes();
        assert!((200..=400).contains(&span), "{span} bytes a span");
        let Ok(alone) = Arc::try_unwrap(one) else { panic!("nobody else has it") };
        let whole = KeptTrace { spans, ..alone }.bytes();
        assert!((1024..=2048).contains(&whole), "{whole} bytes a trace");
    }

    #[test]
    fn a_trace_that_is_larger_than_the_memory_is_not_kept() {
        let mut memory = TraceMemory::new(10);
        memory.add(trace(0, KeepRule::Failed, "a"));
        assert_eq!((memory.len(), memory.bytes()), (0, 0));
    }

    #[test]
    fn traces_are_found_by_service_duration_error_and_either_id() {
        let mut memory = TraceMemory::new(1 << 20);
        memory.add(trace(10, KeepRule::Failed, "users"));
        memory.add(trace(20, KeepRule::Sampled, "users"));
        memory.add(trace(30, KeepRule::Trapped, "orders"));
        let found =
            |query: TraceQuery| memory.find(&query).iter().map(|trace| trace.took.as_millis()).collect::<Vec<_>>();
        let all = TraceQuery { limit: 9, ..TraceQuery::default() };
        assert_eq!(found(all.clone()), [30, 20, 10]);
        assert_eq!(found(TraceQuery { limit: 1, ..all.clone() }), [30]);
        assert_eq!(found(TraceQuery { service: Some("users".into()), ..all.clone() }), [20, 10]);
        assert_eq!(found(TraceQuery { min_ms: 11, error: Some(true), ..all.clone() }), [30]);
        assert_eq!(found(TraceQuery { error: Some(false), ..all }), [20]);
        let id = |text: &str| memory.get(text).map(|trace| trace.took.as_millis());
        assert_eq!((id("r-20"), id(&format!("{:032x}", 31)), id("r-21")), (Some(20), Some(30), None));
    }
}
