//! The durations of the gateway's requests in OpenMetrics' text format, with exemplars.
//!
//! `prometheus_client` writes exemplars of its own histograms alone, which take a lock for each duration. So this one
//! family is written here.

use super::gateway_metrics::{DurationExemplar, DurationSample, GatewayMetrics};
use super::label_text::escaped;
use std::fmt::Write;
use std::time::SystemTime;

const NAME: &str = "atoll_gateway_duration_seconds";
const HELP: &str = "Seconds from the arrival of a request's head to the end of its answer, by class of the status.";

/// Adds the family to `text`, if there is a duration.
pub(super) fn write_durations(text: &mut String, gateway: &GatewayMetrics) {
    let mut samples = gateway.duration_samples().peekable();
    if samples.peek().is_some() {
        // A string takes everything, here and below.
        let _ = write!(text, "# HELP {NAME} {HELP}\n# TYPE {NAME} histogram\n");
    }
    for sample in samples {
        write_sample(text, &sample);
    }
}

fn write_sample(text: &mut String, sample: &DurationSample<'_>) {
    let DurationSample { scope, class, durations, exemplars } = sample;
    let (route, service) = (escaped(&scope.route), escaped(&scope.service));
    let labels = format!("route=\"{route}\",service=\"{service}\",class=\"{class}\"");
    let _ = writeln!(text, "{NAME}_sum{{{labels}}} {:?}", durations.sum());
    let _ = writeln!(text, "{NAME}_count{{{labels}}} {}", durations.count());
    let mut count = 0;
    for (at, (bound, own)) in durations.buckets().iter().enumerate() {
        count += own;
        let bound = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
        let _ = write!(text, "{NAME}_bucket{{le=\"{bound}\",{labels}}} {count}");
        if let Some(exemplar) = exemplars.get(at).and_then(Option::as_ref) {
            write_exemplar(text, exemplar);
        }
        text.push('\n');
    }
}

/// An exemplar: the trace of a request in this bucket, how long it took, and when it ended (OpenMetrics 1.0, section
/// "Exemplars": at most 128 characters of labels).
fn write_exemplar(text: &mut String, DurationExemplar { trace, took, at }: &DurationExemplar) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let _ = write!(
        text,
        " # {{trace_id=\"{trace}\"}} {:?} {}.{:03}",
        took.as_secs_f64(),
        since.as_secs(),
        since.subsec_millis()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TraceId;
    use crate::telemetry::CountScope;
    use std::time::Duration;

    #[test]
    fn a_bucket_names_the_last_kept_trace_in_it() {
        let scope = CountScope { route: "GET /a [x: \"\\\"]".into(), service: "a".into(), outcomes: Vec::new() };
        let gateway = GatewayMetrics::new(vec![scope]);
        let mut text = String::new();
        write_durations(&mut text, &gateway);
        assert_eq!(text, "", "without a duration there is no family");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        for (millis, trace) in [(2, None), (2, Some(1)), (3, Some(2)), (2, Some(3)), (90_000, Some(4))] {
            let took = Duration::from_millis(millis);
            gateway.ended(0, 200, "answer", Some(took));
            if let Some(trace) = trace {
                gateway.exemplify(0, 200, DurationExemplar { trace: TraceId::from_random(trace), took, at });
            }
        }
        write_durations(&mut text, &gateway);
        let labels = r#"route="GET /a [x: \"\\\"]",service="a",class="2xx""#;
        let trace = |id| format!("# {{trace_id=\"{id:032x}\"}}");
        for line in [
            format!("{NAME}_sum{{{labels}}} 90.009"),
            format!("{NAME}_count{{{labels}}} 5"),
            format!("{NAME}_bucket{{le=\"0.001\",{labels}}} 0"),
            format!("{NAME}_bucket{{le=\"0.0025\",{labels}}} 3 {} 0.002 1.500", trace(3)),
            format!("{NAME}_bucket{{le=\"0.005\",{labels}}} 4 {} 0.003 1.500", trace(2)),
            format!("{NAME}_bucket{{le=\"60.0\",{labels}}} 4"),
            format!("{NAME}_bucket{{le=\"+Inf\",{labels}}} 5 {} 90.0 1.500", trace(4)),
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
        }
    }
}
