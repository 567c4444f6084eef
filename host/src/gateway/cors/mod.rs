//! Which pages of other origins may use a route, and read its answers: CORS, as the Fetch standard has it.
//!
//! CORS loosens a browser's rule and keeps nobody out: a request of an origin that is not permitted is answered as
//! before, and the browser hides the answer from the page. So the decision is pure, and stands before authentication:
//! a preflight carries no credentials (Fetch, "CORS protocol and credentials").

mod cors_policy;
mod origin_pattern;
#[cfg(test)]
mod tests;

pub use cors_policy::CorsPolicy;
pub(super) use cors_policy::{CorsGrant, refusal, requested_method};
pub use origin_pattern::{OriginPattern, OriginPatternError};
