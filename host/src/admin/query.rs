//! The query of a request: which parameters a resource knows, and their values.

use super::admin_document::known_query;
use super::problem::AdminProblem;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use std::time::{Duration, SystemTime};

/// The parameters of one request. An unknown one is refused: with a typing error a filter would let everything through.
pub(super) struct AdminQuery(Vec<(String, String)>);

impl AdminQuery {
    /// The query of `uri`, for a resource with the parameters `known`.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, AdminProblem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(wrong(format!("there is no parameter `{name}` here: there are {there}")));
            }
            if pairs.iter().any(|(own, _)| *own == name) {
                return Err(wrong(format!("`{name}` stands twice in the query: send it once")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Whether a flag is there, and not `false` or `0`.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// The value of a parameter as `parse` reads it, whose error says what is accepted.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, AdminProblem> {
        let value = self.text(name);
        value.map(|value| parse(&value).map_err(|accepted| wrong(format!("`{name}` is {accepted}")))).transpose()
    }

    /// How many entries a list has: `usual` if nobody says, 1 to `most`.
    pub(super) fn limit(&self, usual: usize, most: usize) -> Result<usize, AdminProblem> {
        let limit = |text: &str| {
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| format!("a number of 1 to {most}"))
        };
        Ok(self.parsed("limit", limit)?.unwrap_or(usual))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, AdminProblem> {
        self.parsed(name, |text| text.parse().map_err(|_| "a whole number".to_owned()))
    }

    /// A time, written as the seconds since then (`300`) or in the manifest's form (`5m`).
    pub(super) fn since(&self, name: &str) -> Result<Option<SystemTime>, AdminProblem> {
        let length = self.parsed(name, |text| {
            let seconds = text.parse().ok().map(Duration::from_secs);
            seconds.or_else(|| length(text)).ok_or_else(|| "a time ago, like 300 (seconds), 30s, 5m or 2h".to_owned())
        })?;
        // A time before 1970 is as good as none.
        Ok(length.map(|length| SystemTime::now().checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH)))
    }
}

/// Refuses a request that only reads, and whose query has a parameter that its resource does not know.
pub(super) async fn refuse_unknown(request: Request, next: Next) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let known = if reads { known_query(request.uri().path()) } else { None };
    match known.map(|known| AdminQuery::of(request.uri(), known)) {
        Some(Err(problem)) => problem.into_response(),
        _ => next.run(request).await,
    }
}

pub(super) fn wrong(detail: String) -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-query", detail)
}

/// `90s`, `5m`, `2h`, `1d`
fn length(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

/// Percent-encoding undone, and `+` for a blank (application/x-www-form-urlencoded).
pub(super) fn decoded(text: &str) -> Result<String, AdminProblem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let pair = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                pair.ok_or_else(|| wrong(format!("`{text}` is not percent-encoded")))?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong(format!("`{text}` is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<AdminQuery, AdminProblem> {
        AdminQuery::of(&format!("/v1/logs?{text}").parse().unwrap(), &["service", "since", "follow"])
    }

    #[test]
    fn a_query_is_decoded_and_an_unknown_or_doubled_parameter_is_refused() {
        let good = query("service=a%2Db+c&follow&since=5m").ok().unwrap();
        assert_eq!((good.text("service").as_deref(), good.is_set("follow")), (Some("a-b c"), true));
        assert!(good.since("since").ok().unwrap().is_some());
        for wrong in ["servce=a", "service=a&service=b", "service=%2", "service=%zz", "service=%ff"] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
        let off = query("follow=false&service=").ok().unwrap();
        assert!(!off.is_set("follow") && off.text("service").is_none());
    }

    #[test]
    fn a_time_ago_is_in_seconds_or_with_its_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(length(text), Some(Duration::from_secs(seconds)));
        }
        for wrong in ["", "m", "5", "5w", "-5m", "99999999999999999999s", "é"] {
            assert_eq!(length(wrong), None, "{wrong}");
        }
        assert!(query("since=soon").ok().unwrap().since("since").is_err());
    }
}
