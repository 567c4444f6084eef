//! Why a certificate was not obtained.

use crate::base::log_safe;
use std::io;
use std::path::PathBuf;

/// The longest text of an authority in an error, in characters.
const LONGEST: usize = 300;

/// Why a certificate was not obtained. The texts of the authority in it are cut and made safe for the log.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority refuses something, or does not answer.
    #[error("the authority: {0}")]
    Authority(String),
    /// The authority could not see that a name leads here.
    #[error("the name {name} was not proved by {challenge}: {why}")]
    Unproved {
        /// The name.
        name: String,
        /// How it was to be proved.
        challenge: &'static str,
        /// What the authority says.
        why: String,
    },
    /// The authority does not know this way to prove a name.
    #[error("the authority offers no {challenge} for the name {name}")]
    NoChallenge {
        /// The name.
        name: String,
        /// How it was to be proved.
        challenge: &'static str,
    },
    /// What was issued is not what was ordered.
    #[error("the authority issued a certificate that cannot be served: {0}")]
    WrongCertificate(&'static str),
    /// A key or a request could not be made.
    #[error("cannot make a key or a request: {0}")]
    Key(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are no roots to check the directory's own certificate against.
    #[error(transparent)]
    Roots(#[from] crate::mesh::TlsError),
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Authority(told(&error.to_string()))
    }
}

/// A text of the authority, for the log.
pub(super) fn told(text: &str) -> String {
    let mut cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    log_safe(&cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_authority_says_is_cut_and_safe_for_a_line_of_the_log() {
        assert_eq!(told("no\nway"), "no\\nway");
        let long = told(&"é".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST + 1, true));
    }
}
