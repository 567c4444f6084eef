//! The operators' token.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::hint::black_box;

/// The token that operators must send. Only its SHA-256 is kept, so not even a memory dump of this value shows the
/// token.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Hashes the token from the configuration.
    pub fn new(secret: &str) -> Self {
        Self(hash(secret.as_bytes()))
    }

    /// Whether `presented` is the token. The time that it takes does not depend on where the two differ, nor on the
    /// token's length.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let presented = hash(presented);
        let difference = self.0.iter().zip(presented).fold(0, |difference, (own, other)| difference | (own ^ other));
        // Without the barrier the compiler could leave the loop at the first byte that differs.
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
    fn the_debug_output_hides_the_token() {
        assert_eq!(format!("{:?}", Some(Token::new("s3cret"))), "Some(Token(…))");
    }
}
