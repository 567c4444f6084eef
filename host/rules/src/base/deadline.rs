//! Whose bound a deadline is.

use std::fmt;

/// Who has set the deadline of a call: of all bounds, the one that ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineOwner {
    /// The route's `timeout`, or that of the gateway.
    Route,
    /// The `total` of the service that is called.
    Total,
    /// The `timeout` of the service that is called.
    Timeout,
    /// The caller: it has less time left itself, or it has set a timeout of its own.
    Caller,
}

impl DeadlineOwner {
    /// All of them. Each has its place here: `ALL[owner as usize]` is `owner`.
    pub const ALL: [Self; 4] = [Self::Route, Self::Total, Self::Timeout, Self::Caller];

    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Total => "total",
            Self::Timeout => "timeout",
            Self::Caller => "caller",
        }
    }
}

impl fmt::Display for DeadlineOwner {
    /// For the text of an error: whose bound it was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Route => "the route's `timeout`",
            Self::Total => "the service's `total`",
            Self::Timeout => "the service's `timeout`",
            Self::Caller => "its caller's time",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_place_in_the_list() {
        for (at, owner) in DeadlineOwner::ALL.into_iter().enumerate() {
            assert_eq!(owner as usize, at);
        }
    }
}
