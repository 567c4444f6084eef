//! What the tests of other projects' breakers show, written anew. Each case names a behaviour of theirs, says whether
//! ours is the same, and runs ours. `docs/breaker.md` has the same table for readers.
//!
//! Read in November 2026: linkerd2-proxy `linkerd/app/outbound/src/http/breaker`, Resilience4j
//! `CircuitBreakerStateMachineTest`, Hystrix `HystrixCircuitBreakerTest`, gobreaker `gobreaker_test.go`.

use super::rig::{Rig, full, full_with, ms, outcome, probing, s};
use crate::breaker::*;
use std::collections::BTreeSet;
use std::time::Duration;

use State::{Closed, HalfOpen, Open};
use Verdict::{EndpointFault, Neutral, RequestFault, Success, Throttled};

/// One behaviour of another project.
struct Case {
    name: &'static str,
    source: &'static str,
    theirs: &'static str,
    /// What ours does instead, and why; `None`: the same.
    differs: Option<&'static str>,
    /// Runs ours. It panics if ours does not behave as the case says.
    shows: fn(),
}

const LINKERD: &str = "linkerd2-proxy";
const RESILIENCE4J: &str = "Resilience4j";
const HYSTRIX: &str = "Hystrix";
const GOBREAKER: &str = "gobreaker";

const fn same(source: &'static str, name: &'static str, theirs: &'static str, shows: fn()) -> Case {
    Case { name, source, theirs, differs: None, shows }
}

const fn differs(
    source: &'static str,
    name: &'static str,
    theirs: &'static str,
    why: &'static str,
    shows: fn(),
) -> Case {
    Case { name, source, theirs, differs: Some(why), shows }
}

/// The streak alone: no share has enough calls to be judged.
fn streak_only() -> Settings {
    full_with(|full| full.least_calls = 1_000)
}

/// Shares are judged from eight calls on.
fn eight() -> Settings {
    full_with(|full| full.least_calls = 8)
}

/// A call of four seconds is slow.
fn slow() -> Settings {
    full_with(|full| full.slow_call = Some(s(4)))
}

fn took(took: Duration) -> Outcome {
    Outcome { took, ..outcome(Success) }
}

