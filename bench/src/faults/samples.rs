//! The admin's metrics as numbers.

use crate::native::Client;
use anyhow::Context;
use std::fmt;

/// Samples of a metric, by name and a part of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Metric {
    /// The whole name: `atoll_failures_total`.
    pub(super) name: &'static str,
    /// A label as it stands in the text, `service="victim"`; empty for all samples.
    pub(super) label: &'static str,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.label.is_empty() { f.write_str(self.name) } else { write!(f, "{}{{{}}}", self.name, self.label) }
    }
}

/// All samples at one moment, as text.
#[derive(Debug)]
pub(super) struct Samples(String);

impl Samples {
    /// # Errors
    /// If the admin does not answer.
    pub(crate) async fn scrape(admin: &str) -> anyhow::Result<Self> {
        let body = Client::connect(admin).await?.get("/metrics").await?;
        Ok(Self(String::from_utf8(body.into()).context("the metrics are text")?))
    }

    /// The samples in this text.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The labels and the value of each series of a counter.
    pub(super) fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
        })
    }

    /// The value of the label `name`. No route or kind of the scene has a character that would be escaped.
    pub(super) fn label(labels: &str, name: &str) -> Option<String> {
        let (_, rest) = labels.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }

    /// The sum of a counter over the series that have this label.
    pub(super) fn count(&self, name: &str, label: &str) -> u64 {
        self.series(name).filter(|(labels, _)| labels.contains(label)).map(|(_, value)| value).sum()
    }

    /// The sum of the samples of `metric`; `None` if there are none.
    fn sum(&self, metric: Metric) -> Option<f64> {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(metric.name));
        let values = lines.filter_map(|rest| {
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            (is_it && labels.contains(metric.label)).then(|| value.parse::<f64>().ok()).flatten()
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// By how much the sum of `metric` grew. A series that was not there before counts from 0.
    pub(super) fn growth_since(&self, before: &Self, metric: Metric) -> Option<f64> {
        Some(self.sum(metric)? - before.sum(metric).unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_up_by_name_and_label() {
        let text = "# TYPE a_total counter\na_total{service=\"x\",kind=\"t\"} 2\na_total{service=\"x\",kind=\"u\"} 3\n\
                    a_total{service=\"y\"} 4\na_total_more{service=\"x\"} 9\nb 1.5\n";
        let samples = Samples(text.to_owned());
        let sum = |name, label| samples.sum(Metric { name, label });
        assert_eq!(sum("a_total", "service=\"x\""), Some(5.0));
        assert_eq!(sum("a_total", ""), Some(9.0));
        assert_eq!(sum("b", ""), Some(1.5));
        assert_eq!(sum("c", ""), None);
        assert_eq!(samples.series("a_total").map(|(_, value)| value).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(samples.count("a_total", "service=\"x\""), 5);
        assert_eq!(Samples::label("{service=\"x\",kind=\"t\"}", "kind").as_deref(), Some("t"));
        let before = Samples("b 1\n".to_owned());
        assert_eq!(samples.growth_since(&before, Metric { name: "b", label: "" }), Some(0.5));
        assert_eq!(samples.growth_since(&before, Metric { name: "a_total", label: "" }), Some(9.0));
    }
}
