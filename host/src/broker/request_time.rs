//! How long a broker may take, and how long this host waits before it tries again.

use super::error::BrokerError;
use std::time::Duration;

/// How long one request may take. A server that has lost its leader answers nothing until it has one.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The pauses between two tries to connect: the first, and the longest. A fleet that comes back all at once would be a
/// storm (openobserve #13676), so the pause is random.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The pause after so many tries.
pub(super) fn pause(tries: usize) -> Duration {
    let (first, most) = PAUSES;
    let doubled = first.saturating_mul(1 << tries.min(10)).min(most);
    doubled.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

pub(super) fn no_answer() -> BrokerError {
    BrokerError::Away(format!("no answer within {} s", LONGEST.as_secs()))
}
