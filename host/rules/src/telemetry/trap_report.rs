//! Trap reports: how guests failed, grouped by where it happened, in a bounded memory.

use crate::base::{Digest, ErrorKind, log_safe, mask_secrets};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The most groups that are kept. The one that was seen longest ago goes first.
const MOST_GROUPS: usize = 256;
/// The most frames of a report.
const MOST_FRAMES: usize = 20;
/// How many frames, from the innermost one that is no language's own on, tell one group from another. Offsets do not:
/// they differ from build to build.
const TELLING_FRAMES: usize = 3;
/// The most that is kept of what the call printed to standard error, in bytes. The message of a panic is there, and the
/// stack of JavaScript and Python.
pub const ERROR_OUTPUT: usize = 4096;
/// The most reports that wait for the shape of their request, which is known when the request has ended.
const MOST_AWAITED: usize = 64;

/// How a guest failed once.
#[derive(Debug)]
pub struct GuestFailure<'a> {
    /// Its service.
    pub service: &'a str,
    /// The revision that it ran.
    pub revision: Digest,
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// The innermost error, in one line.
    pub cause: &'a str,
    /// The functions on its stack, demangled, the innermost first; empty if none was running.
    pub frames: &'a [String],
    /// Where each of these functions stood in the component's file, in bytes; empty if that is not known.
    pub offsets: &'a [u32],
    /// The end of what the call printed to standard error.
    pub error_output: &'a str,
    /// The request at the gateway that it worked for.
    pub request_id: String,
}

/// The failures of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapReport {
    /// The number of the group, unique within the life of the host.
    pub id: u64,
    /// The service.
    pub service: String,
    /// The revision.
    pub revision: Digest,
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// The innermost error of the latest failure.
    pub cause: String,
    /// The functions on the stack, the innermost first.
    pub frames: Vec<String>,
    /// Where each of them stood in the component's file, in bytes; empty if that is not known.
    pub offsets: Vec<u32>,
    /// The same stack with lines of source: of each frame the functions that were inlined there, and itself. `None`
    /// before anybody has looked for the lines.
    located: Option<Vec<Vec<String>>>,
    /// The end of what the latest call printed to standard error.
    pub error_output: String,
    /// The request of the latest failure.
    pub request_id: String,
    /// The shape of a request that led to the failure; `None` before it has ended.
    pub request: Option<RequestShape>,
    /// How often it happened.
    pub count: u64,
    /// When it happened first.
    pub first: SystemTime,
    /// When it happened last.
    pub last: SystemTime,
}

/// A request without anything that its client alone knows: no path, no query, no value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestShape {
    /// Its method.
    pub method: String,
    /// The pattern of its route.
    pub route: String,
    /// The media type of its body, without parameters.
    pub content_type: Option<String>,
    /// The length of its body in bytes, if the client has said it.
    pub length: Option<u64>,
}

/// What tells groups apart: service, revision, kind, and the innermost frames, or the cause if there are none.
type GroupKey = (String, Digest, ErrorKind, Vec<String>);

#[derive(Debug, Default)]
struct TrapGroups {
    groups: HashMap<GroupKey, TrapReport>,
    /// The requests whose shape is not known yet, each with its group.
    awaited: VecDeque<(String, GroupKey)>,
    next: u64,
}

/// The trap reports of a host.
#[derive(Debug, Default)]
pub struct TrapMemory {
    groups: Mutex<TrapGroups>,
    /// The length of `awaited`. Requests read it at their end, nearly always in vain, and take no lock then.
    awaited: AtomicUsize,
}

