//! The rate limits of routes: by requests, by what the guests of a request take, and by windows of the calendar.
//!
//! A request passes two stages ([`LimitStage`]). Limits by address, header or route are looked at before
//! authentication, so that a flood of wrong credentials is refused before an issuer is asked about one. Limits by what
//! authentication proves are looked at after it. A request that a limit refuses is given back to all limits that have
//! admitted it; one that authentication refuses is not.

mod keep_quota;
mod limit_key;
mod rate_admission;
mod rate_fields;
mod rate_limit;
mod route_limits;
#[cfg(test)]
mod tests;
mod work_charge;

pub use keep_quota::{KeepQuota, SavedFuture};
pub use limit_key::LimitKey;
pub(super) use rate_admission::{LimitStage, RateAdmission, RequestToAdmit};
pub use rate_limit::{LimitCounts, LimitMeasures, RateLimit};
pub use route_limits::RouteLimits;
