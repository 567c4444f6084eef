//! Something that is to be recorded.

/// The most characters of one text of an event; the rest of a longer text is left out.
const LONGEST: usize = 512;

/// Who did what, and to what. All texts are names and words: none of them is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub(super) who: String,
    pub(super) what: &'static str,
    pub(super) on: Option<String>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) why: Option<String>,
    pub(super) request_id: Option<String>,
}

impl AuditRecord {
    /// `who` did `what`, a word in kebab-case such as `swap`.
    pub fn new(who: &str, what: &'static str) -> Self {
        let (on, before, after, outcome, why, request_id) = (None, None, None, None, None, None);
        Self { who: bounded(who), what, on, before, after, outcome, why, request_id }
    }

    /// To what: a service, a route, a key.
    #[must_use]
    pub fn on(self, on: &str) -> Self {
        Self { on: Some(bounded(on)), ..self }
    }

    /// What it was before, and what it is now: digests, where there are any.
    #[must_use]
    pub fn changed(self, before: Option<&str>, after: Option<&str>) -> Self {
        Self { before: before.map(bounded), after: after.map(bounded), ..self }
    }

    /// How it ended, if it did not just succeed; or the order in words.
    #[must_use]
    pub fn outcome(self, outcome: &str) -> Self {
        Self { outcome: Some(bounded(outcome)), ..self }
    }

    /// Why, in the operator's words, if he gave some.
    #[must_use]
    pub fn why(self, why: Option<&str>) -> Self {
        Self { why: why.map(bounded), ..self }
    }

    /// The request at the gateway that it concerns.
    #[must_use]
    pub fn request(self, id: &str) -> Self {
        Self { request_id: Some(bounded(id)), ..self }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