impl TrapMemory {
    /// Adds a failure to its group.
    pub fn record(&self, failure: &GuestFailure<'_>) {
        let frames: Vec<String> = failure.frames.iter().take(MOST_FRAMES).cloned().collect();
        let mut telling: Vec<String> = own_frames(&frames).iter().take(TELLING_FRAMES).cloned().collect();
        if telling.is_empty() {
            telling.push(failure.cause.to_owned());
        }
        let key = (failure.service.to_owned(), failure.revision, failure.kind, telling);
        let now = SystemTime::now();
        let mut state = self.lock();
        let TrapGroups { groups, awaited, next } = &mut *state;
        if !groups.contains_key(&key) && groups.len() >= MOST_GROUPS {
            let oldest = groups.iter().min_by_key(|(_, report)| report.last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| groups.remove(&oldest));
        }
        let report = groups.entry(key.clone()).or_insert_with(|| {
            *next += 1;
            TrapReport {
                id: *next,
                service: failure.service.to_owned(),
                revision: failure.revision,
                kind: failure.kind,
                cause: String::new(),
                frames: Vec::new(),
                offsets: Vec::new(),
                located: None,
                error_output: String::new(),
                request_id: String::new(),
                request: None,
                count: 0,
                first: now,
                last: now,
            }
        });
        report.count += 1;
        report.last = now;
        report.cause = mask_secrets(&log_safe(failure.cause)).into_owned();
        let offsets = &failure.offsets[..failure.offsets.len().min(MOST_FRAMES)];
        if report.offsets != offsets || report.frames != frames {
            report.located = None;
        }
        report.frames = frames;
        report.offsets = offsets.to_vec();
        report.error_output = safe_lines(failure.error_output);
        report.request_id.clone_from(&failure.request_id);
        if report.request.is_none() && !awaited.iter().any(|(id, _)| *id == failure.request_id) {
            awaited.push_back((failure.request_id.clone(), key));
            if awaited.len() > MOST_AWAITED {
                awaited.pop_front();
            }
        }
        self.awaited.store(awaited.len(), Relaxed);
    }

    /// A request has ended: if a report waits for its shape, the report gets it.
    pub fn request_ended(&self, request_id: &str, shape: impl FnOnce() -> RequestShape) {
        if self.awaited.load(Relaxed) == 0 {
            return;
        }
        let mut state = self.lock();
        let TrapGroups { groups, awaited, .. } = &mut *state;
        let Some(at) = awaited.iter().position(|(id, _)| id == request_id) else { return };
        if let Some((_, key)) = awaited.remove(at)
            && let Some(report) = groups.get_mut(&key)
        {
            report.request = Some(shape());
        }
        self.awaited.store(awaited.len(), Relaxed);
    }

    /// The reports for whose lines of source nobody has looked yet.
    pub fn unlocated(&self) -> Vec<TrapReport> {
        let state = self.lock();
        let unlocated = |report: &&TrapReport| report.located.is_none() && !report.offsets.is_empty();
        state.groups.values().filter(unlocated).cloned().collect()
    }

    /// Adds the lines of source to a report that [`TrapMemory::unlocated`] gave: for each frame some texts.
    /// If a failure came meanwhile that has another stack, they are not its own.
    pub fn locate(&self, unlocated: &TrapReport, stack: Vec<Vec<String>>) {
        let mut state = self.lock();
        let mut reports = state.groups.values_mut();
        if let Some(report) = reports.find(|report| report.id == unlocated.id && report.offsets == unlocated.offsets) {
            report.located = Some(stack);
        }
    }

    /// All reports, or those of one service; the one that was seen last comes first.
    pub fn reports(&self, service: Option<&str>) -> Vec<TrapReport> {
        let state = self.lock();
        let meant = state.groups.values().filter(|report| service.is_none_or(|service| report.service == service));
        let mut reports: Vec<_> = meant.cloned().collect();
        drop(state);
        reports.sort_by(|one, other| other.last.cmp(&one.last).then(other.id.cmp(&one.id)));
        reports
    }

    fn lock(&self) -> MutexGuard<'_, TrapGroups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the functions begin by which a language ends a program: in Rust the three innermost ones are always among them.
const RUNTIME: [&str; 9] = ["abort", "std[", "std::", "core[", "core::", "alloc[", "alloc::", "__rust", "rust_"];

/// Where the sources of Rust's own libraries are, as its compiler writes it.
const RUNTIME_SOURCES: &str = " at /rustc/";

/// The frames from the innermost one on that is the component's own; all of them if none is.
fn own_frames(frames: &[String]) -> &[String] {
    let is_runtime = |frame: &String| RUNTIME.iter().any(|prefix| frame.starts_with(prefix));
    let own = frames.iter().position(|frame| !is_runtime(frame)).unwrap_or(0);
    &frames[own..]
}

impl TrapReport {
    /// The innermost function that is the component's own, with its line of source if that was found.
    pub fn place(&self) -> Option<&str> {
        let own = own_frames(&self.frames);
        let located = self.located.as_ref().and_then(|located| located.get(self.frames.len() - own.len()));
        let texts = located.map_or(&own[..own.len().min(1)], Vec::as_slice);
        texts.iter().find(|text| !text.contains(RUNTIME_SOURCES)).or(texts.first()).map(String::as_str)
    }

    /// The stack, the innermost function first: with lines of source, if they were found.
    pub fn stack(&self) -> Vec<String> {
        self.located.as_ref().map_or_else(|| self.frames.clone(), |located| located.concat())
    }
}

/// The trap reports of this process.
pub fn traps() -> &'static TrapMemory {
    static TRAPS: std::sync::LazyLock<TrapMemory> = std::sync::LazyLock::new(TrapMemory::default);
    &TRAPS
}

