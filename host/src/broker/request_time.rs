//! How long a broker may take, and how long this host waits before it tries again.

use super::error::BrokerError;
use std::time::Duration;

/// How long one request may take. A server that has lost its leader answers nothing until it has one.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The first pause between two tries to connect. A fleet that comes back all at once would be a storm (openobserve
/// #13676), so pauses are random, and grow.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The pause after so many tries: `most` at most.
pub(super) fn pause(tries: usize, most: Duration) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(most);
    doubled.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

pub(super) fn no_answer() -> BrokerError {
    BrokerError::Away(format!("no answer within {} s", LONGEST.as_secs()))
}
