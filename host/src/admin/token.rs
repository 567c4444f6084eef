//! The operators' token.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::hint::black_box;

/// A token that requests are compared with. Only its SHA-256 is kept, so it cannot be printed, not even from a dump of this value.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Takes over the token from the configuration.
    pub fn new(secret: &str) -> Self {
        Self(hash(secret.as_bytes()))
    }

    /// Whether `presented` is the token. How long it takes tells nothing of where the two differ, nor of the token's length.
    pub(super) fn matches(&self, presented: &[u8]) -> bool {
        let presented = hash(presented);
        let difference = self.0.iter().zip(presented).fold(0, |difference, (own, other)| difference | (own ^ other));
        // The barrier keeps the compiler from leaving the loop at the first byte that differs.
        black_box(difference) == 0
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_matches() {
        let token = Token::new("s3cret");
        assert!(token.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3crets", b"S3CRET"] {
            assert!(!token.matches(wrong));
        }
    }

    #[test]
    fn it_does_not_print() {
        assert_eq!(format!("{:?}", Token::new("s3cret")), "Token(…)");
    }
}
