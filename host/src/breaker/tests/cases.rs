//! What the tests of other projects' breakers say, written afresh: each row names their behaviour, says whether it is the same here,
//! and shows what ours does. `docs/breaker.md` has the same table for readers.
//!
//! Read in November 2026: linkerd2-proxy `linkerd/app/outbound/src/http/breaker`, Resilience4j `CircuitBreakerStateMachineTest`,
//! Hystrix `HystrixCircuitBreakerTest`, gobreaker `gobreaker_test.go`.

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
    /// Why ours differs; `None`: it is the same.
    differs: Option<&'static str>,
    /// What ours does. It panics if ours does something else.
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

/// The row alone: no share has calls enough.
fn busy() -> Settings {
    full_with(|full| full.least_calls = 1_000)
}

/// Shares of at least eight calls.
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
    same(LINKERD, "faults in a row open",
        "so many failures in a row shut the gate", || {
        Rig::new(full()).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault).is(Open);
    }),
    same(LINKERD, "a success ends the row",
        "a success sets the consecutive count to zero", || {
        Rig::new(busy()).calls(2, EndpointFault).calls(1, Success).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault)
            .is(Open);
    }),
    differs(LINKERD, "a plain 500 in the row",
        "every 5xx counts in a row",
        "it ends the row: one poisonous input must not open it for all; the ratio judges", || {
        Rig::new(busy()).calls(9, RequestFault).calls(2, EndpointFault).is(Closed).calls(1, EndpointFault).is(Open);
    }),
    differs(LINKERD, "a 429 leaves the row alone",
        "a 429 is no failure in the row and sets it to zero",
        "the row stays: a 429 does not show that the place is well", || {
        Rig::new(busy()).calls(2, EndpointFault).calls(1, Throttled).is(Closed).calls(1, EndpointFault).is(Open);
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
        "below the least number of requests the rate decides nothing", || {
        Rig::new(full()).calls(3, RequestFault).is(Closed);
    }),
    same(LINKERD, "a pause makes the start cold again",
        "after a long idle time the least number must be reached afresh", || {
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
    same(LINKERD, "stragglers while shut are ignored",
        "an answer that comes while the gate is shut changes nothing", || {
        Rig::new(full()).begin().calls(3, EndpointFault).end(0, Success).is(Open).refused(s(1));
    }),
    differs(LINKERD, "one success in probation opens the gate",
        "a single good probe ends the ejection",
        "two by default; with `successes = 1` the same", || {
        Rig::new(probing(1, 2)).calls(3, EndpointFault).wait(s(1)).calls(1, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    differs(LINKERD, "a straggler answers for the probe",
        "in probation any answer that comes first decides",
        "only the probe's own: others carry an older epoch", || {
        Rig::new(full()).begin().calls(3, EndpointFault).wait(s(1)).begin().end(0, Success).is(HalfOpen)
            .end(1, Success).is(Closed);
    }),
    same(LINKERD, "a 429 fails the probe",
        "with the rate on, a throttled probe has failed", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, Throttled).is(Open).refused(s(2));
    }),
    differs(LINKERD, "Retry-After is a floor of the backoff",
        "the first backoff is at least the hint, capped",
        "of every opening, also after a failed probe", || {
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
    same(RESILIENCE4J, "half-open permits so many calls",
        "four at most, no more until one is given back", || {
        Rig::new(probing(2, 4)).calls(3, EndpointFault).wait(s(1)).begin().begin().refused(s(11)).cancel(0).begin()
            .refused(s(11));
    }),
    differs(RESILIENCE4J, "permits are a quota of the stretch",
        "a call that ended gives no permit back: four in all",
        "at a time: the next probe may begin when one has ended", || {
        Rig::new(probing(1, 4)).calls(3, EndpointFault).wait(s(1)).calls(3, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    same(RESILIENCE4J, "the failure rate opens",
        "half of at least five failed: open", || {
        Rig::new(full()).calls(2, Success).calls(1, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    differs(RESILIENCE4J, "a success that completes the window opens",
        "the fifth call, a success, opens at 60 %",
        "a quick success opens nothing; the next fault does", || {
        Rig::new(full()).calls(3, RequestFault).calls(1, Success).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(RESILIENCE4J, "the slow call rate opens",
        "half of the calls were slow: open, on a slow success too", || {
        Rig::new(slow()).calls(2, Success).outcomes(1, took(s(5))).is(Closed).outcomes(1, took(s(5)))
            .is(Open);
    }),
    differs(RESILIENCE4J, "open becomes half-open when its time is over",
        "only when somebody asks for permission",
        "also for who only looks: the state is read from the time", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).is(HalfOpen);
    }),
    differs(RESILIENCE4J, "the wait grows by a function",
        "an exponential interval function, 1.5 times by default",
        "always twice, with a longest", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, RequestFault).wait(ms(1_999)).is(Open).wait(ms(1))
            .is(HalfOpen);
    }),
    differs(RESILIENCE4J, "half-open judges by the rate",
        "all permitted calls end, then the rate of failures decides",
        "one failed probe opens at once: a client paid for it", || {
        Rig::new(probing(2, 3)).calls(3, EndpointFault).wait(s(1)).calls(2, Success).calls(1, RequestFault).is(Open);
    }),
    same(RESILIENCE4J, "slow probes open again",
        "a slow rate above its share in half-open opens", || {
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
        "there is no such verb: open, close, reset", || {
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
    same(HYSTRIX, "one attempt after the sleep window",
        "one request, others refused while it runs", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).begin().refused(s(11)).end(0, Success).is(Closed);
    }),
    same(HYSTRIX, "closing clears the window",
        "the failures from before do not trip it again", || {
        Rig::new(full()).calls(3, EndpointFault).wait(s(1)).calls(1, Success).calls(1, RequestFault).is(Closed);
    }),
    differs(HYSTRIX, "each sleep window is as long",
        "a failed attempt starts the same window again",
        "twice as long each time; the simple form has it as Hystrix", || {
        Rig::new(Settings::simple(3, s(1), s(11))).calls(3, RequestFault).wait(s(1)).calls(1, RequestFault).refused(s(1));
    }),
    differs(HYSTRIX, "low volume does not trip",
        "below the request volume nothing is judged",
        "the ratio waits for it, the row does not", || {
        Rig::new(full()).calls(3, RequestFault).is(Closed);
        Rig::new(full()).calls(3, EndpointFault).is(Open);
    }),
    same(HYSTRIX, "a bad request does not count",
        "a client's mistake is neither success nor failure", || {
        Rig::new(full()).calls(50, Neutral).calls(2, EndpointFault).calls(1, Neutral).is(Closed).calls(1, EndpointFault)
            .is(Open);
    }),
    differs(GOBREAKER, "more than five in a row",
        "the sixth failure opens",
        "the number itself opens: five is the fifth", || {
        Rig::new(Settings::simple(5, s(60), s(61))).calls(4, RequestFault).is(Closed).calls(1, RequestFault).is(Open);
    }),
    same(GOBREAKER, "open for its timeout",
        "open at 59 s of 60, half-open at 60", || {
        Rig::new(Settings::simple(1, s(60), s(61))).calls(1, RequestFault).wait(s(59)).is(Open).wait(s(1))
            .is(HalfOpen);
    }),
    same(GOBREAKER, "so many successes close",
        "as many in a row as may be permitted", || {
        Rig::new(probing(3, 3)).calls(3, EndpointFault).wait(s(1)).calls(2, Success).is(HalfOpen).calls(1, Success)
            .is(Closed);
    }),
    differs(GOBREAKER, "too many requests in half-open",
        "one more than permitted is refused",
        "the refusal says how long the oldest probe may take", || {
        Rig::new(probing(2, 2)).calls(3, EndpointFault).wait(s(1)).begin().wait(s(2)).begin().refused(s(9));
    }),
    same(GOBREAKER, "a failure in half-open opens",
        "one failure, and the timeout starts afresh", || {
        Rig::new(Settings::simple(1, s(60), s(61))).calls(1, RequestFault).wait(s(60)).calls(1, RequestFault).is(Open)
            .refused(s(60));
    }),
    differs(GOBREAKER, "the interval clears the counts",
        "a fixed interval, after which all counts are zero",
        "the window slides, a tenth at a time", || {
        Rig::new(full()).calls(2, RequestFault).wait(s(9)).calls(1, RequestFault).wait(s(1)).calls(2, RequestFault).is(Closed)
            .calls(1, RequestFault).is(Open);
    }),
    same(GOBREAKER, "the oldest bucket is discarded",
        "of ten buckets the eleventh pushes out the first", || {
        Rig::new(full()).calls(3, RequestFault).wait(s(10)).calls(1, RequestFault).is(Closed);
    }),
    same(GOBREAKER, "an older generation has no effect",
        "a result from before a change of state counts nowhere", || {
        Rig::new(full()).begin().calls(3, EndpointFault).reset().end(0, EndpointFault).calls(2, EndpointFault).is(Closed);
    }),
    differs(GOBREAKER, "a panic is a failure",
        "a call that panics has failed",
        "a permit dropped without a verdict is neutral; the host judges a trap", || {
        Rig::new(full()).begin().begin().begin().cancel(0).cancel(1).cancel(2).is(Closed);
    }),
];

#[test]
fn every_case_shows_what_it_says() {
    for case in CASES {
        let failed = std::panic::catch_unwind(case.shows).is_err();
        assert!(!failed, "{}: {}", case.source, case.name);
    }
}

#[test]
fn every_case_is_in_the_guide() {
    let guide = include_str!("../../../../docs/breaker.md");
    let row = |case: &Case| {
        let ours = case.differs.map_or("same".to_owned(), |why| format!("differs: {why}"));
        format!("| {} | {} | {} | {ours} |", case.name, case.source, case.theirs)
    };
    let rows: BTreeSet<String> = CASES.iter().map(row).collect();
    assert_eq!(rows.len(), CASES.len(), "each name once");
    let missing: Vec<&String> = rows.iter().filter(|row| !guide.lines().any(|line| line == row.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/breaker.md: {missing:#?}");
    let told = guide.lines().filter(|line| {
        [LINKERD, RESILIENCE4J, HYSTRIX, GOBREAKER].iter().any(|source| line.contains(&format!("| {source} |")))
    });
    assert_eq!(told.count(), CASES.len(), "docs/breaker.md tells of a case that no test shows");
}
