//! What guests measure themselves and hand to the host, added up for each service and revision.
//!
//! An instance counts from 0, and lives for one request or for many. So what it hands over is cumulative for itself
//! alone: the host remembers the last value of each of its series as long as it lives ([`GuestCounters`]), and adds the
//! difference to the total, which lives on. Names and labels are a guest's, so their number is bounded for each
//! service; what does not fit is counted in a series of its own, marked as OpenTelemetry marks it.

mod guest_counters;
mod guest_sample;
mod guest_series;
mod guest_text;
#[cfg(test)]
mod tests;

pub use guest_counters::GuestCounters;
pub use guest_sample::{GuestDistribution, GuestSample, GuestValue, SampleStart};
pub(super) use guest_series::GuestSeries;
pub use guest_series::{GuestMetrics, GuestSignal, guest_metrics};
pub(super) use guest_text::{is_guests, write_guests};