fn asks(wait: Duration) -> Outcome {
    Outcome { retry_after: Some(wait), ..outcome(EndpointFault) }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    same(LINKERD, "consecutive faults open",
        "enough consecutive failures shut the gate", || {
        Rig::new(full()).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault).is(Open);
    }),
    same(LINKERD, "a success clears the streak",
        "a success sets the consecutive count to zero", || {
        Rig::new(streak_only()).calls(2, EndpointFault).calls(1, Success).calls(2, EndpointFault).is(Closed)
            .calls(1, EndpointFault).is(Open);
    }),
    differs(LINKERD, "a plain 500 and the streak",
        "every 5xx extends the streak",
        "it clears the streak: one input that fails must not open the circuit for all; the ratio judges it", || {
        Rig::new(streak_only()).calls(9, RequestFault).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault)
            .is(Open);
    }),
    differs(LINKERD, "a 429 keeps the streak",
        "a 429 is no failure and sets the consecutive count to zero",
        "the streak stays: a 429 does not show that the endpoint is well", || {
        Rig::new(streak_only()).calls(2, EndpointFault).calls(1, Throttled).is(Closed).calls(1, EndpointFault).is(Open);
    }),
    same(LINKERD, "a low success rate opens",
        "429s alone shut the gate once the success rate is low", || {
        Rig::new(full()).calls(3, Throttled).is(Closed).calls(1, Throttled).is(Open);
    }),
    same(LINKERD, "5xx count in the success rate",
        "5xx lower the success rate as 429s do", || {
        Rig::new(full()).calls(3, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(LINKERD, "a cold start does not open",
        "below the minimum of requests the rate decides nothing", || {
        Rig::new(full()).calls(3, RequestFault).is(Closed);
    }),
    same(LINKERD, "a pause makes the start cold again",
        "after a long idle time the minimum must be reached again", || {
        Rig::new(full()).calls(3, RequestFault).wait(s(30)).calls(3, RequestFault).is(Closed);
    }),
    same(LINKERD, "shut for the first backoff",
        "shut until the first backoff is over, then one request", || {
        Rig::new(full()).calls(3, EndpointFault).wait(ms(500)).is(Open).refused(ms(500)).wait(ms(500)).is(HalfOpen)
            .begin().refused(s(11));
    }),
    same(LINKERD, "a failed probe doubles the backoff",
        "the next backoff is twice as long, up to the longest", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, EndpointFault).refused(s(2)).wait(s(2))
            .calls(1, EndpointFault).refused(s(4));
    }),
    same(LINKERD, "late answers while shut are ignored",
        "an answer that comes while the gate is shut changes nothing", || {
        Rig::new(full()).begin().calls(3, EndpointFault).end(0, Success).is(Open).refused(s(1));
    }),
    differs(LINKERD, "one success in probation opens the gate",
        "a single good probe ends the ejection",
        "two good probes by default; with `successes = 1` the same", || {
        Rig::new(probing(1, 2)).calls(3, EndpointFault).wait(s(1)).calls(1, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    differs(LINKERD, "a late answer counts as the probe's",
        "in probation the first answer decides, whichever call it belongs to",
        "only the probe's own answer counts: other permits carry an older epoch", || {
        Rig::new(full()).begin().calls(3, EndpointFault).wait(s(1)).begin().end(0, Success).is(HalfOpen)
            .end(1, Success).is(Closed);
    }),
    same(LINKERD, "a 429 fails the probe",
        "with the rate on, a throttled probe has failed", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, Throttled).is(Open).refused(s(2));
    }),
    differs(LINKERD, "Retry-After is a floor of the backoff",
        "the first backoff is at least the hint, capped",
        "it is a floor at every opening, also after a failed probe", || {
        Rig::new(full()).outcomes(3, asks(s(5))).refused(s(5)).wait(s(5)).outcomes(1, asks(s(99)))
            .refused(s(8));
    }),
    same(RESILIENCE4J, "open refuses",
        "an open breaker refuses permission", || {
        Rig::new(full()).calls(3, EndpointFault).refused(s(1));
    }),
    same(RESILIENCE4J, "forced open refuses for ever",
        "forced open never becomes half-open", || {
        Rig::new(full()).force(Forced::Open).wait(s(6)).is(Open).reset().calls(1, Success).is(Closed);
    }),
    same(RESILIENCE4J, "disabled lets everything through",
        "disabled: no call is refused or counted", || {
        Rig::new(full()).force(Forced::Closed).calls(9, EndpointFault).reset().calls(2, EndpointFault).is(Closed);
    }),
    same(RESILIENCE4J, "half-open permits a bounded number of calls",
        "four at most, and no more until a permit is given back", || {
        Rig::new(probing(2, 4)).calls(3, EndpointFault).wait(s(1)).begin().begin().refused(s(11)).cancel(0).begin()
            .refused(s(11));
    }),
    differs(RESILIENCE4J, "permits are a quota for the whole half-open state",
        "a call that ended gives no permit back: four calls in all",
        "the bound is on probes at a time: the next probe may begin when one has ended", || {
        Rig::new(probing(1, 4)).calls(3, EndpointFault).wait(s(1)).calls(3, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    same(RESILIENCE4J, "the failure rate opens",
        "half of at least five failed: open", || {
        Rig::new(full()).calls(2, Success).calls(1, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    differs(RESILIENCE4J, "a success that completes the window opens",
        "the fifth call, a success, opens at 60 %",
        "a quick success never opens the circuit; the next fault does", || {
        Rig::new(full()).calls(3, RequestFault).calls(1, Success).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(RESILIENCE4J, "the slow call rate opens",
        "half of the calls were slow: open, on a slow success too", || {
        Rig::new(slow()).calls(2, Success).outcomes(1, took(s(5))).is(Closed).outcomes(1, took(s(5)))
            .is(Open);
    }),
    differs(RESILIENCE4J, "open becomes half-open when its time is over",
        "only when a call asks for permission",
        "also for a reader of the state: it is computed from the time", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).is(HalfOpen);
    }),
    differs(RESILIENCE4J, "the wait grows by a function",
        "an exponential interval function, 1.5 times by default",
        "always doubled, up to a longest time", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, RequestFault).wait(ms(1_999)).is(Open).wait(ms(1))
            .is(HalfOpen);
    }),
    differs(RESILIENCE4J, "half-open judges by the rate",
        "all permitted calls end, then the rate of failures decides",
        "one failed probe opens at once, since a real client suffered from it", || {
        Rig::new(probing(2, 3)).calls(3, EndpointFault).wait(s(1)).calls(2, Success).calls(1, RequestFault).is(Open);
    }),
    same(RESILIENCE4J, "slow probes open again",
        "a rate of slow calls above its threshold opens again", || {
        Rig::new(slow()).calls(3, EndpointFault).wait(s(1)).outcomes(1, took(s(5))).is(Open);
    }),
    same(RESILIENCE4J, "an ignored error gives its permit back",
        "it counts nowhere, and the slot is free", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(4, Neutral).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    same(RESILIENCE4J, "reset from open",
        "reset closes and clears the metrics", || {
        Rig::new(full()).calls(3, EndpointFault).reset().is(Closed).calls(2, EndpointFault).is(Closed);
    }),
    differs(RESILIENCE4J, "an operator cannot make it half-open",
        "closed to half-open is an illegal transition",
        "no such command exists, only open, close and reset", || {
        Rig::new(full()).force(Forced::Open).force(Forced::Closed).is(Closed).reset().is(Closed);
    }),
    same(HYSTRIX, "successes keep it closed, failures trip it",
        "all good: closed; then all bad: open", || {
        Rig::new(full()).calls(4, Success).is(Closed).calls(3, EndpointFault).is(Open);
    }),
    same(HYSTRIX, "failures above the threshold trip",
        "four of eight failed: open at 50 %", || {
        Rig::new(eight()).calls(4, Success).calls(3, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(HYSTRIX, "failures below the threshold do not",
        "three of eight failed: closed", || {
        Rig::new(eight()).calls(5, Success).calls(3, RequestFault).is(Closed);
    }),
    same(HYSTRIX, "timeouts trip",
        "a timeout is a failure", || {
        Rig::new(full()).calls(3, EndpointFault).is(Open);
    }),
    same(HYSTRIX, "one request after the sleep window",
        "one request, others refused while it runs", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).begin().refused(s(11)).end(0, Success).is(Closed);
    }),
    same(HYSTRIX, "closing clears the window",
        "the failures from before do not trip it again", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, Success).calls(1, RequestFault).is(Closed);
    }),
    differs(HYSTRIX, "every sleep window has the same length",
        "a failed request starts the same window again",
        "twice as long each time; the simple form does as Hystrix does", || {
        Rig::new(Settings::simple(3, s(1), s(11))).calls(3, RequestFault).wait(s(1)).calls(1, RequestFault)
            .refused(s(1));
    }),
    differs(HYSTRIX, "low volume does not trip",
        "below the request volume nothing is judged",
        "the ratio waits for the volume, the streak does not", || {
        Rig::new(full()).calls(3, RequestFault).is(Closed);
        Rig::new(full()).calls(3, EndpointFault).is(Open);
    }),
    same(HYSTRIX, "a bad request does not count",
        "a client's mistake is neither success nor failure", || {
        Rig::new(full()).calls(50, Neutral).calls(2, EndpointFault).calls(1, Neutral).is(Closed).calls(1, EndpointFault)
            .is(Open);
    }),
    differs(GOBREAKER, "more than five consecutive failures",
        "the sixth failure opens",
        "the threshold itself opens: 5 means the fifth failure", || {
        Rig::new(Settings::simple(5, s(60), s(61))).calls(4, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(GOBREAKER, "open for its timeout",
        "open at 59 s of 60, half-open at 60", || {
        Rig::new(Settings::simple(1, s(60), s(61))).calls(1, RequestFault).wait(s(59)).is(Open).wait(s(1))
            .is(HalfOpen);
    }),
    same(GOBREAKER, "enough successes close",
        "as many consecutive ones as requests are permitted", || {
        Rig::new(probing(3, 3)).calls(3, EndpointFault).wait(s(1)).calls(2, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    differs(GOBREAKER, "too many requests in half-open",
        "one more than permitted is refused",
        "the same, and the refusal says how long the oldest probe may still take", || {
        Rig::new(probing(2, 2)).calls(3, EndpointFault).wait(s(1)).begin().wait(s(2)).begin().refused(s(9));
    }),
    same(GOBREAKER, "a failure in half-open opens",
        "one failure, and the timeout starts again", || {
        Rig::new(Settings::simple(1, s(60), s(61))).calls(1, RequestFault).wait(s(60)).calls(1, RequestFault).is(Open)
            .refused(s(60));
    }),
    differs(GOBREAKER, "the interval clears the counts",
        "a fixed interval, after which all counts are zero",
        "the window slides, a tenth at a time", || {
        Rig::new(full()).calls(2, RequestFault).wait(s(9)).calls(1, RequestFault).wait(s(1)).calls(2, RequestFault)
            .is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(GOBREAKER, "the oldest bucket is discarded",
        "of ten buckets the eleventh pushes out the first", || {
        Rig::new(full()).calls(3, RequestFault).wait(s(10)).calls(1, RequestFault).is(Closed);
    }),
    same(GOBREAKER, "an older generation has no effect",
        "a result from before a change of state does not count", || {
        Rig::new(full()).begin().calls(3, EndpointFault).reset().end(0, EndpointFault).calls(2, EndpointFault)
            .is(Closed);
    }),
    differs(GOBREAKER, "a panic is a failure",
        "a call that panics has failed",
        "a permit dropped without a verdict is neutral; the host judges a trap", || {
        Rig::new(full()).begin().begin().begin().cancel(0).cancel(1).cancel(2).is(Closed);
    }),
];

#[test]
fn the_breaker_behaves_as_every_case_says() {
    for case in CASES {
        let failed = std::panic::catch_unwind(case.shows).is_err();
        assert!(!failed, "{}: {}", case.source, case.name);
    }
}

#[test]
fn docs_breaker_md_has_exactly_the_cases_of_this_table() {
    let guide = include_str!("../../../../../docs/breaker.md");
    let table_line = |case: &Case| {
        let ours = case.differs.map_or("same".to_owned(), |why| format!("differs: {why}"));
        format!("| {} | {} | {} | {ours} |", case.name, case.source, case.theirs)
    };
    let lines: BTreeSet<String> = CASES.iter().map(table_line).collect();
    assert_eq!(lines.len(), CASES.len(), "no two cases have the same line");
    let missing: Vec<&String> = lines.iter().filter(|own| !guide.lines().any(|line| line == own.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/breaker.md: {missing:#?}");
    let listed = guide.lines().filter(|line| {
        [LINKERD, RESILIENCE4J, HYSTRIX, GOBREAKER].iter().any(|source| line.contains(&format!("| {source} |")))
    });
    assert_eq!(listed.count(), CASES.len(), "docs/breaker.md lists a case that no test shows");
}
