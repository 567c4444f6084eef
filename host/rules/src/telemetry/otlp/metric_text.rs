//! Reads this host's own exposition, so that pushed metrics are the scraped ones, whichever room counts them.
//!
//! It reads what `exposition.rs` writes: OpenMetrics' text format with `# TYPE` before each family, without time stamps
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). A line of another form is left out.

use std::collections::BTreeMap;

/// What a family of metrics is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

/// One family of the exposition.
#[derive(Debug, PartialEq)]
pub(super) struct MetricFamily<'a> {
    /// Without the suffix of its samples.
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: FamilyKind,
    /// By their labels, as they are written.
    pub(super) points: BTreeMap<&'a str, MetricPoint>,
}

/// The samples of one set of labels.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MetricPoint {
    /// The value of a counter or a gauge; the sum of a histogram.
    pub(super) value: f64,
    /// Of a histogram: how many values there were.
    pub(super) count: u64,
    /// Of a histogram: each upper bound, and how many values were not above it.
    pub(super) buckets: Vec<(f64, u64)>,
}

/// The families of an exposition, in its order.
pub(super) fn families(text: &str) -> Vec<MetricFamily<'_>> {
    let (mut families, mut help): (Vec<MetricFamily<'_>>, _) = (Vec::new(), ("", ""));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { continue };
            let kind = match kind {
                "counter" => FamilyKind::Counter,
                "histogram" => FamilyKind::Histogram,
                // `info` too: a gauge that is 1.
                _ => FamilyKind::Gauge,
            };
            let help = if help.0 == name { help.1 } else { "" };
            families.push(MetricFamily { name, help, kind, points: BTreeMap::new() });
        } else if !line.starts_with('#')
            && let Some(family) = families.last_mut()
        {
            family.add(line);
        }
    }
    families
}

impl<'a> MetricFamily<'a> {
    /// Adds a sample: `name_suffix{labels} value`, and perhaps an exemplar.
    fn add(&mut self, line: &'a str) {
        let Some((suffix, labels, value)) = sample(line, self.name) else { return };
        let (labels, bound) = if suffix == "_bucket" { split_bound(labels) } else { (labels, None) };
        let point = self.points.entry(labels).or_default();
        match (suffix, bound) {
            ("_bucket", Some(bound)) => point.buckets.push((bound, whole(value))),
            ("_count", _) => point.count = whole(value),
            _ => point.value = value,
        }
    }
}

/// The suffix, the labels and the value of a sample of this family.
fn sample<'a>(line: &'a str, family: &str) -> Option<(&'a str, &'a str, f64)> {
    let rest = line.strip_prefix(family)?;
    let start = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at(start);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_at_checked(labels_end(rest)?)?,
        None => ("", rest),
    };
    let value = rest.trim_start_matches('}').split_ascii_whitespace().next()?;
    Some((suffix, labels, value.parse().ok()?))
}

/// Where the labels end: at the brace that stands in no value.
fn labels_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        b'"' => {
            quoted = !quoted;
            false
        }
        byte => byte == b'}' && !quoted,
    })
}

/// The labels without `le`, which is the first one, and its bound.
fn split_bound(labels: &str) -> (&str, Option<f64>) {
    let Some((bound, rest)) = labels.strip_prefix("le=\"").and_then(|rest| rest.split_once('"')) else {
        return (labels, None);
    };
    let bound = if bound == "+Inf" { Some(f64::INFINITY) } else { bound.parse().ok() };
    (rest.strip_prefix(',').unwrap_or(rest), bound)
}

/// The labels, each with its value as it was before it was written.
pub(super) fn labels(text: &str) -> Vec<(&str, String)> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other)) => value.push(other),
                    None => return found,
                },
                Some((at, '"')) => break at,
                Some((_, other)) => value.push(other),
                None => return found,
            }
        };
        found.push((name, value));
        rest = after[end + 1..].trim_start_matches(',');
    }
    found
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is a whole number, and a cast saturates"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exposition_is_read_with_its_labels_bounds_and_exemplars() {
        let text = "# HELP a_calls Calls.\n# TYPE a_calls counter\na_calls_total{service=\"x}\\\"\",kind=\"y\"} 3\n\
                    # HELP a_up Whether.\n# TYPE a_up gauge\na_up 0.5\n\
                    # HELP a_took_seconds Time.\n# TYPE a_took_seconds histogram\na_took_seconds_sum{s=\"x\"} 1.5\n\
                    a_took_seconds_count{s=\"x\"} 3\na_took_seconds_bucket{le=\"0.5\",s=\"x\"} 2 # {id=\"0\"} 0.1\n\
                    a_took_seconds_bucket{le=\"+Inf\",s=\"x\"} 3\n# EOF\n";
        let families = families(text);
        let [calls, up, took] = &families[..] else { panic!("{families:?}") };
        assert_eq!((calls.name, calls.help, calls.kind), ("a_calls", "Calls.", FamilyKind::Counter));
        let (written, point) = calls.points.first_key_value().unwrap();
        assert!((point.value - 3.0).abs() < f64::EPSILON);
        assert_eq!(labels(written), [("service", "x}\"".to_owned()), ("kind", "y".to_owned())]);
        assert!((up.points[""].value - 0.5).abs() < f64::EPSILON);
        let took = &took.points["s=\"x\""];
        assert_eq!((took.count, &took.buckets), (3, &vec![(0.5, 2), (f64::INFINITY, 3)]));
        assert!((took.value - 1.5).abs() < f64::EPSILON);
    }
}
