//! The form of a signed token: three parts in base64url with dots between them (RFC 7515, section 3.1).

use super::claims::Claims;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest token that is read, in bytes. A longer one is refused unread.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// A token whose parts were decoded. Nothing in it is proved.
pub(super) struct CompactToken<'a> {
    pub(super) header: Claims,
    /// The text of its claims.
    pub(super) payload: Vec<u8>,
    pub(super) claims: Claims,
    pub(super) signature: Vec<u8>,
    /// What the signature is over.
    pub(super) signed: &'a [u8],
}

impl<'a> CompactToken<'a> {
    /// Reads `token`, of at most [`LONGEST_TOKEN`] bytes. The decoder is strict: no padding, no stray bits, no other
    /// alphabet, so one token has one spelling.
    pub(super) fn parse(token: &'a [u8]) -> Option<Self> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let last = token.iter().rposition(|byte| *byte == b'.')?;
        let (signed, signature) = (&token[..last], &token[last + 1..]);
        let mut parts = signed.split(|byte| *byte == b'.');
        let (header, payload) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
        let (header, payload) = (Claims::parse(&decode(header)?)?, decode(payload)?);
        let claims = Claims::parse(&payload)?;
        Some(Self { header, claims, payload, signature: decode(signature)?, signed })
    }
}
