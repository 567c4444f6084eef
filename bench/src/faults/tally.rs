//! What clients saw, and what the gateway has counted: how many requests ended in which way.

use super::samples::Samples;
use std::collections::BTreeMap;

/// The end of a request: route, status, kind.
type End = (String, u16, String);

/// A service whose clients go away within answers or are cut off: which of the two came first, and whether the
/// client's body or the answer was in the middle, only the host can know.
pub(super) const OPEN_END: &str = "uploads";
/// The kind of an end that a client cannot tell.
const ANY: &str = "any";
/// The status that the gateway counts where no head was sent; 400 is its word where the client's body broke off.
const GONE: u16 = 499;

/// How many requests ended in which way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    ends: BTreeMap<End, u64>,
    /// Requests whose connection broke before an answer.
    broken: u64,
}

impl Tally {
    /// Counts an answer of `service`, whose route is its own name.
    pub(super) fn answered(&mut self, service: &str, status: u16, body: &[u8]) {
        let kind = problem(body).unwrap_or("answer");
        self.add(format!("/{service}/*"), status, kind, 1);
    }

    /// Counts a request that the client has given up, after the head of an answer with this status or before any.
    pub(super) fn given_up(&mut self, service: &str, status: Option<u16>) {
        self.add(format!("/{service}/*"), status.unwrap_or(GONE), ANY, 1);
    }

    /// Counts a request that got no answer.
    pub(super) fn broke(&mut self) {
        self.broken += 1;
    }

    /// Adds what other clients saw.
    pub(super) fn merge(&mut self, other: Self) {
        self.broken += other.broken;
        for ((route, status, kind), count) in other.ends {
            self.add(route, status, &kind, count);
        }
    }

    fn add(&mut self, route: String, status: u16, kind: &str, count: u64) {
        let open = route == format!("/{OPEN_END}/*");
        let kind = if open { ANY } else { kind };
        let status = if open && status == 400 { GONE } else { status };
        *self.ends.entry((route, status, kind.to_owned())).or_default() += count;
    }

    /// What the gateway has counted so far.
    pub(super) fn counted(samples: &Samples) -> Self {
        let mut tally = Self::default();
        for (labels, value) in samples.series("atoll_gateway_requests_total") {
            let label = |name: &str| Samples::label(labels, name).unwrap_or_default();
            if value > 0 {
                tally.add(label("route"), label("status").parse().unwrap_or(0), &label("kind"), value);
            }
        }
        tally
    }

    /// All requests.
    pub(super) fn total(&self) -> u64 {
        self.ends.values().sum::<u64>() + self.broken
    }

    /// The requests of this route.
    pub(super) fn of_route(&self, route: &str) -> u64 {
        self.ends.iter().filter(|((own, ..), _)| own == route).map(|(_, count)| count).sum()
    }

    /// Those of them that were answered with this status.
    pub(super) fn with_status(&self, route: &str, status: u16) -> u64 {
        let own = self.ends.iter().filter(|((own, with, _), _)| own == route && *with == status);
        own.map(|(_, count)| count).sum()
    }

    /// Where the two differ: what clients saw, and what was counted.
    pub(super) fn differences(&self, counted: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.broken > 0 {
            differences.push(format!("{} requests got no answer", self.broken));
        }
        let all: std::collections::BTreeSet<_> = self.ends.keys().chain(counted.ends.keys()).collect();
        for end in all {
            let of = |tally: &Self| tally.ends.get(end).copied().unwrap_or(0);
            if of(self) != of(counted) {
                let (route, status, kind) = end;
                let (saw, counted) = (of(self), of(counted));
                differences.push(format!("{route} {status} {kind}: clients saw {saw}, the gateway counted {counted}"));
            }
        }
        differences
    }
}

/// The kind of a problem document of the gateway; `None`: the body is a service's.
fn problem(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"urn:atoll:problem:")?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, status: u16, kind: &str, count: u64) -> String {
        format!(
            "atoll_gateway_requests_total{{route=\"/{service}/*\",service=\"{service}\",status=\"{status}\",\
             kind=\"{kind}\"}} {count}\n"
        )
    }

    #[test]
    fn what_clients_saw_is_compared_with_what_was_counted_by_route_status_and_kind() {
        let text = [line("a", 200, "answer", 2), line("a", 502, "trap", 1), line("b", 200, "answer", 0)].concat();
        let counted = Tally::counted(&Samples::of(&text));
        let mut saw = Tally::default();
        saw.answered("a", 200, b"hello");
        saw.answered("a", 200, b"hello");
        assert_eq!(saw.differences(&counted), ["/a/* 502 trap: clients saw 0, the gateway counted 1"]);
        saw.answered("a", 502, br#"{"type":"urn:atoll:problem:trap","title":"x"}"#);
        assert_eq!((saw.differences(&counted), saw.total()), (vec![], 3));
        assert_eq!((saw.of_route("/a/*"), saw.with_status("/a/*", 200)), (3, 2));
        saw.broke();
        assert_eq!(saw.differences(&counted), ["1 requests got no answer"]);
    }

    #[test]
    fn of_a_client_that_goes_away_the_status_counts_and_not_why_it_ended() {
        let text = [(200, 3), (499, 1), (400, 1)]
            .map(|(status, count)| line("uploads", status, "client-gone", count))
            .concat();
        let mut saw = Tally::default();
        (0..3).for_each(|_| saw.given_up("uploads", Some(200)));
        (0..2).for_each(|_| saw.given_up("uploads", None));
        assert_eq!(saw.differences(&Tally::counted(&Samples::of(&text))), [""; 0]);
    }
}
