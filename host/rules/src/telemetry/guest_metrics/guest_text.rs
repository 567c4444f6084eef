//! What guests measure, in OpenMetrics' text format.
//!
//! The families are the host's, one for each kind of instrument, and the instrument's name is a label. So two services
//! may give one name to different things, and none can take a name of the host's.

use super::guest_sample::GuestValue;
use super::guest_series::{GuestMetrics, ServiceSeries};
use crate::telemetry::label_text::escaped;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The families, by the word of their kind: name, type and help.
const FAMILIES: [(&str, &str, &str, &str); 4] = [
    ("counter", "atoll_guest_counter", "counter", "Sums of the services' own counters"),
    ("updown", "atoll_guest_updown", "gauge", "Sums of the services' own counters that may fall"),
    ("gauge", "atoll_guest_gauge", "gauge", "Last values that the services have measured"),
    ("histogram", "atoll_guest_histogram", "histogram", "Values that the services have measured"),
];
/// Whether a family of this name has what guests measure.
pub(in super::super) fn is_guests(family: &str) -> bool {
    FAMILIES.iter().any(|(_, name, _, _)| *name == family)
}

/// Labels of the host's: an attribute with such a name gets another one.
const OWN_LABELS: [&str; 5] = ["service", "revision", "name", "unit", "le"];

/// Adds the families of `guests` to `text`, each if it has a series.
pub(in super::super) fn write_guests(text: &mut String, guests: &GuestMetrics) {
    let services = guests.read();
    write_left_out(text, &services);
    for (kind, name, of_type, help) in FAMILIES {
        let mut samples = String::new();
        for (service, own) in &services {
            write_service(&mut samples, (kind, name), service, own);
        }
        if !samples.is_empty() {
            // A string takes everything, here and below.
            let _ = write!(text, "# HELP {name} {help}, by their names.\n# TYPE {name} {of_type}\n{samples}");
        }
    }
}

fn write_left_out(text: &mut String, services: &BTreeMap<String, ServiceSeries>) {
    let name = "atoll_guest_left_out";
    let mut samples = String::new();
    for (service, own) in services {
        for (signal, count) in &own.left_out {
            let _ = writeln!(samples, "{name}_total{{service=\"{service}\",signal=\"{}\"}} {count}", signal.as_str());
        }
    }
    if !samples.is_empty() {
        let help = "Spans and points of the services' own that were over the bounds or not valid.";
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{samples}");
    }
}

fn write_service(text: &mut String, (kind, family): (&str, &str), service: &str, own: &ServiceSeries) {
    for revision in &own.revisions {
        for ((name, attributes), series) in &revision.series {
            if series.total.kind() != kind {
                continue;
            }
            let (revision, name, unit) = (&revision.revision, escaped(name), escaped(&series.unit));
            let mut labels = format!("service=\"{service}\",revision=\"{revision}\",name=\"{name}\"");
            if !unit.is_empty() {
                let _ = write!(labels, ",unit=\"{unit}\"");
            }
            write_attributes(&mut labels, attributes);
            write_value(text, family, &labels, &series.total);
        }
    }
}

fn write_attributes(labels: &mut String, attributes: &[(String, String)]) {
    let mut taken: Vec<String> = OWN_LABELS.iter().map(|&name| name.to_owned()).collect();
    for (name, value) in attributes {
        let mut name = label_name(name);
        while taken.contains(&name) {
            name.insert_str(0, "own_");
        }
        let _ = write!(labels, ",{name}=\"{}\"", escaped(value));
        taken.push(name);
    }
}

/// `text` as the name of a label: letters, digits and `_`, no digit first, and not the `__` of Prometheus' own.
fn label_name(text: &str) -> String {
    let legal = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let name: String = text.chars().map(legal).collect();
    let name = name.trim_start_matches('_');
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name.to_owned() } else { format!("own_{name}") }
}

fn write_value(text: &mut String, family: &str, labels: &str, value: &GuestValue) {
    match value {
        GuestValue::Counter(value) => drop(writeln!(text, "{family}_total{{{labels}}} {value:?}")),
        GuestValue::UpDown(value) | GuestValue::Gauge(value) => drop(writeln!(text, "{family}{{{labels}}} {value:?}")),
        GuestValue::Histogram(own) => {
            let mut count = 0_u64;
            let bounds = own.bounds.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
            for (bound, counted) in bounds.zip(&own.counts) {
                count = count.saturating_add(*counted);
                let _ = writeln!(text, "{family}_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(text, "{family}_count{{{labels}}} {count}");
            let _ = writeln!(text, "{family}_sum{{{labels}}} {:?}", own.sum);
        }
    }
}
