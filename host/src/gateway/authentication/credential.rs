//! Where a request has its credential.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// What a request has in the header of a policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Nothing, or a credential of another scheme.
    Absent,
    /// The header stands twice, and readers would disagree about which one counts.
    Twice,
    /// The token or the key.
    One(&'a [u8]),
}

/// The credential in the header `name`: in `Authorization` what follows `Bearer` (RFC 6750, section 2.1), in another
/// header its whole value, with or without `Bearer`.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Credential<'a> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Credential::Absent };
    if values.next().is_some() {
        return Credential::Twice;
    }
    let value = value.as_bytes().trim_ascii();
    let bearer = value.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
    match bearer {
        Some((_, credential)) => Credential::One(credential.trim_ascii_start()),
        None if *name == AUTHORIZATION => Credential::Absent,
        None => Credential::One(value),
    }
}