/// What a guest printed: each line safe for a terminal and without secrets.
fn safe_lines(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| mask_secrets(&log_safe(line)).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure<'a>(service: &'a str, frames: &'a [String], request: &str) -> GuestFailure<'a> {
        GuestFailure {
            service,
            revision: Digest::of(b"component"),
            kind: ErrorKind::Trap,
            cause: "unreachable",
            frames,
            offsets: &[],
            error_output: "thread 'main' panicked\npassword=hunter2 \u{1b}[2J\n",
            request_id: request.to_owned(),
        }
    }

    fn shape() -> RequestShape {
        RequestShape { method: "GET".into(), route: "/a".into(), content_type: None, length: None }
    }

    fn frames(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn failures_with_the_same_three_innermost_frames_are_one_group() {
        let memory = TrapMemory::default();
        for outermost in ["main", "other"] {
            let stack = ["abort", "std::process::abort", "core::panicking::panic", "get", "serve", "run", outermost];
            memory.record(&failure("users", &frames(&stack), "r1"));
        }
        memory.record(&failure(
            "users",
            &frames(&["abort", "std::process::abort", "core::panicking::panic", "put"]),
            "r2",
        ));
        memory.record(&failure("orders", &[], "r3"));
        let counts: Vec<_> = memory
            .reports(Some("users"))
            .iter()
            .map(|one| (one.place().unwrap_or_default().to_owned(), one.count))
            .collect();
        assert_eq!(counts, [("put".to_owned(), 1), ("get".to_owned(), 2)]);
        let users = &memory.reports(Some("users"))[0];
        assert_eq!(users.error_output, "thread 'main' panicked\npassword=*** \\u{1b}[2J");
        assert_eq!(memory.reports(None).len(), 3);
    }

    #[test]
    fn a_report_is_located_once_and_again_when_its_stack_is_another() {
        let (memory, stack) = (TrapMemory::default(), frames(&["abort", "get", "serve"]));
        let fail = |offsets: &[u32]| memory.record(&GuestFailure { offsets, ..failure("users", &stack, "r1") });
        fail(&[]);
        assert!(memory.unlocated().is_empty(), "without offsets there is nothing to look for");
        fail(&[10, 20, 30]);
        let [one] = &memory.unlocated()[..] else { panic!("one report is not located") };
        assert_eq!((one.place(), one.stack()), (Some("get"), stack.clone()));
        let lines = [
            &["abort at /rustc/a.rs:1"][..],
            &["max at /rustc/b.rs:2", "check at c.rs:3", "get at d.rs:4"],
            &["serve"],
        ];
        let located: Vec<_> = lines.iter().map(|texts| frames(texts)).collect();
        fail(&[10, 21, 30]);
        memory.locate(one, located.clone());
        assert_eq!(memory.unlocated().len(), 1, "these are the lines of the stack before");
        memory.locate(&memory.unlocated()[0], located.clone());
        fail(&[10, 21, 30]);
        assert!(memory.unlocated().is_empty(), "the same stack is not looked for again");
        let report = &memory.reports(None)[0];
        assert_eq!((report.count, report.place()), (4, Some("check at c.rs:3")));
        assert_eq!(report.stack(), located.concat());
    }

    #[test]
    fn a_report_gets_the_shape_of_its_request_when_that_has_ended() {
        let memory = TrapMemory::default();
        memory.request_ended("r1", || unreachable!("nothing waits"));
        memory.record(&failure("users", &frames(&["get"]), "r1"));
        memory.request_ended("r2", || unreachable!("another request"));
        memory.request_ended("r1", shape);
        assert_eq!(memory.reports(None)[0].request, Some(shape()));
        memory.record(&failure("users", &frames(&["get"]), "r4"));
        memory.request_ended("r4", || unreachable!("the group has a shape"));
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_group_seen_longest_ago() {
        let memory = TrapMemory::default();
        for number in 0..MOST_GROUPS + 10 {
            memory.record(&failure("users", &frames(&[&format!("f{number}")]), &format!("r{number}")));
        }
        let reports = memory.reports(None);
        assert_eq!(reports.len(), MOST_GROUPS);
        assert!(reports.iter().any(|report| report.frames[0] == format!("f{}", MOST_GROUPS + 9)));
        assert_eq!(memory.lock().awaited.len(), MOST_AWAITED);
    }
}
