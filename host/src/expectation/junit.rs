//! The report for CI, in the form that JUnit gave its name to.

use std::fmt::Write;
use std::time::Duration;

/// What was checked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// The service.
    pub service: String,
    /// What was checked.
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// What is wrong; `None`: nothing.
    pub failure: Option<String>,
}

/// The report of all cases: a suite for each service.
pub fn junit(cases: &[TestCase]) -> String {
    let failed = |cases: &[&TestCase]| cases.iter().filter(|case| case.failure.is_some()).count();
    let all: Vec<&TestCase> = cases.iter().collect();
    let mut services: Vec<&str> = Vec::new();
    for case in cases {
        if !services.contains(&case.service.as_str()) {
            services.push(&case.service);
        }
    }
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"atoll test\" tests=\"{}\" failures=\"{}\">\n",
        all.len(),
        failed(&all)
    );
    for service in services {
        let own: Vec<&TestCase> = cases.iter().filter(|case| case.service == service).collect();
        let (count, failures, service) = (own.len(), failed(&own), escaped(service));
        let _ = writeln!(text, "  <testsuite name=\"{service}\" tests=\"{count}\" failures=\"{failures}\">");
        for case in own {
            let (name, seconds) = (escaped(&case.name), case.took.as_secs_f64());
            let _ = write!(text, "    <testcase classname=\"{service}\" name=\"{name}\" time=\"{seconds:.3}\"");
            match &case.failure {
                None => text.push_str("/>\n"),
                Some(failure) => {
                    let (first, whole) = (escaped(failure.lines().next().unwrap_or_default()), escaped(failure));
                    let _ = writeln!(text, ">\n      <failure message=\"{first}\">{whole}</failure>\n    </testcase>");
                }
            }
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// XML 1.0, section 2.2: most control characters cannot stand in a document, not even escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() || ('\u{FFFE}'..='\u{FFFF}').contains(&control) => {
                out.extend(control.escape_default());
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_escapes_and_groups() {
        let case = |service: &str, failure: Option<&str>| TestCase {
            service: service.to_owned(),
            name: "get <7>".to_owned(),
            took: Duration::from_millis(1500),
            failure: failure.map(str::to_owned),
        };
        let report = junit(&[case("a", None), case("b", Some("\"x\" & \0\nmore")), case("a", None)]);
        for part in [
            "<testsuites name=\"atoll test\" tests=\"3\" failures=\"1\">",
            "<testsuite name=\"a\" tests=\"2\" failures=\"0\">",
            "<testcase classname=\"a\" name=\"get &lt;7&gt;\" time=\"1.500\"/>",
            "<failure message=\"&quot;x&quot; &amp; \\u{0}\">&quot;x&quot; &amp; \\u{0}\nmore</failure>",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
    }
}
