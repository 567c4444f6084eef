//! The fields that tell an HTTP service who calls, made once for each identity.

use http::{HeaderName, HeaderValue};
use std::sync::OnceLock;

/// The fields of an identity, once they were asked for: an API key or a kept token comes with many requests. They are
/// made of the identity alone, so two identities differ by themselves, and a copy makes its own.
#[derive(Debug, Default)]
pub struct IdentityFields(OnceLock<Vec<(HeaderName, HeaderValue)>>);

impl IdentityFields {
    pub(super) fn get_or_make(
        &self,
        make: impl FnOnce() -> Vec<(HeaderName, HeaderValue)>,
    ) -> &[(HeaderName, HeaderValue)] {
        self.0.get_or_init(make)
    }
}

impl Clone for IdentityFields {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for IdentityFields {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for IdentityFields {}
