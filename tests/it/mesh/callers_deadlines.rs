//! A deadline that a caller cuts below the `timeout` of the service is the caller's: the circuit of a service that is
//! slower than one hurried caller stays closed for all others.

use super::super::atoll::eventually;
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, NEVER_OPENS, kind, manifest, route};
use std::time::Duration;

/// Many more than the five faults in a row that open a circuit.
const TIMEOUTS: f64 = 12.0;

/// One hurried caller of a slow service, and a patient one.
struct Case {
    /// The manifest, without the routes of the slow service.
    services: String,
    slow: &'static str,
    /// Whose deadline the log and the metric must name.
    owner: &'static str,
    hurried: &'static str,
    patient: &'static str,
}

/// A section of a component. Nothing is tried again, so each request is one call.
fn service(name: &str, component: &str, keys: &str) -> String {
    format!("\n[service.{name}]\ncomponent = \"{{component:{component}}}\"\nretry = {{ tries = 0 }}\n{keys}\n")
}

fn cases(plain: &PlainServer) -> [Case; 5] {
    let slow = service("slow", "fixture-hostile", "") + &route("/patient", "slow");
    let types = "\n[[route]]\nmethod = \"GET\"\npath = \"/patient\"\ncall = \"types/faults#sleep\"\n";
    let types = service("types", "fixture-types", "") + types;
    let hurry = "timeout = \"5ms\"\n";
    let case = |slow, owner, services, hurried, patient| Case { services, slow, owner, hurried, patient };
    [
        case(
            "slow",
            "route",
            slow.clone() + &route("/hurried", "slow") + hurry,
            "/hurried/sleep?ms=50",
            "/patient/sleep?ms=50",
        ),
        case(
            "legacy",
            "route",
            manifest(&[plain], "retry = { tries = 0 }") + &route("/hurried", "legacy") + hurry,
            "/hurried/x",
            "/plain/x",
        ),
        case(
            "types",
            "route",
            types.clone()
                + "\n[[route]]\nmethod = \"GET\"\npath = \"/hurried\"\ncall = \"types/faults#sleep\"\n"
                + hurry,
            "/hurried?ms=50",
            "/patient?ms=50",
        ),
        // The guest's own timeout, of `wasi:http`.
        case(
            "slow",
            "caller",
            slow + &service("hasty", "fixture-hostile", "calls = [\"slow\"]") + &route("/hasty", "hasty"),
            "/hasty/fetch?method=GET&timeout=5&url=http://slow.internal/sleep%3Fms%3D50",
            "/patient/sleep?ms=50",
        ),
        // The rest of the guest's own time.
        case(
            "types",
            "caller",
            types
                + &service(
                    "relay",
                    "fixture-relay",
                    &format!("{NEVER_OPENS}calls = [\"types\"]\nlimits = {{ timeout = \"60ms\" }}"),
                )
                + "\n[[route]]\nmethod = \"GET\"\npath = \"/hurried\"\ncall = \"relay/reports#sleep\"\n",
            "/hurried?ms=200",
            "/patient?ms=200",
        ),
    ]
}

#[tokio::test]
async fn a_hurried_caller_opens_no_circuit_for_the_patient_ones() {
    let plain = PlainServer::start("slow").await;
    plain.behave(Behaviour::Slow(Duration::from_millis(50)));
    for Case { services, slow, owner, hurried, patient } in cases(&plain) {
        let host = Host::start(&services).await;
        // The first call loads the code, which may take longer than the hurried caller waits.
        assert_eq!(host.status(patient).await, 200, "{hurried}");
        let series = format!("atoll_timeouts_total{{service=\"{slow}\",deadline=\"{owner}\"}}");
        let timed_out = async || {
            host.get(hurried).await;
            let answer = host.get(patient).await;
            assert_eq!(answer.status, 200, "{patient} after {hurried}: {answer:?}");
            (host.series(&series).await >= TIMEOUTS).then_some(())
        };
        eventually(hurried, timed_out).await;
        assert_eq!(host.endpoints(slow, "breaker").await, ["closed"], "{hurried}");
        let failures = host.endpoints(slow, "failures").await;
        assert_eq!(failures, [0], "{hurried}: the deadline was the caller's");
        let own = format!("atoll_timeouts_total{{service=\"{slow}\",deadline=\"timeout\"}}");
        assert_eq!(host.series(&own).await, 0.0, "{hurried}");
        let text = if owner == "route" { "\"deadline\":\"route\"" } else { "the deadline is its caller's time" };
        assert!(host.atoll.log().iter().any(|line| line.contains(text)), "{hurried}: the log says whose deadline");
    }
}

#[tokio::test]
async fn a_service_that_hangs_for_all_of_its_time_opens_its_circuit_below_a_caller_of_the_same_timeout() {
    let plain = PlainServer::start("silent").await;
    plain.behave(Behaviour::Silent);
    let keys = "retry = { tries = 0 }\nbreaker = { in_a_row = 1, open = \"1h\", open_most = \"1h\" }\n\
                limits = { timeout = \"2s\" }";
    let caller = "calls = [\"legacy\"]\nbreaker = { failure_threshold = 1000 }\nlimits = { timeout = \"2s\" }";
    let caller = service("hostile", "fixture-hostile", caller) + &route("/hostile", "hostile");
    let host = Host::start(&(manifest(&[&plain], keys) + &caller)).await;
    // A call that came late to the silent server, on a busy machine, has been cut and does not count.
    let opened = async || {
        host.get("/hostile/fetch?method=GET&url=http://legacy.internal/x").await;
        (host.endpoints("legacy", "breaker").await == ["open"]).then_some(())
    };
    eventually("the circuit is open", opened).await;
    assert_eq!(kind(&host.get("/plain/x").await), "circuit-open");
}
